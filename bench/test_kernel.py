"""The kernel's own figures of the real guests of this machine: CPU seconds a guest and poll, the kernel's included."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domstats.model.flags import StatsGroup
from domstats.sources.kernel.host import KernelHost
from domstats.sources.kernel.uri import KernelConfig

GROUPS = int(StatsGroup.CPU | StatsGroup.BALLOON | StatsGroup.VCPU | StatsGroup.INTERFACE)
ROUNDS, POLLS, GUESTS_LEAST = 10, 20, 20


@pytest.fixture
def host() -> Iterator[KernelHost]:
    opened = KernelHost(KernelConfig())
    yield opened
    opened.close()


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def a_guest(host: KernelHost, least_vcpus: int, most_vcpus: int) -> float:
    """CPU seconds a guest and poll of those with so many vCPUs; the least disturbed round."""
    guests = [guest for guest in host.look() if least_vcpus <= guest.vcpus <= most_vcpus]
    if len(guests) < GUESTS_LEAST:
        pytest.skip(f"{len(guests)} guests run here: `python tests/hypervisor.py bench-up N` makes some")
    host.poll(guests, GROUPS)
    rounds = []
    for _ in range(ROUNDS):
        began = cpu_seconds()
        for _ in range(POLLS):
            host.look()
            host.poll(guests, GROUPS)
        rounds.append((cpu_seconds() - began) / POLLS / len(guests))
    return min(rounds)


def test_kernel_poll(benchmark: Any, host: KernelHost) -> None:
    guests = host.look()
    benchmark.extra_info["a_guest"] = a_guest(host, 1, 2)
    benchmark.extra_info["guests"] = len(guests)
    benchmark.pedantic(lambda: host.poll(guests, GROUPS), rounds=ROUNDS, warmup_rounds=2)


def test_kernel_poll_unheld(benchmark: Any) -> None:
    host = KernelHost(KernelConfig(Path("/proc"), Path("/sys"), 0))
    benchmark.extra_info["a_guest"] = a_guest(host, 1, 2)
    guests = host.look()
    benchmark.pedantic(lambda: host.poll(guests, GROUPS), rounds=3, warmup_rounds=1)
    host.close()
