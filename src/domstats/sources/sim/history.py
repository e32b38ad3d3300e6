"""All that a script makes of a host's guests: worked out when the host is opened, and then only looked up."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import inf

import numpy as np

from domstats.errors import UsageError
from domstats.sources.naming import By
from domstats.sources.sim.deeds import DEEDS, Moment, define
from domstats.sources.sim.dice import Ints
from domstats.sources.sim.life import Life
from domstats.sources.sim.script import Event, Script

_GONE = ("undefine", "migrate")
"""What ends a guest, as far as this host is concerned."""


@dataclass(slots=True, eq=False)
class _Timeline:
    """One guest's lives: each from its time on, until the next one's."""

    times: list[float]
    lives: list[Life | None]
    """None while it is not there."""


@dataclass(frozen=True, slots=True, eq=False)
class Roll:
    """Who is there between two events."""

    lives: tuple[Life, ...]
    """By position."""
    domains: dict[By, dict[int | str, Life]]
    """The same by each name they have."""

    @classmethod
    def of(cls, lives: Sequence[Life]) -> Roll:
        """The roll of these guests."""
        known: dict[By, dict[int | str, Life]] = {
            By.ID: {life.domain.id: life for life in lives if life.domain.id is not None},
            By.UUID: {life.domain.uuid: life for life in lives},
            By.NAME: {life.domain.name: life for life in lives},
        }
        return cls(tuple(lives), known)


class History:
    """The guests of a host by script time (seconds since it was opened)."""

    def __init__(
        self, first: Sequence[Life], spares: Sequence[Life], script: Script, simulated: Callable[[float], float]
    ) -> None:
        """`first`: who is there at the beginning. `spares`: who they are that will be defined, in that order.

        `simulated` gives the simulated time of a script time. Raises UsageError for what cannot happen.
        """
        self._script = script
        everybody = [*first, *spares]
        self._timelines = [_Timeline([0.0], [life]) for life in first]
        self._timelines += [_Timeline([0.0], [None]) for _ in spares]
        self._spares = iter(spares)
        ids = [life.domain.id for life in everybody if life.domain.id is not None]
        nets = sum(len(life.nics) for life in everybody if life.active)
        self._moment = Moment(0.0, {life.domain.name for life in first}, max(ids, default=0) + 1, nets)
        for event in script.events:
            self._moment.now = simulated(event.at)
            self._happen(event)
        self._changes = sorted({event.at for event in script.events})
        self._roll: tuple[int, Roll] = (-1, Roll.of(()))

    def life(self, position: int, at: float) -> Life | None:
        """What a guest is at that time; None when it is not there."""
        timeline = self._timelines[position]
        return timeline.lives[max(bisect_right(timeline.times, at) - 1, 0)]

    def ends(self, position: int, at: float) -> float:
        """Until when it stays so."""
        times = self._timelines[position].times
        after = bisect_right(times, at)
        return times[after] if after < len(times) else inf

    def began(self, position: int, at: float) -> float:
        """Since when it has been so."""
        times = self._timelines[position].times
        return times[max(bisect_right(times, at) - 1, 0)]

    def roll(self, at: float) -> Roll:
        """Who is there at that time; the same object until something happens."""
        epoch = bisect_right(self._changes, at)
        if self._roll[0] != epoch:
            lives = (self.life(position, at) for position in range(len(self._timelines)))
            there = [life for life in lives if life is not None]
            self._roll = (epoch, Roll.of(there))
        return self._roll[1]

    def next_change(self, after: float) -> float:
        """When the next thing happens; infinite when nothing does any more."""
        following = bisect_right(self._changes, after)
        return self._changes[following] if following < len(self._changes) else inf

    def changed(self, at: float) -> list[tuple[Life | None, Life | None]]:
        """What the guests to which something happens at that time were, and are then."""
        found = []
        for timeline in self._timelines:
            now = bisect_right(timeline.times, at) - 1
            if now >= 0 and timeline.times[now] == at:
                found.append((timeline.lives[now - 1] if now else None, timeline.lives[now]))
        return found

    def most(self) -> tuple[Ints, Ints, Ints]:
        """How many vCPUs, disks and interfaces each guest ever has."""
        lives = [[life for life in timeline.lives if life is not None] for timeline in self._timelines]
        vcpus = [max((len(life.vcpus) for life in own), default=0) for own in lives]
        disks = [max((life.disks_ever for life in own), default=0) for own in lives]
        nics = [max((life.nics_ever for life in own), default=0) for own in lives]
        return np.array(vcpus, np.int64), np.array(disks, np.int64), np.array(nics, np.int64)

    def _happen(self, event: Event) -> None:
        if event.do == "define":
            self._define(event)
            return
        there = [life for life in (timeline.lives[-1] for timeline in self._timelines) if life is not None]
        named = [life for life in there if any(fnmatchcase(life.domain.name, glob) for glob in event.domains)]
        if not named:
            raise self._mistake(event, "domains", f"no guest has such a name then: {', '.join(event.domains)}")
        if event.do in _GONE:
            for life in named:
                self._moment.names.discard(life.domain.name)
                self._become(life.position, None, event.at)
            return
        if event.do == "rename":
            self._check_new_name(event, "to", event.to, named)
        deed, whom = DEEDS[event.do]
        changed = [after for after in (deed(life, event, self._moment) for life in named) if after is not None]
        if not changed:
            raise self._mistake(event, "do", f"{event.do} is for guests that {whom}, of {len(named)} named none is so")
        for after in changed:
            self._become(after.position, after, event.at)

    def _define(self, event: Event) -> None:
        if event.name in self._moment.names:
            raise self._mistake(event, "name", f"there is a guest called {event.name!r} then")
        self._moment.names.add(event.name)
        life = define(next(self._spares), event)
        self._become(life.position, life, event.at)

    def _check_new_name(self, event: Event, key: str, name: str, named: Sequence[Life]) -> None:
        if len(named) > 1:
            raise self._mistake(event, "domains", f"{len(named)} guests cannot have one name, {event.do} is for one")
        if name in self._moment.names:
            raise self._mistake(event, key, f"there is a guest called {name!r} then")

    def _become(self, position: int, life: Life | None, at: float) -> None:
        timeline = self._timelines[position]
        if timeline.times[-1] == at:
            timeline.lives[-1] = life
        else:
            timeline.times.append(at)
            timeline.lives.append(life)

    def _mistake(self, event: Event, key: str, why: str) -> UsageError:
        return self._script.mistake(f"{event.where}.{key}", why)
