"""The collector: asks one host again and again by a plan, and always has what is known, with its age.

What the host's kernel says of the guests is laid over what libvirt says, see `overlay`: it is asked before a snapshot
is published, and makes those more frequent.

Its tasks: `_stay_connected` opens the connection anew whenever it is lost; `_tick` asks who is there and publishes a
snapshot, every period, whatever has come, and `_look_on_events` asks in between; a `_sweep` for each pace of the plan
asks the guests; the describer reads what definitions say. All of them write on one board.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from domstats.collector.backoff import BackOff
from domstats.collector.board import Board, Picture
from domstats.collector.cost import Cost
from domstats.collector.describer import Describer
from domstats.collector.looks import Looks
from domstats.collector.plan import Plan, by_group
from domstats.collector.reach import OPENING, Reach
from domstats.collector.round import GuestCall, Question, RollCall
from domstats.collector.sweep import UNREACHED
from domstats.collector.tasks import Tasks
from domstats.errors import DomstatsError, UsageError
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter
from domstats.model.sampling import COLUMN_NAMES
from domstats.model.snapshot import Snapshot
from domstats.sources import DomainEvent, OnDomainEvent, Source

SWEEP_MAX = 300.0
"""Seconds that a sweep may take beyond those it is spread over: what has not come then waits for the next."""
SLACK = 1.25
"""A sweep is spread over its period but for so many times what it takes, so that the next can begin on time."""
LOOK_PAUSE = 0.25
"""Least seconds between two roll calls, however many events come, and however many want to know."""

_log = logging.getLogger(__name__)


class Collector:
    """What is known of one host, kept up to date. Made by `domstats.collect`.

    Iteration gives a snapshot every period, and one more when all guests have been asked for the first time, or again
    after the connection was lost, or when somebody had the host asked in between (`refresh`); who takes longer than
    that misses some. It ends when the collector is closed.
    """

    def __init__(
        self, reach: Reach, plan: Plan, deadline: float, flags: DomainFilter, wanted: Callable[[Domain], bool]
    ) -> None:
        """`deadline`: seconds that a sample may be late before its record is stale. Use `domstats.collect`."""
        self.plan = plan
        self.latest: Snapshot
        """All that is known, as of the last period; every domain has a record. Reading it waits for nothing."""
        self.trouble: DomstatsError | None = None
        """Why the host could not be asked the last time, if it could not."""
        self.deadline = deadline
        """Seconds beyond its period after which a group is so late that its record is stale."""
        self._reach = reach
        self._board = Board(wanted)
        self._roll = RollCall(reach, self._board, plan.free.groups, flags & ~DomainFilter.ENFORCE)
        self._guests = [GuestCall(reach, self._board, pace.groups, flags) for pace in plan.guests]
        self._periods = {call.mask: pace.period for call, pace in zip(self._guests, plan.guests, strict=True)}
        self._describer = Describer(reach, self._board)
        self._again: dict[int, float] = {}
        """The loop's time before which `refresh` does not ask for these groups again, by the calls' masks."""
        self._questions: dict[tuple[int, DomainFilter], Question] = {}
        self._picture: Picture = ()
        self._changed = asyncio.Event()
        """Something has happened to a domain that the next roll call will show."""
        self._back = asyncio.Event()
        """Set, and replaced by another, when the connection was lost and is there again."""
        self._published = asyncio.Event()
        """Set, and replaced by another, with each snapshot."""
        self._listeners: list[OnDomainEvent] = []
        self.events = self.shown = 0
        """How many lifecycle events the host has told of, and how many of them `latest` shows."""
        self._looked = 0
        """How many of them came before the last roll call began."""
        self._refreshing: dict[bool, asyncio.Task[None]] = {}
        """What `refresh` has begun last, by whether guests are asked: that may take longer."""
        self._tasks = Tasks(lambda: self._published.set())
        self._looks = Looks(self._tasks, partial(self._try, self._look))
        self._closed = False

    @property
    def uri(self) -> str:
        """The URI the host was reached by."""
        return self._reach.uri

    def clock(self) -> float:
        """The host's time, in seconds since the epoch: that of snapshots and samples."""
        return self._reach.clock()

    def offset(self) -> float | None:
        """Seconds by which `clock` is ahead of one that is never set; None where that is not known."""
        return self._reach.offset()

    @property
    def speed(self) -> float:
        """Seconds that pass on `clock` in a real one."""
        return self._reach.speed

    @property
    def guests_period(self) -> float:
        """Seconds between two samples of a guest, of the groups that are sampled least often."""
        return max(self._periods.values(), default=self.plan.free.period)

    @property
    def periods(self) -> npt.NDArray[np.float64]:
        """Seconds between two samples, of each of COLUMN_NAMES."""
        groups = by_group(self.plan.free.period, self._periods)
        return np.concatenate((groups, np.maximum(groups, self.plan.kernel)))

    @property
    def cost(self) -> Cost:
        """What collecting has cost so far."""
        return self._reach.cost

    @property
    def progress(self) -> tuple[int, int]:
        """How many guests the sweeps under way (or the last ones) have heard, and how many they ask."""
        return sum(call.heard for call in self._guests), sum(call.asked for call in self._guests)

    @property
    def swept(self) -> bool:
        """Whether every guest has been asked once, as far as they answer."""
        return all(call.swept for call in self._guests)

    @property
    def previous(self) -> Snapshot:
        """Each group of `latest` as it came the time before: what rates are best made with.

        Two snapshots in a row have most often the same sample of a group with a long period.
        """
        latest = self.latest
        return self._board.develop(self._picture, latest.time, latest.host_cpus, latest.sampling.offset)

    @property
    def outdated(self) -> bool:
        """Whether the host has told of something that `latest` does not show yet."""
        return self.shown < self.events

    @property
    def lost(self) -> bool:
        """Whether the host cannot be asked now, since the connection to it is gone."""
        return self._reach.lost

    def listen(self, on_event: OnDomainEvent) -> None:
        """Have `on_event` called with each domain event the host tells of from now on, before `latest` shows it."""
        self._listeners.append(on_event)

    def unlisten(self, on_event: OnDomainEvent) -> None:
        """Call it no more; nothing if it was not called."""
        if on_event in self._listeners:
            self._listeners.remove(on_event)

    async def another(self, deadline: float) -> Source:
        """One more connection to the same host, for what is not collected. The caller closes it.

        `deadline`: seconds that opening may take. Raises ConnectError and its kinds, ConnectionLost.
        """
        return await (await self._reach.main()).another(deadline)

    async def refresh(self, seconds: float, since: float | npt.NDArray[np.float64] | None = None) -> None:
        """Have the host asked now, and wait for it no longer than so many seconds; `latest` then shows what has come.

        Who is there and what needs no guest is asked for; with `since`, also guests whose last sample is from before
        that time (or those of each of COLUMN_NAMES), in seconds since the epoch. These are asked no more often than the
        plan's share allows, and nothing is asked while the connection is lost. What has not come in time is waited for
        by nobody, and is in a later snapshot.
        """
        if self.lost:
            return
        guests, published = since is not None, self._published
        refreshing = self._refreshing.get(guests)
        if refreshing is None or refreshing.done():
            refreshing = self._refreshing[guests] = self._tasks.begin(self._ask_now(seconds, since))
        await asyncio.wait([refreshing], timeout=seconds)
        if not refreshing.done() and not self._closed and self._published is published:
            self._publish()

    def replan(self, plan: Plan, deadline: float) -> None:
        """Go on by another plan, and with another deadline, see __init__. Raises UsageError unless it `can_follow`."""
        if not plan.can_follow(self.plan):
            raise UsageError("a plan with other groups together, or with some more often, takes another collector")
        paces = {pace.groups: pace for pace in plan.guests}
        self.plan = replace(plan, guests=tuple(paces[pace.groups] for pace in self.plan.guests))
        self.deadline = deadline

    async def ask(self, groups: int, flags: DomainFilter) -> Snapshot:
        """Ask once for what the plan does not have: these groups (bits) of all domains, in the way of these flags.

        It takes as long as it takes; who does not answer costs the others nothing, and has none of the groups. Not for
        two at a time with the same groups and flags. Raises what `aio.Host.stats` raises.
        """
        question = self._questions.setdefault((groups, flags), Question(self._reach, groups, flags))
        return await question.ask([], SWEEP_MAX, keep=False)

    async def _ask_now(self, seconds: float, since: float | npt.NDArray[np.float64] | None) -> None:
        guests = []
        if since is not None:
            times, ends = np.broadcast_to(since, len(COLUMN_NAMES)), asyncio.get_running_loop().time() + seconds
            calls = [call for call in self._guests if self._again.get(call.mask, 0.0) <= ends]
            guests = [self._try(partial(self._ask_old, call, times)) for call in calls]
        looked, *_ = await asyncio.gather(self._look_anew(seconds, since is None and self.outdated), *guests)
        if looked or guests:
            await self._lay_over(seconds)
            self._publish()  # once, for all who wait

    async def _ask_old(self, call: GuestCall, since: npt.NDArray[np.float64]) -> None:
        now = asyncio.get_running_loop().time
        await asyncio.sleep(self._again.get(call.mask, 0.0) - now())
        self._again[call.mask] = now() + call.cost / self.plan.share
        await call.ask_old(since)

    async def _look_anew(self, seconds: float, told: bool) -> bool:
        """Wait for a look that begins now, or after the one under way; whether there was one.

        `told`: it is for what the host has told of, and not needed where that has been seen.
        """
        events = self.events
        pause = LOOK_PAUSE if told else max(LOOK_PAUSE, self._looks.seconds / self.plan.share)
        return await self._looks.anew(seconds, pause, lambda: told and self._looked >= events)

    async def start(self) -> None:
        """Learn who is there, and go on from then on. Raises what the roll call raises."""
        await self._look()
        await self._lay_over(self.deadline)
        self._publish()
        for work in (self._stay_connected, self._tick, self._look_on_events, self._describer.run):
            self._tasks.begin(work())
        for number in range(len(self._guests)):
            self._tasks.begin(self._sweep(number))

    async def aclose(self) -> None:
        """End; safe to call twice. What hangs is left to libvirtd."""
        self._closed = True
        try:
            await self._tasks.stop()
        finally:
            self._published.set()
            await self._reach.close()

    async def __aiter__(self) -> AsyncIterator[Snapshot]:
        while not self._closed:
            published = self._published
            yield self.latest
            await published.wait()
            self._tasks.check()

    async def _stay_connected(self) -> None:
        back_off, again = BackOff(), False
        while True:
            try:
                source = await self._reach.main()
                await source.subscribe(self._happened, OPENING)
                await self._look()
            except DomstatsError as error:
                self._failed(error)
                await asyncio.sleep(back_off.delay())
                continue
            back_off.reset()
            if again:  # what has changed in the meantime was told to nobody
                self._describer.want_all()
                back, self._back = self._back, asyncio.Event()
                back.set()
            await source.until_lost()
            again = True
            _log.warning("the connection to %s is lost", self.uri)
            await asyncio.sleep(back_off.delay())

    async def _tick(self) -> None:
        now = asyncio.get_running_loop().time
        at = looked = laid_over = now()
        while True:
            period = self._period
            at += period
            await asyncio.sleep(at - now())
            at = max(at, now() - period)  # a loop that was held up does not catch up on what it missed
            due = now() - looked >= self.plan.free.period - period / 2
            if not self._reach.lost:
                looked = now() if due else looked
                look = self._looks.within if due else self._looks.finish
                await look(min(period / 2, self.deadline))
            if now() - laid_over >= self.plan.kernel - period / 2:
                laid_over = now()
                await self._lay_over(period / 2)
            self._publish()

    @property
    def _period(self) -> float:
        """Seconds from one snapshot to the next."""
        return min(self.plan.period, self.plan.kernel) if self._board.overlaid else self.plan.period

    async def _lay_over(self, seconds: float) -> None:
        """Ask the kernel, if it can be asked, and wait no longer than that."""
        if self._reach.overlay is not None:
            await self._reach.overlay.lay_over(self._board, self.plan.asked, seconds)

    async def _look_on_events(self) -> None:
        """Events come many at a time; one roll call shows what all of them did, if it begins after them."""
        while True:
            await self._changed.wait()
            if self._looks.under_way:
                await self._looks.within(self.deadline)
            self._changed.clear()
            if not self._reach.lost:
                await self._looks.within(self.deadline)
            await asyncio.sleep(LOOK_PAUSE)

    async def _look(self) -> None:
        """A roll call; then those who have come are asked, so that nobody is shown without values for long.

        That they take long, as hundreds do, holds up no further look.
        """
        events = self.events
        await self._roll.ask([], self.deadline)
        self._looked = events
        self.trouble = None
        self._describer.want_missing()
        for call in self._guests:
            if call.newcomers:
                self._looks.wait_for(self._tasks.begin(self._try(call.ask_newcomers)))

    async def _sweep(self, number: int) -> None:
        """Ask the guests for the groups of one pace, for ever; the first time as fast as they answer.

        The sweep after a fast one begins at once, so that no sample gets older than the period.
        """
        call = self._guests[number]
        now = asyncio.get_running_loop().time
        fast, spread = True, 0.0
        while True:
            began, back = now(), self._back
            if not self._reach.lost:
                spread = 0.0 if fast else spread
                await self._try(partial(call.sweep, spread + SWEEP_MAX, spread=spread))
                if fast:
                    self._publish()  # what is waited for most
            least = self.plan.guests[number].period
            period = self._periods[call.mask] = max(least, call.cost / self.plan.share)
            spread = max(0.0, period - SLACK * call.cost)
            if fast and spread and not self._reach.lost:
                fast = False
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, began + period - now())):
                    await back.wait()
                    fast = True

    async def _try(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do it; what goes wrong with the host is not the end."""
        try:
            await work()
        except DomstatsError as error:
            self._failed(error)

    def _failed(self, error: DomstatsError) -> None:
        if str(error) != str(self.trouble):
            level = logging.WARNING if isinstance(error, UNREACHED) else logging.ERROR
            _log.log(level, "%s cannot be asked: %s", self.uri, error)
        self.trouble = error

    def _happened(self, event: DomainEvent) -> None:
        if event.described:
            self._describer.want(event.domain.uuid)
        if event.lifecycle:
            self.events += 1
            self._changed.set()
        for listener in self._listeners:
            listener(event)

    def _publish(self) -> None:
        seconds = by_group(self.plan.free.period, self._periods) + self.deadline
        cpus, time, offset = self._roll.host_cpus, self._reach.clock(), self._reach.offset()
        self.latest = self._board.snapshot(time, self.plan.asked, seconds * self._reach.speed, cpus, offset)
        self._picture = self._board.previous()
        self.shown = self._looked
        published, self._published = self._published, asyncio.Event()
        published.set()
