"""The simulated host whose guests live by a script: what SimSource asks instead of a Fleet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from domstats.catalog.groups import GROUPS
from domstats.errors import ConnectionLost, DeadlineExceeded, UnknownDomain
from domstats.model.description import Description
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter
from domstats.model.snapshot import Snapshot
from domstats.sources import OnDomainEvent
from domstats.sources.naming import By
from domstats.sources.sim.behaviour import Behaviour
from domstats.sources.sim.clocks import Clocks
from domstats.sources.sim.descriptions import describe
from domstats.sources.sim.dice import Dice, Flags
from domstats.sources.sim.flavours import HOST_CPUS
from domstats.sources.sim.guests import Guests
from domstats.sources.sim.happenings import Teller
from domstats.sources.sim.history import History
from domstats.sources.sim.life import Life, first_life
from domstats.sources.sim.monitors import Monitors
from domstats.sources.sim.program import Program
from domstats.sources.sim.records import Records
from domstats.sources.sim.script import Script, release
from domstats.sources.sim.selection import ALL_GROUPS, check_groups, passing
from domstats.sources.sim.uri import TIME_MAX, SimConfig
from domstats.wire.structures import ControlInfo

_ASK_MONITOR = sum(1 << group.bit for group in GROUPS if group.needs_monitor)
_JOB, _OCCUPIED = 1, 2
"""Of virDomainControlState."""
_DIGITS = 6
"""Of script times, so that what is due at a time has happened when a sleep until then ends, if by a hair too early."""


class World:
    """The guests of a scripted host. Its script time begins when it is made, which takes a running event loop.

    Everything that ever happens is known from the beginning, so all values the guests will ever have are laid out
    once, and a guest's life says which of them are to be seen.
    """

    def __init__(self, config: SimConfig, script: Script, uri: str, start: float) -> None:
        """`start`: the simulated time of the beginning. Raises UsageError for what cannot happen or be simulated."""
        self._uri = uri
        self._start, self._speed = start, config.speed if config.time is None else 0.0
        spares = sum(event.do == "define" for event in script.events)
        dice = Dice(config.seed, config.domains + spares)
        guests = Guests.of(replace(config, domains=config.domains + spares), dice)
        lives = [first_life(guests, position, script.libvirt) for position in range(len(guests.domains))]
        self._history = History(lives[: config.domains], lives[config.domains :], script, self._simulated)
        guests = guests.grown(*self._history.most())
        program = Program(guests.counts)
        Behaviour(program, guests, dice).write()
        clocks = Clocks(dice, guests.activities, np.zeros(program.guests, np.bool_))
        clocks.end_at(program.fastest)
        self._records = Records(program, clocks)
        self._groups = _groups_of(script)
        self._opened = asyncio.get_running_loop().time()
        self._monitors = Monitors(self._history, self._now)
        self._calls: set[asyncio.Task[Snapshot]] = set()

    @property
    def domains(self) -> list[Domain]:
        """All guests that are there now."""
        return [life.domain for life in self._history.roll(self._now()).lives]

    def known(self, by: By, value: int | str) -> Domain | None:
        """The guest that is called so now."""
        life = self._history.roll(self._now()).domains[by].get(value)
        return life.domain if life else None

    def control(self, domain: Domain) -> ControlInfo | None:
        """What virDomainGetControlInfo tells of a guest; None when it is off or not there."""
        life = self._history.roll(self._now()).domains[By.UUID].get(domain.uuid)
        if life is None or not life.active:
            return None
        for state, seconds in (
            (_OCCUPIED, self._monitors.occupied(life.position)),
            (_JOB, self._monitors.has_job(life.position)),
        ):
            if seconds is not None:
                return ControlInfo(state, 0, int(seconds * 1000))
        return ControlInfo(0, 0, 0)

    def clock(self) -> float:
        """The simulated time."""
        return self._simulated(self._now())

    def describe(self, domain: Domain) -> Description:
        """What the definition of a guest says, found by its UUID. Raises UnknownDomain."""
        life = self._history.roll(self._now()).domains[By.UUID].get(domain.uuid)
        if life is None:
            raise UnknownDomain(domain.name)
        return describe(life)

    def subscribe(self, on_event: OnDomainEvent) -> Callable[[], None]:
        """Have `on_event` called with each event from now on, until what this gives is called."""
        return Teller(self._history, self._opened, self._now(), on_event).stop

    async def stats(self, domains: Sequence[Domain], groups: int, flags: DomainFilter, deadline: float) -> Snapshot:
        """One poll, see sources.Source.stats.

        When nobody waits for it any more, because the deadline has passed or the task was cancelled, the call goes on
        all the same, as it does in libvirtd: what it hangs on stays occupied.
        """
        check_groups(groups, flags, self._groups)
        call = asyncio.ensure_future(self._call(domains, groups or ALL_GROUPS, flags))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        await asyncio.wait([call], timeout=deadline)
        if not call.done():
            raise DeadlineExceeded("simulated statistics", deadline, "a guest may hang; what does is in the script")
        if call.cancelled():
            raise ConnectionLost("the simulated host was restarted", "simulated statistics")
        return call.result()

    def restart(self) -> None:
        """End all calls, as a restart of libvirtd does; nobody has a job then."""
        for call in self._calls:
            call.cancel()

    async def _call(self, domains: Sequence[Domain], groups: int, flags: DomainFilter) -> Snapshot:
        chosen = self._chosen(domains, flags)
        asks = bool(groups & _ASK_MONITOR)
        visits: list[tuple[Life, bool, float]] = []
        for position in chosen:
            whole = not asks or await self._monitors.visit(position, nowait=DomainFilter.NOWAIT in flags)
            now = self._now()
            life = self._history.life(position, now)
            if life is not None:  # else it has gone while the call hung
                visits.append((life, whole or not life.active, now))
        return self._snapshot(visits, groups, flags)

    def _chosen(self, domains: Sequence[Domain], flags: DomainFilter) -> list[int]:
        """Positions of the guests that a call has; those that do not exist are left out, as libvirt does."""
        roll = self._history.roll(self._now())
        lives: Sequence[Life] = roll.lives
        if domains:
            known = roll.domains[By.UUID]
            lives = [known[domain.uuid] for domain in domains if domain.uuid in known]
        passes: Flags = passing(np.array([life.state for life in lives], np.int64), flags)
        return [life.position for life, passed in zip(lives, passes.tolist(), strict=True) if passed]

    def _snapshot(self, visits: Sequence[tuple[Life, bool, float]], groups: int, flags: DomainFilter) -> Snapshot:
        backing = DomainFilter.BACKING in flags
        parts = self._records.parts([(life, whole) for life, whole, _ in visits], groups, backing=backing)
        now = self._now()
        times = np.array([self._simulated(at) for _, _, at in visits], np.float64)
        own = np.zeros(len(self._records))
        own[[life.position for life, _, _ in visits]] = [
            life.own_time(time) for (life, _, _), time in zip(visits, times.tolist(), strict=True)
        ]
        poll = self._records.poll(parts)
        values = self._records.values(poll, own)
        snapshot = Snapshot.of_one_poll(
            poll.layout, values, time=self._simulated(now), source=self._uri, host_cpus=HOST_CPUS
        )
        if all(at == now for _, _, at in visits):
            return snapshot
        each = np.broadcast_to(times[:, np.newaxis], snapshot.sampling.times.shape)
        return snapshot.with_sampling(replace(snapshot.sampling, times=each))

    def _now(self) -> float:
        """The script time."""
        return round(asyncio.get_running_loop().time() - self._opened, _DIGITS)

    def _simulated(self, at: float) -> float:
        """The simulated time of a script time."""
        return min(max(self._start + at * self._speed, 0.0), TIME_MAX)


def _groups_of(script: Script) -> int:
    """Bits of the groups that the host has."""
    return sum(1 << group.bit for group in GROUPS if script.libvirt is None or release(group.since) <= script.libvirt)
