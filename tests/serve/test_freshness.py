"""How new what is served is, in fast time: asked for anew where it is old, waited for briefly, left out where it is old
all the same."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

from domstats.collector.collector import LOOK_PAUSE, Collector
from domstats.collector.plan import make_plan
from domstats.collector.reach import Reach
from domstats.errors import RemoteError
from domstats.model.domain import Domain
from domstats.model.flags import NO_FILTERS, DomainFilter, StatsGroup
from domstats.model.merge import UNUSED_MAX, without_old_groups
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.serve.freshness import PATIENCE, Freshness
from domstats.serve.http.metrics import served_age
from domstats.serve.libvirt.daemon import ARGUMENTS_MAX, ASKING_MAX, HUNG_MAX, KEPT, Daemon
from domstats.serve.libvirt.server import LibvirtServer
from domstats.serve.sockets import listen
from domstats.sources import DomainEvent
from domstats.sources.libvirt.source import LibvirtSource
from domstats.sources.sim.source import SimSource
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.procedures import Procedure, decode_values, encode_args
from domstats.wire.structures import BlockStats, ControlInfo
from fast_time import EPOCH, clock, in_fast_time
from fault_server import FaultServer
from faults import Fail, Fault, Hang
from scripted import Scripted, events
from serving import Caller

P = Procedure
DEADLINE = 5.0
DEFAULTS: Mapping[str, float] = {}
"""Of the plan."""
SLOW = {"state": 60.0, "interface": 60.0, "perf": 60.0, "memory": 60.0, "cpu": 5.0, "vm": 600.0}
"""A plan by which some guests' groups are asked for more often than those that need no guest."""


def now() -> float:
    return asyncio.get_running_loop().time()


class SetBack:
    """A clock that can be set back."""

    seconds = 0.0

    def __call__(self) -> float:
        return clock() - self.seconds


@asynccontextmanager
async def collecting(
    folder: Path, script: str = "", plan: Mapping[str, float] = DEFAULTS, **clocks: Callable[[], float]
) -> AsyncIterator[tuple[Collector, FaultServer]]:
    """A collector over a daemon whose guests live by the script; every guest has been asked once.

    `clocks`: as of LibvirtSource.open.
    """
    simulated = Scripted(folder, script).source if script else SimSource("sim:///?domains=20", clock)
    async with FaultServer(folder / "sock", source=simulated) as server:
        source = await LibvirtSource.open(server.uri, {}, deadline=DEADLINE, **{"clock": clock, **clocks})
        reach = Reach(source, width=4, sees_processes=False)
        collector = Collector(reach, make_plan(0, plan), DEADLINE, NO_FILTERS, lambda _: True)
        await collector.start()
        try:
            async for _ in collector:
                if collector.swept:
                    break
            yield collector, server
        finally:
            await collector.aclose()


def change(domain: Domain) -> DomainEvent:
    """What a host tells of when a domain stops."""
    return DomainEvent(domain, lifecycle=True, described=False, what=5, detail=0)


def asked(server: FaultServer) -> int:
    return len(server.calls(P.CONNECT_GET_ALL_DOMAIN_STATS))


class TestFreshness:
    @in_fast_time
    async def test_what_is_young_enough_is_served_as_it_is(self, tmp_path: Path) -> None:
        async with collecting(tmp_path) as (collector, server):
            freshness = Freshness(collector)
            assert set(freshness.ages.tolist()) == {2 * collector.guests_period} == {30.0}
            for _ in range(100):
                await asyncio.sleep(1.0)
                calls, latest = asked(server), collector.latest
                assert await freshness.snapshot() is latest
                assert asked(server) == calls

    @in_fast_time
    async def test_what_is_too_old_is_asked_for(self, tmp_path: Path) -> None:
        async with collecting(tmp_path) as (collector, _):
            freshness = Freshness(collector, max_age=1.0)
            for _ in range(20):
                await asyncio.sleep(7.3)
                at = clock()
                snapshot = await freshness.snapshot()
                assert clock() - at < PATIENCE
                assert len(snapshot["test-1"]) > 100
                assert all(snapshot.time - age >= at - 1.0 for age in snapshot["test-1"].ages.values())

    @in_fast_time
    async def test_each_group_is_as_old_as_its_period_allows(self, tmp_path: Path) -> None:
        async with collecting(tmp_path, events("5; hang test-1"), plan=SLOW) as (collector, server):
            freshness = Freshness(collector)
            await asyncio.sleep(5.0)
            for _ in range(130):
                await asyncio.sleep(1.0)
                calls, latest = asked(server), collector.latest
                served = (await freshness.snapshot(), without_old_groups(latest, served_age(collector, None)))
                assert asked(server) == calls
                for snapshot in served:
                    assert all("state.state" in record for record in snapshot)
                    fresh = [record for record in snapshot if record.status is Status.FRESH]
                    assert all("cpu.time" in record for record in fresh if record.domain.id is not None)
            for snapshot in served:
                assert snapshot["test-1"].status is Status.BLOCKED
                assert "cpu.time" not in snapshot["test-1"]
                assert snapshot["test-1"].ages.keys() >= {"state", "vm"}

    @in_fast_time
    async def test_a_guest_that_hangs_is_waited_for_briefly_and_once(self, tmp_path: Path) -> None:
        script = events("5; hang test-1")
        async with collecting(tmp_path, script) as (collector, _):
            freshness = Freshness(collector, max_age=1.0)
            await asyncio.sleep(10.0)
            waits = []
            for _ in range(10):
                began = now()
                snapshot = await freshness.snapshot()
                waits.append(now() - began)
                assert "balloon.rss" not in snapshot["test-1"]
                assert "state.state" in snapshot["test-1"]
                await asyncio.sleep(4.0)
            assert max(waits) <= PATIENCE + 0.01
            assert sum(wait > 0.5 for wait in waits) <= 1
            assert collector.latest["test-1"].status is Status.BLOCKED

    @in_fast_time
    async def test_nothing_is_kept_of_values_left_out_when_none_are(self, tmp_path: Path) -> None:
        async with collecting(tmp_path, events("5; hang test-1", "60; answer test-1")) as (collector, _):
            freshness = Freshness(collector, max_age=20.0)
            await asyncio.sleep(40.0)
            snapshot = await freshness.snapshot()
            assert "balloon.rss" not in snapshot["test-1"]
            assert freshness._merger.size > 0
            left = ref(snapshot)
            del snapshot
            await asyncio.sleep(60.0)
            for _ in range(UNUSED_MAX + 1):
                assert "balloon.rss" in (await freshness.snapshot())["test-1"]
            assert freshness._merger.size == 0
            gc.collect()
            assert left() is None

    @in_fast_time
    async def test_what_an_event_told_is_to_be_seen(self, tmp_path: Path) -> None:
        script = events("5.1; define; name = 'new-1'", "9.1; undefine new-1")
        async with collecting(tmp_path, script) as (collector, _):
            freshness, told = Freshness(collector), asyncio.Event()
            collector.listen(lambda _: told.set())
            await told.wait()
            assert collector.outdated
            assert "new-1" in await freshness.identities()
            assert not collector.outdated
            told.clear()
            await told.wait()
            assert (await freshness.identities())["new-1"].status is Status.GONE

    @in_fast_time
    async def test_an_event_in_the_middle_of_a_look_is_to_be_seen(self, tmp_path: Path) -> None:
        async with collecting(tmp_path) as (collector, _):
            freshness, ask = Freshness(collector), collector._roll.ask

            async def late(*args: Any) -> None:
                await ask(*args)
                await asyncio.sleep(0.3)

            collector._roll.ask = late  # type: ignore[method-assign]
            for _ in range(5):
                await asyncio.sleep(1.3)
                looking = asyncio.create_task(freshness.looked_again())
                await asyncio.sleep(0.1)
                collector._happened(change(collector.latest.domains[0]))
                await freshness.identities()
                assert not collector.outdated
                await looking

    @in_fast_time
    async def test_who_is_looked_for_in_vain_is_looked_for_seldom(self, tmp_path: Path) -> None:
        async with collecting(tmp_path) as (collector, server):
            freshness, began, looks, snapshots = Freshness(collector), now(), asked(server), set[Snapshot]()

            async def look() -> None:
                while now() < began + 10.0:
                    snapshots.add(await freshness.looked_again())
                    await asyncio.sleep(0.03)

            await asyncio.gather(*(look() for _ in range(3)))
            most = 10.0 / LOOK_PAUSE + 1
            assert most / 2 < len(snapshots) <= most
            assert asked(server) - looks <= most + 20  # and one for each guest

    @in_fast_time
    async def test_a_look_waits_for_no_guest(self, tmp_path: Path) -> None:
        """And nobody for guests that may only be asked again when nobody would wait for them any more."""
        async with collecting(tmp_path) as (collector, _):
            freshness = Freshness(collector, max_age=1.0)
            await asyncio.sleep(1.3)
            collector._again = {call.mask: now() + 1.5 for call in collector._guests}
            waiting = asyncio.create_task(freshness.snapshot())
            await asyncio.sleep(0)
            began = now()
            await freshness.looked_again()
            assert now() - began <= 2 * LOOK_PAUSE
            assert not waiting.done()
            await waiting
            collector._again = {call.mask: now() + 2 * PATIENCE for call in collector._guests}
            await asyncio.sleep(1.3)
            began = now()
            await freshness.snapshot()
            assert now() - began <= 2 * LOOK_PAUSE

    @in_fast_time
    async def test_when_it_is_known_by_how_much_the_clock_was_set_all_is_served_on(self, tmp_path: Path) -> None:
        time = SetBack()
        async with collecting(tmp_path, clock=time, offset=lambda: EPOCH - time.seconds) as (collector, server):
            freshness = Freshness(collector)
            before = await freshness.snapshot()
            for seconds in (3600.0, -3600.0):
                calls, time.seconds = asked(server), seconds
                snapshot = await freshness.snapshot()
                assert [set(record) for record in snapshot] == [set(record) for record in before]
                assert asked(server) == calls
                await asyncio.sleep(2 * collector.guests_period)
                snapshot = await freshness.snapshot()
                assert [set(record) for record in snapshot] == [set(record) for record in before]
                assert all(0.0 <= age <= 20.0 for record in snapshot for age in record.ages.values())

    @in_fast_time
    async def test_after_the_clock_was_set_back_nobody_knows_how_much_nothing_of_before_is_served(
        self, tmp_path: Path
    ) -> None:
        time = SetBack()
        async with collecting(tmp_path, clock=time) as (collector, server):
            freshness = Freshness(collector)
            assert "cpu.time" in (await freshness.snapshot())["test-1"]
            calls, time.seconds = asked(server), 3600.0
            snapshot = await freshness.snapshot()
            assert asked(server) > calls
            assert "state.state" in snapshot["test-1"]
            assert all(0.0 <= age <= PATIENCE for record in snapshot for age in record.ages.values())
            await asyncio.sleep(2 * collector.guests_period)
            assert "cpu.time" in (await freshness.snapshot())["test-1"]

    @in_fast_time
    async def test_a_daemon_that_is_gone_holds_up_nobody(self, tmp_path: Path) -> None:
        async with collecting(tmp_path) as (collector, server):
            freshness = Freshness(collector, max_age=10.0)
            await server.stop()
            await asyncio.sleep(60.0)
            collector._happened(change(collector.latest.domains[0]))  # one that cannot be looked at
            collector._again = {call.mask: now() + 1.0 for call in collector._guests}
            began, latest = now(), collector.latest
            snapshot = await freshness.snapshot()
            assert [len(record) for record in snapshot] == [0] * 20
            for look in (freshness.identities, freshness.looked_again):
                assert await look() is latest
            assert now() == began


@asynccontextmanager
async def asking(folder: Path, collector: Collector, max_age: float) -> AsyncIterator[Caller]:
    """A client of a server over that collector."""
    path = folder / "served"
    server = LibvirtServer(collector, lambda: [listen(path, 0o600, None)], max_age=max_age)
    await server.start()
    caller = await Caller.connect(path)
    try:
        yield caller
    finally:
        caller.close()
        await server.stop()


class TestWhatCannotBeLeftOut:
    """libvirt's structures have a place for each counter, and programs that meet an error go no further."""

    @in_fast_time
    async def test_a_guest_that_hangs_keeps_the_counters_of_its_disks(self, tmp_path: Path) -> None:
        async with collecting(tmp_path, events("5; hang test-1")) as (collector, _):
            await asyncio.sleep(60.0)
            record = collector.latest["test-1"]
            assert record.status is Status.BLOCKED
            async with asking(tmp_path, collector, 1.0) as caller:
                disk = record["block.0.name"]
                stats = await caller.call(P.DOMAIN_BLOCK_STATS, record.domain, disk)
                assert stats.wr_bytes == record["block.0.wr.bytes"] > 0
                assert await caller.call(P.DOMAIN_BLOCK_STATS_FLAGS, record.domain, disk, 16, 0) == ([], 0)
                assert (await caller.fails(P.DOMAIN_BLOCK_STATS, record.domain, "none"))[0] == 8

    @in_fast_time
    async def test_a_guest_hangs_for_no_less_than_no_time(self, tmp_path: Path) -> None:
        time = SetBack()
        hanging = events("5; hang test-1")
        async with (
            collecting(tmp_path, hanging, clock=time) as (collector, server),
            asking(tmp_path, collector, 1.0) as caller,
        ):
            await asyncio.sleep(60.0)
            await server.stop()
            time.seconds = 3600.0
            await asyncio.sleep(5.0)
            record = collector.latest["test-1"]
            assert record.status is Status.BLOCKED
            assert record.age < 0.0
            info = await caller.call(P.DOMAIN_GET_CONTROL_INFO, record.domain, 0)
            assert info == ControlInfo(2, 0, 0)

    @in_fast_time
    async def test_of_a_guest_that_never_answered_no_counter_is_known(self, tmp_path: Path) -> None:
        async with collecting(tmp_path, events("0; hang test-1")) as (collector, _):
            domain = collector.latest["test-1"].domain
            async with asking(tmp_path, collector, 30.0) as caller:
                assert await caller.call(P.DOMAIN_BLOCK_STATS, domain, "vda") == BlockStats(-1, -1, -1, -1, -1)

    @in_fast_time
    async def test_who_is_in_a_state_is_told_though_it_is_old(self, tmp_path: Path) -> None:
        async with collecting(tmp_path, plan=SLOW) as (collector, server):
            everybody = [record.domain.uuid for record in collector.latest if record["state.state"] == 1]
            async with asking(tmp_path, collector, 30.0) as caller:
                question = (P.CONNECT_GET_ALL_DOMAIN_STATS, [], StatsGroup.BLOCK, DomainFilter.RUNNING)
                await asyncio.sleep(41.3)
                calls = asked(server)
                body = await caller.call(*question)
                assert asked(server) > calls, "the state is among what is asked for"
                assert [domain.uuid for domain in ReplyDecoder().decode(body).domains] == everybody
                await server.stop()
                await asyncio.sleep(60.0)
                body = await caller.call(*question)
                assert [domain.uuid for domain in ReplyDecoder().decode(body).domains] == everybody

    @in_fast_time
    async def test_a_daemon_that_is_gone_is_an_error(self, tmp_path: Path) -> None:
        async with collecting(tmp_path) as (collector, server):
            domain = collector.latest["test-1"].domain
            async with asking(tmp_path, collector, 1.0) as caller:
                await server.stop()
                await asyncio.sleep(60.0)
                code, _, text = await caller.fails(P.DOMAIN_BLOCK_STATS, domain, "vda")
                assert (code, "cannot be asked for" in text) == (68, True)


@asynccontextmanager
async def behind(folder: Path) -> AsyncIterator[tuple[Daemon, FaultServer, Domain]]:
    """What is passed on, and a guest to ask about."""
    async with collecting(folder) as (collector, server):
        source = await collector.another(DEADLINE)
        assert isinstance(source, LibvirtSource)
        daemon = Daemon(collector, source)
        try:
            yield daemon, server, collector.latest["test-1"].domain
        finally:
            await daemon.aclose()


def definitions(server: FaultServer) -> int:
    """How often the XML was asked for with the flag that only the test uses."""
    return sum(each.args[1] == 8 for each in server.calls(P.DOMAIN_GET_XML_DESC))


def disks(daemon: Daemon) -> list[bytes]:
    """Questions about a disk of some guests."""
    domains = daemon._collector.latest.domains[:8]
    return [encode_args(P.DOMAIN_GET_BLOCK_INFO, domain, "vda", 0) for domain in domains]


class TestTheDaemonBehind:
    @in_fast_time
    async def test_an_answer_is_kept_for_a_while(self, tmp_path: Path) -> None:
        async with behind(tmp_path) as (daemon, server, domain):
            arguments = encode_args(P.DOMAIN_GET_XML_DESC, domain, 8)
            for _ in range(3):
                xml = decode_values(P.DOMAIN_GET_XML_DESC, await daemon.ask(P.DOMAIN_GET_XML_DESC, arguments))
                assert domain.uuid in xml
            assert definitions(server) == 1
            await asyncio.sleep(KEPT)
            await daemon.ask(P.DOMAIN_GET_XML_DESC, arguments)
            assert definitions(server) == 2
            daemon.forget(domain.uuid)
            await daemon.ask(P.DOMAIN_GET_XML_DESC, arguments)
            assert definitions(server) == 3

    @in_fast_time
    async def test_an_error_is_the_daemons(self, tmp_path: Path) -> None:
        async with behind(tmp_path) as (daemon, server, _):
            server.faults.append(Fault(P.CONNECT_GET_CAPABILITIES, Fail(38, 10, "out of luck")))
            for _ in range(2):
                with pytest.raises(RemoteError) as caught:
                    await daemon.ask(P.CONNECT_GET_CAPABILITIES, b"")
                assert (caught.value.code, caught.value.domain, caught.value.text) == (38, 10, "out of luck")
            assert len(server.calls(P.CONNECT_GET_CAPABILITIES)) == 1

    @in_fast_time
    async def test_an_error_that_is_kept_holds_nobody_who_asked(self, tmp_path: Path) -> None:
        async with behind(tmp_path) as (daemon, server, _):
            server.faults.append(Fault(P.CONNECT_GET_CAPABILITIES, Fail(38, 10, "out of luck")))

            class Asker:
                async def ask(self) -> None:
                    with pytest.raises(RemoteError):
                        await daemon.ask(P.CONNECT_GET_CAPABILITIES, b"")

            askers = [Asker(), Asker()]
            left = [ref(asker) for asker in askers]
            await asyncio.gather(*(asker.ask() for asker in askers))
            askers.clear()
            gc.collect()
            assert [each() for each in left] == [None, None]
            assert daemon._bytes > len("out of luck")

    @in_fast_time
    async def test_calls_that_hang_are_few(self, tmp_path: Path) -> None:
        async with behind(tmp_path) as (daemon, server, domain):
            server.faults.append(Fault(P.DOMAIN_GET_BLOCK_INFO, Hang()))
            domains = daemon._collector.latest.domains[:8]
            for each in (*domains, domain):
                began = now()
                with pytest.raises(RemoteError) as caught:
                    await daemon.ask(P.DOMAIN_GET_BLOCK_INFO, encode_args(P.DOMAIN_GET_BLOCK_INFO, each, "vda", 0))
                assert caught.value.code == 68
                assert now() - began <= PATIENCE + 0.01
            assert len(server.calls(P.DOMAIN_GET_BLOCK_INFO)) == HUNG_MAX
            assert await daemon.ask(P.DOMAIN_GET_XML_DESC, encode_args(P.DOMAIN_GET_XML_DESC, domain, 0))

    @pytest.mark.parametrize("number", [P.DOMAIN_GET_BLOCK_INFO, P.CONNECT_LIST_ALL_STORAGE_POOLS])
    @in_fast_time
    async def test_calls_that_hang_leave_room_for_the_others(self, tmp_path: Path, number: Procedure) -> None:
        """Though they come at once, and whoever asks does not wait until they are late."""
        async with behind(tmp_path) as (daemon, server, domain):
            server.faults.append(Fault(number, Hang()))
            if number is P.DOMAIN_GET_BLOCK_INFO:
                questions = disks(daemon)
            else:
                questions = [encode_args(number, 1, flags) for flags in range(8)]
            asked = [asyncio.create_task(daemon.ask(number, question)) for question in questions]
            await asyncio.sleep(PATIENCE / 2)
            for each in asked:
                each.cancel()
            began = now()
            assert await daemon.ask(P.DOMAIN_GET_XML_DESC, encode_args(P.DOMAIN_GET_XML_DESC, domain, 0))
            assert len(await daemon.domains(0)) == 20
            assert now() - began < PATIENCE / 2
            assert len(server.calls(number)) == HUNG_MAX
            await asyncio.sleep(10.0)
            assert len(daemon._asking) == HUNG_MAX

    @in_fast_time
    async def test_calls_that_come_at_once_wait_for_each_other(self, tmp_path: Path) -> None:
        async with behind(tmp_path) as (daemon, server, _):
            server.faults.append(Fault(P.DOMAIN_GET_BLOCK_INFO, Fail(38, 10, "out of luck")))
            asked = [daemon.ask(P.DOMAIN_GET_BLOCK_INFO, question) for question in disks(daemon)]
            errors = await asyncio.gather(*asked, return_exceptions=True)
            assert [str(error) for error in errors] == ["libvirt: out of luck (error 38)"] * 8

    @in_fast_time
    async def test_a_daemon_that_hangs_holds_few_calls(self, tmp_path: Path) -> None:
        async with behind(tmp_path) as (daemon, server, domain):
            known = encode_args(P.DOMAIN_GET_XML_DESC, domain, 1 << 20)
            before = await daemon.ask(P.DOMAIN_GET_XML_DESC, known)
            await asyncio.sleep(KEPT)
            server.faults.append(Fault(P.DOMAIN_GET_XML_DESC, Hang()))
            questions = [encode_args(P.DOMAIN_GET_XML_DESC, domain, flags) for flags in range(ASKING_MAX)]
            asked = [daemon.ask(P.DOMAIN_GET_XML_DESC, question) for question in questions]
            errors = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(error, RemoteError) and error.code == 68 for error in errors)
            began = now()
            with pytest.raises(RemoteError, match=f"{ASKING_MAX} other calls have no answer yet") as caught:
                await daemon.ask(P.DOMAIN_GET_XML_DESC, encode_args(P.DOMAIN_GET_XML_DESC, domain, ASKING_MAX))
            assert caught.value.code == 68
            assert await daemon.ask(P.DOMAIN_GET_XML_DESC, known) == before
            assert now() == began
            assert len(daemon._asking) == ASKING_MAX

    @in_fast_time
    async def test_long_arguments_are_not_passed_on(self, tmp_path: Path) -> None:
        async with behind(tmp_path) as (daemon, server, domain):
            arguments = encode_args(P.DOMAIN_GET_XML_DESC, domain, 8)
            with pytest.raises(RemoteError, match="are not passed on"):
                await daemon.ask(P.DOMAIN_GET_XML_DESC, arguments + bytes(ARGUMENTS_MAX))
            assert definitions(server) == 0
            assert await daemon.ask(P.DOMAIN_GET_XML_DESC, arguments)
            assert definitions(server) == 1

    @in_fast_time
    async def test_a_daemon_that_comes_back(self, tmp_path: Path) -> None:
        async with behind(tmp_path) as (daemon, server, domain):
            arguments = encode_args(P.DOMAIN_GET_XML_DESC, domain, 0)
            before = await daemon.ask(P.DOMAIN_GET_XML_DESC, arguments)
            await server.stop()
            await asyncio.sleep(100.0)
            assert await daemon.ask(P.DOMAIN_GET_XML_DESC, arguments) == before
            with pytest.raises(RemoteError):
                await daemon.ask(P.DOMAIN_GET_XML_DESC, encode_args(P.DOMAIN_GET_XML_DESC, domain, 2))
            await server.start()
            assert await daemon.ask(P.DOMAIN_GET_XML_DESC, encode_args(P.DOMAIN_GET_XML_DESC, domain, 2))
