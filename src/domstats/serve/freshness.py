"""How new what is served is: what is too old is asked for anew, for a short while, and left out if that did not help.

Who is blocked, or answers in part, is not asked on anybody's behalf: the collector looks at such guests itself.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from domstats.catalog.groups import GROUP_NAMES
from domstats.collector.collector import Collector
from domstats.model.merge import ALL_GROUPS, Merger, of_groups
from domstats.model.sampling import COLUMN_NAMES, OVERLAID, Status
from domstats.model.snapshot import Snapshot

PATIENCE = 2.0
"""Seconds that a request may wait for newer values; it then gets what there is."""
AGES = 2.0
"""How many periods of its group a value is served for."""
_TRIES = 2
"""What is under way may have begun for somebody to whom older values are new enough, or before an event came."""

Ages = npt.NDArray[np.float64]
"""Seconds of each of COLUMN_NAMES."""


def usual_ages(collector: Collector) -> Ages:
    """How long values are served for where nobody says it: twice their group's period.

    Those of groups that need no guest at least as long as what comes most often from guests, so that they stay when a
    host is slow, or gone for a moment; and no value of a guest that is fresh is too old.
    """
    plan, periods = collector.plan, collector.periods
    least = min((pace.period for pace in plan.guests), default=plan.free.period)
    ages: Ages = np.maximum(AGES * np.maximum(periods, least), periods + collector.deadline)
    return ages


class Freshness:
    """The snapshots of a collector, as they are served."""

    def __init__(self, collector: Collector, max_age: float | None = None) -> None:
        """`max_age`: seconds that a value is served for; by default its group's `usual_ages`."""
        self._collector, self._max_age = collector, max_age
        self._swept = False
        self._merger = Merger()
        self._last: tuple[Snapshot, bytes, Snapshot] | None = None
        """A snapshot, which of its groups were too old (as bytes), and what is left of it."""

    @property
    def ages(self) -> Ages:
        """How long values are served for; it counts until the request comes."""
        if self._max_age is None:
            return usual_ages(self._collector)
        return np.full(len(COLUMN_NAMES), self._max_age)

    async def snapshot(self, groups: int = ALL_GROUPS) -> Snapshot:
        """What is known now, without the values that were too old when this was called.

        `groups`: bits (by index into GROUP_NAMES) of those that should be new; if they are not, the host is asked for
        them, and waited for no longer than PATIENCE.
        """
        collector = self._collector
        since = collector.clock() - self.ages * collector.speed
        if not self._swept and not collector.lost:
            await self._until_swept()
        now = asyncio.get_running_loop().time
        ends = now() + PATIENCE
        await self._until_shown(ends)
        for _ in range(_TRIES):
            if not self._is_old(collector.latest, groups & collector.plan.asked, since):
                break
            await collector.refresh(max(0.0, ends - now()), since)
        return self._without_old(collector.latest, since)

    async def identities(self) -> Snapshot:
        """What is known now, values of any age included: for who is there, and in which state."""
        await self._until_shown(asyncio.get_running_loop().time() + PATIENCE)
        return self._collector.latest

    async def looked_again(self) -> Snapshot:
        """What is known after one more look at the host: for a domain that is not known yet."""
        await self._collector.refresh(PATIENCE)
        return self._collector.latest

    async def _until_shown(self, ends: float) -> None:
        """Have what the host has told of seen, until the loop's time `ends`."""
        collector = self._collector
        events = collector.events
        for _ in range(_TRIES):
            if collector.shown >= events:
                break
            await collector.refresh(max(0.0, ends - asyncio.get_running_loop().time()))

    async def _until_swept(self) -> None:
        """In a collector's first seconds nothing is known of the guests yet."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                async for _ in self._collector:
                    if self._collector.swept:
                        break
        self._swept = self._collector.swept

    def _old(self, snapshot: Snapshot, since: Ages) -> npt.NDArray[np.bool_]:
        """Which groups of which records are from before their times, or from before the clock was set back.

        That is so where it is not known by how much it was; else times are told as it is now.
        """
        sampling, collector = snapshot.sampling, self._collector
        by = sampling.set_by(collector.offset())
        return (sampling.times + by < since) | sampling.ahead(collector.clock() - by)

    def _is_old(self, snapshot: Snapshot, groups: int, since: Ages) -> bool:
        """Whether a record has one of these groups from before its time, and would have it anew if it were asked."""
        asked = [bit for bit in range(len(GROUP_NAMES)) if groups >> bit & 1]
        columns = asked + [bit + OVERLAID for bit in asked]
        status = snapshot.sampling.status
        askable = (status == Status.FRESH) | (status == Status.STALE)
        return bool(self._old(snapshot, since)[askable][:, columns].any())

    def _without_old(self, snapshot: Snapshot, since: Ages) -> Snapshot:
        old = self._old(snapshot, since)
        if not old.any():
            self._last = None
            self._merger.skip()
            return snapshot
        which = np.packbits(old).tobytes()
        if self._last is None or self._last[0] is not snapshot or self._last[1] != which:
            left = of_groups(snapshot, ~old, self._merger)
            self._last = snapshot, which, left
        return self._last[2]
