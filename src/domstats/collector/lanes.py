"""Several connections to one host, and the calls on them that hang.

libvirtd cannot cancel a call: one that waits for a stuck guest keeps one of its 20 workers until the guest answers,
also after its client has gone. So calls that hang are counted, and none is begun that could make them too many.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from domstats.collector.turns import Turns
from domstats.errors import ConnectionLost, DomstatsError
from domstats.model.domain import Domain
from domstats.sources import Source

MAX_HUNG = 6
"""Of libvirtd's 20 ordinary workers; with 20 hung the host's statistics are dead for every client."""

Opener = Callable[[], Awaitable[Source]]


@dataclass(frozen=True, slots=True, eq=False)
class HungCall:
    """A call whose answer is late; it goes on in libvirtd."""

    task: asyncio.Future[Any]
    source: Source
    suspects: Sequence[Domain]
    """Those it hangs on, as far as known."""


class Lanes:
    """Up to `width` calls at a time, each on a connection of its own.

    The connections are the lanes': `close` closes them, also those that somebody still holds.
    """

    def __init__(self, opener: Opener, width: int, max_hung: int, on_late: Callable[[HungCall], None]) -> None:
        """`on_late` is told of a hung call that has ended after all."""
        self._opener, self._on_late = opener, on_late
        self.width, self.max_hung = width, max_hung
        self.hung: list[HungCall] = []
        self.turns = Turns()
        self._all: set[Source] = set()
        self._free: list[Source] = []
        self._closed = False
        self._busy = 0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def spent(self) -> bool:
        """Whether one more call that hangs would be the last allowed: then only guests known to answer are asked.

        Where no more than one is allowed, the first is not the last.
        """
        return self.max_hung > 1 and len(self.hung) >= self.max_hung - 1

    @property
    def full(self) -> bool:
        """Whether so many calls hang that nothing may be asked."""
        return len(self.hung) >= self.max_hung

    async def take(self) -> Source:
        """A connection for one call, as soon as there may be one. Then say `give`, or `hang`.

        Raises what opening a connection raises, and ConnectionLost once the lanes are closed.
        """
        while self._busy >= self.width or self._busy + len(self.hung) >= self.max_hung:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            finally:
                self._waiting.remove(turn)
        self._busy += 1
        try:
            while self._free and not self._closed:
                source = self._free.pop()
                if not source.lost:
                    return source
                await self._close(source)
            return await self._open()
        except BaseException:  # whatever ended it, the place is free again
            self._leave()
            raise

    async def _open(self) -> Source:
        source = await self._opener()
        self._all.add(source)
        if self._closed:
            await self._close(source)
            raise ConnectionLost("the connection was closed")
        return source

    def give(self, source: Source) -> None:
        """The call is over."""
        self._free.append(source)
        self._leave()

    def hang(self, call: HungCall) -> None:
        """The call is late: its place is free again, its connection is not."""
        self.hung.append(call)
        call.task.add_done_callback(lambda _: self._ended(call))
        self._leave()

    def _leave(self) -> None:
        self._busy -= 1
        self._wake()

    def _wake(self) -> None:
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)

    def _ended(self, call: HungCall) -> None:
        self.hung.remove(call)
        if not call.task.cancelled():
            call.task.exception()  # looked at, so that nobody complains; what the call brought is too old to be used
        self._free.append(call.source)
        self._wake()
        self._on_late(call)

    async def close(self) -> None:
        """Close every connection. Calls that hang are left to libvirtd, which ends them when their guest answers."""
        self._closed = True
        for call in list(self.hung):
            call.task.cancel()
        self._free.clear()
        # In one go, whatever waits for them: whoever is cancelled here has begun to close all of them.
        await asyncio.gather(*(self._close(source) for source in list(self._all)))
        if self.hung:
            await asyncio.wait([call.task for call in self.hung])

    async def _close(self, source: Source) -> None:
        await close(source)
        self._all.discard(source)


async def close(source: Source) -> None:
    """Close a connection, whatever state it is in."""
    with suppress(DomstatsError):
        await source.aclose()
