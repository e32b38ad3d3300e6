"""SimSource: a simulated host as a source of statistics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Self

from domstats.errors import BadUri, DeadlineExceeded, UnknownDomain, UsageError
from domstats.model.description import Description
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter
from domstats.model.layout import DomainKey
from domstats.model.snapshot import Snapshot
from domstats.sources import OnDomainEvent
from domstats.sources.naming import By, lookups
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
    lost = False
    received = 0
    instant = True

    def __init__(self, uri: str, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives the real time, in seconds since the epoch. Raises BadUri.

        The guests are built here, which takes 2 s for 100,000; the first poll of all of them takes 1 s more.
        """
        self.uri = uri
        self._config = parse(uri)
        self.speed = self._config.speed
        self._real = clock
        self._on_event: OnDomainEvent | None = None
        try:
            self._fleet = Fleet(self._config, uri)
        except UsageError as error:
            raise BadUri(uri, str(error)) from None
        domains = self._fleet.domains
        self._known: dict[By, dict[int | str, Domain]] = {
            By.ID: {domain.id: domain for domain in domains if domain.id is not None},
            By.UUID: {domain.uuid: domain for domain in domains},
            By.NAME: {domain.name: domain for domain in domains},
        }

    async def another(self, deadline: float) -> Self:  # noqa: ARG002  nothing is waited for
        """This one: there is no connection, and the guests are the same."""
        return self

    @classmethod
    def open(cls, uri: str) -> SimSource:
        """The host that a URI describes, see `uri.parse`. Raises BadUri."""
        return cls(uri)

    async def domains(self, deadline: float) -> list[Domain]:  # noqa: ARG002  nothing is waited for
        """All domains of the host, running or not."""
        return list(self._fleet.domains)

    async def find(self, name: DomainKey, deadline: float) -> Domain:  # noqa: ARG002  nothing is waited for
        """The domain of that id, UUID or name, see `sources.Source.find`. Raises UnknownDomain."""
        for by, value in lookups(name):
            if value in self._known[by]:
                return self._known[by][value]
        raise UnknownDomain(name)

    async def stats(self, domains: Sequence[Domain], groups: int, flags: DomainFilter, deadline: float) -> Snapshot:
        """One poll, see `sources.Source.stats`. Its time is the simulated one.

        Raises StatsUnsupported as libvirt does, and DeadlineExceeded if working out the values took longer than that.
        """
        started = time.monotonic()
        snapshot = self._fleet.snapshot(self.clock(), self._fleet.select(domains, groups, flags))
        if time.monotonic() - started > deadline:
            raise DeadlineExceeded("simulated statistics", deadline)
        return snapshot

    async def until_lost(self) -> None:
        """Wait for ever: there is nothing to be lost."""
        await asyncio.get_running_loop().create_future()

    def stopped(self) -> set[str]:
        """None of them: they have no processes."""
        return set()

    async def occupied(self, _domains: Sequence[Domain], _seconds: float) -> list[Domain]:
        """None of them."""
        return []

    async def describe(self, domain: Domain, deadline: float) -> Description:  # noqa: ARG002  nothing is waited for
        """What the domain's definition says of it, see `sources.Source.describe`. Raises UnknownDomain."""
        return self._fleet.describe(domain)

    async def subscribe(self, on_event: OnDomainEvent, deadline: float) -> None:  # noqa: ARG002  nothing is waited for
        """Have `on_event` called with each domain event from now on."""
        self._on_event = on_event

    async def aclose(self) -> None:
        """Nothing is held; safe to call twice."""

    def clock(self) -> float:
        """The simulated time: frozen, or running at its own speed, and always one that can be written as a date."""
        if self._config.time is not None:
            return self._config.time
        return min(max(EPOCH + (self._real() - EPOCH) * self._config.speed, 0.0), TIME_MAX)
