"""What goes on beside those who ask, and that a defect in it is told of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Tasks:
    """What is under way, until it ends or is stopped."""

    def __init__(self, on_defect: Callable[[], None] = lambda: None) -> None:
        """`on_defect` is called when something has ended by a defect, which `check` then raises."""
        self._on_defect = on_defect
        self._all: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have something done from now on."""
        task = asyncio.create_task(work)
        self._all.add(task)
        task.add_done_callback(self._over)
        return task

    def check(self) -> None:
        """Raise the defect that has ended something, if one has."""
        for task in self._all:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def cancel(self) -> None:
        """Have all of it end."""
        for task in self._all:
            task.cancel()

    async def stop(self) -> None:
        """End all of it; safe to call twice."""
        self.cancel()
        await asyncio.gather(*self._all, return_exceptions=True)

    def _over(self, task: asyncio.Task[None]) -> None:
        """Let go of it; what has ended by a defect stays, to be told of."""
        if task.cancelled() or task.exception() is None:
            self._all.discard(task)
        else:
            self._on_defect()
