"""The asyncio front: connect to a host, ask it for statistics.

async with domstats.aio.connect("qemu:///system") as host:
    snapshot = await host.stats()
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

from domstats.catalog.groups import group_bits
from domstats.collect.completeness import Completeness
from domstats.model.domain import Domain
from domstats.model.flags import NO_FILTERS, DomainFilter
from domstats.model.record import Record
from domstats.model.snapshot import Snapshot
from domstats.sources import Source
from domstats.sources.registry import default_uri, open_source

DEADLINE = 30.0
"""Seconds a call may take when the caller does not say."""

WhichDomain = str | Domain | Record
WhichGroups = int | str | Iterable[int | str]


class Filters(TypedDict, total=False):
    """Which domains, by state, and how to ask: the members of DomainFilter by their names in lower case."""

    active: bool
    inactive: bool
    persistent: bool
    transient: bool
    running: bool
    paused: bool
    shutoff: bool
    other: bool
    nowait: bool
    backing: bool
    enforce: bool


class Host:
    """A host whose domains are asked for statistics. Made by `connect`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._completeness = Completeness()

    @property
    def uri(self) -> str:
        """The URI it was reached by."""
        return self._source.uri

    async def domains(self) -> list[Domain]:
        """All domains of the host, running or not."""
        return await self._source.domains()

    async def find(self, name: str) -> Domain:
        """The domain of that id, UUID or name, tried in this order as virsh does. Raises UnknownDomain."""
        return await self._source.find(name)

    async def stats(
        self,
        domains: Iterable[WhichDomain] | None = None,
        groups: WhichGroups = 0,
        *,
        filters: DomainFilter = NO_FILTERS,
        deadline: float = DEADLINE,
        **flags: Unpack[Filters],
    ) -> Snapshot:
        """The statistics of many domains in one call.

        `domains`: which ones (UUIDs, names, ids as text, or domains and records of earlier calls); all when None.
        `groups`: names, bit numbers as text, or StatsGroup bits; all that the hypervisor has when 0. `filters` and the
        keywords choose domains by state. `deadline`: seconds it may take.

        Raises UnknownDomain, UnknownGroup, DeadlineExceeded, ConnectionLost, or what libvirt reports.
        Source: virConnectGetAllDomainStats, virDomainListGetStats.
        """
        began = time.monotonic()
        for name, wanted in flags.items():
            filters |= DomainFilter[name.upper()] if wanted else NO_FILTERS
        chosen = [] if domains is None else [await self._domain(each) for each in domains]
        bits = stats_bits(groups)
        if domains is not None and not chosen:  # an empty list on the wire means every domain
            return Snapshot.of_params([], time=time.time(), source=self.uri, host_cpus=self._source.cpus)
        snapshot = await self._source.stats(chosen, bits, filters, deadline - (time.monotonic() - began))
        status = self._completeness.judge(snapshot, bits, filters, time.monotonic() - began)
        sampling = replace(snapshot.sampling, status=status)
        return Snapshot(snapshot.layout, snapshot.values, snapshot.time, sampling, snapshot.host_cpus)

    async def _domain(self, which: WhichDomain) -> Domain:
        if isinstance(which, Record):
            return which.domain
        return which if isinstance(which, Domain) else await self._source.find(which)

    async def aclose(self) -> None:
        """Let go of the host; safe to call twice."""
        await self._source.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def stats_bits(groups: WhichGroups) -> int:
    """The bits of groups given by name, by number as text, or as bits. Raises UnknownGroup."""
    if isinstance(groups, int):
        return int(groups)
    if isinstance(groups, str):
        return group_bits(groups)
    bits = 0
    for group in groups:
        bits |= stats_bits(group)
    return bits


class Connecting:
    """What `connect` gives: await it for a Host, or use it in `async with`."""

    def __init__(self, uri: str | None, deadline: float) -> None:
        self._uri, self._deadline = uri, deadline
        self._host: Host | None = None

    async def _open(self) -> Host:
        uri = default_uri(os.environ) if self._uri is None else self._uri
        return Host(await open_source(uri, os.environ, self._deadline))

    def __await__(self) -> Generator[Any, None, Host]:
        return self._open().__await__()

    async def __aenter__(self) -> Host:
        self._host = await self._open()
        return self._host

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._host is not None:
            await self._host.aclose()


def connect(uri: str | None = None, *, deadline: float = DEADLINE) -> Connecting:
    """Connect to a host.

    `uri`: libvirt's (qemu:///system, qemu:///session, qemu+unix:///system?socket=PATH, test+unix:///default) or
    sim:///?domains=1000&seed=1; without one $DOMSTATS_URI, $LIBVIRT_DEFAULT_URI, or the local libvirt daemon.

    Raises BadUri, NoSocket, SocketDenied, DeadlineExceeded, or what libvirt reports.
    """
    return Connecting(uri, deadline)
