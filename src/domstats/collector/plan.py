"""How often a collector asks for what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domstats.catalog.groups import GROUP_NAMES, GROUPS, group_bits
from domstats.collector.board import FREE, MONITOR
from domstats.collector.round import EVERY_BIT, KNOWN
from domstats.errors import UsageError

FREE_PERIOD, MONITOR_PERIOD = 2.0, 15.0
"""Seconds. Groups that need no guest cost libvirtd 30 ms for 1,000 guests, the others 6 s."""
KERNEL, KERNEL_PERIOD = "kernel", 1.0
"""In the place of a group's name: what this host's kernel gives, of whatever group; and its seconds."""
SHARE = 0.2
"""Part of libvirtd's time that a collector may take."""
LEAST_PERIOD = 0.1


@dataclass(frozen=True, slots=True)
class Pace:
    """Groups that are asked for together."""

    groups: int
    """Bits, as the call takes them."""
    period: float
    """Seconds from one time to the next, at least."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for, and how often."""

    free: Pace
    """The groups that need no guest; they are asked for at once, of all domains."""
    guests: tuple[Pace, ...]
    """The others, by their periods."""
    share: float
    """Part of libvirtd's time that these may take: a period is longer where its sweep takes more."""
    kernel: float = KERNEL_PERIOD
    """Seconds from one look at what the host's kernel gives to the next, where it gives anything."""

    @property
    def period(self) -> float:
        """Seconds from one snapshot to the next."""
        return min(self.free.period, *(pace.period for pace in self.guests)) if self.guests else self.free.period

    def can_follow(self, before: Plan) -> bool:
        """Whether a collector can go on with it after that one: the same groups are asked for together.

        Those that need the guests must not be asked more often: a sweep under way is spread over all its period.
        """
        old = {pace.groups: pace.period for pace in before.guests}
        new = {pace.groups: pace.period for pace in self.guests}
        if self.free.groups != before.free.groups or new.keys() != old.keys():
            return False
        return all(new[groups] >= period for groups, period in old.items())

    @property
    def asked(self) -> int:
        """The bits of all known groups that are asked for."""
        return (self.free.groups | sum(pace.groups for pace in self.guests)) & KNOWN


def make_plan(groups: int, periods: Mapping[str, float], share: float = SHARE) -> Plan:
    """The plan for these groups (bits; 0 for all).

    `periods`: seconds, by the groups' names; for all others 2 s where no guest is needed, else 15 s. Groups that are
    not known come with those whose period is nearest to that, so that nobody is asked for them alone. By the name
    `kernel`: those of what the host's kernel gives, by default 1 s. Raises UnknownGroup, and UsageError for a period
    or a share that is none.
    """
    if not 0 < share <= 1:
        raise UsageError(f"a share is a number over 0, up to 1, not {share!r}")
    kernel = _checked(KERNEL, periods.get(KERNEL, KERNEL_PERIOD))
    periods = {name: seconds for name, seconds in periods.items() if name != KERNEL}
    wished = {group_bits(name): _checked(name, seconds) for name, seconds in periods.items()}
    asked = groups or EVERY_BIT
    for name, bit in zip(periods, wished, strict=True):
        if not asked & bit:
            raise UsageError(f"a period is given for the group {name!r}, which is not asked for")
    free = [wished.get(1 << group.bit, FREE_PERIOD) for group in GROUPS if asked & FREE & 1 << group.bit]
    by_period: dict[float, int] = {}
    for bit in (1 << number for number in range(EVERY_BIT.bit_length())):
        if asked & ~FREE & bit:
            known = by_period if bit > KNOWN else {}
            usual = min(known, key=lambda period: abs(period - MONITOR_PERIOD), default=MONITOR_PERIOD)
            period = wished.get(bit, usual)
            by_period[period] = by_period.get(period, 0) | bit
    return Plan(
        Pace(asked & FREE, min(free, default=FREE_PERIOD)),
        tuple(Pace(bits, period) for period, bits in sorted(by_period.items())),
        share,
        kernel,
    )


def _checked(name: str, seconds: float) -> float:
    if not isinstance(seconds, int | float) or not LEAST_PERIOD <= seconds < math.inf:
        raise UsageError(f"the period of {name!r} is a number of seconds, at least {LEAST_PERIOD}, not {seconds!r}")
    return float(seconds)


def by_group(free: float, guests: Mapping[int, float]) -> npt.NDArray[np.float64]:
    """Seconds for each of GROUP_NAMES, from those of the groups that need no guest and, by board mask, the others'."""
    seconds = np.full(len(GROUP_NAMES), free)
    for mask, period in guests.items():
        here = mask & MONITOR
        seconds[[index for index in range(len(GROUP_NAMES)) if here >> index & 1]] = period
    return seconds
