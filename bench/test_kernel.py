"""The kernel's own figures of the real guests of this machine: CPU seconds a guest and poll, and beside virsh."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from domstats.model.flags import StatsGroup
from domstats.sources.kernel.host import KernelHost
from domstats.sources.kernel.uri import KernelConfig
from hypervisor import Hypervisor

GROUPS = int(StatsGroup.CPU | StatsGroup.BALLOON | StatsGroup.VCPU | StatsGroup.INTERFACE)
ROUNDS, POLLS, GUESTS_LEAST = 10, 20, 20
VIRSH_GROUPS = ("--cpu-total", "--vcpu", "--interface")
"""virsh has no group for the resident memory alone, so it has less to say."""
STOPPED = 25
PATIENCE = 600.0


@pytest.fixture
def kernel() -> Iterator[KernelHost]:
    opened = KernelHost(KernelConfig())
    yield opened
    opened.close()


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def a_guest(host: KernelHost, least_vcpus: int, most_vcpus: int) -> float:
    """CPU seconds a guest and poll of those with so many vCPUs; the least disturbed round."""
    guests = [guest for guest in host.look() if least_vcpus <= guest.vcpus <= most_vcpus]
    assert len(guests) >= GUESTS_LEAST
    host.poll(guests, GROUPS)
    rounds = []
    for _ in range(ROUNDS):
        began = cpu_seconds()
        for _ in range(POLLS):
            host.look()
            host.poll(guests, GROUPS)
        rounds.append((cpu_seconds() - began) / POLLS / len(guests))
    return min(rounds)


def test_kernel_poll(benchmark: Any, host: Hypervisor, kernel: KernelHost) -> None:
    guests = kernel.look()
    benchmark.extra_info["a_guest"] = a_guest(kernel, 1, 2)
    benchmark.extra_info["guests"] = len(guests)
    benchmark.pedantic(lambda: kernel.poll(guests, GROUPS), rounds=ROUNDS, warmup_rounds=2)


def test_kernel_poll_unheld(benchmark: Any, host: Hypervisor) -> None:
    kernel = KernelHost(KernelConfig(Path("/proc"), Path("/sys"), 0))
    benchmark.extra_info["a_guest"] = a_guest(kernel, 1, 2)
    guests = kernel.look()
    benchmark.pedantic(lambda: kernel.poll(guests, GROUPS), rounds=3, warmup_rounds=1)
    kernel.close()


def polled(kernel: KernelHost) -> tuple[float, int]:
    """Seconds that a look at all guests and their figures take, and of how many they are; the least disturbed poll."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        layout, _ = kernel.poll(kernel.look(), GROUPS)
        rounds.append(time.perf_counter() - began)
    return min(rounds), len(layout)


def test_kernel_beside_virsh(
    benchmark: Any, host: Hypervisor, kernel: KernelHost, stop: Callable[[int], list[str]]
) -> None:
    """Wall time for the same figures of the same guests; and of the kernel's when some of them are stopped."""

    def theirs() -> float:
        began = time.perf_counter()
        text = host.virsh("domstats", *VIRSH_GROUPS, deadline=PATIENCE)
        took = time.perf_counter() - began
        assert text.count("cpu.time=") == len(host.names())
        return took

    polled(kernel)
    found = benchmark.pedantic(lambda: [(theirs(), polled(kernel)) for _ in range(3)], rounds=1)
    ours, count = min(each for _, each in found)
    assert count >= len(host.names())
    stop(STOPPED)
    stopped, still = polled(kernel)
    assert still == count
    benchmark.extra_info |= {"virsh": min(each for each, _ in found), "ours": ours, "stopped": stopped, "guests": count}
