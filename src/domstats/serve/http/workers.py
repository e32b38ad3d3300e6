"""The threads that render, so that a long text holds up nobody, and what they have rendered of the latest snapshot.

Each thread does one thing at a time: what formats keep between two renderings is then never made twice at once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from domstats.errors import Overloaded

T = TypeVar("T")

BYTES_KEPT = 128 << 20
"""Bytes of rendered answers that are kept, beside the one that was rendered last."""

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
        self._tasks: OrderedDict[Hashable, asyncio.Task[bytes]] = OrderedDict()
        """By what was asked for; the one that was last asked for comes last."""
        self._waiting = 0
        """How many are not done yet, those of earlier snapshots included."""
        self.made = 0
        """How many have been rendered."""

    async def get(self, number: int, what: Hashable, make: Callable[[], bytes]) -> bytes:
        """What `make` gives for the snapshot of that number; it is called in the worker's thread, once.

        Raises Overloaded, and what `make` raises.
        """
        if number != self._number:
            self._number = number
            self._tasks.clear()
        task = self._tasks.get(what)
        if task is None:
            if self._waiting >= WAITING_MAX:
                raise Overloaded(f"{WAITING_MAX} other answers are being made: ask again in a while")
            self.made += 1
            self._waiting += 1
            task = self._tasks[what] = asyncio.create_task(self._worker.run(make))
            task.add_done_callback(self._done)
        self._tasks.move_to_end(what)
        return await asyncio.shield(task)

    def _done(self, _task: asyncio.Task[bytes]) -> None:
        self._waiting -= 1
        self._forget_some()

    def _forget_some(self) -> None:
        """Keep what fits, and no errors."""
        done = {what: task for what, task in self._tasks.items() if task.done()}
        for what, task in done.items():
            if task.cancelled() or task.exception() is not None:
                del self._tasks[what]
        sizes = {what: len(task.result()) for what, task in done.items() if what in self._tasks}
        total = sum(sizes.values())
        for what, size in list(sizes.items())[:-1]:
            if total <= BYTES_KEPT:
                break
            del self._tasks[what]
            total -= size
