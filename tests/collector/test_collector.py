"""The collector, in fast time: a simulated host with a script, on a daemon with libvirtd's workers and limits."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from domstats import aio
from domstats.collector.collector import Collector
from domstats.collector.lanes import MAX_HUNG
from domstats.collector.plan import make_plan
from domstats.collector.reach import Reach
from domstats.collector.round import Question
from domstats.errors import ConnectError, DeadlineExceeded
from domstats.model.description import Description
from domstats.model.flags import NO_FILTERS
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.sources.libvirt.source import LibvirtSource
from domstats.sources.sim.source import SimSource
from domstats.wire.procedures import Procedure
from fast_time import EPOCH, clock, in_fast_time
from fault_server import FaultServer
from faults import Cut, Delay, Fail, Fault, Hang
from scripted import Scripted, events

DEADLINE = 5.0
FRAMES = 8
"""Deep enough to see whose memory it is."""
BULK = Procedure.CONNECT_GET_ALL_DOMAIN_STATS


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def served(folder: Path, script: str = "", parameters: str = "domains=20") -> AsyncIterator[FaultServer]:
    """A daemon whose guests live by the script."""
    source = Scripted(folder, script, parameters).source if script else SimSource(f"sim:///?{parameters}", clock)
    async with FaultServer(folder / "sock", source=source, remembers=False) as server:
        yield server


@asynccontextmanager
async def collecting(
    server: FaultServer, periods: Mapping[str, float] | None = None, *, width: int = 4, sees_processes: bool = False
) -> AsyncIterator[Collector]:
    source = await LibvirtSource.open(server.uri, {}, deadline=DEADLINE, clock=clock)
    reach = Reach(source, width=width, sees_processes=sees_processes)
    collector = Collector(reach, make_plan(0, periods or {}), DEADLINE, NO_FILTERS, lambda _: True)
    await collector.start()
    try:
        yield collector
    finally:
        await collector.aclose()


async def until(collector: Collector, condition: Callable[[Snapshot], bool], seconds: float = 300.0) -> list[Snapshot]:
    """The snapshots until one fulfils the condition, that one included."""
    seen: list[Snapshot] = []
    async with asyncio.timeout(seconds), aclosing(aiter(collector)) as snapshots:
        async for snapshot in snapshots:
            seen.append(snapshot)
            if condition(snapshot):
                return seen
    raise AssertionError("the collector ended")


async def during(collector: Collector, seconds: float) -> list[Snapshot]:
    """All snapshots of so many seconds."""
    ends = now() + seconds
    return await until(collector, lambda _: now() >= ends, seconds + 60.0)


def intervals(collector: Collector) -> list[float]:
    """Over how many seconds the processor time of each guest that is on was divided."""
    now, before = collector.latest, collector.previous
    rates = now.rates(before)
    on = [record for record in now if record.domain.id is not None]
    return [
        (record["cpu.time"] - before[record.domain.uuid]["cpu.time"]) / rate
        for record in on
        if (rate := rates[record.domain.uuid]["cpu.time"])
    ]


def named(snapshot: Snapshot, status: Status) -> list[str]:
    return sorted(record.domain.name for record in snapshot if record.status is status)


def fresh(snapshot: Snapshot) -> bool:
    return len(snapshot) > 0 and not snapshot.problems


class TestSampling:
    @in_fast_time
    async def test_everybody_has_a_row_at_once_and_every_group_soon(self, tmp_path: Path) -> None:
        async with served(tmp_path) as server, collecting(server) as collector:
            assert len(collector.latest) == 20
            assert {record["state"] for record in collector.latest} > {"running", "shutoff"}
            seen = await until(collector, fresh)
            assert now() < 2.0
            assert "vcpu.0.time" in seen[-1]["web-1"] or seen[-1]["web-1"].domain.id is None
            assert collector.swept

    @in_fast_time
    async def test_one_snapshot_every_period_and_no_sample_older_than_its_own(self, tmp_path: Path) -> None:
        async with served(tmp_path) as server, collecting(server) as collector:
            await until(collector, fresh)
            seen = await during(collector, 600.0)
            assert len(seen) == pytest.approx(300, abs=2)
            assert all(fresh(snapshot) for snapshot in seen)
            oldest = max(max(record.ages.values()) for snapshot in seen for record in snapshot)
            assert oldest <= 15.0 + 2.0
            assert max(record.ages["state"] for snapshot in seen for record in snapshot) <= 2.1

    @in_fast_time
    async def test_calls_are_spread_over_the_period(self, tmp_path: Path) -> None:
        async with served(tmp_path, parameters="domains=200") as server:
            server.remembers = True
            async with collecting(server) as collector:
                await until(collector, fresh)
                await during(collector, 16.0)
                server.asked.clear()
                calls = 0
                busiest = 0
                for _ in range(15):
                    await during(collector, 1.0)
                    asked = [each for each in server.calls(BULK) if each.args[0]]
                    server.asked.clear()
                    calls += len(asked)
                    busiest = max(busiest, len(asked))
                assert calls >= 2
                assert busiest <= -(-2 * calls // 15) + 1

    @in_fast_time
    async def test_the_plan_is_kept(self, tmp_path: Path) -> None:
        async with served(tmp_path) as server:
            server.remembers = True
            async with collecting(server, {"state": 1.0, "cpu": 5.0, "block": 60.0}) as collector:
                await until(collector, fresh)
                server.asked.clear()
                seen = await during(collector, 120.0)
                assert len(seen) == pytest.approx(120, abs=2)
                asked = [each.args[1] for each in server.calls(BULK) if each.args[0]]
                cpu, block = (sum(1 for groups in asked if groups & bit) for bit in (0b10, 0b100000))
                assert cpu / block == pytest.approx(12, rel=0.35)

    @in_fast_time
    async def test_it_takes_no_more_than_its_share_of_the_daemons_time(self, tmp_path: Path) -> None:
        async with served(tmp_path, events("0; slow *; seconds = 1.0")) as server, collecting(server) as collector:
            await until(collector, fresh)
            cost = collector.cost.seconds
            await during(collector, 1000.0)
            # 20 guests that take a second each, over the simulated host's processors.
            width = min(4, collector.latest.host_cpus or 1)
            assert (collector.cost.seconds - cost) / width / 1000.0 <= 0.2 * 1.2
            assert max(record.age for record in collector.latest) > 16.0
            assert fresh(collector.latest), "the period is what it has to be, and nobody is late"

    @in_fast_time
    async def test_rates_come_from_the_sample_before(self, tmp_path: Path) -> None:
        async with served(tmp_path) as server, collecting(server) as collector:
            await during(collector, 40.0)
            running = next(record for record in collector.latest if record["state"] == "running")
            rates = collector.latest.rates(collector.previous)[running.domain.uuid]
            assert rates["cpu.time"] > 0
            assert rates["net.0.rx.pkts"] > 0

    @pytest.mark.parametrize("step", [-3600.0, -9.0, 10.0, 86400.0])
    @in_fast_time
    async def test_when_the_clock_is_set_nothing_gets_old_and_no_rate_wrong(self, tmp_path: Path, step: float) -> None:
        set_by = 0.0
        async with served(tmp_path) as server:
            source = await LibvirtSource.open(
                server.uri, {}, deadline=DEADLINE, clock=lambda: clock() + set_by, offset=lambda: EPOCH + set_by
            )
            collector = Collector(Reach(source, width=4), make_plan(0, {}), DEADLINE, NO_FILTERS, lambda _: True)
            await collector.start()
            await during(collector, 40.0)
            groups = [set(record.ages) for record in collector.latest]
            set_by = step
            for _ in range(25):
                await during(collector, 1.0)
                assert collector.latest.time == pytest.approx(clock() + step, abs=1.1)
                assert not collector.latest.problems
                assert [set(record.ages) for record in collector.latest] == groups
                assert all(0.0 <= age <= 19.0 for record in collector.latest for age in record.ages.values())
                assert all(11.0 <= seconds <= 19.0 for seconds in intervals(collector))
            await collector.aclose()

    @in_fast_time
    async def test_what_definitions_say(self, tmp_path: Path) -> None:
        async with served(tmp_path) as server, collecting(server) as collector:
            seen = await until(collector, lambda snapshot: all(domain.info for domain in snapshot.domains))
            assert now() < 10.0
            first = seen[-1].domains[0].info
            assert isinstance(first, Description)
            assert first.devices
            layout = collector.latest.layout
            await during(collector, 60.0)
            assert collector.latest.layout is layout, "they are read once"


class TestStuckGuests:
    SCRIPT = events("20; hang web-3", "20; hang build-1", "200; answer web-3", "200; answer build-1")

    @in_fast_time
    async def test_they_are_named_and_cost_the_others_nothing(self, tmp_path: Path) -> None:
        async with served(tmp_path, self.SCRIPT) as server, collecting(server) as collector:
            await until(collector, fresh)
            seen = await during(collector, 170.0)
            stuck = {"build-1", "web-3"}
            assert named(seen[-1], Status.BLOCKED) == sorted(stuck)
            assert all(set(named(snapshot, Status.BLOCKED)) <= stuck for snapshot in seen)
            healthy = [record for each in seen for record in each if record.domain.name not in stuck]
            assert {record.status for record in healthy} == {Status.FRESH}
            assert max(record.age for record in healthy) <= 19.0, "the period, a round, and looking who is stuck"
            assert len(collector._reach.lanes.hung) == 2, "a guest that holds a call hostage is not asked again"
            back = await until(collector, lambda snapshot: now() > 200.0 and fresh(snapshot))
            assert now() < 240.0
            assert len(back[-1]) == 20
            assert collector.cost.hung_calls == 0

    @in_fast_time
    async def test_a_blocked_guest_keeps_what_it_said_with_its_age_and_gives_what_it_can(self, tmp_path: Path) -> None:
        async with served(tmp_path, self.SCRIPT) as server, collecting(server) as collector:
            *_, before = await until(collector, lambda snapshot: now() > 19.0 and fresh(snapshot))
            *_, after = await during(collector, 150.0)
            record = after["build-1"]
            assert record.status is Status.BLOCKED
            assert record["vcpu.0.exits.sum"] == before["build-1"]["vcpu.0.exits.sum"]
            assert record.ages["vcpu"] > 100.0
            assert record.ages["state"] < 3.0
            assert after.problems

    @in_fast_time
    async def test_however_many_there_are_few_calls_hang(self, tmp_path: Path) -> None:
        script = events("0; hang test-*", "0; hang web-*", "0; hang backup-*", "900; answer *")
        async with served(tmp_path, script, "domains=100") as server, collecting(server) as collector:
            for _ in range(100):
                await during(collector, 5.0)
                assert len(collector._reach.lanes.hung) <= MAX_HUNG
                assert server.working <= MAX_HUNG + 1, "and the roll call"
            assert collector.latest.problems
            assert len(collector.latest) == 100
            await until(collector, fresh, 1200.0)
            assert collector.cost.hung_calls == 0

    @in_fast_time
    async def test_a_guest_that_another_job_holds_is_partial_or_blocked_and_the_others_are_fresh(
        self, tmp_path: Path
    ) -> None:
        script = events("20; busy web-3", "120; answer web-3")
        async with served(tmp_path, script) as server, collecting(server) as collector:
            await until(collector, fresh)
            seen = await during(collector, 100.0)
            bad = {record.domain.name for snapshot in seen for record in snapshot.problems}
            assert bad == {"web-3"}
            await until(collector, fresh, 90.0)

    @in_fast_time
    async def test_an_error_of_one_guest_is_its_own(self, tmp_path: Path) -> None:
        async with served(tmp_path) as server:
            server.faults.append(Fault(BULK, Fail(), turn=3))
            async with collecting(server) as collector:
                seen = await during(collector, 60.0)
                assert fresh(seen[-1])


@in_fast_time
async def test_a_host_that_is_slow_is_heard_all_the_same(tmp_path: Path) -> None:
    """Slices of the usual size take 14 s: they are given up, and nobody is to blame."""
    async with (
        served(tmp_path, events("0; slow *; seconds = 0.45"), "domains=64") as server,
        collecting(server, width=2) as collector,
    ):
        heard = ["block.count", "balloon.rss"]
        await until(
            collector,
            lambda each: all(any(key in record for key in heard) for record in each if record.domain.id is not None),
            120.0,
        )


class TestDomainsThatComeAndGo:
    @in_fast_time
    async def test_gone_exactly_once(self, tmp_path: Path) -> None:
        script = events("30; undefine web-1", "31; migrate build-1")
        async with served(tmp_path, script) as server, collecting(server) as collector:
            seen = await during(collector, 90.0)
            for name in ("web-1", "build-1"):
                statuses = [each[name].status for each in seen if name in each]
                assert statuses.count(Status.GONE) == 1
                assert statuses[-1] is Status.GONE
            assert len(seen[-1]) == 18

    @in_fast_time
    async def test_a_newcomer_is_fresh_soon(self, tmp_path: Path) -> None:
        script = events("30; define; name = 'late'", "31; start late", "60; stop late", "90; start late")
        async with served(tmp_path, script) as server, collecting(server) as collector:
            seen = await until(
                collector, lambda snapshot: "late" in snapshot and snapshot["late"].domain.id is not None
            )
            await until(collector, fresh)
            assert now() < 36.0
            before = seen[-1]["late"].domain.id
            await until(
                collector, lambda snapshot: snapshot["late"].domain.id not in (None, before) and fresh(snapshot)
            )
            assert now() < 96.0
            await until(collector, lambda snapshot: snapshot["late"].domain.info is not None)
            assert now() < 98.0

    @in_fast_time
    async def test_events_keep_the_list_current_between_roll_calls(self, tmp_path: Path) -> None:
        slow = dict.fromkeys(("state", "net", "perf", "memory"), 600.0)
        script = events("30; undefine web-1", "40; rename build-1; to = 'other'")
        async with served(tmp_path, script) as server, collecting(server, slow) as collector:
            await until(collector, fresh)
            await until(collector, lambda snapshot: "web-1" not in snapshot and "other" in snapshot)
            assert now() < 62.0

    @in_fast_time
    async def test_a_device_that_comes_is_described(self, tmp_path: Path) -> None:
        script = events("60; attach build-1; device = 'disk'")
        async with served(tmp_path, script) as server, collecting(server) as collector:
            await during(collector, 50.0)
            before = collector.latest["build-1"].domain.info
            await until(collector, lambda snapshot: snapshot["build-1"].domain.info != before)
            assert now() < 64.0

    @in_fast_time
    async def test_devices_that_come_one_after_another_are_each_described(self, tmp_path: Path) -> None:
        script = events(*(f"{at}; attach build-1; device = 'disk'" for at in (60, 63, 66, 69)))
        async with served(tmp_path, script) as server, collecting(server) as collector:
            await during(collector, 58.0)
            for at in (60, 63, 66, 69):
                known = collector.latest["build-1"].domain.info
                await until(collector, lambda snapshot, known=known: snapshot["build-1"].domain.info != known)
                assert now() <= at + 3.0


class TestADaemonThatFails:
    @in_fast_time
    async def test_a_restart_is_survived_and_what_was_known_is_shown_with_its_age(self, tmp_path: Path) -> None:
        async with served(tmp_path) as server, collecting(server) as collector:
            await during(collector, 40.0)
            await server.stop()
            seen = await during(collector, 60.0)
            assert len(seen) == pytest.approx(30, abs=2), "one every period, whatever has come"
            assert all(len(snapshot) == 20 for snapshot in seen)
            assert named(seen[-1], Status.STALE) == sorted(domain.name for domain in seen[-1].domains)
            assert seen[-1].records[0].age > 60.0
            assert isinstance(collector.trouble, ConnectError)
            await server.start()
            await until(collector, fresh)
            assert collector.trouble is None

    @in_fast_time
    async def test_nothing_leaks_through_twenty_restarts(self, tmp_path: Path) -> None:
        async with served(tmp_path) as server, collecting(server) as collector:
            await until(collector, fresh)
            tasks = len(asyncio.all_tasks())
            for _ in range(20):
                await server.stop()
                await during(collector, 7.0)
                await server.start()
                await until(collector, lambda snapshot: collector.trouble is None and fresh(snapshot))
            await during(collector, 20.0)
            assert len([client for client in server.clients if not client.gone]) <= 1 + 4
            assert len(asyncio.all_tasks()) <= tasks
            assert collector.cost.reconnects == 20

    @in_fast_time
    async def test_a_daemon_whose_workers_all_hang(self, tmp_path: Path) -> None:
        """Other clients have hung all of them: rows stay, ages say how old they are, and then all is well again."""
        async with served(tmp_path) as server, collecting(server) as collector:
            await during(collector, 30.0)
            server.faults.append(Fault(BULK, Hang()))
            seen = await during(collector, 60.0)
            assert len(seen) == pytest.approx(30, abs=2)
            assert isinstance(collector.trouble, DeadlineExceeded)
            assert all(len(snapshot) == 20 for snapshot in seen)
            server.faults.clear()
            await server.stop()
            await server.start()
            await until(collector, fresh)

    @pytest.mark.parametrize("fault", [Cut(), Cut(after=10), Delay(0.5)])
    def test_a_call_that_goes_wrong_now_and_then(self, tmp_path: Path, fault: Cut | Delay) -> None:
        @in_fast_time
        async def test() -> None:
            async with served(tmp_path) as server, collecting(server) as collector:
                await until(collector, fresh)
                for turn in range(1, 10):
                    server.faults[:] = [Fault(BULK, fault, turn=server.turns[BULK] + turn)]
                    await during(collector, 20.0)
                    assert len(collector.latest) == 20
                server.faults.clear()
                await until(collector, fresh)

        test()

    @in_fast_time
    async def test_another_daemon_takes_its_place(self, tmp_path: Path) -> None:
        """libvirtd goes, and virtqemud comes, which listens at a socket of its own."""
        (tmp_path / "libvirt").mkdir()
        first, second = (tmp_path / f"libvirt/{name}-sock" for name in ("libvirt", "virtqemud"))
        async with FaultServer(first, source=SimSource("sim:///?domains=20", clock)) as libvirtd:
            environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
            source = await LibvirtSource.open("qemu:///session", environment, deadline=DEADLINE, clock=clock)
            collector = Collector(Reach(source), make_plan(0, {}), DEADLINE, NO_FILTERS, lambda _: True)
            await collector.start()
            await until(collector, fresh)
            await libvirtd.stop()
            async with FaultServer(second, source=SimSource("sim:///?domains=21", clock)):
                await until(collector, lambda snapshot: len(snapshot) == 21 and fresh(snapshot))
                await collector.aclose()


class TestForLong:
    @in_fast_time
    async def test_an_hour_shows_no_growth(self, tmp_path: Path) -> None:
        every_minute = (
            (0, "hang test-2", ""),
            (30, "answer test-2", ""),
            (10, "stop build-1", ""),
            (20, "start build-1", ""),
            (40, "attach test-1", "; device = 'disk'"),
            (50, "detach test-1", "; device = 'disk'"),
        )
        script = events(*(f"{60 * minute + at}; {do}{how}" for minute in range(1, 60) for at, do, how in every_minute))
        slowly = dict.fromkeys(("state", "net", "perf", "memory"), 6.0)  # or the test would take a minute
        async with served(tmp_path, script, "domains=6&vcpus=1") as server, collecting(server, slowly) as collector:
            await during(collector, 900.0)
            tracemalloc.start(FRAMES)  # it makes all take six times as long
            await during(collector, 900.0)
            before, tasks = await least_of_a_minute(collector), len(asyncio.all_tasks())
            await during(collector, 1680.0)
            after = await least_of_a_minute(collector)
            tracemalloc.stop()
            assert after - before < 0.1 * before
            assert len(asyncio.all_tasks()) <= tasks + 10, "some calls are under way"
            await until(collector, fresh)

    @in_fast_time
    async def test_closing_while_calls_hang(self, tmp_path: Path) -> None:
        async with served(tmp_path, events("0; hang web-3")) as server:
            async with collecting(server) as collector:
                await during(collector, 30.0)
                assert collector.cost.hung_calls == 1
            await server.until(lambda: all(client.gone for client in server.clients))
            assert await until_it_ends(collector) <= 1
            await collector.aclose()


async def least_of_a_minute(collector: Collector) -> int:
    """The bytes of ours, without what is there for a moment: with a guest that changes there are two layouts of all."""
    found = []
    for _ in range(6):
        await during(collector, 10.0)
        found.append(memory_of_ours())
    return min(found)


def memory_of_ours() -> int:
    """Bytes that have been taken since tracemalloc began, without those of the daemon's side."""
    gc.collect()
    theirs = [
        tracemalloc.Filter(False, each, all_frames=True)
        for each in ("*/fault_server.py", "*/fake_daemon.py", "*/sim/*")
    ]
    taken = tracemalloc.take_snapshot().filter_traces(theirs)
    return sum(trace.size for trace in taken.traces)


async def until_it_ends(collector: Collector) -> int:
    """Number of snapshots that a closed collector still gives."""
    return len([snapshot async for snapshot in collector])


@pytest.mark.parametrize("groups", ["cpu", "state,cpu", "vcpu", "balloon", "block", "iothread", "vm"])
def test_a_guest_that_hangs_is_blocked_whatever_is_asked_of_it(tmp_path: Path, groups: str) -> None:
    """A reply with NOWAIT has some keys of some groups, and does not say what it lacks."""

    @in_fast_time
    async def test() -> None:
        async with aio.Host(Scripted(tmp_path, events("0; hang build-1")).source) as host:
            for _ in range(3):
                snapshot = await host.stats(groups=groups.split(","), deadline=10.0)
                assert named(snapshot, Status.BLOCKED) == ["build-1"]
                assert len(snapshot.problems) == 1
                await asyncio.sleep(20.0)

    test()


@in_fast_time
async def test_guests_whose_replies_are_too_large_for_one(tmp_path: Path) -> None:
    """300 guests of 64 vCPUs, more than fit into libvirt's 32 MiB."""
    async with served(tmp_path, parameters="domains=300&vcpus=64") as server:
        source = await LibvirtSource.open(server.uri, {}, deadline=DEADLINE, clock=clock)
        reach = Reach(source)
        for _ in range(2):
            snapshot = await Question(reach, 0, NO_FILTERS).ask([], 60.0)
            assert len(snapshot) == 300
            assert fresh(snapshot)
        assert snapshot.layout.size > 300 * 64 * 40
        await reach.close()
