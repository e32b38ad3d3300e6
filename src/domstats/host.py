"""The blocking front: the asyncio one, run by a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, wait
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from domstats import aio
from domstats.aio import DEADLINE, Filters, Kernel, WhichDomains, WhichGroups, checked_deadline
from domstats.compat import LibvirtDomain, LibvirtStats, libvirt_flags, libvirt_stats
from domstats.errors import ConnectionLost, DeadlineExceeded, UsageError
from domstats.model.domain import Domain
from domstats.model.flags import NO_FILTERS, DomainFilter
from domstats.model.layout import DomainKey
from domstats.model.snapshot import Snapshot

T = TypeVar("T")

GRACE = 5.0
"""Seconds a caller waits beyond a deadline for the thread, which may be decoding a long reply, or saying goodbye."""


class Host:
    """A host whose domains are asked for statistics. Made by `connect`; may be used from many threads.

    A thread keeps the connection alive between calls: it answers the daemon's keepalive.
    """

    def __init__(self, uri: str | None, deadline: float, kernel: Kernel = "off") -> None:
        connecting = aio.connect(uri, deadline=deadline, kernel=kernel)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        """Held while the loop is handed something to do, so that nothing comes after the order to stop."""
        self._closed = False
        self._held = AsyncExitStack()
        """What the loop lets go of at its end: the asyncio host."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="domstats", daemon=True)
        self._thread.start()
        try:
            self._host = self._run(lambda: self._held.enter_async_context(connecting), deadline)
        except BaseException:
            self.close()
            raise

    def _live(self) -> None:
        """The thread's life."""
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        calls = asyncio.all_tasks() - {asyncio.current_task()}
        for call in calls:
            if not call.cancelling():  # one that is ending already is left to it
                call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await self._held.aclose()

    def _run(self, work: Callable[[], Coroutine[Any, Any, T]], deadline: float) -> T:
        """Have the thread do something, and wait for it."""
        if os.getpid() != self._pid:  # the thread did not come along, and the socket is still the parent's
            raise UsageError("this host was connected before a fork; connect again in the new process")
        # Python's limit for a wait is 292 years.
        patience = min(checked_deadline(deadline) + GRACE, threading.TIMEOUT_MAX)
        with self._lock:
            if self._closed:
                raise UsageError("this host has been closed; connect again")
            future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            if not wait([future], patience).done:
                raise DeadlineExceeded("the call", deadline, "the thread that keeps the connection is held up")
            return future.result()
        except CancelledError:  # nobody but `close` cancels a call that is waited for
            raise ConnectionLost("the connection was closed") from None
        finally:
            future.cancel()  # whatever interrupts the caller (Ctrl-C, a time-out of its own) ends the work too

    @property
    def uri(self) -> str:
        """The URI it was reached by."""
        return self._host.uri

    def domains(self, *, deadline: float = DEADLINE) -> list[Domain]:
        """All domains of the host, running or not; see domstats.aio.Host.domains."""
        return self._run(lambda: self._host.domains(deadline=deadline), deadline)

    def find(self, name: DomainKey, *, deadline: float = DEADLINE) -> Domain:
        """The domain of that id, UUID or name, tried in this order as virsh does; see domstats.aio.Host.find."""
        return self._run(lambda: self._host.find(name, deadline=deadline), deadline)

    def stats(
        self,
        domains: WhichDomains | None = None,
        groups: WhichGroups | None = None,
        *,
        filters: DomainFilter = NO_FILTERS,
        deadline: float = DEADLINE,
        keep: bool = True,
        **flags: Unpack[Filters],
    ) -> Snapshot:
        """The statistics of many domains, all that can be had in time; see domstats.aio.Host.stats."""
        return self._run(
            lambda: self._host.stats(domains, groups, filters=filters, deadline=deadline, keep=keep, **flags), deadline
        )

    def describe(self, snapshot: Snapshot, *, deadline: float = DEADLINE) -> Snapshot:
        """The snapshot with what the definitions of its domains say; see domstats.aio.Host.describe."""
        return self._run(lambda: self._host.describe(snapshot, deadline=deadline), deadline)

    def getAllDomainStats(self, stats: int = 0, flags: int = 0) -> LibvirtStats:  # noqa: N802  libvirt-python's name
        """As libvirt-python's virConnect.getAllDomainStats: a list of (domain, dict)."""
        return libvirt_stats(self.stats(groups=stats, filters=libvirt_flags(flags), keep=False))

    def domainListGetStats(  # noqa: N802  libvirt-python's name
        self, doms: Sequence[LibvirtDomain], stats: int = 0, flags: int = 0
    ) -> LibvirtStats:
        """As libvirt-python's virConnect.domainListGetStats: a list of (domain, dict)."""
        if not doms:
            raise UsageError("the list of domains is empty; getAllDomainStats() asks for all")
        snapshot = self.stats([each.domain for each in doms], stats, filters=libvirt_flags(flags), keep=False)
        # libvirt keeps the order of the list; what was asked for twice is there twice, what is gone is not.
        return libvirt_stats(snapshot[each.UUIDString()] for each in doms if each.UUIDString() in snapshot)

    def close(self) -> None:
        """Let go of the host; safe to call twice, and from several threads.

        Calls that other threads wait for end with ConnectionLost, later ones raise UsageError. After a fork it does
        nothing in the new process: the connection is the parent's.
        """
        if os.getpid() != self._pid:
            return
        with self._lock:
            if not self._closed:
                self._closed = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(GRACE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connect(uri: str | None = None, *, deadline: float = DEADLINE, kernel: Kernel = "off") -> Host:
    """Connect to a host; see domstats.aio.connect."""
    return Host(uri, deadline, kernel)
