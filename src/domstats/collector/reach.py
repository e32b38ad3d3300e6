"""One host as it can be reached: connections, what is known of how long it takes, and who is stuck."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from domstats.collector.breaker import Breaker
from domstats.collector.completeness import Completeness
from domstats.collector.cost import Cost
from domstats.collector.lanes import MAX_HUNG, HungCall, Lanes, Opener, close
from domstats.collector.slicing import Slicer
from domstats.sources import Source

LANES_A_CPU, LANES_MAX = 2, 8
"""1,024 guests on 2 processors: 13.7 s over one connection, 8.1 over 2, 6.0 over 4, 6.7 over 8."""


class Reach:
    """Shared by all that is asked of one host."""

    def __init__(
        self,
        opener: Opener,
        *,
        width: int | None = None,
        max_hung: int = MAX_HUNG,
        stopped: Callable[[], set[str]] = set,
        first: Source | None = None,
    ) -> None:
        """`stopped` gives the UUIDs of guests that cannot answer now; `first` is a connection that is open already."""
        self.stopped = stopped
        self.lanes = Lanes(opener, width or min(LANES_MAX, LANES_A_CPU * (os.cpu_count() or 1)), max_hung, self._late)
        self.breaker, self.slicer, self.completeness, self.cost = Breaker(), Slicer(), Completeness(), Cost()
        self._opener, self._main = opener, first

    async def main(self) -> Source:
        """The connection for calls that wait for no guest. Raises what opening one raises."""
        if self._main is not None and self._main.lost:
            await close(self._main)
            self._main = None
            self.cost.reconnects += 1
        if self._main is None:
            self._main = await self._opener()
        return self._main

    def hung(self, call: HungCall) -> None:
        """A call is late, and its suspects are why."""
        self.cost.hung_total += 1
        for domain in call.suspects:
            self.breaker.trip(domain.uuid, time.monotonic(), held_by_us=True)

    def _late(self, call: HungCall) -> None:
        for domain in call.suspects:
            self.breaker.released(domain.uuid, time.monotonic())

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
        await self.lanes.close()
        if self._main is not None:
            await close(self._main)
            self._main = None
