"""Rendering the metrics of 1,024 captured guests with the hypervisor's own counters: CPU time.

prometheus-client is given its families ready, numbers and labels and all, and renders them; ours get a snapshot whose
numbers are those of the other poll each time.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

import domstats
from domstats.formats import openmetrics, prometheus
from domstats.formats.metrics.options import MetricsOptions
from domstats.formats.options import Options
from domstats.model.layout import Layout, RecordLayout
from domstats.model.snapshot import Snapshot

pytestmark = pytest.mark.benchmark(timer=time.process_time)
ROUNDS = 40
OPTIONS = Options(metrics=MetricsOptions(hypervisor=True))


@pytest.fixture(scope="module")
def snapshots(bodies: tuple[bytes, bytes]) -> list[Snapshot]:
    """Two polls with one layout."""
    decoder = domstats.ReplyDecoder()
    return [decoder.decode(body) for body in bodies]


class Ready(Collector):
    """Families that are there already."""

    def __init__(self, text: str) -> None:
        """`text`: in Prometheus's format."""
        types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
        self._families: dict[str, Metric] = {}
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            head, _, number = line.rpartition(" ")
            name, _, labels = head.partition("{")
            family = self._families.get(name)
            if family is None:
                plain = name.removesuffix("_total") if types[name] == "counter" else name
                family = self._families[name] = Metric(plain, "A metric.", types[name])
            family.add_sample(name, dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(number))

    def collect(self) -> Iterable[Metric]:
        return self._families.values()


@pytest.fixture(scope="module")
def ready(snapshots: list[Snapshot]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Ready(prometheus.encode(snapshots[0], OPTIONS).decode()))
    return registry


def test_metrics_prometheus(benchmark: Any, snapshots: list[Snapshot]) -> None:
    polls = itertools.cycle(snapshots)
    benchmark.pedantic(lambda: prometheus.encode(next(polls), OPTIONS), rounds=ROUNDS, warmup_rounds=2)


def test_metrics_openmetrics(benchmark: Any, snapshots: list[Snapshot]) -> None:
    polls = itertools.cycle(snapshots)
    benchmark.pedantic(lambda: openmetrics.encode(next(polls), OPTIONS), rounds=ROUNDS, warmup_rounds=2)


def test_metrics_prometheus_client(benchmark: Any, ready: CollectorRegistry, snapshots: list[Snapshot]) -> None:
    text = benchmark.pedantic(lambda: generate_latest(ready), rounds=5, warmup_rounds=1)
    lines = prometheus.encode(snapshots[0], OPTIONS).count(b"}")
    assert text.count(b"}") == lines > 175_000


def test_metrics_prometheus_client_openmetrics(benchmark: Any, ready: CollectorRegistry) -> None:
    benchmark.pedantic(lambda: generate_openmetrics(ready), rounds=5, warmup_rounds=1)


def test_metrics_one_changed(benchmark: Any, snapshots: list[Snapshot]) -> None:
    """A guest in the middle of the host gets another id each time, as if it were started anew."""
    records = list(snapshots[0].layout.records)
    guest = records[500]

    def changed(number: int) -> Snapshot:
        domain = domstats.Domain(guest.domain.name, guest.domain.uuid, 10_000 + number)
        layout = Layout([*records[:500], RecordLayout(domain, guest.shape, guest.strings), *records[501:]])
        return Snapshot.of_one_poll(layout, snapshots[0].values, time=0.0, source="")

    numbers = itertools.count()
    prometheus.encode(snapshots[0], OPTIONS)
    benchmark.pedantic(
        lambda snapshot: prometheus.encode(snapshot, OPTIONS), setup=lambda: ((changed(next(numbers)),), {}), rounds=20
    )
