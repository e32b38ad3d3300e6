"""What a service says of itself, read by Prometheus's own Python library."""

from __future__ import annotations

import dataclasses
from types import ModuleType

import pytest

from domstats.formats import openmetrics, prometheus
from domstats.formats.metrics.service import FAMILIES, PLAIN, Service
from domstats.formats.options import Options
from domstats.model.snapshot import Snapshot
from metrics_reader import parsed

FEW = Service(
    started=1_800_000_000.25,
    snapshot_age=0.5,
    host_up=False,
    domains={"fresh": 3, "gone": 0},
    cpu_seconds=1.5,
    memory_bytes=1 << 30,
    descriptors=12,
    tasks=9,
    reloads={"ok": 2, "failed": 0},
)
ALL = dataclasses.replace(
    FEW,
    http_requests={("metrics", "200"): 2**60, ("stats", "404"): 1},
    http_bytes=2**62,
    http_rendered=3,
    http_clients=4,
    http_streams=1,
    libvirt_clients=6,
    libvirt_calls=7,
    history_bytes=8,
    history_bytes_max=9,
    history_series=10,
    history_points=11,
)
FORMS = [pytest.param(prometheus, id="prometheus"), pytest.param(openmetrics, id="openmetrics")]


def text_of(form: ModuleType, service: Service | None) -> bytes:
    text: bytes = form.encode(Snapshot.of_params([], time=1_800_000_000.0), Options(service=service))
    return text


@pytest.mark.parametrize("form", FORMS)
def test_all_of_it(form: ModuleType) -> None:
    text = text_of(form, ALL)
    found = parsed(form.__name__.rpartition(".")[2], text)
    assert found["domstats_domains", frozenset({("status", "fresh")})] == 3
    assert found["domstats_http_requests_total", frozenset({("kind", "stats"), ("code", "404")})] == 1
    assert found["domstats_reloads_total", frozenset({("result", "ok")})] == 2
    assert found["domstats_start_timestamp_seconds", frozenset()] == 1_800_000_000.25
    assert found["domstats_host_up", frozenset()] == 0
    for attribute, family in PLAIN.items():
        assert found[family.sample, frozenset()] == getattr(ALL, attribute), attribute
    assert b'domstats_http_requests_total{kind="metrics",code="200"} 1152921504606846976\n' in text
    assert b"domstats_http_response_bytes_total 4611686018427387904\n" in text


@pytest.mark.parametrize("form", FORMS)
def test_what_it_does_not_do_is_missing(form: ModuleType) -> None:
    text = text_of(form, FEW)
    for word in (b"http", b"libvirt", b"history"):
        assert b"domstats_" + word not in text
    assert b"domstats_process_open_fds 12\n" in text


def test_nobody_serves() -> None:
    text = text_of(prometheus, None)
    for family in FAMILIES:
        assert f"{family.sample} ".encode() not in text
