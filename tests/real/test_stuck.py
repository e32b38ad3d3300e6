"""Guests whose QEMU is stopped, on a real libvirtd: they cost the others nothing, and they come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from domstats.collector.reach import Reach
from domstats.collector.round import Question
from domstats.model.flags import NO_FILTERS
from domstats.model.snapshot import Snapshot
from domstats.sources.libvirt.source import LibvirtSource
from hypervisor import Hypervisor

STUCK = [f"vm{number:04}" for number in range(3, 50, 2)]


@pytest.fixture
def stop(hypervisor: Hypervisor) -> Iterator[Callable[[int], list[str]]]:
    """Stops so many guests; they go on at the end of the test at the latest."""
    stopped: list[str] = []

    def stopping(count: int) -> list[str]:
        for name in STUCK[:count]:
            hypervisor.stop_guest(name)
            stopped.append(name)
        return stopped

    yield stopping
    for name in stopped:
        hypervisor.continue_guest(name)


@asynccontextmanager
async def reached(hypervisor: Hypervisor, *, sees_processes: bool) -> AsyncIterator[tuple[Reach, Question]]:
    source = await LibvirtSource.open(hypervisor.uri, {}, deadline=10.0)
    reach = Reach(source, sees_processes=sees_processes)
    yield reach, Question(reach, 0, NO_FILTERS)
    await reach.close()


async def round_of(question: Question, deadline: float) -> tuple[Snapshot, float]:
    """A snapshot, and the seconds it took."""
    began = time.monotonic()
    return await question.ask([], deadline), time.monotonic() - began


def statuses(snapshot: Snapshot) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for record in snapshot:
        found.setdefault(record.status.label, []).append(record.domain.name)
    return {status: sorted(names) for status, names in found.items()}


@pytest.mark.parametrize("count", [1, 10, 24])
async def test_stopped_guests_are_named_and_the_others_are_fresh(
    hypervisor: Hypervisor, stop: Callable[[int], list[str]], count: int
) -> None:
    async with reached(hypervisor, sees_processes=True) as (reach, question):
        everyone, undisturbed = await round_of(question, 30.0)
        assert statuses(everyone).keys() == {"fresh"}
        deadline = max(5.0, 2.5 * undisturbed)
        stopped = stop(count)
        for _ in range(2):
            snapshot, took = await round_of(question, deadline)
            found = statuses(snapshot)
            assert found.keys() == {"fresh", "blocked"}
            assert found["blocked"] == sorted(stopped)
            assert len(found["fresh"]) == len(everyone) - count
            assert took < deadline
            assert reach.lanes.hung == []
        assert snapshot[stopped[0]]["vcpu.0.time"] == everyone[stopped[0]]["vcpu.0.time"], "the last values stay"


async def test_where_processes_cannot_be_seen_control_info_names_the_stuck(
    hypervisor: Hypervisor, stop: Callable[[int], list[str]]
) -> None:
    async with reached(hypervisor, sees_processes=False) as (reach, question):
        stopped = stop(2)
        snapshot, took = await round_of(question, 8.0)
        found = statuses(snapshot)
        assert found["blocked"] == sorted(stopped)
        assert len(found["fresh"]) == len(snapshot) - 2
        assert took < 8.0
        assert len(reach.lanes.hung) == 2
        # All the while others are served.
        assert stopped[0] in await asyncio.to_thread(hypervisor.virsh, "list", "--all")
        assert "state.state" in await asyncio.to_thread(hypervisor.virsh, "domstats", "--state", "vm0000")
        again, _ = await round_of(question, 8.0)
        assert statuses(again)["blocked"] == sorted(stopped)
        assert len(reach.lanes.hung) == 2, "a guest that holds a call hostage is not asked again"
        for name in stopped:
            hypervisor.continue_guest(name)
        await asyncio.wait([call.task for call in reach.lanes.hung], timeout=10.0)
        await round_of(question, 8.0)
        recovered, _ = await round_of(question, 8.0)
        assert statuses(recovered).keys() == {"fresh"}
        assert reach.lanes.hung == []
