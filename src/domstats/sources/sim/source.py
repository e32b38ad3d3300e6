"""SimSource: a simulated host as a source of statistics."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from domstats.errors import BadUri, DeadlineExceeded, UnknownDomain, UsageError
from domstats.model.domain import Domain, is_uuid
from domstats.model.flags import DomainFilter
from domstats.model.snapshot import Snapshot
from domstats.sources.sim.clocks import EPOCH
from domstats.sources.sim.flavours import HOST_CPUS
from domstats.sources.sim.fleet import Fleet
from domstats.sources.sim.uri import TIME_MAX, parse


class SimSource:
    """A Source of invented figures: what they are depends on the URI and the clock only.

    Nothing is waited for; a poll keeps the event loop busy for as long as it takes: 1 ms for 1,000
    guests, 0.15 s for 100,000.
    """

    cpus: int | None = HOST_CPUS

    def __init__(self, uri: str, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives the real time, in seconds since the epoch. Raises BadUri.

        The guests are built here, which takes 2 s for 100,000; the first poll of all of them takes 1 s more.
        """
        self.uri = uri
        self._config = parse(uri)
        self._clock = clock
        try:
            self._fleet = Fleet(self._config, uri)
        except UsageError as error:
            raise BadUri(uri, str(error)) from None
        self._by_id = {domain.id: domain for domain in self._fleet.domains if domain.id is not None}
        self._by_uuid = {domain.uuid: domain for domain in self._fleet.domains}
        self._by_name = {domain.name: domain for domain in self._fleet.domains}

    @classmethod
    def open(cls, uri: str) -> SimSource:
        """The host that a URI describes, see `uri.parse`. Raises BadUri."""
        return cls(uri)

    async def domains(self) -> list[Domain]:
        """All domains of the host, running or not."""
        return list(self._fleet.domains)

    async def find(self, name: str) -> Domain:
        """The domain of that id, UUID or name, tried in this order as virsh does. Raises UnknownDomain."""
        found = None
        if name.isascii() and name.isdigit() and len(name) <= _ID_DIGITS:
            found = self._by_id.get(int(name))
        if found is None and is_uuid(name):
            found = self._by_uuid.get(name.lower())
        if found is None:
            found = self._by_name.get(name)
        if found is None:
            raise UnknownDomain(name)
        return found

    async def stats(self, domains: Sequence[Domain], groups: int, flags: DomainFilter, deadline: float) -> Snapshot:
        """One poll, see `sources.Source.stats`. Its time is the simulated one.

        Raises StatsUnsupported as libvirt does, and DeadlineExceeded if working out the values took longer than that.
        """
        started = time.monotonic()
        snapshot = self._fleet.snapshot(self._now(), self._fleet.select(domains, groups, flags))
        if time.monotonic() - started > deadline:
            raise DeadlineExceeded("simulated statistics", deadline)
        return snapshot

    async def aclose(self) -> None:
        """Nothing is held; safe to call twice."""

    def _now(self) -> float:
        """The simulated time: frozen, or running at its own speed, and always one that can be written as a date."""
        if self._config.time is not None:
            return self._config.time
        return min(max(EPOCH + (self._clock() - EPOCH) * self._config.speed, 0.0), TIME_MAX)


_ID_DIGITS = 10
"""Digits of the largest id."""
