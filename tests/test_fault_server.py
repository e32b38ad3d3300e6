"""The fault server: what libvirtd does with many calls, with guests that hang, and with what goes wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domstats.errors import (
    ConnectError,
    DeadlineExceeded,
    DomstatsError,
    NoSocket,
    RemoteError,
    ReplyTooLarge,
    StatsUnsupported,
    UnknownDomain,
)
from domstats.model.domain import Domain
from domstats.model.flags import NO_FILTERS, DomainFilter, StatsGroup
from domstats.model.snapshot import Snapshot
from domstats.sources import DomainEvent
from domstats.sources.libvirt.source import LibvirtSource
from domstats.sources.sim.hostile import NAMES
from domstats.sources.sim.source import SimSource
from domstats.wire.connection import ClientConnection
from domstats.wire.procedures import Procedure, encode_args
from fake_daemon import NODE_INFO
from fast_time import clock, run_fast
from fault_server import FaultServer
from faults import Behind, Cut, Delay, Fail, Fault, Garbage, Hang, Kind, Oversize, Split
from scripted import LONG, Scripted, events

BULK = Procedure.CONNECT_GET_ALL_DOMAIN_STATS
LIST = Procedure.CONNECT_LIST_ALL_DOMAINS


async def connect(server: FaultServer) -> LibvirtSource:
    return await LibvirtSource.open(server.uri, {}, deadline=5.0, clock=clock)


@asynccontextmanager
async def connected(
    folder: Path, source: SimSource, *faults: Fault
) -> AsyncIterator[tuple[FaultServer, LibvirtSource]]:
    async with FaultServer(folder / "sock", source=source, faults=list(faults)) as server:
        client = await connect(server)
        yield server, client
        await client.aclose()


async def poll(source: LibvirtSource, domains: list[Domain] | None = None, deadline: float = LONG) -> Snapshot:
    return await source.stats(domains or (), 0, NO_FILTERS, deadline)


def now() -> float:
    return round(asyncio.get_running_loop().time(), 3)


def test_it_serves_what_the_source_has(tmp_path: Path) -> None:
    async def work() -> None:
        simulated = SimSource("sim:///?domains=20&time=1800000000")
        async with connected(tmp_path, simulated) as (server, source):
            assert await source.domains(LONG) == await simulated.domains(LONG)
            for flags in (NO_FILTERS, DomainFilter.BACKING, DomainFilter.INACTIVE, DomainFilter.NOWAIT):
                for groups in (0, StatsGroup.STATE | StatsGroup.BLOCK):
                    served = await source.stats((), groups, flags, LONG)
                    own = await simulated.stats((), groups, flags, LONG)
                    assert [(record.domain, record.params) for record in served] == [
                        (record.domain, record.params) for record in own
                    ]
            assert source.cpus == simulated.cpus == 64
            domains = await source.domains(LONG)
            for domain in domains[:3]:
                for name in (domain.name, domain.uuid, domain.id):
                    if name is not None:
                        assert await source.find(name, LONG) == domain
            with pytest.raises(UnknownDomain):
                await source.find("nobody", LONG)
            with pytest.raises(StatsUnsupported):
                await source.stats((), 1 << 20, DomainFilter.ENFORCE, LONG)
            state = await source.connection.call(Procedure.DOMAIN_GET_STATE, domains[1], 0, deadline=1.0)
            assert (state.state, state.reason) == (5, 1)
            running = await source.connection.call(LIST, 1, 1, deadline=1.0)
            assert running == ([domain for domain in domains if domain.id is not None], 18)
            assert await source.connection.call(LIST, 0, 2, deadline=1.0) == ([], 2)
            assert await source.occupied(domains, 0.0) == []
            assert server.turns[BULK] == 9

    run_fast(work())


def test_replies_over_32_mib_are_not_delivered(tmp_path: Path) -> None:
    async def work() -> None:
        async with connected(tmp_path, SimSource("sim:///?domains=300&vcpus=64")) as (_, source):
            with pytest.raises(ReplyTooLarge) as caught:
                await poll(source)
            assert (caught.value.code, caught.value.text) == (39, "Unable to encode message payload")
            domains = await source.domains(LONG)
            parts = [await poll(source, domains[start : start + 100]) for start in range(0, 300, 100)]
            assert [domain for part in parts for domain in part.domains] == domains
            assert source.received > 32 << 20

    run_fast(work())


def test_a_guest_that_hangs(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("0; hang test-2", "100; answer test-2"))
        async with connected(tmp_path, host.source) as (server, source):
            domains = await source.domains(LONG)
            with pytest.raises(DeadlineExceeded):
                await poll(source, deadline=5.0)
            assert [domain.name for domain in await source.occupied(domains, 5.0)] == ["test-2"]
            assert await source.occupied(domains, 6.0) == []
            assert server.working == 1
            passed = await source.stats((), 0, DomainFilter.NOWAIT, 5.0)
            assert "balloon.rss" not in passed["test-2"]
            assert "balloon.rss" in passed["test-3"]
            assert now() == 5.0
            await asyncio.sleep(100.0)
            assert server.working == source.connection.outstanding == 0
            assert "balloon.rss" in (await poll(source))["test-2"]

    run_fast(work())


def test_calls_are_answered_as_they_end(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("0; slow test-1; seconds = 9", "0; slow test-2; seconds = 4"))
        async with connected(tmp_path, host.source) as (_, source):
            ended: list[tuple[str, float]] = []

            async def ask(name: str) -> None:
                await poll(source, [await source.find(name, LONG)])
                ended.append((name, now()))

            await asyncio.gather(*map(ask, ("test-1", "test-2", "test-3")))
            assert ended == [("test-3", 0.0), ("test-2", 4.0), ("test-1", 9.0)]

    run_fast(work())


def test_twenty_hung_calls_end_the_statistics_of_everybody(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("0; hang *", "1000; answer *"), "domains=40")
        async with FaultServer(tmp_path / "sock", source=host.source) as server:
            domains = [domain for domain in await host.source.domains(LONG) if domain.id is not None]
            sources = [await connect(server) for _ in range(10)]
            hanging = domains[:19]
            calls = [asyncio.ensure_future(poll(sources[at // 4], [each])) for at, each in enumerate(hanging)]
            await asyncio.sleep(1.0)
            assert server.working == 19
            state = await sources[9].stats([domains[30]], StatsGroup.STATE, NO_FILTERS, 5.0)
            assert state.records[0]["state.state"] == 1
            calls.append(asyncio.ensure_future(poll(sources[8], [domains[19]])))
            await asyncio.sleep(1.0)
            with pytest.raises(DeadlineExceeded):
                await sources[9].stats([domains[30]], StatsGroup.STATE, NO_FILTERS, 5.0)
            assert len(await sources[9].domains(1.0)) == 40
            assert await sources[9].find(domains[3].name, 1.0) == domains[3]
            assert len(await sources[9].occupied(domains, 1.0)) == 20
            for source in sources:
                await source.aclose()
            await asyncio.gather(*calls, return_exceptions=True)
            assert server.working == 20, "no call ends with its client"
            other = await connect(server)
            with pytest.raises(DeadlineExceeded):
                await other.stats([domains[30]], StatsGroup.STATE, NO_FILTERS, 5.0)
            await asyncio.sleep(1000.0)
            assert server.working == 0
            assert server.most_working == 20
            assert len(await poll(other)) == 40
            await other.aclose()

    run_fast(work())


def test_with_five_calls_of_a_client_nothing_more_is_read_from_it(tmp_path: Path) -> None:
    async def work() -> None:
        fault = Fault(LIST, Delay(10.0))
        async with FaultServer(tmp_path / "sock", source=SimSource("sim:///"), faults=[fault]) as server:
            reader, writer = await asyncio.open_unix_connection(str(server.path))
            machine = ClientConnection()
            for _ in range(7):
                machine.call(LIST, encode_args(LIST, 0, 0))
            writer.write(machine.data_to_send())
            other = await connect(server)
            assert other.cpus is None
            assert server.turns[LIST] == 5
            seen: list[float] = []
            while machine.outstanding:
                machine.receive_data(await reader.read(65536))
                seen += [now() for _ in machine.events()]
            assert seen == [10.0] * 5 + [20.0] * 2
            assert server.turns[LIST] == 7
            writer.close()
            await writer.wait_closed()
            await other.aclose()

    run_fast(work())


def test_stopping_ends_what_waits_to_be_read_too(tmp_path: Path) -> None:
    async def work() -> None:
        async with FaultServer(tmp_path / "sock", source=SimSource("sim:///"), faults=[Fault(BULK, Hang())]) as server:
            _, writer = await asyncio.open_unix_connection(str(server.path))
            machine = ClientConnection()
            for _ in range(7):
                machine.call(BULK, encode_args(BULK, [], 0, 0))
            writer.write(machine.data_to_send())
            await server.until(lambda: server.working == 5)
            await server.stop()
            await asyncio.sleep(1.0)
            assert (server.working, server.turns[BULK]) == (0, 5)
            writer.close()

    run_fast(work())


async def outcome(call: Awaitable[object]) -> str:
    try:
        await call
    except DomstatsError as error:
        return type(error).__name__
    return "answer"


@pytest.mark.parametrize(
    ("fault", "expected", "seconds"),
    [
        (Delay(3.0), "answer", 3.0),
        (Hang(), "DeadlineExceeded", 60.0),
        (Fail(), "RemoteError", 0.0),
        (Fail(39, 7, "Unable to encode message payload"), "ReplyTooLarge", 0.0),
        (Split(7), "answer", 0.0),
        (Split(1000, 0.01), "answer", None),
        (Cut(0), "ConnectionLost", 0.0),
        (Cut(3), "ConnectionLost", 0.0),
        (Cut(1000), "ConnectionLost", 0.0),
        (Oversize(), "LimitExceeded", 0.0),
        (Oversize(5), "LimitExceeded", 0.0),
        (Garbage(), "LimitExceeded", 0.0),
        (Garbage(b"\0\0\0\x1c" + b"\xff" * 24), "BadValue", 0.0),
        (Behind(1), "DeadlineExceeded", 60.0),
    ],
)
def test_what_goes_wrong_with_a_reply_happens_to_that_call_only(
    tmp_path: Path, fault: Kind, expected: str, seconds: float | None
) -> None:
    async def work() -> None:
        async with connected(tmp_path, SimSource("sim:///"), Fault(BULK, fault, turn=2)) as (server, source):
            assert len(await poll(source)) == 20
            began = now()
            assert await outcome(poll(source, deadline=60.0)) == expected
            assert seconds is None or now() - began == seconds
            assert source.lost == (expected in ("ConnectionLost", "LimitExceeded", "BadValue"))
            if source.lost:
                source = await source.another(5.0)
            assert len(await poll(source)) == 20
            assert server.turns[BULK] == 3
            await source.aclose()

    run_fast(work())


def test_replies_in_another_order(tmp_path: Path) -> None:
    async def work() -> None:
        async with connected(tmp_path, SimSource("sim:///"), Fault(BULK, Behind(2), turn=1)) as (_, source):
            await source.domains(LONG)
            ended: list[int] = []

            async def ask(number: int) -> None:
                await poll(source)
                ended.append(number)

            await asyncio.gather(*map(ask, range(3)))
            assert ended == [1, 2, 0]

    run_fast(work())


def test_other_replies_wait_behind_one_that_comes_in_pieces(tmp_path: Path) -> None:
    async def work() -> None:
        async with connected(tmp_path, SimSource("sim:///"), Fault(BULK, Split(10_000, 1.0))) as (_, source):
            await source.connection.call(Procedure.NODE_GET_INFO, deadline=1.0)
            call = asyncio.ensure_future(poll(source))
            await asyncio.sleep(0.5)
            assert len(await source.domains(LONG)) == 20
            assert call.done()
            assert now() > 5.0

    run_fast(work())


def test_a_lost_worker_is_lost_until_the_daemon_stops(tmp_path: Path) -> None:
    async def work() -> None:
        async with connected(tmp_path, SimSource("sim:///"), Fault(BULK, Hang(), turn=1)) as (server, source):
            with pytest.raises(DeadlineExceeded):
                await poll(source, deadline=1000.0)
            assert server.working == 1
            await server.stop()
            assert server.working == 0

    run_fast(work())


def test_the_daemon_stops_and_starts(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("0; hang test-2"))
        async with connected(tmp_path, host.source) as (server, source):
            call = asyncio.ensure_future(outcome(poll(source)))
            await asyncio.sleep(1.0)
            assert await host.occupied() == ["test-2"]
            await server.stop()
            assert await call == "ConnectionLost"
            assert source.lost
            assert await host.occupied() == []
            with pytest.raises(NoSocket):
                await source.another(5.0)
            await server.start()
            again = await source.another(5.0)
            assert len(await again.stats((), StatsGroup.STATE, NO_FILTERS, 1.0)) == 20
            await server.stop(only_listening=True)
            assert len(await again.domains(1.0)) == 20
            with pytest.raises(ConnectError):
                await again.another(5.0)
            await server.start()
            await (await again.another(5.0)).aclose()
            await again.aclose()

    run_fast(work())


def test_what_a_test_says_goes_before_the_source(tmp_path: Path) -> None:
    async def work() -> None:
        async with connected(tmp_path, SimSource("sim:///")) as (server, source):
            server.answers[Procedure.NODE_GET_INFO] = (NODE_INFO,)
            server.answers[LIST] = RemoteError(1, 10, "not now")
            server.held.add(BULK)
            with pytest.raises(RemoteError, match="not now"):
                await source.domains(1.0)
            call = asyncio.ensure_future(poll(source))
            (asked,) = await server.until_asked(BULK)
            server.answer(asked, b"\0\0\0\0")
            assert len(await call) == 0
            assert source.cpus == NODE_INFO.cpus

    run_fast(work())


def test_descriptions_and_events(tmp_path: Path) -> None:
    async def work() -> None:
        script = events("0; hostile mail-*", "10; stop test-1", "20; start test-1", "30; attach test-1; device = 'nic'")
        host = Scripted(tmp_path, script)
        async with connected(tmp_path, host.source) as (_, source):
            for domain in await source.domains(LONG):
                described, own = await source.describe(domain, 1.0), await host.source.describe(domain, 1.0)
                assert described.devices[0].kind is own.devices[0].kind
                if domain.name not in NAMES:
                    assert described == own
            heard: list[tuple[int, DomainEvent]] = []
            await source.subscribe(lambda event: heard.append((round(now()), event)), 1.0)
            other = await source.another(1.0)
            await other.subscribe(lambda event: heard.append((-1, event)), 1.0)
            await other.aclose()
            before = await source.find("test-1", 1.0)
            await asyncio.sleep(100.0)
            off, on = Domain(before.name, before.uuid, None), await source.find("test-1", 1.0)
            assert on.id not in (None, before.id)
            assert heard == [
                (10, DomainEvent(off, lifecycle=True, described=False)),
                (20, DomainEvent(on, lifecycle=True, described=True)),
                (30, DomainEvent(on, lifecycle=False, described=True)),
            ]
            with pytest.raises(UnknownDomain):
                await source.describe(Domain("x", "00000000-0000-4000-8000-000000000000", None), 1.0)

    run_fast(work())


def test_a_long_run_is_not_remembered(tmp_path: Path) -> None:
    async def work() -> None:
        async with FaultServer(tmp_path / "sock", source=SimSource("sim:///?domains=1"), remembers=False) as server:
            for _ in range(50):
                source = await connect(server)
                await poll(source)
                await source.aclose()
            assert server.turns[BULK] == 50
            assert len(server.asked) + len(server.clients) + len(server.headers) < 10

    run_fast(work())
