"""The clocks that drive a fleet's values: one of each kind for each guest, all whole numbers of ticks of 1/1024 s.

A counter's clock never goes back. It runs with the time since the guest was started, faster and slower by turns where
the guest is busy by turns. A gauge's clock swings between 0 and a turn, 2**20 ticks.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from domstats.sources.sim.dice import Dice, Flags, Floats, Ints, Words
from domstats.sources.sim.flavours import Activity

EPOCH = 1_767_225_600
"""2026-01-01 00:00 UTC: guests were started before, those that are paused were paused then, and a clock of another
speed agrees with the real one at that moment."""
TURN_BITS = 20
TURN = 1 << TURN_BITS
"""Ticks of a turn, 1,024 s: counters have their rates per turn."""
_TICKS = 1024
"""Ticks of a second."""
_TURNS_MAX = 1 << 40
"""Turns that a clock can count in 64 bits."""
_REFRESH = 10
"""Seconds between two refreshes of a guest's memory statistics."""


_Which = slice | Ints
"""Of which guests: positions, or a slice."""
_ALL = slice(None)


class Clock(IntEnum):
    """The clocks of a guest."""

    UP = 0
    """Runs evenly while the guest runs."""
    CPU = 1
    CPU_TICKS = 2
    """As CPU, for counters that move in steps of 10 ms: the kernel's clock ticks."""
    DISK = 3
    SECTORS = 4
    """As DISK, for counters that move in steps of 512 bytes."""
    NET = 5
    USED = 6
    """A gauge's: how much memory the guest uses."""
    FREE = 7
    """The opposite of USED."""
    REFRESH = 8
    """When the memory statistics were last refreshed: ticks since the epoch. With a rate of 1,024 it gives seconds."""
    FLICKER = 9
    """Goes from 0 to 1,023 ticks every few seconds, for what is true at times: with a rate of 1,024 + n, n below 1,024,
    a value is 0 at first and 1 at the end; the larger n, the longer."""
    FLICKER_BACK = 10
    """The opposite of FLICKER."""


UNITS = {Clock.CPU_TICKS: 10_000_000, Clock.SECTORS: 512}
"""What one step of a counter on that clock means; 1 on the others."""


class Clocks:
    """The clocks of a fleet's guests."""

    def __init__(self, dice: Dice, activities: Sequence[Activity], paused: Flags) -> None:
        """`activities`: of each guest. `paused`: whose clocks stand where they stood at EPOCH."""
        scale = dice.between("uptime.scale", 0, 13)
        seconds = dice.between("uptime", 600 << scale, (1200 << scale) - 1)  # ten minutes to four months
        self._boot = EPOCH * _TICKS - seconds * _TICKS
        self._paused = paused
        self._last = np.full(len(paused), _TURNS_MAX << TURN_BITS)
        swing = np.array([each.swing for each in activities], np.int64)
        busy_io = np.minimum(swing + 150, 1000)  # requests come in bursts more than work does
        self._waves = {
            Clock.CPU: _Wave(dice, "cpu", swing),
            Clock.DISK: _Wave(dice, "disk", busy_io),
            Clock.NET: _Wave(dice, "net", busy_io),
            Clock.USED: _Wave(dice, "memory", np.zeros_like(swing)),
        }
        self._flicker_step = dice.between("flicker.step", 60, 400) * 2 + 1
        self._flicker_phase = dice.between("flicker.phase", 0, TURN - 1)

    def end_at(self, fastest: Ints) -> None:
        """Let each guest's clocks stand still before a counter of this many a turn leaves 64 bits."""
        turns = np.iinfo(np.int64).max // np.maximum(fastest, 1)
        self._last = np.minimum(turns, _TURNS_MAX) << TURN_BITS

    def read(self, now: float, guests: Ints | None = None) -> tuple[Words, Words]:
        """All clocks at that time (seconds since the epoch): their turns, and the ticks beyond.

        Both have the clocks of a guest together, in the order of Clock. `guests`: the positions of those whose clocks
        are wanted, those of the others are 0; of all if None.
        """
        if guests is None:
            return self._read(np.where(self._paused, EPOCH * _TICKS, int(now * _TICKS)))
        both = np.zeros((2, len(self._paused), len(Clock)), np.uint64)
        some = self._read(np.where(self._paused[guests], EPOCH * _TICKS, int(now * _TICKS)), guests)
        both[:, guests] = np.reshape(some, (2, len(guests), len(Clock)))
        return both[0].reshape(-1), both[1].reshape(-1)

    def read_each(self, times: Floats) -> tuple[Words, Words]:
        """The clocks as of `read`, each guest's at a time of its own, whether it is paused or not."""
        return self._read((times * _TICKS).astype(np.int64))

    def _read(self, ticks: Ints, of: _Which = _ALL) -> tuple[Words, Words]:
        boot = self._boot[of]
        up = np.clip(ticks - boot, 0, self._last[of])
        clocks = np.empty((len(up), len(Clock)), np.int64)
        clocks[:, Clock.UP] = up
        for clock in (Clock.CPU, Clock.DISK, Clock.NET):
            clocks[:, clock] = self._waves[clock].warp(up, of)
        clocks[:, Clock.CPU_TICKS] = clocks[:, Clock.CPU]
        clocks[:, Clock.SECTORS] = clocks[:, Clock.DISK]
        clocks[:, Clock.USED] = self._waves[Clock.USED].level(up, of)
        clocks[:, Clock.FREE] = TURN - 1 - clocks[:, Clock.USED]
        alive = (boot + up) // _TICKS
        clocks[:, Clock.REFRESH] = (alive - alive % _REFRESH) * _TICKS
        clocks[:, Clock.FLICKER] = (up * self._flicker_step[of] + self._flicker_phase[of]) % TURN >> 10
        clocks[:, Clock.FLICKER_BACK] = 1023 - clocks[:, Clock.FLICKER]
        flat = clocks.reshape(-1).view(np.uint64)
        return flat >> np.uint64(TURN_BITS), flat & np.uint64(TURN - 1)


class _Wave:
    """A wave of two arches, one up and one down; whole numbers all the way, so that it is the same on every machine."""

    def __init__(self, dice: Dice, name: str, swing: Ints) -> None:
        self._half = dice.between(f"wave.{name}.half", 150 * _TICKS, 900 * _TICKS)
        self._phase = dice.between(f"wave.{name}.phase", 0, 2 * self._half - 1)
        self._swing = swing
        self._start = self._offset(self._phase, _ALL)

    def warp(self, up: Ints, of: _Which) -> Ints:
        """A clock that runs between 1 - swing/1024 and 1 + swing/1024 as fast; from 0, and never back."""
        since = up + self._phase[of]
        return up + self._offset(since, of) - self._start[of]

    def level(self, up: Ints, of: _Which) -> Ints:
        """A gauge's clock."""
        arch, sign = self._arch(up + self._phase[of], of)
        level: Ints = TURN // 2 + sign * (arch * (2 * TURN) // self._half[of] ** 2)
        return np.minimum(level, TURN - 1)

    def _offset(self, ticks: Ints, of: _Which) -> Ints:
        arch, sign = self._arch(ticks, of)
        return sign * (arch * self._swing[of] // (self._half[of] * 1024))

    def _arch(self, ticks: Ints, of: _Which) -> tuple[Ints, Ints]:
        """x * (half - x), whose slope is half at its beginning and -half at its end; and whether it is up or down."""
        half = self._half[of]
        x = ticks % (2 * half)
        down = x >= half
        x -= half * down
        return x * (half - x), 1 - 2 * down.astype(np.int64)
