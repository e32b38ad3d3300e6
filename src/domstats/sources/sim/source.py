"""SimSource: a simulated host as a source of statistics."""

from __future__ import annotations

import asyncio
import copy
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
from domstats.sources.sim.script import load
from domstats.sources.sim.uri import TIME_MAX, SimConfig, parse
from domstats.sources.sim.world import World
from domstats.wire.structures import ControlInfo


class SimSource:
    """A Source of invented figures: what they are depends on the URI and the clock only.

    Without a script nothing is waited for; a poll keeps the event loop busy for as long as it takes: 1 ms for 1,000
    guests, 0.15 s for 100,000. With one, a call waits for guests as libvirt does.
    """

    cpus: int | None = HOST_CPUS
    lost = False
    received = 0

    def __init__(self, uri: str, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives the real time, in seconds since the epoch. Raises BadUri.

        The guests are built here, which takes 2 s for 100,000; the first poll of all of them takes 1 s more. A host
        with a script is opened where an event loop runs: from here on its script is played, by the loop's time, which
        then drives its counters, too.
        """
        self.uri = uri
        config = parse(uri)
        self.speed = config.speed
        self.instant = config.script is None
        self._unsubscribe: Callable[[], None] = _nothing
        try:
            if config.script is None:
                self._host: World | _Undisturbed = _Undisturbed(Fleet(config, uri), config, clock)
            else:
                self._host = World(config, load(config.script), uri, _simulated(config, clock()))
        except UsageError as error:
            raise BadUri(uri, str(error)) from None

    async def another(self, deadline: float) -> Self:  # noqa: ARG002  nothing is waited for
        """The same host once more: its guests, and the calls that hang on them, are the same for all."""
        other = copy.copy(self)
        other._unsubscribe = _nothing
        return other

    @classmethod
    def open(cls, uri: str) -> SimSource:
        """The host that a URI describes, see `uri.parse`. Raises BadUri."""
        return cls(uri)

    def clock(self) -> float:
        """The simulated time, in seconds since the epoch."""
        return self._host.clock()

    def offset(self) -> None:
        """Not known: when the clock is set, the simulated guests are as much older or younger."""

    async def until_lost(self) -> None:
        """Wait for ever: there is nothing to be lost."""
        await asyncio.get_running_loop().create_future()

    async def domains(self, deadline: float) -> list[Domain]:  # noqa: ARG002  nothing is waited for
        """All domains of the host, running or not."""
        return list(self._host.domains)

    async def find(self, name: DomainKey, deadline: float) -> Domain:  # noqa: ARG002  nothing is waited for
        """The domain of that id, UUID or name, see `sources.Source.find`. Raises UnknownDomain."""
        for by, value in lookups(name):
            domain = self._host.known(by, value)
            if domain is not None:
                return domain
        raise UnknownDomain(name)

    async def stats(self, domains: Sequence[Domain], groups: int, flags: DomainFilter, deadline: float) -> Snapshot:
        """One poll, see `sources.Source.stats`. Its time is the simulated one.

        Raises StatsUnsupported as libvirt does, and DeadlineExceeded if working out the values, or waiting for a guest
        of a script, took longer than that.
        """
        return await self._host.stats(domains, groups, flags, deadline)

    async def stopped(self, _seconds: float) -> set[str]:
        """None of them: they have no processes."""
        return set()

    async def stopped_among(self, _domains: Sequence[Domain], _seconds: float) -> set[str]:
        """None of them."""
        return set()

    async def occupied(self, domains: Sequence[Domain], seconds: float) -> list[Domain]:
        """Those a call has waited for, or another job has held, for so many seconds; without a script none of them."""
        found = zip(domains, map(self.control, domains), strict=True)
        return [domain for domain, info in found if info and info.state and info.milliseconds >= 1000 * seconds]

    def control(self, domain: Domain) -> ControlInfo | None:
        """What virDomainGetControlInfo tells of a domain; None when it is off or not there."""
        return self._host.control(domain)

    async def describe(self, domain: Domain, deadline: float) -> Description:  # noqa: ARG002  nothing is waited for
        """What the domain's definition says of it, see `sources.Source.describe`. Raises UnknownDomain."""
        return self._host.describe(domain)

    async def subscribe(self, on_event: OnDomainEvent, deadline: float) -> None:  # noqa: ARG002  nothing is waited for
        """Have `on_event` called with each domain event of the script from now on, until this is closed."""
        self._unsubscribe()
        self._unsubscribe = self._host.subscribe(on_event)

    def restart(self) -> None:
        """End all calls that hang, as a restart of libvirtd does; those who wait for them get ConnectionLost."""
        self._host.restart()

    async def aclose(self) -> None:
        """Hear of no more events; safe to call twice. Calls that hang go on, as they do in libvirtd."""
        self._unsubscribe()


def check(uri: str) -> None:
    """See that a URI names a simulated host, and that its script, if it has one, can be read. Raises BadUri."""
    script = parse(uri).script
    try:
        if script is not None:
            load(script)
    except UsageError as error:
        raise BadUri(uri, str(error)) from None


class _Undisturbed:
    """A host without a script."""

    def __init__(self, fleet: Fleet, config: SimConfig, clock: Callable[[], float]) -> None:
        self._fleet, self._config, self._real = fleet, config, clock
        self.domains = fleet.domains
        self._known: dict[By, dict[int | str, Domain]] = {
            By.ID: {domain.id: domain for domain in self.domains if domain.id is not None},
            By.UUID: {domain.uuid: domain for domain in self.domains},
            By.NAME: {domain.name: domain for domain in self.domains},
        }

    def clock(self) -> float:
        """The simulated time."""
        return _simulated(self._config, self._real())

    def known(self, by: By, value: int | str) -> Domain | None:
        """The guest that is called so."""
        return self._known[by].get(value)

    def control(self, domain: Domain) -> ControlInfo | None:
        """All is well with every guest that is on."""
        known = self._known[By.UUID].get(domain.uuid)
        return ControlInfo(0, 0, 0) if known and known.id is not None else None

    def describe(self, domain: Domain) -> Description:
        """See SimSource.describe."""
        return self._fleet.describe(domain)

    def subscribe(self, _on_event: OnDomainEvent) -> Callable[[], None]:
        """Nothing happens."""
        return _nothing

    def restart(self) -> None:
        """No call hangs."""

    async def stats(self, domains: Sequence[Domain], groups: int, flags: DomainFilter, deadline: float) -> Snapshot:
        """See SimSource.stats."""
        started = time.monotonic()
        snapshot = self._fleet.snapshot(self.clock(), self._fleet.select(domains, groups, flags))
        if time.monotonic() - started > deadline:
            raise DeadlineExceeded("simulated statistics", deadline)
        return snapshot


def _nothing() -> None:
    """Nobody has subscribed to anything."""


def _simulated(config: SimConfig, now: float) -> float:
    """The simulated time: frozen, or running at its own speed, and always one that can be written as a date."""
    if config.time is not None:
        return config.time
    return min(max(EPOCH + (now - EPOCH) * config.speed, 0.0), TIME_MAX)
