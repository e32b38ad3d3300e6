"""The threads that render, so that a long text holds up nobody, and what they have rendered of the latest snapshot.

Each thread does one thing at a time: what formats keep between two renderings is then never made twice at once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from domstats.errors import Overloaded

T = TypeVar("T")

BYTES_KEPT, KEPT_MAX = 128 << 20, 1024
"""Bytes and number of the rendered answers that are kept; the one that was rendered last is kept in any case."""

WAITING_MAX = 64
"""Answers that may wait to be rendered."""


class Worker:
    """One thread."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, f"domstats-{name}")

    async def run(self, work: Callable[[], T]) -> T:
        """What the work gives, or raises; it goes on when nobody waits any more."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Begin nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class Renderings:
    """Each answer rendered once for a snapshot, however many ask for it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._number = -1
        self._making: dict[Hashable, asyncio.Task[bytes]] = {}
        """Of that snapshot, by what was asked for."""
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        """The same; the one that was last asked for comes last."""
        self._bytes = 0
        """Of those that are kept."""
        self._waiting = 0
        """How many are not done yet, those of earlier snapshots included."""
        self.made = 0
        """How many have been rendered."""

    async def get(self, number: int, what: Hashable, make: Callable[[], bytes]) -> bytes:
        """What `make` gives for the snapshot of that number; it is called in the worker's thread, once.

        For a snapshot before the latest that was asked about, it is called each time, and nothing is kept. Raises
        Overloaded, and what `make` raises.
        """
        if number > self._number:
            self._number, self._bytes = number, 0
            self._making.clear()
            self._kept.clear()
        if number < self._number:
            return await asyncio.shield(self._begin(make))
        if what in self._kept:
            self._kept.move_to_end(what)
            return self._kept[what]
        task = self._making.get(what)
        if task is None:
            task = self._making[what] = self._begin(make)
            task.add_done_callback(partial(self._keep, what))
        return await asyncio.shield(task)

    def _begin(self, make: Callable[[], bytes]) -> asyncio.Task[bytes]:
        if self._waiting >= WAITING_MAX:
            raise Overloaded(f"{WAITING_MAX} other answers are being made: ask again in a while")
        self.made += 1
        self._waiting += 1
        task = asyncio.create_task(self._worker.run(make))
        task.add_done_callback(self._done)
        return task

    def _done(self, _task: asyncio.Task[bytes]) -> None:
        self._waiting -= 1

    def _keep(self, what: Hashable, task: asyncio.Task[bytes]) -> None:
        """Keep what was made, unless it is of an earlier snapshot or an error, and of the others what fits beside."""
        if self._making.get(what) is not task:
            return
        del self._making[what]
        if task.cancelled() or task.exception() is not None:
            return
        self._kept[what] = task.result()
        self._bytes += len(self._kept[what])
        while len(self._kept) > 1 and (self._bytes > BYTES_KEPT or len(self._kept) > KEPT_MAX):
            _, body = self._kept.popitem(last=False)
            self._bytes -= len(body)
