"""How the host's clock stands against one that nobody sets.

A clock is set now and then: by chrony when it is far off, by an administrator, when a virtual machine is woken. The
difference of two of its readings is then not the time that has passed between them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LEAST_STEP = 0.001
"""Seconds by which the clock must have been set. The two clocks cannot be read at one moment: a thread that has to wait
in between reads them some microseconds apart."""
_READINGS = 3


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Offset:
    """Seconds by which a clock is ahead of the time since the host was booted (CLOCK_BOOTTIME, clock_gettime(2)).

    It stays the same, bit for bit, until the clock is set: both are slewed alike, and both go on while the host sleeps.
    """

    def __init__(self, clock: Callable[[], float] = time.time, steady: Callable[[], float] = _since_boot) -> None:
        """`steady`: what `clock` is compared with."""
        self._clock, self._steady = clock, steady
        self._last = self._read()

    def __call__(self) -> float:
        """How many seconds it is now."""
        now = self._read()
        if abs(now - self._last) >= LEAST_STEP:
            self._last = now
        return self._last

    def _read(self) -> float:
        readings = (self._read_once() for _ in range(_READINGS))
        return min(readings)[1]

    def _read_once(self) -> tuple[float, float]:
        """How long it took, and what came of it."""
        before, time, after = self._steady(), self._clock(), self._steady()
        return after - before, time - (before + after) / 2


HOST = Offset()
"""Of this host's clock; one for all that is sampled here, so that all of it can be compared."""
