"""One sweep: the groups that need the monitor, of many domains, in slices over several connections.

A slice whose reply is late holds a guest that does not answer. libvirt's control info names it without waiting for
anybody, and the others of the slice are asked again on another connection, in the same sweep. The guest itself is asked
alone, with NOWAIT: since our late call holds its job, libvirt passes over what needs its answer, and gives the rest.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from domstats.collector.lanes import HungCall, Lanes
from domstats.collector.slicing import halves
from domstats.errors import (
    AccessDenied,
    ConnectError,
    ConnectionLost,
    DeadlineExceeded,
    DomstatsError,
    NoSupport,
    ProtocolError,
    RemoteError,
    ReplyTooLarge,
    StatsUnsupported,
)
from domstats.model.domain import Domain
from domstats.model.snapshot import Snapshot
from domstats.sources import Source

LATE = 1.0
"""Seconds after which it is looked who holds a slice up, and how long a monitor must have been occupied to be to blame.
A healthy guest takes 20 ms."""
LATE_SHARE = 0.2
"""Part of a sweep's time that this may be at most."""
SHARE = 0.4
"""Part of the time left after which a slice is given up although nobody is found to blame."""
SHARE_MAX = 5.0
"""Seconds that are enough for that, however much time is left."""
FAULTS_MAX = 16
"""Guests of which libvirt reports an error that are found by asking them one by one."""
FOR_EVER = 86_400.0
"""Seconds. A call's own deadline would not end it in libvirtd: what bounds it is the sweep's, and the count of hung."""

OF_THE_QUESTION = (NoSupport, AccessDenied, StatsUnsupported)
"""Errors that any guest would bring."""
UNREACHED = (ConnectionLost, ConnectError, DeadlineExceeded)
"""Errors that are not a guest's."""


def late_after(seconds: float) -> float:
    """Seconds after which something is late in a sweep that may take so many."""
    return min(LATE, LATE_SHARE * seconds)


@dataclass(frozen=True, slots=True)
class Slice:
    """Domains to be asked for in one call."""

    domains: list[Domain]
    nowait: bool = False
    """Whether to pass over a guest whose job somebody holds."""
    begins: float = 0.0
    """The loop's time before which it is not asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A slice's reply."""

    slice: Slice
    snapshot: Snapshot
    began: float
    """The loop's time when it was asked for."""
    seconds: float
    """That the answer took."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """How a sweep asks, and whom it tells."""

    ask: Callable[[Source, Slice], Awaitable[Snapshot]]
    occupied: Callable[[Sequence[Domain], float], Awaitable[list[Domain]]]
    """Those whose monitor or job has been occupied for so many seconds; never waits for a guest."""
    answered: Callable[[Answer], None]
    failed: Callable[[Sequence[Domain], DomstatsError], None]
    """libvirt has an error to report of them."""
    able: Callable[[Sequence[Domain], float], Awaitable[list[Domain]]]
    """Those who may be able to answer: not those whose process has been stopped since the sweep began, as far as that
    can be seen in so many seconds, or on whom another sweep's call hangs."""
    hung: Callable[[HungCall], None]
    slow: Callable[[int], None]
    """So many took too long together, and none of them seems to be to blame."""
    trusted: Callable[[Domain], bool]
    """Whether the guest answered the last time it was asked."""


@dataclass
class Sweep:
    """Asks once; made anew for each sweep."""

    lanes: Lanes
    asking: Asking
    lost: list[Domain] = field(default_factory=list)
    """Those that were not asked, or whose reply did not come, for a reason that is not theirs."""
    seconds: float = 0.0
    """In which calls were under way."""
    _queue: deque[Slice] = field(default_factory=deque)
    _ends: float = 0.0
    _late: float = LATE
    _answers: int = 0
    _faults: list[DomstatsError] = field(default_factory=list)

    async def run(
        self, slices: Sequence[Slice], seconds: float, *, spread: float = 0.0, looks: Sequence[Slice] = ()
    ) -> None:
        """Ask them all, for at most so many seconds. `spread`: seconds over which the slices begin, evenly, the last at
        their end. `looks`: what is asked at once, so that it moves nobody else's time.

        Raises what libvirt reports of the question itself, or of every guest.
        """
        clock = asyncio.get_running_loop().time
        now = clock()
        self._ends = now + seconds
        self._late = late_after(seconds)
        self._queue.extend(looks)
        for number, each in enumerate(slices):
            self._queue.append(Slice(each.domains, each.nowait, now + (number + 1) * spread / len(slices)))
        running: set[asyncio.Task[None]] = set()
        try:
            with suppress(TimeoutError):  # what was not reached is lost
                async with asyncio.timeout_at(self._ends):
                    await self._run(running)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            self.seconds += clock() - now
        for left in self._queue:
            self.lost.extend(left.domains)
        if self._faults and not self._answers:
            raise self._faults[-1]

    async def _run(self, running: set[asyncio.Task[None]]) -> None:
        """Keep as many slices under way as there are lanes, each from its time on."""
        now = asyncio.get_running_loop().time
        while self._queue or running:
            wait = None
            if self._queue and len(running) < self.lanes.width:
                wait = self._queue[0].begins - now()
                if wait <= 0:
                    running.add(asyncio.create_task(self._take(self._queue.popleft())))
                    continue
            if running:
                done, _ = await asyncio.wait(running, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                running -= done
                errors = [error for task in done if (error := task.exception()) is not None]
                if errors:
                    raise errors[0]
            else:
                self.seconds -= wait or 0.0
                await asyncio.sleep(wait or 0.0)

    async def _take(self, chosen: Slice) -> None:
        async with self.lanes.turns.of(chosen.domains):
            await self._take_turn(chosen)

    async def _take_turn(self, chosen: Slice) -> None:
        if self.lanes.full:
            self.lost.extend(chosen.domains)
            return
        try:
            chosen = chosen if chosen.nowait else Slice(await self.asking.able(chosen.domains, self._late))
        except asyncio.CancelledError:
            self.lost.extend(chosen.domains)
            raise
        if self.lanes.spent and not chosen.nowait:
            self.lost.extend(domain for domain in chosen.domains if not self.asking.trusted(domain))
            chosen = Slice([domain for domain in chosen.domains if self.asking.trusted(domain)])
        if not chosen.domains:
            return
        try:
            await self._ask(chosen)
        except UNREACHED:
            self.lost.extend(chosen.domains)
        except asyncio.CancelledError:
            self.lost.extend(chosen.domains)
            raise

    async def _ask(self, chosen: Slice) -> None:
        source = await self.lanes.take()
        now = asyncio.get_running_loop().time
        began, received = now(), source.received
        task = asyncio.ensure_future(self.asking.ask(source, chosen))
        try:
            suspects = await self._wait(task, chosen.domains)
        except BaseException:  # the sweep is over, or looking failed: the call goes on all the same
            alone = len(chosen.domains) == 1 and now() - began > self._late
            self._leave(task, source, chosen.domains if alone else [])
            raise
        if suspects is None:
            self.lanes.give(source)
            self._take_reply(task, chosen, began, source.received - received)
        else:
            self._leave(task, source, suspects or (chosen.domains if len(chosen.domains) == 1 else []))
            if not suspects and len(chosen.domains) > 1:
                self.asking.slow(len(chosen.domains))
            self._rescue(chosen, {domain.uuid for domain in suspects})

    async def _wait(self, task: asyncio.Future[Snapshot], chosen: Sequence[Domain]) -> list[Domain] | None:
        """None when the reply (or an error) has come; else who is stuck, or nobody when the slice's share is over."""
        now = asyncio.get_running_loop().time
        patience = self._late
        gives_up = now() + max(1.5 * patience, min(SHARE_MAX, SHARE * (self._ends - now())))
        while not (await asyncio.wait([task], timeout=patience))[0]:
            stuck: list[Domain] = []
            with suppress(*UNREACHED):
                stuck = await self.asking.occupied(chosen, self._late)
            if not task.done() and (stuck or now() >= gives_up):
                return stuck
            patience = self._late / 2
        return None

    def _leave(self, task: asyncio.Future[Snapshot], source: Source, suspects: Sequence[Domain]) -> None:
        """The call is late: count it, and go on without its connection."""
        if task.done():
            if not task.cancelled():
                task.exception()  # looked at, so that nobody complains; the sweep is over
            self.lanes.give(source)
            return
        call = HungCall(task, source, suspects)
        self.lanes.hang(call)
        self.asking.hung(call)

    def _rescue(self, chosen: Slice, blamed: set[str]) -> None:
        """Ask again for those of a slice who are not to blame, before all others; who is to blame gives what it can."""
        rest = [domain for domain in chosen.domains if domain.uuid not in blamed]
        if len(chosen.domains) == 1:
            blamed, rest = {chosen.domains[0].uuid}, []
        for half in halves(rest):  # so that further stuck guests are found side by side
            self._queue.appendleft(Slice(half))
        if not chosen.nowait:
            for domain in chosen.domains:
                if domain.uuid in blamed:
                    self._queue.appendleft(Slice([domain], nowait=True))

    def _take_reply(self, task: asyncio.Future[Snapshot], chosen: Slice, began: float, size: int) -> None:
        seconds = asyncio.get_running_loop().time() - began
        try:
            self.asking.answered(Answer(chosen, task.result(), began, seconds, size))
            self._answers += 1
        except ReplyTooLarge:
            if len(chosen.domains) == 1:
                self.lost.extend(chosen.domains)
            self._divide(chosen)
        except OF_THE_QUESTION:
            raise
        except (RemoteError, ProtocolError) as error:
            if len(chosen.domains) == 1 or len(self._faults) >= FAULTS_MAX:
                self._faults.append(error)
                self.asking.failed(chosen.domains, error)
            else:
                self._divide(chosen)

    def _divide(self, chosen: Slice) -> None:
        if len(chosen.domains) > 1:
            self._queue.extendleft(Slice(half, chosen.nowait) for half in halves(chosen.domains))
