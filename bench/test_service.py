"""The service over real guests, beside Debian's prometheus-libvirt-exporter over the same ones, in the same run."""

from __future__ import annotations

import gzip
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import client_packages
from bench.serving import PATIENCE, Server, scrape_by_many, served
from hypervisor import Hypervisor
from hypervisor_packages import HypervisorError

SCRAPES, TURNS = 5, 60
EXPORTED_MAX = 512
"""Domains that the exporter has room for."""


@pytest.fixture(scope="module")
def server(host: Hypervisor) -> Iterator[Server]:
    """A server that has asked every guest once."""
    with served(host.uri) as found:
        assert {domain["name"] for domain in found.stats()["domains"]} == set(host.names())
        yield found


@contextmanager
def exporting(host: Hypervisor) -> Iterator[Callable[[], bytes]]:
    """An exporter of the same guests; gives what it says."""
    try:
        client_packages.provide()
    except HypervisorError as error:
        pytest.skip(f"no prometheus-libvirt-exporter: {error}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = (f"--web.listen-address=127.0.0.1:{port}", f"--libvirt.uri={host.uri}")
    process = subprocess.Popen(("prometheus-libvirt-exporter", *options), stderr=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + PATIENCE
        with socket.socket() as probe:
            while probe.connect_ex(("127.0.0.1", port)) and time.monotonic() < ends:
                pass
        yield lambda: Server(port, process.pid).get("/metrics", "identity")[1]
    finally:
        process.kill()
        process.wait()


def timed(work: Callable[[], bytes]) -> tuple[float, bytes]:
    """Seconds, and what it gave."""
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def domains(text: bytes, metric: bytes) -> int:
    """How many domains have a metric."""
    return len(set(re.findall(rb"^%b\{.*?domain=\"([^\"]*)\"" % metric, text, re.MULTILINE)))


def test_service_scrape(benchmark: Any, host: Hypervisor, server: Server) -> None:
    """In turn, since the machine's pace changes. Everybody is in ours, with more than the other tells."""

    def in_turn() -> list[tuple[float, float, float]]:
        found = []
        for _ in range(SCRAPES):
            server.wait_for_a_snapshot()
            first, body = timed(lambda: server.get("/metrics")[1])
            again, _ = timed(lambda: server.get("/metrics")[1])
            theirs, text = timed(exported)
            assert domains(gzip.decompress(body), b"domstats_cpu_time_seconds_total") == len(names)
            assert domains(text, b"libvirt_domain_info_cpu_time_seconds_total") == min(len(names), EXPORTED_MAX)
            found.append((first, again, theirs))
        return found

    names = host.names("--state-running", "--state-paused")
    with exporting(host) as exported:
        exported()
        server.get("/metrics")
        firsts, agains, theirs = zip(*benchmark.pedantic(in_turn, rounds=1), strict=True)
    benchmark.extra_info |= {"first": min(firsts), "ours": min(agains), "theirs": min(theirs), "guests": len(names)}


def test_service_scrapers(benchmark: Any, server: Server) -> None:
    """Fifty at a time, with the sweeps beside them."""
    benchmark.extra_info |= benchmark.pedantic(lambda: scrape_by_many(server, TURNS), rounds=1)


def test_service_sweep(benchmark: Any, server: Server) -> None:
    """What it costs to have the figures: of the service's processor, and of libvirtd's time."""

    def watch() -> tuple[float, float]:
        cpu, began = server.cpu, time.monotonic()
        period = float(server.host()["guests_period"])
        while time.monotonic() < began + period:
            server.wait_for_a_snapshot()
        return server.cpu - cpu, time.monotonic() - began

    cpu, seconds = benchmark.pedantic(watch, rounds=1)
    sweep = server.host()
    benchmark.extra_info |= {"cpu": cpu / seconds, "sweep": sweep["sweep_seconds"], "period": sweep["guests_period"]}
    benchmark.extra_info["memory"] = server.memory
