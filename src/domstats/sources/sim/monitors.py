"""Who waits for whom at a scripted host: one call at a time holds a guest's job, and some guests do not answer."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable

from domstats.sources.sim.history import History
from domstats.sources.sim.life import Life

JOB_WAIT = 30.0
"""Seconds libvirt's qemu driver waits for a guest's job."""
_MOMENT = 1e-6
"""Least seconds that are slept: of less the event loop makes nothing, and the clock that is waited for stands still."""


class Monitors:
    """The monitors of a host's guests, which calls for statistics visit as libvirt's do."""

    def __init__(self, history: History, now: Callable[[], float]) -> None:
        """`now` gives the script time."""
        self._history, self._now = history, now
        self._jobs: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._entered: dict[int, float] = {}

    async def visit(self, position: int, *, nowait: bool) -> bool:
        """Ask a guest, and wait for its answer; False if its job could not be had.

        It waits for as long as it takes once it has the job, and with `nowait` not at all for the job.
        """
        if self._at_once(position):
            return True
        if not await self._take_job(position, nowait=nowait):
            return False
        try:
            await self._ask(position)
        finally:
            self._jobs[position].release()
        return True

    def occupied(self, position: int) -> float | None:
        """For how many seconds a call has waited for the guest's answer; None when none does."""
        entered = self._entered.get(position)
        return None if entered is None else self._now() - entered

    def has_job(self, position: int) -> float | None:
        """For how many seconds another job than a call for statistics has held the guest; None when none does."""
        life = self._life(position)
        return self._now() - self._history.began(position, self._now()) if life and life.busy else None

    def _life(self, position: int) -> Life | None:
        return self._history.life(position, self._now())

    def _at_once(self, position: int) -> bool:
        life = self._life(position)
        if life is None or not life.active:
            return True
        return not (life.hung or life.slow or life.busy or self._jobs[position].locked())

    async def _take_job(self, position: int, *, nowait: bool) -> bool:
        job = self._jobs[position]
        life = self._life(position)
        if nowait and (job.locked() or (life and life.busy)):
            return False
        try:
            async with asyncio.timeout(JOB_WAIT):
                await job.acquire()
                try:
                    await self._until(position, lambda life: not life.busy)
                except asyncio.CancelledError:
                    job.release()
                    raise
        except TimeoutError:
            return False
        return True

    async def _ask(self, position: int) -> None:
        self._entered[position] = began = self._now()
        try:
            await self._until(position, lambda life: not life.hung and self._now() >= began + life.slow, began)
        finally:
            del self._entered[position]

    async def _until(self, position: int, passes: Callable[[Life], bool], began: float | None = None) -> None:
        """Wait until the guest lets pass, or is off or gone; `began`: when a visit began that may be slow."""
        while (life := self._life(position)) and life.active and not passes(life):
            now = self._now()
            ends = self._history.ends(position, now)
            if began is not None and now < began + life.slow and not life.hung:
                ends = min(ends, began + life.slow)
            await asyncio.sleep(max(ends - now, _MOMENT))
