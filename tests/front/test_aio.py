"""aio: connecting and asking, against a simulated host and a daemon whose answers are chosen."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import domstats
from domstats import aio
from domstats.errors import (
    BadUri,
    ConnectionLost,
    DeadlineExceeded,
    StatsUnsupported,
    UnknownDomain,
    UnknownGroup,
    UsageError,
)
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter, StatsGroup
from domstats.model.layout import DomainKey
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.sources.sim.source import SimSource
from domstats.wire.bulk.encoder import encode_reply
from domstats.wire.procedures import Procedure
from fake_daemon import DOMAINS, FakeDaemon
from fast_time import run_fast

P, F, G = Procedure, DomainFilter, StatsGroup
SIM = "sim:///?domains=20&time=1800000000"
WEB, DB, SEVEN = DOMAINS
WITHOUT_MONITOR = ("state.state", "balloon.maximum")


def bulk(*keys: str, of: Sequence[Domain] = DOMAINS) -> bytes:
    """A reply in which each of the domains has these keys."""
    params = [TypedParameter(key, ParamType.ULLONG, 1) for key in keys]
    return encode_reply(Snapshot.of_params((domain, params) for domain in of))


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[FakeDaemon]:
    async with FakeDaemon(tmp_path / "sock", bulk=bulk(*WITHOUT_MONITOR, "balloon.rss")) as daemon:
        yield daemon


@pytest.fixture
async def host(daemon: FakeDaemon) -> AsyncIterator[aio.Host]:
    async with aio.connect(daemon.uri) as host:
        yield host


def roll_call(daemon: FakeDaemon) -> tuple[list[Domain], int, int]:
    """The arguments of the first call for statistics, which says who is there."""
    domains, groups, flags = daemon.calls(P.CONNECT_GET_ALL_DOMAIN_STATS)[0].args
    return domains, groups, flags


def guest_calls(daemon: FakeDaemon) -> tuple[list[Domain], set[int], set[int]]:
    """All the others together: whom they ask, for which groups, with which flags."""
    calls = daemon.calls(P.CONNECT_GET_ALL_DOMAIN_STATS)[1:]
    domains = [domain for call in calls for domain in call.args[0]]
    return domains, {call.args[1] for call in calls}, {call.args[2] for call in calls}


FREE, REST = 0x151, 0xFFFFFEAE
"""state, interface, perf and memory; and all that may have to be asked of a guest."""


class TestConnecting:
    async def test_each_way(self, daemon: FakeDaemon) -> None:
        awaited = await aio.connect(daemon.uri)
        opened = await asyncio.create_task(aio.connect(daemon.uri).open())
        assert awaited.uri == opened.uri == daemon.uri
        await awaited.aclose()
        await awaited.aclose()
        async with opened:
            pass
        async with aio.connect(daemon.uri):
            pass
        await daemon.until(lambda: [client.gone for client in daemon.clients] == [True] * 3)

    async def test_the_uri_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOMSTATS_URI", SIM)
        async with aio.connect() as host:
            assert host.uri == SIM
        monkeypatch.setenv("DOMSTATS_URI", "nonsense")
        with pytest.raises(BadUri, match="DOMSTATS_URI"):
            await aio.connect()

    @pytest.mark.parametrize("deadline", [0, -1, math.nan, math.inf, "5", None])
    def test_a_deadline_that_is_none(self, deadline: Any) -> None:
        with pytest.raises(UsageError, match="a deadline is a finite number of seconds over 0"):
            aio.connect(SIM, deadline=deadline)


class TestWhichDomains:
    async def test_all_of_them(self, host: aio.Host) -> None:
        assert await host.domains() == list(DOMAINS)

    @pytest.mark.parametrize(
        ("name", "domain"),
        [
            ("web-1", WEB),
            ("3", WEB),
            (3, WEB),
            (DB.uuid, DB),
            (uuid.UUID(DB.uuid), DB),
            ("7", SEVEN),
            (12, SEVEN),
        ],
    )
    async def test_finding(self, host: aio.Host, name: DomainKey, domain: Domain) -> None:
        assert await host.find(name) == domain
        async with aio.connect(SIM) as simulated:
            known = (await simulated.domains())[0]
            for each in (known.name, known.uuid, uuid.UUID(known.uuid), known.id, str(known.id)):
                assert each is not None
                assert await simulated.find(each) == known

    @pytest.mark.parametrize("name", ["nope", "99", 7, 99, -1, 1 << 40, uuid.UUID(int=1)])
    async def test_finding_nothing(self, host: aio.Host, name: DomainKey) -> None:
        async with aio.connect(SIM) as simulated:
            for each in (host, simulated):
                if name == 7 and each is simulated:
                    continue
                with pytest.raises(UnknownDomain) as caught:
                    await each.find(name)
                assert caught.value.domain == name

    @pytest.mark.parametrize("name", [None, 1.5, b"web-1", WEB])
    async def test_what_is_no_name(self, host: aio.Host, name: Any) -> None:
        with pytest.raises(UsageError, match="found by its name, UUID or id, not by"):
            await host.find(name)

    @pytest.mark.parametrize(
        ("domains", "chosen"),
        [
            (None, []),
            ("web-1", [WEB]),
            (3, [WEB]),
            (uuid.UUID(WEB.uuid), [WEB]),
            (WEB, [WEB]),
            (["web-1", DB.uuid, 12], [WEB, DB, SEVEN]),
            ((uuid.UUID(DB.uuid), WEB), [DB, WEB]),
            ((each for each in ("7", "7")), [SEVEN]),
        ],
    )
    async def test_statistics_of_some(
        self, daemon: FakeDaemon, host: aio.Host, domains: Any, chosen: list[Domain]
    ) -> None:
        daemon.answers[P.CONNECT_GET_ALL_DOMAIN_STATS] = lambda whom, *_: (bulk("cpu.time", of=whom or DOMAINS),)
        snapshot = await host.stats(domains)
        assert roll_call(daemon) == (chosen, FREE, 0)
        asked, groups, flags = guest_calls(daemon)
        assert sorted(asked, key=DOMAINS.index) == sorted(chosen or DOMAINS, key=DOMAINS.index)
        assert (groups, flags) == ({REST}, {0})
        assert snapshot.domains == (chosen or list(DOMAINS))

    async def test_statistics_of_records(self, daemon: FakeDaemon, host: aio.Host) -> None:
        before = await host.stats()
        daemon.asked.clear()
        await host.stats(before["web-1"])
        assert roll_call(daemon)[0] == [WEB]
        daemon.asked.clear()
        await host.stats(before)
        assert roll_call(daemon)[0] == list(DOMAINS)

    async def test_statistics_of_none(self, daemon: FakeDaemon, host: aio.Host) -> None:
        snapshot = await host.stats([])
        assert len(snapshot) == 0
        assert not daemon.calls(P.CONNECT_GET_ALL_DOMAIN_STATS)

    async def test_one_that_is_not_there(self, daemon: FakeDaemon, host: aio.Host) -> None:
        with pytest.raises(UnknownDomain, match="nope"):
            await host.stats(["web-1", "nope"])
        assert not daemon.calls(P.CONNECT_GET_ALL_DOMAIN_STATS)

    @pytest.mark.parametrize("domains", [1.5, [None], ["web-1", b"7"], [["web-1"]]])
    async def test_what_is_no_domain(self, host: aio.Host, domains: Any) -> None:
        with pytest.raises(UsageError, match="a domain is given by its name, UUID or id, as a Domain or a Record"):
            await host.stats(domains)


class TestWhichGroups:
    @pytest.mark.parametrize(
        ("groups", "free", "rest"),
        [
            (None, FREE, REST),
            (0, FREE, REST),
            (0xFFFFFFFF, FREE, REST),
            (G.CPU | G.BLOCK, G.STATE, 0x22),
            ("cpu", G.STATE, 0x2),
            ("net", 0x10, 0),
            ("31", G.STATE, 1 << 31),
            (["cpu", "block"], G.STATE, 0x22),
            (("cpu", G.STATE, G.PERF, 1 << 20, "21"), 0x41, 0x300002),
            ({"cpu"}, G.STATE, 0x2),
            ((each for each in ("vcpu",)), G.STATE, 0x8),
        ],
    )
    async def test_forms(self, daemon: FakeDaemon, host: aio.Host, groups: Any, free: int, rest: int) -> None:
        await host.stats(groups=groups)
        assert roll_call(daemon) == ([], free, 0)
        assert guest_calls(daemon)[1] == ({rest} if rest else set())

    @pytest.mark.parametrize("groups", [-1, 1 << 32, 1.5, [-1], [1 << 32], [None], [["cpu"]]])
    async def test_what_is_no_group(self, host: aio.Host, groups: Any) -> None:
        with pytest.raises(UsageError, match=r"groups are names, or bits from 0 to 2\^32 - 1, not"):
            await host.stats(groups=groups)

    @pytest.mark.parametrize("groups", ["", "nonsense", "32", ["cpu", "nonsense"]])
    async def test_unknown_names(self, host: aio.Host, groups: Any) -> None:
        with pytest.raises(UnknownGroup):
            await host.stats(groups=groups)

    @pytest.mark.parametrize("groups", [[], (), set()])
    async def test_an_empty_list_is_not_all(self, host: aio.Host, groups: Any) -> None:
        with pytest.raises(UsageError, match="list of groups is empty; None asks for all"):
            await host.stats(groups=groups)


class TestFilters:
    @pytest.mark.parametrize("flag", list(F), ids=lambda flag: flag.name)
    async def test_each_keyword(self, daemon: FakeDaemon, host: aio.Host, flag: DomainFilter) -> None:
        keyword: Any = {str(flag.name).lower(): True}
        await host.stats(groups=["state", "cpu"], **keyword)
        assert roll_call(daemon) == ([], G.STATE, flag)
        assert guest_calls(daemon)[2] == {flag & (F.NOWAIT | F.BACKING | F.ENFORCE)}

    async def test_nothing_is_insisted_on_where_no_group_was_asked_for(
        self, daemon: FakeDaemon, host: aio.Host
    ) -> None:
        await host.stats(enforce=True)
        assert roll_call(daemon)[2] == 0
        await host.stats(groups="cpu", enforce=True)
        assert [call.args[2] for call in daemon.calls(P.CONNECT_GET_ALL_DOMAIN_STATS)[-2:]] == [0, F.ENFORCE]

    @pytest.mark.parametrize(
        ("filters", "flags", "bits"),
        [
            (F.RUNNING, {"paused": True}, F.RUNNING | F.PAUSED),
            (F.RUNNING, {"running": False}, F.RUNNING),
            (F(1 << 20), {}, F(1 << 20)),
            (0x10, {"nowait": True}, F.RUNNING | F.NOWAIT),
            (F(0), {"active": True, "backing": True, "enforce": False}, F.ACTIVE | F.BACKING),
        ],
    )
    async def test_together(
        self, daemon: FakeDaemon, host: aio.Host, filters: Any, flags: Any, bits: DomainFilter
    ) -> None:
        await host.stats(filters=filters, **flags)
        assert roll_call(daemon) == ([], FREE, bits)

    async def test_an_unknown_keyword(self, host: aio.Host) -> None:
        with pytest.raises(UsageError, match=r"no keyword 'bogus'.* active, inactive, .* nowait, backing, enforce"):
            await host.stats(bogus=True)  # type: ignore[call-arg]

    @pytest.mark.parametrize("filters", [-1, 1 << 32, None, "running"])
    async def test_what_is_no_filter(self, host: aio.Host, filters: Any) -> None:
        with pytest.raises(UsageError, match="filters are DomainFilter bits"):
            await host.stats(filters=filters)

    async def test_what_they_choose(self) -> None:
        async with aio.connect(SIM) as host:
            running = await host.stats(running=True)
            assert 0 < len(running) < 20
            assert {record["state"] for record in running} == {"running"}
            with pytest.raises(StatsUnsupported):
                await host.stats(groups="20", enforce=True)


class TestStatus:
    async def test_a_record_without_what_needs_the_monitor(self, daemon: FakeDaemon, host: aio.Host) -> None:
        daemon.bulk = bulk(*WITHOUT_MONITOR)
        quick = await host.stats(nowait=True)
        # the second domain is off, and so has no monitor
        assert [record.status for record in quick] == [Status.PARTIAL, Status.FRESH, Status.PARTIAL]
        assert [record.domain for record in quick.problems] == [WEB, SEVEN]
        assert (await host.stats()).problems == []

    async def test_what_a_complete_record_had(self, daemon: FakeDaemon, host: aio.Host) -> None:
        daemon.bulk = bulk("state.state", "cpu.time")
        assert (await host.stats(nowait=True)).problems == []
        daemon.bulk = bulk("state.state")
        assert len((await host.stats(nowait=True)).problems) == 2
        assert (await host.stats(groups="state", nowait=True)).problems == []


class SlowSource(SimSource):
    """A simulated host that takes 3 s for each look-up, and remembers the deadlines it is given."""

    def __init__(self) -> None:
        super().__init__(SIM)
        self.deadlines: list[float] = []

    async def domains(self, deadline: float) -> list[Domain]:
        self.deadlines.append(deadline)
        return await super().domains(deadline)

    async def find(self, name: DomainKey, deadline: float) -> Domain:
        self.deadlines.append(deadline)
        if deadline <= 0:
            raise DeadlineExceeded("the look-up", deadline)
        await asyncio.sleep(3)
        return await super().find(name, deadline)

    async def stats(self, domains: Sequence[Domain], groups: int, flags: DomainFilter, deadline: float) -> Snapshot:
        self.deadlines.append(deadline)
        if deadline <= 0:
            raise DeadlineExceeded("the poll", deadline, "some advice")
        return await super().stats(domains, groups, flags, deadline)


class TestDeadlines:
    def test_they_are_handed_on(self) -> None:
        async def work() -> list[float]:
            source = SlowSource()
            host = aio.Host(source)
            await host.domains(deadline=4)
            await host.find("web-1", deadline=5)
            await host.domains()
            await host.find("web-1")
            return source.deadlines

        assert run_fast(work()) == [4, 5, aio.DEADLINE, aio.DEADLINE]

    def test_look_ups_take_from_the_deadline_of_the_whole(self) -> None:
        async def work() -> list[float]:
            source = SlowSource()
            await aio.Host(source).stats(["web-1", WEB, "web-2"], "state", deadline=10)
            return source.deadlines

        assert run_fast(work()) == [10, 7, 4]

    @pytest.mark.parametrize(
        ("names", "during"), [(["web-1", "web-2", "web-3"], "the look-up"), (["web-1", "web-2"], "the poll")]
    )
    def test_the_error_names_the_callers(self, names: list[str], during: str) -> None:
        with pytest.raises(DeadlineExceeded) as caught:
            run_fast(aio.Host(SlowSource()).stats(names, deadline=6))
        assert (caught.value.during, caught.value.seconds) == (during, 6)

    @pytest.mark.parametrize("procedure", [P.DOMAIN_LOOKUP_BY_ID, P.DOMAIN_LOOKUP_BY_NAME, P.CONNECT_LIST_ALL_DOMAINS])
    async def test_a_daemon_that_does_not_answer(
        self, daemon: FakeDaemon, host: aio.Host, procedure: Procedure
    ) -> None:
        daemon.held.add(procedure)
        work = host.domains(deadline=0.05) if procedure is P.CONNECT_LIST_ALL_DOMAINS else host.find("7", deadline=0.05)
        with pytest.raises(DeadlineExceeded, match=f"{procedure.name} within 0.05 s") as caught:
            await work
        assert caught.value.seconds == 0.05

    @pytest.mark.parametrize("deadline", [0, -1, math.nan, math.inf, "5", None])
    async def test_what_is_none(self, host: aio.Host, deadline: Any) -> None:
        for work in (host.domains, lambda **each: host.find("7", **each), host.stats):
            with pytest.raises(UsageError, match="a deadline is a finite number of seconds over 0"):
                await work(deadline=deadline)


async def test_a_daemon_that_goes_away(daemon: FakeDaemon, host: aio.Host) -> None:
    daemon.held.add(P.CONNECT_GET_ALL_DOMAIN_STATS)
    call = asyncio.create_task(host.stats())
    await daemon.until_asked(P.CONNECT_GET_ALL_DOMAIN_STATS)
    await daemon.disconnect()
    with pytest.raises(ConnectionLost):
        await call
    daemon.held.clear()
    assert len(await host.stats()) == 3, "the next call connects anew"
    await host.aclose()
    with pytest.raises(ConnectionLost, match="was closed"):
        await host.stats()


def test_the_public_names_are_listed() -> None:
    assert set(domstats.__all__) < set(dir(domstats))
    for name in dir(domstats):
        assert getattr(domstats, name) is not None


@pytest.mark.parametrize("kernel", ["", "on", "AUTO", None, True])
@pytest.mark.parametrize("front", [aio.connect, domstats.connect, domstats.collect])
def test_what_is_no_choice_of_the_kernel_is_refused(front: Any, kernel: Any) -> None:
    with pytest.raises(UsageError, match="kernel is one of auto, off"):
        front(SIM, kernel=kernel)


async def test_with_the_kernel_or_without_a_simulated_host_is_the_same() -> None:
    async with aio.connect(SIM, kernel="auto") as one, aio.connect(SIM) as other:
        assert (await one.stats()).to_json() == (await other.stats()).to_json()


async def test_guests_that_do_not_run_here_are_libvirts_alone(daemon: FakeDaemon) -> None:
    async with aio.connect(daemon.uri, kernel="auto") as one, aio.connect(daemon.uri) as other:
        assert [record.params for record in await one.stats()] == [record.params for record in await other.stats()]
