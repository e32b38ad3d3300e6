"""Where values come from. Every source has the same few verbs, yields snapshots, and knows nothing of formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from domstats.model.description import Description
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter
from domstats.model.layout import DomainKey
from domstats.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """The host says, unasked, that something about a domain has changed."""

    domain: Domain
    lifecycle: bool
    """It was defined, started, stopped, undefined, ...: the list of domains, or its state, may be another."""
    described: bool
    """Its description may be another: it was defined or started, its metadata or devices changed."""
    what: int = field(default=0, compare=False)
    """Of a lifecycle event, which one: a virDomainEventType."""
    detail: int = field(default=0, compare=False)
    """And why; what it means depends on `what`."""


OnDomainEvent = Callable[[DomainEvent], None]
"""Called with each event; it must not raise."""


class Source(Protocol):
    """A host whose domains can be asked for statistics."""

    uri: str
    """The URI that names it, as the user would write it."""
    cpus: int | None
    """Number of the host's processors, or None where it is not known."""
    received: int
    """Bytes of statistics received so far."""
    instant: bool
    """Whether no guest ever keeps it waiting, so that asking for them in slices gains nothing."""

    def clock(self) -> float:
        """The time that samples are stamped with, in seconds since the epoch."""

    def offset(self) -> float | None:
        """Seconds by which `clock` is ahead of one that is never set; None where that is not known."""

    speed: float
    """Seconds that pass on `clock` in a real one."""

    @property
    def lost(self) -> bool:
        """Whether it is of no more use and another has to be opened."""

    async def until_lost(self) -> None:
        """Wait until it is lost."""

    async def another(self, deadline: float) -> Self:
        """One more connection to the same host. What is learnt of replies is shared, unless this one is lost.

        `deadline`: seconds that opening may take. Raises what opening the first one raises.
        """

    async def domains(self, deadline: float) -> list[Domain]:
        """All domains of the host, running or not.

        `deadline`: seconds this may take; DeadlineExceeded is raised after that.
        """

    async def find(self, name: DomainKey, deadline: float) -> Domain:
        """The domain of that id (all digits), UUID (36 characters) or name, tried in this order as virsh does.

        A number is an id only, a uuid.UUID a UUID only. `deadline`: seconds all of it may take. Raises UnknownDomain,
        DeadlineExceeded.
        """

    async def stats(self, domains: Sequence[Domain], groups: int, flags: DomainFilter, deadline: float) -> Snapshot:
        """One poll.

        `domains`: which ones, matched by UUID; empty for all. `groups`: bits of StatsGroup, or of groups not yet known
        here; 0 for all. `deadline`: seconds this may take; DeadlineExceeded is raised after that.
        """

    async def stopped(self, seconds: float, /) -> set[str]:
        """UUIDs of the guests whose process is stopped, as far as it can be seen on this host.

        `seconds`: how long this may take; after that, nobody is known to be stopped.
        """

    async def stopped_among(self, domains: Sequence[Domain], seconds: float, /) -> set[str]:
        """UUIDs of those of the domains that are stopped now; of those that were there when `stopped` looked last.

        `seconds`: how long this may take; after that, nobody is known to be stopped.
        """

    async def occupied(self, domains: Sequence[Domain], seconds: float, /) -> list[Domain]:
        """Those of the domains whose monitor, or job, has been occupied for so many seconds; never waits for a guest.

        Raises DeadlineExceeded, ConnectionLost.
        """

    async def describe(self, domain: Domain, deadline: float) -> Description:
        """What the domain's definition says of it; of one that is on, as it is now.

        `deadline`: seconds this may take. Raises UnknownDomain, DeadlineExceeded.
        """

    async def subscribe(self, on_event: OnDomainEvent, deadline: float) -> None:
        """Have `on_event` called with each domain event from now on, until the connection ends.

        A host without events is none the worse: nothing is called then. Where this is called again, the last
        `on_event` takes the place of the one before. `deadline`: seconds this may take; DeadlineExceeded is raised
        after that.
        """

    async def aclose(self) -> None:
        """Let go of whatever is held; safe to call twice."""
