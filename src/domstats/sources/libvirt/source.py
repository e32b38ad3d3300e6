"""LibvirtSource: the domains and snapshots of a libvirt daemon on this host."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from domstats.errors import DeadlineExceeded, NoDomain, RemoteError, UnknownDomain, UsageError
from domstats.model.description import Description
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter
from domstats.model.layout import DomainKey
from domstats.model.sampling import Sampling
from domstats.model.snapshot import Snapshot
from domstats.sources import OnDomainEvent
from domstats.sources.clock import HOST
from domstats.sources.libvirt.connection import Connection
from domstats.sources.libvirt.events import EVENT_IDS, FILTERED_FEATURE, domain_event
from domstats.sources.libvirt.stopped import StoppedGuests
from domstats.sources.libvirt.uri import parse
from domstats.sources.naming import By, lookups
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.limits import RECORDS_MAX
from domstats.wire.procedures import Procedure
from domstats.wire.structures import ControlInfo, NodeInfo

_LOOKUPS = {
    By.ID: Procedure.DOMAIN_LOOKUP_BY_ID,
    By.UUID: Procedure.DOMAIN_LOOKUP_BY_UUID,
    By.NAME: Procedure.DOMAIN_LOOKUP_BY_NAME,
}
JOB, OCCUPIED = 1, 2
"""virDomainControlState: a job holds the guest; a command to its QEMU has not been answered yet."""
CONTROL_DEADLINE = 5.0
"""Seconds. libvirtd answers this from memory, on workers of its own."""
_HELD_UP = (
    "a guest that does not answer holds up a call for its monitor's groups, and 20 such calls, of any clients, hold up "
    "every other; 'virsh domcontrol NAME' tells which guest"
)


class LibvirtSource:
    """A Source over one connection. When the connection is lost, `another` makes the next."""

    instant = False
    speed = 1.0

    def __init__(
        self,
        uri: str,
        env: Mapping[str, str],
        connection: Connection,
        decoder: ReplyDecoder,
        clock: Callable[[], float],
        offset: Callable[[], float],
    ) -> None:
        """Use `open`, or `another`."""
        self.uri = uri
        self.connection = connection
        """For calls other than those of a Source."""
        self.cpus: int | None = None
        """Number of the host's processors; known from the first statistics on, unless the daemon does not tell it."""
        self.received = 0
        """Bytes of statistics received so far."""
        self._asked_cpus = False
        self._subscribed: set[int] = set()  # of EVENT_IDS
        self._stopped = StoppedGuests()
        self._env, self._decoder, self.clock, self.offset = env, decoder, clock, offset

    @classmethod
    async def open(
        cls,
        uri: str,
        env: Mapping[str, str],
        *,
        deadline: float,
        clock: Callable[[], float] = time.time,
        offset: Callable[[], float] = HOST,
    ) -> Self:
        """Connect to what the URI names; `env` is the environment, see `uri.parse`.

        `deadline`: seconds that opening may take. `clock` gives the time, in seconds since the epoch, and `offset` by
        how much it is ahead of one that is never set. Raises BadUri, and what `Connection.open` raises.
        """
        return cls(uri, env, await Connection.open(parse(uri, env), deadline=deadline), ReplyDecoder(), clock, offset)

    async def another(self, deadline: float) -> Self:
        """One more connection to the same URI, which decodes replies by what has been learnt of them so far.

        Unless this one is lost: a daemon that was started anew has another order of the keys that QEMU names.
        """
        connection = await Connection.open(parse(self.uri, self._env), deadline=deadline)
        decoder = ReplyDecoder() if self.lost else self._decoder
        other = type(self)(self.uri, self._env, connection, decoder, self.clock, self.offset)
        other.cpus, other._asked_cpus, other._stopped = self.cpus, self._asked_cpus, self._stopped
        return other

    @property
    def lost(self) -> bool:
        """Whether the connection is gone; it does not come back."""
        return self.connection.lost

    async def until_lost(self) -> None:
        """Wait until the connection is gone."""
        await self.connection.until_lost()

    async def domains(self, deadline: float) -> list[Domain]:
        """All domains, running or not (virConnectListAllDomains), within `deadline` seconds."""
        reply = await self.connection.call(Procedure.CONNECT_LIST_ALL_DOMAINS, 1, 0, deadline=deadline)
        domains: list[Domain] = reply[0]
        return domains

    async def find(self, name: DomainKey, deadline: float) -> Domain:
        """The domain of that id, UUID or name, see `sources.Source.find`.

        Raises UnknownDomain, DeadlineExceeded, RemoteError, ConnectionLost or ProtocolError. Source:
        virDomainLookupByID, virDomainLookupByUUID, virDomainLookupByName.
        """
        now = asyncio.get_running_loop().time
        ends = now() + deadline
        try:
            for by, value in lookups(name):
                with contextlib.suppress(NoDomain):
                    domain: Domain = await self.connection.call(_LOOKUPS[by], value, deadline=ends - now())
                    return domain
        except DeadlineExceeded as late:
            # The caller's deadline, not what was left of it.
            raise DeadlineExceeded(late.during, deadline) from None
        raise UnknownDomain(name)

    async def stats(self, domains: Sequence[Domain], groups: int, flags: DomainFilter, deadline: float) -> Snapshot:
        """One poll, see `sources.Source.stats`. Its time is the middle between asking and the answer.

        libvirt takes the domains of a list one after another, so each record's time is that much later; with how much
        that may be wrong.

        Raises UsageError for more domains than a call takes, DeadlineExceeded, RemoteError (of which ReplyTooLarge
        says to ask for fewer domains), ConnectionLost or ProtocolError.
        """
        now = asyncio.get_running_loop().time
        started = now()
        try:
            await self._ask_cpus(deadline)
            asked, offset = self.clock(), self.offset()
            body = await self.bulk_stats(domains, groups, flags, deadline - (now() - started))
        except DeadlineExceeded as late:
            # The caller's deadline, not what was left of it.
            raise DeadlineExceeded(late.during, deadline, _HELD_UP) from None
        self.received += len(body)
        answered, now_offset = self.clock(), self.offset()
        asked += now_offset - offset  # it may have been set meanwhile
        snapshot = self._decoder.decode(body, time=(asked + answered) / 2, source=self.uri, host_cpus=self.cpus)
        return snapshot.with_sampling(_timed(snapshot, domains, asked, answered, now_offset))

    async def bulk_stats(
        self, domains: Sequence[Domain], groups: int, flags: DomainFilter, deadline: float
    ) -> bytes | memoryview:
        """The body of the reply a poll brings, not decoded (virConnectGetAllDomainStats, virDomainListGetStats).

        It takes what `stats` takes, and raises the same.
        """
        if len(domains) > RECORDS_MAX:
            raise UsageError(f"{len(domains)} domains are too many for one call, ask for {RECORDS_MAX} at a time")
        body: bytes | memoryview = await self.connection.call(
            Procedure.CONNECT_GET_ALL_DOMAIN_STATS, list(domains), groups, flags, deadline=deadline
        )
        return body

    async def stopped(self, seconds: float) -> set[str]:
        """UUIDs of the guests whose QEMU is stopped; empty where their processes cannot be seen in that time."""
        return await self._stopped.all(seconds)

    async def stopped_among(self, domains: Sequence[Domain], seconds: float) -> set[str]:
        """UUIDs of those of the domains whose QEMU is stopped, see `sources.Source.stopped_among`."""
        return await self._stopped.among([domain.uuid for domain in domains], seconds)

    async def occupied(self, domains: Sequence[Domain], seconds: float) -> list[Domain]:
        """Those of the domains whose monitor or job has been occupied for so many seconds (virDomainGetControlInfo)."""
        infos = await asyncio.gather(*(self._control(domain) for domain in domains))
        return [
            domain
            for domain, info in zip(domains, infos, strict=True)
            if info is not None and info.state in (JOB, OCCUPIED) and info.milliseconds >= 1000 * seconds
        ]

    async def _control(self, domain: Domain) -> ControlInfo | None:
        """None for a domain that is off, or gone."""
        try:
            info: ControlInfo = await self.connection.call(
                Procedure.DOMAIN_GET_CONTROL_INFO, domain, 0, deadline=CONTROL_DEADLINE
            )
        except RemoteError:
            return None
        return info

    async def describe(self, domain: Domain, deadline: float) -> Description:
        """What the domain's definition says of it, see `sources.Source.describe`.

        Raises UnknownDomain, DeadlineExceeded, RemoteError, ConnectionLost or ProtocolError. Source:
        virDomainGetXMLDesc, without the flag that shows secrets.
        """
        from domstats.sources.libvirt.describe import parse_description  # so that expat is loaded when it is needed

        try:
            xml = await self.connection.call(Procedure.DOMAIN_GET_XML_DESC, domain, 0, deadline=deadline)
        except NoDomain:
            raise UnknownDomain(domain.name) from None
        return parse_description(xml)

    async def subscribe(self, on_event: OnDomainEvent, deadline: float) -> None:
        """Have `on_event` called with each domain event from now on, see `sources.Source.subscribe`.

        Raises DeadlineExceeded, RemoteError, ConnectionLost or ProtocolError. Source: virConnectDomainEventRegisterAny.
        """

        def tell(procedure: Procedure, values: Any) -> None:
            event = domain_event(procedure, values)
            if event is not None:
                on_event(event)

        self.connection.listen(tell)
        now = asyncio.get_running_loop().time
        ends = now() + deadline
        try:
            await self._register(lambda: ends - now())
        except DeadlineExceeded as late:
            # The caller's deadline, not what was left of it.
            raise DeadlineExceeded(late.during, deadline) from None

    async def _register(self, left: Callable[[], float]) -> None:
        """Ask for the events that have not been asked for yet; `left` gives the seconds that this may still take."""
        call = self.connection.call
        if not await call(Procedure.CONNECT_SUPPORTS_FEATURE, FILTERED_FEATURE, deadline=left()):
            return
        for event in EVENT_IDS:
            if event not in self._subscribed:
                # An older daemon does not know all of them, and a driver may have none.
                with contextlib.suppress(RemoteError):
                    await call(Procedure.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, event, None, deadline=left())
                    self._subscribed.add(event)

    async def aclose(self) -> None:
        """Close the connection; safe to call twice."""
        await self.connection.aclose()

    async def _ask_cpus(self, deadline: float) -> None:
        """Once; a daemon that cannot tell is not asked again."""
        if self._asked_cpus:
            return
        with contextlib.suppress(RemoteError):
            info: NodeInfo = await self.connection.call(Procedure.NODE_GET_INFO, deadline=deadline)
            self.cpus = info.cpus
        self._asked_cpus = True


def _timed(snapshot: Snapshot, domains: Sequence[Domain], asked: float, answered: float, offset: float) -> Sampling:
    """When each record was taken, as well as it can be known from outside."""
    sampling, uncertainty = replace(snapshot.sampling, offset=offset), (answered - asked) / 2
    if not domains:  # in which order libvirt takes all of them is not known
        return replace(sampling, uncertainty=np.broadcast_to(np.float64(uncertainty), sampling.times.shape))
    turns = {domain.uuid: turn for turn, domain in enumerate(domains)}
    turn = np.array([turns.get(domain.uuid, 0) for domain in snapshot.domains], np.float64)
    times = asked + (turn + 0.5) / len(domains) * (answered - asked)
    return replace(
        sampling,
        times=np.broadcast_to(times[:, np.newaxis], sampling.times.shape),
        uncertainty=np.broadcast_to(np.float64(uncertainty), sampling.times.shape),
    )
