"""The overlay: what the host's kernel says of the guests, laid over what libvirt says, value by value.

The kernel is asked at once for all guests, and none of them can keep it waiting. So its values are a second old where
libvirt's are fifteen, and those of a guest that does not answer libvirt stay as young as the others'.
"""

from __future__ import annotations

import asyncio

from domstats.collector.board import Board
from domstats.collector.cost import Cost
from domstats.errors import DomstatsError
from domstats.model.flags import NO_FILTERS, StatsGroup
from domstats.model.snapshot import Snapshot
from domstats.sources import Source

GROUPS = int(StatsGroup.CPU | StatsGroup.BALLOON | StatsGroup.VCPU | StatsGroup.INTERFACE)
"""The groups of which the kernel gives values in libvirt's place."""
DEADLINE = 5.0
"""Seconds. 1,000 guests take less than a tenth of one."""


class Overlay:
    """The kernel of one host, for all that is asked of it."""

    def __init__(self, kernel: Source, cost: Cost) -> None:
        """`kernel`: a source of this host's own figures; `cost`: where polls are counted."""
        self._kernel, self._cost = kernel, cost
        self._asking: asyncio.Task[tuple[Snapshot, float]] | None = None

    async def lay_over(self, board: Board, groups: int, seconds: float) -> None:
        """Have the kernel's values on a board's rows, as of now, if they come in so many seconds.

        `groups`: bits, of what the board is to show. What takes longer is there the next time; where nothing can be
        had, libvirt's values stand alone.
        """
        wanted = groups & GROUPS
        if not wanted:
            return
        if self._asking is not None and self._asking.done():  # it was late
            self._take(self._asking, board, wanted)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        asking = self._asking
        await asyncio.wait([asking], timeout=seconds)
        if asking.done():
            self._take(asking, board, wanted)

    async def _ask(self) -> tuple[Snapshot, float]:
        """What the kernel says, and the loop's time when it was asked."""
        now = asyncio.get_running_loop().time
        began = now()
        kernel = await self._kernel.stats([], GROUPS, NO_FILTERS, DEADLINE)
        self._cost.add_kernel_poll(now() - began)
        return kernel, began

    def _take(self, asked: asyncio.Task[tuple[Snapshot, float]], board: Board, groups: int) -> None:
        """Have on the board what was answered."""
        if self._asking is asked:
            self._asking = None
        if asked.cancelled():  # it is closed
            board.lift()
            return
        try:
            kernel, began = asked.result()
            board.lay_over(kernel, groups, began)
        except DomstatsError:
            board.lift()

    async def aclose(self) -> None:
        """Let go of the kernel; safe to call twice."""
        try:
            if self._asking is not None:
                self._asking.cancel()
                await asyncio.gather(self._asking, return_exceptions=True)
        finally:
            await self._kernel.aclose()
