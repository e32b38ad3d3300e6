"""The blocking front: the asyncio one, run by a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from domstats import aio
from domstats.aio import DEADLINE, Filters, WhichDomain, WhichGroups
from domstats.compat import LibvirtDomain, LibvirtStats, libvirt_flags, libvirt_stats
from domstats.errors import UsageError
from domstats.model.domain import Domain
from domstats.model.flags import NO_FILTERS, DomainFilter
from domstats.model.snapshot import Snapshot

T = TypeVar("T")


class Host:
    """A host whose domains are asked for statistics. Made by `connect`; may be used from many threads.

    A thread keeps the connection alive between calls: it answers the daemon's keepalive.
    """

    def __init__(self, uri: str | None, deadline: float) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="domstats", daemon=True)
        self._thread.start()
        try:
            self._host: aio.Host = self._run(_await(aio.connect(uri, deadline=deadline)))
        except BaseException:
            self._stop()
            raise

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            work.close()
            raise UsageError("this host has been closed; connect again")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # whatever interrupts the caller (Ctrl-C, a time-out of its own) ends the work too
            future.cancel()
            raise

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def uri(self) -> str:
        """The URI it was reached by."""
        return self._host.uri

    def domains(self) -> list[Domain]:
        """All domains of the host, running or not."""
        return self._run(self._host.domains())

    def find(self, name: str) -> Domain:
        """The domain of that id, UUID or name, tried in this order as virsh does. Raises UnknownDomain."""
        return self._run(self._host.find(name))

    def stats(
        self,
        domains: Iterable[WhichDomain] | None = None,
        groups: WhichGroups = 0,
        *,
        filters: DomainFilter = NO_FILTERS,
        deadline: float = DEADLINE,
        **flags: Unpack[Filters],
    ) -> Snapshot:
        """The statistics of many domains in one call; see domstats.aio.Host.stats."""
        return self._run(self._host.stats(domains, groups, filters=filters, deadline=deadline, **flags))

    def getAllDomainStats(self, stats: int = 0, flags: int = 0) -> LibvirtStats:  # noqa: N802  libvirt-python's name
        """As libvirt-python's virConnect.getAllDomainStats: a list of (domain, dict)."""
        return libvirt_stats(self.stats(groups=stats, filters=libvirt_flags(flags)))

    def domainListGetStats(  # noqa: N802  libvirt-python's name
        self, doms: Sequence[LibvirtDomain], stats: int = 0, flags: int = 0
    ) -> LibvirtStats:
        """As libvirt-python's virConnect.domainListGetStats: a list of (domain, dict)."""
        if not doms:
            raise UsageError("the list of domains is empty; getAllDomainStats() asks for all")
        snapshot = self.stats([each.domain for each in doms], stats, filters=libvirt_flags(flags))
        # libvirt keeps the order of the list; what was asked for twice is there twice, what is gone is not.
        return libvirt_stats(snapshot[each.UUIDString()] for each in doms if each.UUIDString() in snapshot)

    def close(self) -> None:
        """Let go of the host; safe to call twice."""
        if not self._loop.is_closed():
            self._run(self._host.aclose())
            self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _await(connecting: aio.Connecting) -> aio.Host:
    return await connecting


def connect(uri: str | None = None, *, deadline: float = DEADLINE) -> Host:
    """Connect to a host; see domstats.aio.connect."""
    return Host(uri, deadline)
