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
    BadValue,
    ConnectionLost,
    DeadlineExceeded,
    NoDomain,
    NoSupport,
    RemoteError,
    ReplyTooLarge,
    StatsUnsupported,
    Truncated,
    UnknownDomain,
    UsageError,
)
from domstats.model.description import Description, Device, DeviceKind
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter, StatsGroup
from domstats.sources import DomainEvent
from domstats.sources.libvirt.source import LibvirtSource
from domstats.wire.procedures import Procedure, encode_values
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


async def test_a_clock_that_is_set_while_the_daemon_is_asked(daemon: FakeDaemon) -> None:
    times, offsets = iter([1000.0, 4603.0, 4604.0, 4604.5]), iter([70.0, 3670.0, 3670.0, 3670.0])
    source = await LibvirtSource.open(
        daemon.uri, {}, deadline=DEADLINE, clock=lambda: next(times), offset=lambda: next(offsets)
    )
    snapshot = await source.stats(DOMAINS[:2], StatsGroup.CPU, NO_FLAGS, DEADLINE)
    assert snapshot.time == 4601.5
    assert snapshot.sampling.offset == 3670.0
    assert snapshot.sampling.uncertainty.max() == 1.5
    other = await source.another(DEADLINE)
    assert (await other.stats([], 0, NO_FLAGS, DEADLINE)).sampling.offset == 3670.0
    for each in (source, other):
        await each.aclose()


async def test_another_connection_knows_what_the_first_has_learnt(daemon: FakeDaemon, source: LibvirtSource) -> None:
    first = await source.stats([], 0, NO_FLAGS, DEADLINE)
    other = await source.another(DEADLINE)
    assert len(daemon.clients) == 2
    assert (await other.stats([], 0, NO_FLAGS, DEADLINE)).layout is first.layout
    assert len(daemon.calls(P.NODE_GET_INFO)) == 1
    await source.aclose()
    third = await source.another(DEADLINE)
    anew = await third.stats([], 0, NO_FLAGS, DEADLINE)
    assert anew.layout is not first.layout, "what comes after a connection that was lost is another daemon's"
    assert anew.layout.records[0].shape is first.layout.records[0].shape
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


class TestDescribing:
    async def test_what_the_definition_says(self, daemon: FakeDaemon, source: LibvirtSource) -> None:
        disk = "<disk type='block'><source dev='/dev/vg/a'/><target dev='vda'/></disk>"
        daemon.answers[P.DOMAIN_GET_XML_DESC] = (f"<domain><title>Web ü</title><devices>{disk}</devices></domain>",)
        assert await source.describe(DOMAINS[0], DEADLINE) == Description(
            title="Web ü", devices=(Device(DeviceKind.DISK, "vda", type="block", source="/dev/vg/a"),)
        )
        (asked,) = daemon.calls(P.DOMAIN_GET_XML_DESC)
        assert asked.args == (DOMAINS[0], 0)  # no flag: secrets are not asked for

    async def test_a_domain_that_is_gone(self, daemon: FakeDaemon, source: LibvirtSource) -> None:
        daemon.answers[P.DOMAIN_GET_XML_DESC] = NoDomain(42, 10, "Domain not found")
        with pytest.raises(UnknownDomain) as caught:
            await source.describe(DOMAINS[0], DEADLINE)
        assert caught.value.domain == "web-1"

    async def test_a_document_that_lies_harms_nothing_else(self, daemon: FakeDaemon, source: LibvirtSource) -> None:
        daemon.answers[P.DOMAIN_GET_XML_DESC] = ("<!DOCTYPE domain [<!ENTITY e 'e'>]><domain>&e;</domain>",)
        with pytest.raises(BadValue, match="document type"):
            await source.describe(DOMAINS[0], DEADLINE)
        assert await source.domains(DEADLINE) == list(DOMAINS)

    async def test_a_description_that_does_not_come(self, daemon: FakeDaemon, source: LibvirtSource) -> None:
        daemon.held.add(P.DOMAIN_GET_XML_DESC)
        with pytest.raises(DeadlineExceeded, match=r"DOMAIN_GET_XML_DESC within 0\.03 s"):
            await source.describe(DOMAINS[0], 0.03)


LIFECYCLE = P.DOMAIN_EVENT_CALLBACK_LIFECYCLE
WEB = DOMAINS[0]


class TestEvents:
    @pytest.fixture
    def events(self) -> list[DomainEvent]:
        return []

    @pytest.fixture
    async def subscribed(self, daemon: FakeDaemon, source: LibvirtSource, events: list[DomainEvent]) -> LibvirtSource:
        daemon.answers[P.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY] = lambda event, _: (100 + event,)
        await source.subscribe(events.append, DEADLINE)
        return source

    async def send(self, daemon: FakeDaemon, source: LibvirtSource, *messages: tuple[Procedure, bytes]) -> None:
        """Have the daemon send messages; afterwards they have been read."""
        for procedure, payload in messages:
            daemon.clients[0].machine.message(procedure, payload)
        daemon.clients[0].flush()
        await source.domains(DEADLINE)

    @pytest.mark.usefixtures("subscribed")
    async def test_what_is_asked_for(self, daemon: FakeDaemon) -> None:
        assert [asked.args for asked in daemon.calls(P.CONNECT_SUPPORTS_FEATURE)] == [(10,), (14,)]
        registered = [asked.args for asked in daemon.calls(P.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY)]
        assert registered == [(0, None), (15, None), (19, None), (23, None), (27, None)]

    @pytest.mark.parametrize(
        ("procedure", "values", "lifecycle", "described"),
        [
            *((LIFECYCLE, (number, 0), True, number in (0, 2)) for number in range(10)),
            (P.DOMAIN_EVENT_CALLBACK_DEVICE_ADDED, ("virtio-disk1",), False, True),
            (P.DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED, ("net1",), False, True),
            (P.DOMAIN_EVENT_CALLBACK_METADATA_CHANGE, (1, None), False, True),
            (P.DOMAIN_EVENT_CALLBACK_METADATA_CHANGE, (2, "http://kubevirt.io"), False, True),
            (P.DOMAIN_EVENT_NIC_MAC_CHANGE, ("net0", "52:54:00:00:00:00", "52:54:00:00:00:01"), False, True),
        ],
    )
    async def test_what_they_say(
        self,
        daemon: FakeDaemon,
        subscribed: LibvirtSource,
        events: list[DomainEvent],
        procedure: Procedure,
        values: tuple[object, ...],
        lifecycle: bool,
        described: bool,
    ) -> None:
        await self.send(daemon, subscribed, (procedure, encode_values(procedure, 100, WEB, *values)))
        assert events == [DomainEvent(WEB, lifecycle, described)]
        assert events[0].domain.id == 3

    async def test_others_say_nothing(
        self, daemon: FakeDaemon, subscribed: LibvirtSource, events: list[DomainEvent]
    ) -> None:
        started = encode_values(LIFECYCLE, 100, WEB, 2, 0)
        old = encode_values(P.DOMAIN_EVENT_LIFECYCLE, WEB, 2, 0)
        unknown, closed = (319, started), (P.CONNECT_EVENT_CONNECTION_CLOSED, b"\0\0\0\1")
        lies = ((LIFECYCLE, started[:-4]), (LIFECYCLE, started + b"\0\0\0\0"), (LIFECYCLE, b"\xff" * 80))
        await self.send(daemon, subscribed, (P.DOMAIN_EVENT_LIFECYCLE, old), unknown, closed, *lies)
        assert events == []
        await self.send(daemon, subscribed, (LIFECYCLE, started))
        assert events == [DomainEvent(WEB, lifecycle=True, described=True)]

    async def test_a_daemon_that_cannot_filter_them(
        self, daemon: FakeDaemon, source: LibvirtSource, events: list[DomainEvent]
    ) -> None:
        daemon.answers[P.CONNECT_SUPPORTS_FEATURE] = lambda feature: (feature != 14,)
        await source.subscribe(events.append, DEADLINE)
        assert not daemon.calls(P.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY)

    async def test_a_daemon_that_does_not_know_all_of_them(
        self, daemon: FakeDaemon, source: LibvirtSource, events: list[DomainEvent]
    ) -> None:
        def register(event: int, _domain: Domain | None) -> tuple[int]:
            if event > 23:
                raise RemoteError(1, 7, f"unsupported event ID {event}")
            return (event,)

        daemon.answers[P.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY] = register
        await source.subscribe(events.append, DEADLINE)
        await self.send(daemon, source, (LIFECYCLE, encode_values(LIFECYCLE, 0, WEB, 5, 1)))
        assert events == [DomainEvent(WEB, lifecycle=True, described=False)]

    async def test_a_driver_without_events(self, daemon: FakeDaemon, source: LibvirtSource) -> None:
        daemon.answers[P.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY] = NoSupport(3, 0, "no events here")
        await source.subscribe(lambda _: None, DEADLINE)
        assert await source.domains(DEADLINE) == list(DOMAINS)

    async def test_subscribing_again(
        self, daemon: FakeDaemon, subscribed: LibvirtSource, events: list[DomainEvent]
    ) -> None:
        others: list[DomainEvent] = []
        await subscribed.subscribe(others.append, DEADLINE)
        assert len(daemon.calls(P.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY)) == 5
        await self.send(daemon, subscribed, (LIFECYCLE, encode_values(LIFECYCLE, 0, WEB, 5, 1)))
        assert (events, len(others)) == ([], 1)

    async def test_the_deadline_is_for_all_of_it(self, daemon: FakeDaemon, source: LibvirtSource) -> None:
        daemon.held.add(P.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY)
        with pytest.raises(DeadlineExceeded, match=r"REGISTER_ANY within 0\.03 s"):
            await source.subscribe(lambda _: None, 0.03)
        assert len(daemon.calls(P.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY)) == 1

    async def test_a_connection_that_is_lost(self, daemon: FakeDaemon, source: LibvirtSource) -> None:
        await daemon.disconnect()
        with pytest.raises(ConnectionLost):
            await source.subscribe(lambda _: None, DEADLINE)


async def test_closing_twice(source: LibvirtSource) -> None:
    await source.aclose()
    await source.aclose()
