"""Worker: a thread that does one piece of work after another, and is never waited for longer than one wants to.

A read in /proc can block for as long as a process hangs in the kernel. The thread is then left to itself, and does not
keep this process from ending, as those of an executor would.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
_Queue = SimpleQueue[Callable[[], None] | None]
"""What is to be done; None ends the thread."""


class Worker:
    """One thread, which is there from the first work until `end`, or until nobody has the worker any more."""

    def __init__(self, name: str) -> None:
        """`name`: the thread's."""
        self._name = name
        self._queue: _Queue = SimpleQueue()
        self._started = False
        self._free: asyncio.Future[None] | None = None
        """Done when the thread has done what it was given."""
        weakref.finalize(self, self._queue.put, None)

    @property
    def busy(self) -> bool:
        """Whether the thread has not done yet what it was given."""
        return self._free is not None and not self._free.done()

    async def do(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, when its turn has come; what is cancelled before is not done."""
        # Nothing is queued behind what may hang: of whoever gives up waiting here nothing is left.
        while self._free is not None and self.busy:
            await asyncio.wait([self._free])
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        free: asyncio.Future[None] = loop.create_future()
        self._free = free
        self._put(lambda: _do(work, done, free))
        return await done

    async def end(self, last: Callable[[], None], seconds: float) -> None:
        """Do this last, and wait for it for at most so many seconds; what hangs for longer is followed by it later.

        Raises what `last` raises in that time.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(lambda: _do(last, done, done))
        self._queue.put(None)
        await asyncio.wait([done], timeout=seconds)
        if done.done():
            done.result()

    def _put(self, work: Callable[[], None]) -> None:
        self._queue.put(work)
        if not self._started:
            self._started = True
            threading.Thread(target=_run, args=(self._queue,), name=self._name, daemon=True).start()


def _run(queue: _Queue) -> None:
    while (work := queue.get()) is not None:
        work()
        del work  # whatever it holds is not held until there is more to do


def _do(work: Callable[[], T], done: asyncio.Future[T], free: asyncio.Future[None]) -> None:
    value, fault = None, None
    try:
        value = work()
    except Exception as error:  # noqa: BLE001  it is raised again where the result is waited for
        fault = error
    try:
        done.get_loop().call_soon_threadsafe(_finish, done, free, value, fault)
    except RuntimeError:  # the loop has been closed meanwhile: nobody waits
        return


def _finish(done: asyncio.Future[T], free: asyncio.Future[None], value: T | None, error: Exception | None) -> None:
    if not done.done():
        if error is None:
            done.set_result(value)  # type: ignore[arg-type]  # without an error it is what `work` returned
        else:
            done.set_exception(error)
    if not free.done():
        free.set_result(None)
