"""LibvirtSource: the domains and snapshots of a libvirt daemon on this host."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence

from domstats.errors import DeadlineExceeded, NoDomain, RemoteError, UnknownDomain, UsageError
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter
from domstats.model.layout import DomainKey
from domstats.model.snapshot import Snapshot
from domstats.sources.libvirt.connection import Connection
from domstats.sources.libvirt.transport import OnEvent
from domstats.sources.libvirt.uri import parse
from domstats.sources.naming import By, lookups
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.limits import RECORDS_MAX
from domstats.wire.procedures import Procedure
from domstats.wire.structures import NodeInfo

_LOOKUPS = {
    By.ID: Procedure.DOMAIN_LOOKUP_BY_ID,
    By.UUID: Procedure.DOMAIN_LOOKUP_BY_UUID,
    By.NAME: Procedure.DOMAIN_LOOKUP_BY_NAME,
}
_STUCK_GUEST = (
    "one guest that does not answer holds up all of them; 'virsh domcontrol NAME' tells which, and the groups state, "
    "interface, perf and memory can be had without it"
)


class LibvirtSource:
    """A Source over one connection. When the connection is lost, open another source."""

    def __init__(self, uri: str, connection: Connection) -> None:
        """Use `open`."""
        self.uri = uri
        self.connection = connection
        """For calls other than those of a Source."""
        self.cpus: int | None = None
        """Number of the host's processors; known from the first statistics on, unless the daemon does not tell it."""
        self._asked_cpus = False
        self._decoder = ReplyDecoder()

    @classmethod
    async def open(
        cls, uri: str, env: Mapping[str, str], *, deadline: float, on_event: OnEvent | None = None
    ) -> LibvirtSource:
        """Connect to what the URI names; `env` is the environment, see `uri.parse`.

        `deadline`: seconds that opening may take. Raises BadUri, and what `Connection.open` raises.
        """
        return cls(uri, await Connection.open(parse(uri, env), deadline=deadline, on_event=on_event))

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
        ends = time.monotonic() + deadline
        try:
            for by, value in lookups(name):
                with contextlib.suppress(NoDomain):
                    domain: Domain = await self.connection.call(_LOOKUPS[by], value, deadline=ends - time.monotonic())
                    return domain
        except DeadlineExceeded as late:
            # The caller's deadline, not what was left of it.
            raise DeadlineExceeded(late.during, deadline) from None
        raise UnknownDomain(name)

    async def stats(self, domains: Sequence[Domain], groups: int, flags: DomainFilter, deadline: float) -> Snapshot:
        """One poll, see `sources.Source.stats`. Its time is the middle between asking and the answer.

        Raises UsageError for more domains than a call takes, DeadlineExceeded, RemoteError (of which ReplyTooLarge
        says to ask for fewer domains), ConnectionLost or ProtocolError.
        """
        started = time.monotonic()
        try:
            await self._ask_cpus(deadline)
            asked = time.time()
            body = await self.bulk_stats(domains, groups, flags, deadline - (time.monotonic() - started))
        except DeadlineExceeded as late:
            # The caller's deadline, not what was left of it.
            raise DeadlineExceeded(late.during, deadline, _STUCK_GUEST) from None
        when = _middle(asked, time.time())
        return self._decoder.decode(body, time=when, source=self.uri, host_cpus=self.cpus)

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


def _middle(asked: float, answered: float) -> float:
    """When a poll's values were taken, as well as it can be known from outside."""
    return (asked + answered) / 2
