"""What becomes of connections when those who wait for them go away."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from domstats.collector.reach import Reach
from domstats.sources import Source


class Connection:
    """Stands for a source that can be lost, and whose end can take a while."""

    def __init__(self) -> None:
        self.lost = False
        self.closed = False
        self.ending = asyncio.Event()
        self.may_end = asyncio.Event()
        self.next: Connection | None = None

    async def another(self, _deadline: float) -> Connection:
        self.next = Connection()
        self.next.may_end.set()
        return self.next

    async def aclose(self) -> None:
        self.closed = True
        self.ending.set()
        await self.may_end.wait()


async def test_who_is_cancelled_while_the_lost_connection_ends_leaves_none_open() -> None:
    first: Any = Connection()
    reach = Reach(cast(Source, first), width=2)
    first.lost = True
    waiting = asyncio.create_task(reach.main())
    await first.ending.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    first.may_end.set()
    await reach.close()
    assert first.next is not None
    assert (first.closed, first.next.closed) == (True, True)
