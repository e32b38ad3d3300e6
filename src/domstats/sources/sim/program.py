"""How a fleet's values are worked out: one formula for every value, evaluated for many at a time.

    value = unit * (base + rate * clock)      the clock counted in turns, the product rounded down

A constant has rate 0; a counter's clock never goes back, so neither does the counter; a gauge's clock swings. Products
are exact: a clock is split into turns and ticks of a turn, so nothing leaves
64 bits and nothing passes through a float.
It takes 20 bytes a value for the formulas; evaluating takes 8 bytes a value for the result and a fixed amount beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domstats.errors import UsageError
from domstats.sources.sim.clocks import TURN_BITS, UNITS, Clock
from domstats.sources.sim.dice import Ints, Words
from domstats.sources.sim.keys import BESIDE, RECORD, Section

Chosen = npt.NDArray[np.int32]
"""Positions among a fleet's values."""

VALUES_MAX = 1 << 25
"""Values of a fleet: 100,000 guests of the usual sizes have 19 million; this many take 0.7 GB, and 0.3 GB a poll."""
_BLOCK = 1 << 15
"""Values worked out together: the temporary arrays of a block stay in the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Devices:
    """All devices a section has in the fleet (of a section without devices, all guests that have it)."""

    section: Section
    owner: Ints
    """Position of each one's guest."""
    number: Ints
    """Which of its guest's it is, from 0."""
    first: Ints
    """Where its values begin."""


class Program:
    """The formulas of a fleet. Values stand by guest: all guests' records first, then what stands beside them."""

    def __init__(self, counts: Mapping[str, Ints]) -> None:
        """`counts`: for each of keys.COUNTS, that of each guest. Raises UsageError for more than VALUES_MAX values."""
        self._counts = counts
        self.guests = len(counts["all"])
        self._starts: dict[Section, Ints] = {}
        first = 0
        for region in (RECORD, BESIDE):
            first = self._place(region, first)
            if region is RECORD:
                self.size = first
                """Number of values in all records; those beside not counted."""
        self.fastest: Ints = np.zeros(self.guests, np.int64)
        """The largest growth in a turn among the values of each guest."""
        self._base = np.zeros(first, np.uint64)
        self._rate = np.zeros(first, np.uint64)
        self._clock = np.zeros(first, np.uint32)
        unit = np.array([UNITS.get(clock, 1) for clock in Clock], np.uint64)
        self._unit: Words = np.tile(unit, self.guests)

    def _place(self, region: tuple[Section, ...], first: int) -> int:
        """Set where the sections of the region begin, the guests one behind the other; give the region's end."""
        widths = {section: self._counts[section.count] * len(section.params) for section in region}
        rows = sum(widths.values(), start=np.zeros(self.guests, np.int64))
        end = first + int(rows.sum())
        if end > VALUES_MAX:
            raise UsageError(f"these guests have {end:,} values together, {VALUES_MAX:,} can be simulated; take fewer")
        at = first + np.cumsum(rows) - rows
        for section, width in widths.items():
            self._starts[section] = at
            at = at + width
        return end

    def starts(self) -> tuple[Ints, Ints]:
        """Where each guest's record begins, and where what stands beside it."""
        return self._starts[RECORD[0]], self._starts[BESIDE[0]]

    def section_starts(self, section: Section) -> Ints:
        """Where that section of each guest begins."""
        return self._starts[section]

    def devices(self, section: Section) -> Devices:
        """All devices of that section, by guest."""
        count = self._counts[section.count]
        owner = np.repeat(np.arange(self.guests), count)
        number = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
        first = self._starts[section][owner] + number * len(section.params)
        return Devices(section, owner, number, first)

    def put(self, devices: Devices, tail: str, base: int | Ints, rate: int | Ints = 0, clock: Clock = Clock.UP) -> None:
        """Set the formula of one parameter of all devices; `base` and `rate` are one for all, or one for each."""
        at = devices.first + devices.section.offset(tail)
        self._base[at] = base
        self._rate[at] = rate
        self._clock[at] = devices.owner * len(Clock) + clock
        np.maximum.at(self.fastest, devices.owner, rate * UNITS.get(clock, 1))

    def evaluate(self, turns: Words, ticks: Words, chosen: Chosen | None) -> Words:
        """The values at `chosen`, or those of all records, with the clocks standing as Clocks.read gives them."""
        size = self.size if chosen is None else len(chosen)
        values = np.empty(size, np.uint64)
        for first in range(0, size, _BLOCK):
            block = slice(first, min(first + _BLOCK, size))
            where = block if chosen is None else chosen[block]
            rate, clock = self._rate[where], self._clock[where]
            growth = rate * ticks[clock]
            growth >>= np.uint64(TURN_BITS)
            growth += rate * turns[clock]
            growth += self._base[where]
            growth *= self._unit[clock]
            values[block] = growth
        return values
