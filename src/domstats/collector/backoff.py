"""When to try again what has failed: soon at first, later and later, and never in step with others."""

from __future__ import annotations

import random

FIRST, LONGEST = 0.25, 30.0
"""Seconds. A libvirtd that is restarted is back in less than one."""


class BackOff:
    """Each delay is twice the one before, give or take half of it, so that many clients do not come at once."""

    def __init__(self, chance: random.Random | None = None) -> None:
        """`chance`: where the differences come from."""
        self._chance = chance or random.Random()
        self._next = FIRST

    def delay(self) -> float:
        """Seconds to wait before trying again."""
        delay = self._next
        self._next = min(2 * self._next, LONGEST)
        return delay * self._chance.uniform(0.5, 1.5)

    def reset(self) -> None:
        """It has worked."""
        self._next = FIRST
