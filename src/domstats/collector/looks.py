"""Looks at who is there: one at a time, and not too many, however many want one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

from domstats.collector.tasks import Tasks


class Looks:
    """The looks at one host. All go on, whoever stops waiting for them."""

    def __init__(self, tasks: Tasks, look: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._tasks, self._look = tasks, look
        self._last: asyncio.Task[None] | None = None
        """There is one at a time, and nothing is published in the middle of one that is quick."""
        self._coming: set[asyncio.Task[None]] = set()
        """Questions to those who have come."""
        self._begun = 0
        """How many there have been."""
        self._began = -math.inf
        """The loop's time when the last one began."""
        self.seconds = 0.0
        """That the last one took."""

    @property
    def under_way(self) -> bool:
        """Whether there is a look now."""
        return self._last is not None and not self._last.done()

    async def within(self, seconds: float) -> None:
        """Wait for the look under way, or for one that begins now, and for what those say who have come.

        No longer than so many seconds.
        """
        if not self.under_way:
            self._begun, self._began = self._begun + 1, _now()
            self._last = self._tasks.begin(self._timed())
        await self.finish(seconds)

    async def finish(self, seconds: float) -> None:
        """The same without another look."""
        ends = _now() + seconds
        if self._last is not None:
            await asyncio.wait([self._last], timeout=seconds)
        if self._coming:
            await asyncio.wait(self._coming, timeout=ends - _now())

    async def anew(self, seconds: float, pause: float, enough: Callable[[], bool]) -> bool:
        """Wait for a look that begins from now on, so many seconds (`pause`) after the last one began at the soonest.

        It is over when that was waited for, or when what is known is `enough` without it. False, at once, where the
        pause ends later than in so many seconds.
        """
        ends, before = _now() + seconds, self._begun
        if not enough() and self.under_way:
            await self.finish(seconds)
        if enough():
            return True
        if self._began + pause > ends:
            return False
        await asyncio.sleep(self._began + pause - _now())
        look = self.within if self._begun == before else self.finish
        await look(ends - _now())
        return True

    def wait_for(self, newcomers: asyncio.Task[None]) -> None:
        """Have those waited for, too, who have come."""
        self._coming.add(newcomers)
        newcomers.add_done_callback(self._coming.discard)

    async def _timed(self) -> None:
        await self._look()
        self.seconds = _now() - self._began


def _now() -> float:
    return asyncio.get_running_loop().time()
