"""Guests of a simulated host that do not answer: calls hang on them, and pass them, as libvirt's do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from domstats.errors import DeadlineExceeded
from domstats.model.flags import DomainFilter, StatsGroup
from domstats.model.record import Record
from fast_time import run_fast
from scripted import LONG, Scripted, events

NOWAIT = DomainFilter.NOWAIT
FREE = StatsGroup.STATE | StatsGroup.INTERFACE | StatsGroup.PERF | StatsGroup.MEMORY
MONITOR_KEYS = ("balloon.rss", "block.0.rd.reqs", "vcpu.0.exits.sum", "cpu.haltpoll.fail.time", "vm.pages_4k.cur")
FREE_KEYS = ("state.state", "cpu.time", "balloon.current", "vcpu.0.time", "net.0.name", "block.0.path", "block.count")


def is_whole(record: Record) -> bool:
    """Whether the guest was asked; a record is either whole or holds what needs no monitor, and nothing between."""
    there = [key in record for key in MONITOR_KEYS]
    assert all(there) or not any(there), record.domain
    assert all(key in record for key in FREE_KEYS), record.domain
    return all(there)


def now() -> float:
    return round(asyncio.get_running_loop().time(), 3)


def test_a_call_hangs_until_the_guest_answers(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("10; hang test-2", "70; answer test-2"))
        assert is_whole((await host.stats())["test-2"])
        await asyncio.sleep(20.0)
        snapshot = await host.stats()
        assert now() == 70.0
        assert len(snapshot) == 20
        assert is_whole(snapshot["test-2"])
        times = (snapshot.sampling.times[:, 0] - snapshot.time).round(3).tolist()
        taken = dict(zip([domain.name for domain in snapshot.domains], times, strict=True))
        assert taken["test-1"] == taken["web-1"] == -50.0, "those before it were visited when the call came"
        assert taken["test-2"] == taken["test-3"] == taken["web-3"] == 0.0, "the others when it went on"

    run_fast(work())


def test_what_needs_no_monitor_is_answered_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("0; hang *"))
        snapshot = await host.stats(groups=FREE)
        assert len(snapshot) == 20
        assert "net.0.rx.bytes" in snapshot["test-2"]
        assert "state.state" in (await host.stats(groups=StatsGroup.STATE | 1 << 20))["test-2"]
        assert now() == 0.0
        assert await host.occupied() == []
        for group in (StatsGroup.CPU, StatsGroup.BALLOON, StatsGroup.VM, StatsGroup.STATE | StatsGroup.BLOCK):
            with pytest.raises(DeadlineExceeded):
                await host.stats("test-1", groups=group, deadline=1.0)

    run_fast(work())


def test_guests_that_are_not_asked_or_off_disturb_nobody(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("0; hang test-2"))
        assert is_whole((await host.stats("test-1,test-3"))["test-3"])
        assert len(await host.stats("test-1,web-1,web-2")) == 3
        assert len(await host.stats(flags=DomainFilter.INACTIVE)) == 2
        assert now() == 0.0

    run_fast(work())


def test_without_waiting_a_call_hangs_too_unless_another_one_does(tmp_path: Path) -> None:
    """With 3 stuck guests the plain call hangs, those with NOWAIT hang twice, and the third delivers."""

    async def work() -> None:
        stuck = ["test-2", "test-4", "mail-2"]
        host = Scripted(tmp_path, events(*(f"0; hang {name}" for name in stuck)))
        for number in range(3):
            with pytest.raises(DeadlineExceeded):
                await host.stats(flags=NOWAIT if number else DomainFilter(0), deadline=5.0)
            assert sorted(await host.occupied()) == sorted(stuck[: number + 1])
        began = now()
        snapshot = await host.stats(flags=NOWAIT)
        assert now() == began
        off = [record.domain.name for record in snapshot if record.domain.id is None]
        assert [
            record.domain.name for record in snapshot if record.domain.name not in off and not is_whole(record)
        ] == [
            "test-2",
            "test-4",
            "mail-2",
        ]

    run_fast(work())


def test_control_info_tells_since_when_a_call_has_hung(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("10; hang test-2", "100; answer test-2"))
        await asyncio.sleep(20.0)
        assert await host.occupied() == [], "nobody has asked it"
        call = asyncio.ensure_future(host.stats())
        await asyncio.sleep(2.5)
        assert await host.occupied(2.5) == ["test-2"]
        assert await host.occupied(2.6) == []
        info = host.source.control(await host.find("test-2"))
        assert info is not None
        assert (info.state, info.milliseconds) == (2, 2500)
        assert host.source.control(await host.find("web-1")) is None, "it is off"
        await call
        assert await host.occupied() == []
        info = host.source.control(await host.find("test-2"))
        assert info is not None
        assert (info.state, info.milliseconds) == (0, 0)

    run_fast(work())


def test_a_call_nobody_waits_for_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("0; hang test-2", "0; hang mail-2", "100; answer test-2"))
        call = asyncio.ensure_future(host.stats())
        await asyncio.sleep(1.0)
        call.cancel()
        await asyncio.sleep(1.0)
        assert call.cancelled()
        assert await host.occupied(2.0) == ["test-2"]
        assert not is_whole((await host.stats("test-2", flags=NOWAIT))["test-2"])
        await asyncio.sleep(100.0)
        assert await host.occupied() == ["mail-2"], "it has come to the next one that hangs"
        await host.source.aclose()
        assert await host.occupied() == ["mail-2"]

    run_fast(work())


def test_a_job_that_is_held_is_waited_for_half_a_minute(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("0; hang test-2", "0; hang test-4", "100; answer test-*"))
        first = asyncio.ensure_future(host.stats("test-2"))
        await asyncio.sleep(5.0)
        snapshot = await host.stats("test-1,test-2,test-3")
        assert now() == 35.0
        assert [is_whole(record) for record in snapshot] == [True, False, True]
        await asyncio.sleep(50.0)
        late = await host.stats("test-2")
        assert now() == 100.0, "it answered before that"
        assert is_whole(late["test-2"])
        assert is_whole((await first)["test-2"])

    run_fast(work())


@pytest.mark.parametrize("end", ["stop", "undefine", "migrate"])
def test_what_ends_a_guest_ends_the_calls_that_hang_on_it(tmp_path: Path, end: str) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("0; hang test-2", f"50; {end} test-2"))
        snapshot = await host.stats("test-1,test-2,test-3")
        assert now() == 50.0
        assert [record.domain.name for record in snapshot if is_off_or_whole(record)][-1] == "test-3"
        assert ("test-2" in snapshot) == (end == "stop")
        assert await host.occupied() == []

    def is_off_or_whole(record: Record) -> bool:
        return record.domain.id is None or is_whole(record)

    run_fast(work())


def test_a_started_guest_answers_again(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("0; hang test-2", "10; stop test-2", "11; start test-2"))
        await asyncio.sleep(20.0)
        assert is_whole((await host.stats("test-2"))["test-2"])
        assert now() == 20.0

    run_fast(work())


def test_slow_guests_take_their_time_one_after_another(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("0; slow test-*; seconds = 1.5", "100; answer test-*"))
        slow = await host.stats()
        assert now() == 7.5
        assert all(record.domain.id is None or record.domain.name[:4] != "test" or is_whole(record) for record in slow)
        call = asyncio.ensure_future(host.stats("test-1"))
        await asyncio.sleep(1.0)
        assert await host.occupied(1.0) == ["test-1"]
        assert not is_whole((await host.stats("test-1", flags=NOWAIT))["test-1"]), "its job is held for a while"
        await call
        assert now() == 9.0
        await asyncio.sleep(100.0)
        began = now()
        await host.stats()
        assert now() == began

    run_fast(work())


def test_a_slow_guest_that_hangs_meanwhile(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("0; slow test-1; seconds = 5", "2; hang test-1", "60; answer test-1"))
        await host.stats("test-1")
        assert now() == 60.0

    run_fast(work())


def test_another_job_is_waited_for_and_then_passed(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("0; busy test-2", "100; answer test-2"))
        assert not is_whole((await host.stats("test-2", flags=NOWAIT))["test-2"])
        assert now() == 0.0
        await asyncio.sleep(3.0)
        assert await host.occupied(3.0) == ["test-2"], "a job holds it, although the monitor is free"
        assert await host.occupied(3.5) == []
        info = host.source.control(await host.find("test-2"))
        assert info is not None
        assert (info.state, info.milliseconds) == (1, 3000)
        snapshot = await host.stats("test-1,test-2,test-3")
        assert now() == 33.0
        assert [is_whole(record) for record in snapshot] == [True, False, True]
        await asyncio.sleep(50.0)
        assert is_whole((await host.stats("test-2"))["test-2"])
        assert now() == 100.0

    run_fast(work())


def test_connections_share_the_host(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("0; hang test-2"))
        other = await host.source.another(LONG)
        with pytest.raises(DeadlineExceeded) as caught:
            await host.stats(deadline=3.0)
        assert caught.value.seconds == 3.0
        domains = await other.domains(LONG)
        assert [each.name for each in await other.occupied(domains, 3.0)] == ["test-2"]

    run_fast(work())
