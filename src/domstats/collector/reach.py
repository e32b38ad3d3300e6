"""One host as it can be reached: connections, what is known of how long it takes, and who is stuck."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack

from domstats.collector.breaker import Breaker
from domstats.collector.completeness import Completeness
from domstats.collector.cost import Cost
from domstats.collector.lanes import MAX_HUNG, HungCall, Lanes, close
from domstats.collector.overlay import Overlay
from domstats.collector.slicing import Slicer
from domstats.errors import ConnectionLost, DeadlineExceeded
from domstats.model.domain import Domain
from domstats.sources import Source

LANES_A_CPU, LANES_MAX = 2, 8
"""1,024 guests on 2 processors: 13.7 s over one connection, 8.1 over 2, 6.0 over 4, 6.7 over 8."""
OPENING = 5.0
"""Seconds that opening one more connection may take; it takes libvirtd 3 ms."""


class Reach:
    """Shared by all that is asked of one host."""

    def __init__(
        self,
        first: Source,
        *,
        width: int | None = None,
        max_hung: int = MAX_HUNG,
        sees_processes: bool = True,
        kernel: Source | None = None,
    ) -> None:
        """`first`: an open connection, which opens the others. `width`: how many calls there are at a time.

        `sees_processes`: whether the processes of the guests may be looked at. `kernel`: the host's own figures, to be
        laid over what `first` says.
        """
        self._sees_processes = sees_processes
        width = width or min(LANES_MAX, LANES_A_CPU * (os.cpu_count() or 1))
        self.lanes = Lanes(self._open, width, max_hung, self._late)
        self.breaker, self.slicer, self.completeness, self.cost = Breaker(), Slicer(), Completeness(), Cost()
        self.overlay = None if kernel is None else Overlay(kernel, self.cost)
        self._main = first
        self._opening = asyncio.Lock()
        self._closed = False

    @property
    def uri(self) -> str:
        """The URI it was reached by."""
        return self._main.uri

    @property
    def cpus(self) -> int | None:
        """Number of the host's processors, or None where it is not known."""
        return self._main.cpus

    @property
    def speed(self) -> float:
        """Seconds that pass on `clock` in a real one."""
        return self._main.speed

    @property
    def instant(self) -> bool:
        """Whether no guest ever keeps anybody waiting."""
        return self._main.instant

    def clock(self) -> float:
        """The host's time, in seconds since the epoch."""
        return self._main.clock()

    def offset(self) -> float | None:
        """Seconds by which `clock` is ahead of one that is never set; None where that is not known."""
        return self._main.offset()

    async def stopped(self, seconds: float) -> set[str]:
        """UUIDs of the guests that cannot answer now, as far as that can be seen in so many seconds without asking."""
        return await self._main.stopped(seconds) if self._sees_processes else set()

    async def stopped_among(self, domains: Sequence[Domain], seconds: float) -> set[str]:
        """UUIDs of those of the domains that cannot answer now, as far as that can be seen in so many seconds."""
        return await self._main.stopped_among(domains, seconds) if self._sees_processes else set()

    @property
    def lost(self) -> bool:
        """Whether the host has to be connected to anew."""
        return self._main.lost

    async def main(self, seconds: float | None = None) -> Source:
        """The connection for calls that wait for no guest; a new one if it is lost.

        `seconds`: how long that may take, beside OPENING. Raises what opening one raises, and DeadlineExceeded.
        """
        if not self._main.lost and not self._closed:
            return self._main
        try:
            async with asyncio.timeout(seconds):
                return await self._anew()
        except TimeoutError:
            if seconds is None:
                raise
            raise DeadlineExceeded("connecting anew", seconds) from None

    async def _anew(self) -> Source:
        if self._closed:
            raise ConnectionLost("the connection was closed")
        async with self._opening:
            if self._main.lost:
                lost, self._main = self._main, await self._main.another(OPENING)
                self.cost.reconnects += 1
                if self._closed:
                    await close(self._main)
                await close(lost)  # last: whoever is cancelled here leaves nothing open
        return self._main

    async def _open(self) -> Source:
        # Of a main connection that is there: from it they have what is known of replies in common.
        return await (await self.main(OPENING)).another(OPENING)

    def hung(self, call: HungCall) -> None:
        """A call is late, and its suspects are why."""
        self.cost.hung_total += 1
        self.cost.hung_calls = len(self.lanes.hung)
        for domain in call.suspects:
            self.breaker.trip(domain.uuid, asyncio.get_running_loop().time(), held_by_us=True)

    def _late(self, call: HungCall) -> None:
        self.cost.hung_calls = len(self.lanes.hung)
        for domain in call.suspects:
            self.breaker.released(domain.uuid, asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
        self._closed = True
        async with AsyncExitStack() as stack:  # whoever is cancelled here leaves nothing open
            stack.push_async_callback(close, self._main)
            if self.overlay is not None:
                stack.push_async_callback(self.overlay.aclose)
            stack.push_async_callback(self.lanes.close)
