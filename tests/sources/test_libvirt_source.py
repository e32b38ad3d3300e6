"""sources.libvirt.source: against a daemon whose answers are chosen."""

from __future__ import annotations

import asyncio
import lzma
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from domstats.errors import (
    BadUri,
    DeadlineExceeded,
    NoSupport,
    RemoteError,
    ReplyTooLarge,
    StatsUnsupported,
    Truncated,
    UnknownDomain,
    UsageError,
)
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter, StatsGroup
from domstats.sources.libvirt.source import LibvirtSource
from domstats.wire.procedures import Procedure
from fake_daemon import DOMAINS, FakeDaemon

P = Procedure
DEADLINE = 10.0
CAPTURED = Path(__file__).parent.parent / "data" / "libvirt-12.8-12-guests-poll1.xdr.xz"
NO_FLAGS = DomainFilter(0)


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[FakeDaemon]:
    async with FakeDaemon(tmp_path / "sock", bulk=lzma.decompress(CAPTURED.read_bytes())) as daemon:
        yield daemon


@pytest.fixture
async def source(daemon: FakeDaemon) -> AsyncIterator[LibvirtSource]:
    source = await LibvirtSource.open(daemon.uri, {}, deadline=DEADLINE)
    yield source
    await source.aclose()


async def test_a_uri_that_cannot_be_used() -> None:
    with pytest.raises(BadUri):
        await LibvirtSource.open("qemu+ssh://host/system", {}, deadline=DEADLINE)


async def test_domains(daemon: FakeDaemon, source: LibvirtSource) -> None:
    assert await source.domains(DEADLINE) == list(DOMAINS)
    (asked,) = daemon.calls(P.CONNECT_LIST_ALL_DOMAINS)
    assert asked.args == (1, 0)


@pytest.mark.parametrize(
    ("name", "domain", "tried"),
    [
        ("web-1", DOMAINS[0], [P.DOMAIN_LOOKUP_BY_NAME]),
        ("3", DOMAINS[0], [P.DOMAIN_LOOKUP_BY_ID]),
        ("7", DOMAINS[2], [P.DOMAIN_LOOKUP_BY_ID, P.DOMAIN_LOOKUP_BY_NAME]),
        (DOMAINS[1].uuid.upper(), DOMAINS[1], [P.DOMAIN_LOOKUP_BY_UUID]),
        ("db über 2", DOMAINS[1], [P.DOMAIN_LOOKUP_BY_NAME]),
    ],
)
async def test_finding(
    daemon: FakeDaemon, source: LibvirtSource, name: str, domain: Domain, tried: list[Procedure]
) -> None:
    assert await source.find(name, DEADLINE) == domain
    assert [asked.procedure for asked in daemon.asked[-len(tried) :]] == tried


@pytest.mark.parametrize("name", ["nope", "", "99", "99999999999", "9" * 5000, "²", "-1", DOMAINS[0].uuid[:-1] + "0"])
async def test_finding_nothing(source: LibvirtSource, name: str) -> None:
    with pytest.raises(UnknownDomain) as caught:
        await source.find(name, DEADLINE)
    assert caught.value.domain == name


async def test_statistics(daemon: FakeDaemon) -> None:
    times = iter([1000.0, 1003.0])
    source = await LibvirtSource.open(daemon.uri, {}, deadline=DEADLINE, clock=lambda: next(times))
    groups, flags = StatsGroup.CPU | 1 << 20, DomainFilter.NOWAIT | DomainFilter.ENFORCE
    snapshot = await source.stats(DOMAINS[:2], groups, flags, DEADLINE)
    (asked,) = daemon.calls(P.CONNECT_GET_ALL_DOMAIN_STATS)
    assert asked.args == (list(DOMAINS[:2]), 1 << 20 | 2, 1 << 29 | 1 << 31)
    assert len(snapshot) == 12
    assert snapshot.time == 1001.5
    assert snapshot.sampling.source_names == (daemon.uri,)
    assert snapshot.host_cpus == 8
    await source.aclose()


async def test_another_connection_knows_what_the_first_has_learnt(daemon: FakeDaemon, source: LibvirtSource) -> None:
    first = await source.stats([], 0, NO_FLAGS, DEADLINE)
    other = await source.another(DEADLINE)
    assert len(daemon.clients) == 2
    assert (await other.stats([], 0, NO_FLAGS, DEADLINE)).layout is first.layout
    assert len(daemon.calls(P.NODE_GET_INFO)) == 1
    await source.aclose()
    third = await source.another(DEADLINE)
    assert (await third.stats([], 0, NO_FLAGS, DEADLINE)).layout is first.layout
    for each in (other, third):
        await each.aclose()


async def test_processors_are_asked_for_once(daemon: FakeDaemon, source: LibvirtSource) -> None:
    assert source.cpus is None
    for _ in range(2):
        await source.stats([], 0, NO_FLAGS, DEADLINE)
    assert source.cpus == 8
    assert len(daemon.calls(P.NODE_GET_INFO)) == 1


async def test_a_daemon_that_does_not_tell_its_processors(daemon: FakeDaemon, source: LibvirtSource) -> None:
    daemon.answers[P.NODE_GET_INFO] = NoSupport(3, 10, "no")
    for _ in range(2):
        assert (await source.stats([], 0, NO_FLAGS, DEADLINE)).host_cpus is None
    assert len(daemon.calls(P.NODE_GET_INFO)) == 1


async def test_the_body_as_it_came(daemon: FakeDaemon, source: LibvirtSource) -> None:
    assert await source.bulk_stats([], 0, NO_FLAGS, DEADLINE) == daemon.bulk


async def test_more_domains_than_a_call_takes(daemon: FakeDaemon, source: LibvirtSource) -> None:
    domains = [replace(DOMAINS[0], id=number) for number in range(16385)]
    with pytest.raises(UsageError, match="16385 domains are too many for one call"):
        await source.stats(domains, 0, NO_FLAGS, DEADLINE)
    assert not daemon.calls(P.CONNECT_GET_ALL_DOMAIN_STATS)
    await source.stats(domains[:-1], 0, NO_FLAGS, DEADLINE)
    assert len(daemon.calls(P.CONNECT_GET_ALL_DOMAIN_STATS)[0].args[0]) == 16384


@pytest.mark.parametrize(
    "error",
    [
        StatsUnsupported(74, 10, "Stats types bits 0x100000 are not supported by this daemon"),
        ReplyTooLarge(39, 7, "Unable to encode message payload"),
        NoSupport(3, 0, "this function is not supported by the connection driver"),
    ],
)
async def test_errors_of_the_bulk_call(daemon: FakeDaemon, source: LibvirtSource, error: RemoteError) -> None:
    daemon.answers[P.CONNECT_GET_ALL_DOMAIN_STATS] = error
    with pytest.raises(type(error)) as caught:
        await source.stats([], 0, NO_FLAGS, DEADLINE)
    assert str(caught.value) == str(error)


async def test_a_body_that_lies_harms_no_later_poll(daemon: FakeDaemon, source: LibvirtSource) -> None:
    whole, daemon.bulk = daemon.bulk, daemon.bulk[:400]
    with pytest.raises(Truncated):
        await source.stats([], 0, NO_FLAGS, DEADLINE)
    daemon.bulk = whole
    assert len(await source.stats([], 0, NO_FLAGS, DEADLINE)) == 12


async def test_statistics_that_do_not_come(daemon: FakeDaemon, source: LibvirtSource) -> None:
    await source.stats([], 0, NO_FLAGS, DEADLINE)
    daemon.held.add(P.CONNECT_GET_ALL_DOMAIN_STATS)
    with pytest.raises(DeadlineExceeded, match=r"CONNECT_GET_ALL_DOMAIN_STATS within 0\.03 s"):
        await source.stats([], 0, NO_FLAGS, 0.03)
    assert source.connection.outstanding == 1


async def test_polls_at_the_same_time(daemon: FakeDaemon, source: LibvirtSource) -> None:
    snapshots = await asyncio.gather(*(source.stats([], 0, NO_FLAGS, DEADLINE) for _ in range(8)))
    assert [len(snapshot) for snapshot in snapshots] == [12] * 8
    assert len({id(snapshot.layout) for snapshot in snapshots}) == 1


async def test_closing_twice(source: LibvirtSource) -> None:
    await source.aclose()
    await source.aclose()
