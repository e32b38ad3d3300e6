"""What goes on beside those who ask, and that a defect in it is told of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Work = Coroutine[Any, Any, None]


class Tasks:
    """The tasks of one collector."""

    def __init__(self, on_defect: Callable[[], None]) -> None:
        """`on_defect` is called when something has ended that was to go on for ever, or has ended by a defect."""
        self._on_defect = on_defect
        self._all: list[asyncio.Task[None]] = []

    def begin(self, work: Work) -> None:
        """Have something done that does not end by itself."""
        task = asyncio.create_task(work)
        self._all.append(task)
        task.add_done_callback(lambda _: self._on_defect())

    def begin_once(self, work: Work) -> asyncio.Task[None]:
        """Have something done that ends."""
        task = asyncio.create_task(work)
        self._all.append(task)
        task.add_done_callback(self._over)
        return task

    def check(self) -> None:
        """Raise the defect that has ended one of them, if one has."""
        for task in self._all:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def stop(self) -> None:
        """End all of them; safe to call twice."""
        for task in self._all:
            task.cancel()
        await asyncio.gather(*self._all, return_exceptions=True)

    def _over(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            self._all.remove(task)
        else:
            self._on_defect()
