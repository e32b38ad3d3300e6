"""The life of a server: its parts are started, something is waited for, and they are stopped in the opposite order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol

STOPPING = 3.0
"""Seconds that a part may take to stop."""


class Part(Protocol):
    """Something that serves."""

    async def start(self) -> None:
        """Begin to serve. What it raises ends the server; the part is stopped then, too."""

    async def stop(self) -> None:
        """Serve no more, and let go of everything, also of what a start that failed has left."""


async def live(parts: Sequence[Part], *ends: Coroutine[Any, Any, None], stopping: float = STOPPING) -> None:
    """Start the parts in their order and serve until the first of `ends` is over; raises what that, or a start, raises.

    Whatever happens, the parts that were started are stopped, the last one first; `stopping`: seconds each may take.
    """
    waits = [asyncio.ensure_future(end) for end in ends]
    try:
        async with AsyncExitStack() as stack:
            starting = asyncio.ensure_future(_start(parts, stack, stopping))
            try:
                await asyncio.wait([starting, *waits], return_when=asyncio.FIRST_COMPLETED)
                if starting.done():
                    starting.result()
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                # Before the parts are stopped: what is under way may be about to put others in their place.
                over = [wait for wait in waits if wait.done()]
                for task in (starting, *waits):
                    task.cancel()
                await asyncio.wait([starting, *waits])
        for wait in over:
            wait.result()
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def _start(parts: Sequence[Part], stack: AsyncExitStack, stopping: float) -> None:
    for part in parts:
        await begin(part, stack, stopping)


async def begin(part: Part, stack: AsyncExitStack, stopping: float = STOPPING) -> None:
    """Start a part, which is stopped with the stack."""
    stack.push_async_callback(stop, part, stopping)
    await part.start()


async def stop(part: Part, seconds: float = STOPPING) -> None:
    """Stop a part; one that takes longer than that is left, so that the others are stopped."""
    task = asyncio.ensure_future(part.stop())
    await asyncio.wait([task], timeout=seconds)
    if task.done():
        task.result()
    else:
        task.cancel()
