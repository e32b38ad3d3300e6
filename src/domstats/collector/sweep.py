"""One sweep: the groups that need the monitor, of many domains, in slices over several connections.

A slice whose reply is late holds a guest that does not answer. libvirt's control info names it without waiting for
anybody, and the others of the slice are asked again on another connection, in the same sweep.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from domstats.collector.lanes import HungCall, Lanes
from domstats.collector.slicing import halves
from domstats.errors import ConnectionLost, DeadlineExceeded, ReplyTooLarge
from domstats.model.domain import Domain
from domstats.model.snapshot import Snapshot
from domstats.sources import Source

LATE = 1.0
"""Seconds after which it is looked who holds a slice up, and how long a monitor must have been occupied to be to blame.
A healthy guest takes 20 ms."""
LOOK_AGAIN = 0.5
"""Seconds between two such looks."""
SHARE = 0.4
"""Part of the time left after which a slice is given up although nobody is found to blame."""
FOR_EVER = 86_400.0
"""Seconds. A call's own deadline would not end it in libvirtd: what bounds it is the sweep's, and the count of hung."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A slice's reply."""

    asked: Sequence[Domain]
    snapshot: Snapshot
    seconds: float
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """How a sweep asks, and whom it tells."""

    ask: Callable[[Source, Sequence[Domain]], Awaitable[Snapshot]]
    occupied: Callable[[Sequence[Domain], float], Awaitable[list[Domain]]]
    """Those whose monitor has been occupied for so many seconds; never waits for a guest."""
    answered: Callable[[Answer], None]
    hung: Callable[[HungCall], None]
    trusted: Callable[[Domain], bool]
    """Whether the guest answered the last time it was asked."""


@dataclass
class Sweep:
    """Asks once; made anew for each sweep."""

    lanes: Lanes
    asking: Asking
    lost: list[Domain] = field(default_factory=list)
    """Those that were not asked, or whose reply did not come, for a reason that is not theirs."""
    _queue: deque[list[Domain]] = field(default_factory=deque)
    _ends: float = 0.0

    async def run(self, slices: Sequence[list[Domain]], seconds: float, *, spread: float = 0.0) -> None:
        """Ask them all, for at most so many seconds. `spread`: seconds over which the slices begin, evenly."""
        loop = asyncio.get_running_loop()
        self._ends = loop.time() + seconds
        self._queue.extend(slices)
        pause = spread * self.lanes.width / len(slices) if slices else 0.0
        workers = [asyncio.create_task(self._work(pause)) for _ in range(min(self.lanes.width, len(slices)))]
        try:
            with suppress(TimeoutError):  # what was not reached is lost
                async with asyncio.timeout_at(self._ends):
                    await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        for left in self._queue:
            self.lost.extend(left)

    async def _work(self, pause: float) -> None:
        while self._queue:
            chosen = self._queue.popleft()
            if self.lanes.spent:
                self.lost.extend(domain for domain in chosen if not self.asking.trusted(domain))
                chosen = [domain for domain in chosen if self.asking.trusted(domain)]
            if not chosen:
                continue
            try:
                await self._ask(chosen)
            except (ConnectionLost, asyncio.CancelledError) as error:
                self.lost.extend(chosen)
                if isinstance(error, asyncio.CancelledError):
                    raise
            if pause and self._queue:
                await asyncio.sleep(pause)

    async def _ask(self, chosen: list[Domain]) -> None:
        source = await self.lanes.take()
        loop = asyncio.get_running_loop()
        began, received = loop.time(), source.received
        task = asyncio.ensure_future(self.asking.ask(source, chosen))
        try:
            suspects = await self._wait(task, chosen)
        except BaseException:  # the sweep is over, or looking failed: the call goes on all the same
            self._leave(task, source, [])
            raise
        if suspects is None:
            self.lanes.give(source)
            self._take_reply(task, chosen, loop.time() - began, source.received - received)
        else:
            self._leave(task, source, suspects or (chosen if len(chosen) == 1 else []))
            blamed = {domain.uuid for domain in suspects}
            rest = [domain for domain in chosen if domain.uuid not in blamed]
            if blamed and rest:
                self._queue.appendleft(rest)
            elif len(rest) > 1:
                self._queue.extendleft(halves(rest))

    async def _wait(self, task: asyncio.Future[Snapshot], chosen: list[Domain]) -> list[Domain] | None:
        """None when the reply (or an error) has come; else who is stuck, or nobody when the slice's share is over."""
        loop = asyncio.get_running_loop()
        gives_up = loop.time() + max(LATE + LOOK_AGAIN, SHARE * (self._ends - loop.time()))
        patience = LATE
        while not (await asyncio.wait([task], timeout=patience))[0]:
            stuck = await self.asking.occupied(chosen, LATE)
            if not task.done() and (stuck or loop.time() >= gives_up):
                return stuck
            patience = LOOK_AGAIN
        return None

    def _leave(self, task: asyncio.Future[Snapshot], source: Source, suspects: Sequence[Domain]) -> None:
        """The call is late: count it, and go on without its connection."""
        if task.done():
            task.exception()  # looked at, so that nobody complains; the sweep is over
            self.lanes.give(source)
            return
        call = HungCall(task, source, suspects)
        self.lanes.hang(call)
        self.asking.hung(call)

    def _take_reply(self, task: asyncio.Future[Snapshot], chosen: list[Domain], seconds: float, size: int) -> None:
        try:
            self.asking.answered(Answer(chosen, task.result(), seconds, size))
        except ReplyTooLarge:
            if len(chosen) > 1:
                self._queue.extendleft(halves(chosen))
            else:
                self.lost.extend(chosen)
        except DeadlineExceeded:
            self.lost.extend(chosen)
