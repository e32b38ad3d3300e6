"""Questions to a host one after another: time, what came, and what is remembered of guests between them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from domstats.aio import Host
from domstats.collector import round as rounds
from domstats.errors import ConnectionLost
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.sources.sim.source import SimSource
from fast_time import clock, run_fast
from scripted import Scripted, events

SLOW = 4.9
"""Seconds that control info takes when libvirtd's workers for it are busy; with 5 it would be given up."""


class SlowControl(SimSource):
    """Its control info takes its time."""

    seconds = 0.0

    async def occupied(self, domains: Sequence[Domain], seconds: float) -> list[Domain]:
        await asyncio.sleep(self.seconds)
        return await super().occupied(domains, seconds)


def test_slow_control_info_of_a_stuck_guest_keeps_nobody_waiting(tmp_path: Path) -> None:
    async def work() -> None:
        source = SlowControl(Scripted(tmp_path, events("0; hang build-1"), "domains=12").uri, clock)
        now = asyncio.get_running_loop().time
        async with Host(source) as host:
            await host.stats(deadline=3)
            await asyncio.sleep(3)
            for call in list(host._reach.lanes.hung):  # as when its connection is lost
                call.task.cancel()
            await asyncio.sleep(0.1)
            source.seconds, began = SLOW, now()
            snapshot = await host.stats(deadline=1)
            assert now() - began <= 1
            assert {each.domain.name for each in snapshot if each.status is not Status.FRESH} == {"build-1"}

    run_fast(work())


@pytest.mark.parametrize("step", [0.02, 3600.0, -3600.0])
@pytest.mark.parametrize("keep", [True, False])
async def test_a_clock_that_is_set_during_a_question_makes_nothing_old(step: float, keep: bool) -> None:
    class Stepping(SimSource):
        """Its clock is set back while the guests are asked."""

        back = 0.0

        async def stats(self, *args: Any) -> Snapshot:
            snapshot = await super().stats(*args)
            Stepping.back += step
            return snapshot

    async with Host(Stepping("sim:///?domains=8", lambda: 1_800_000_000.0 - Stepping.back)) as host:
        for _ in range(2):
            snapshot = await host.stats(keep=keep)
            assert {record.status for record in snapshot} == {Status.FRESH}
            assert all("cpu.time" in record for record in snapshot if record.domain.id is not None)


async def test_what_came_by_an_earlier_question_is_old_though_the_clock_was_set() -> None:
    class Refusing(SimSource):
        """It soon has nothing to say of guests, and its clock goes back."""

        back, refuses = 0.0, False

        async def stats(self, domains: Sequence[Domain], *args: Any) -> Snapshot:
            if domains and self.refuses:
                raise ConnectionLost("it is over")
            return await super().stats(domains, *args)

    source = Refusing("sim:///?domains=8", lambda: 1_800_000_000.0 - Refusing.back)
    async with Host(source) as host:
        await host.stats()
        Refusing.refuses, Refusing.back = True, 0.5
        kept, bare = await host.stats(keep=True), await host.stats(keep=False)
    assert {record.status for record in (*kept, *bare)} == {Status.STALE}
    running = [record.domain.uuid for record in kept if record.domain.id is not None]
    assert all("cpu.time" in kept[each] and "cpu.time" not in bare[each] for each in running)
    assert all("state.state" in record for record in bare)


def test_a_question_for_some_does_not_forget_on_whom_a_call_hangs(tmp_path: Path) -> None:
    async def work() -> None:
        source = Scripted(tmp_path, events("0; hang build-1", "5; pause build-1"), "domains=12").source
        async with Host(source) as host:
            lanes = host._reach.lanes
            await host.stats(running=True, deadline=3)
            await asyncio.sleep(5)
            for _ in range(3):
                running = await host.stats(running=True, deadline=3)
                assert "build-1" not in [record.domain.name for record in running]
                assert (await host.stats(deadline=3))["build-1"].status is Status.BLOCKED
                assert [[each.name for each in call.suspects] for call in lanes.hung] == [["build-1"]]

    run_fast(work())


async def test_who_asks_for_single_guests_only_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Churning(SimSource):
        """Has any guest it is asked for."""

        async def stats(self, domains: Sequence[Domain], *_: Any) -> Snapshot:
            keys = ("state.state", "vcpu.current", "balloon.current", "balloon.rss")
            params = [TypedParameter(key, ParamType.ULLONG, 1) for key in keys]
            return Snapshot.of_params([(domain, params) for domain in domains], time=1.0)

    monkeypatch.setattr(rounds, "DOMAINS_MAX", 50)
    async with Host(Churning("sim:///?domains=1")) as host:
        reach = host._reach
        reach.breaker.trip("held", 0.0, held_by_us=True)
        for number in range(200):
            domain = Domain(f"ci-{number}", str(uuid.UUID(int=number)), number)
            assert len(await host.stats(domain)) == 1
            reach.breaker.trip(domain.uuid, 0.0, held_by_us=False)
            known = (reach.slicer._bytes, reach.cost.seconds_by_domain, reach.breaker)
            assert max(map(len, known)) <= 52
        assert reach.breaker.held_by_us("held")


def test_other_groups_of_a_stuck_guest_are_there_as_when_they_are_asked_for_first(tmp_path: Path) -> None:
    async def work() -> None:
        async with Host(Scripted(tmp_path, events("0; hang build-1"), "domains=12").source) as host:
            first = (await host.stats(deadline=3))["build-1"]
            assert "vcpu.current" in first
            hung = len(host._reach.lanes.hung)
        async with Host(Scripted(tmp_path, events("0; hang build-1"), "domains=12").source) as host:
            await host.stats(groups=["cpu", "vcpu"], deadline=3)
            then = (await host.stats(deadline=3))["build-1"]
            assert (then.status, sorted(then)) == (Status.BLOCKED, sorted(first))
            assert len(host._reach.lanes.hung) == hung

    run_fast(work())
