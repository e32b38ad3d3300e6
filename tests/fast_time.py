"""An event loop whose time jumps: when nothing is left to do, it is at once as late as the next thing is due.

For what takes minutes or hours, with everybody who takes part in the same loop: a daemon on a socket whose other end is
the test's is served before time goes on, another process would be left behind.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")

EPOCH = 1_800_000_000.0
"""What `clock` shows at the loop's beginning."""


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc,valid-type]  # which one it is depends on the system
    """Waits for files only where no time is given; otherwise the time passes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout and 0.0)
        if not ready and timeout:
            self.now += timeout
        return ready


class FastLoop(asyncio.SelectorEventLoop):
    """An event loop of its own time, in seconds since its beginning."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def clock() -> float:
    """The time of the running loop, as seconds since the epoch."""
    return EPOCH + asyncio.get_running_loop().time()


def run_fast(work: Coroutine[Any, Any, T]) -> T:
    """asyncio.run in fast time."""
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        return runner.run(work)


def in_fast_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that is a coroutine, as one that runs it in fast time."""

    @functools.wraps(test)
    def running(*args: P.args, **options: P.kwargs) -> None:
        run_fast(test(*args, **options))

    return running
