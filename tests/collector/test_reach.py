"""What becomes of connections when those who wait for them go away."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from domstats.collector.reach import Reach
from domstats.errors import ConnectionLost, DeadlineExceeded
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


async def test_connecting_anew_takes_no_longer_than_the_caller_waits() -> None:
    first: Any = Connection()
    first.lost = True
    first.may_end.set()

    async def never(_deadline: float) -> Connection:
        return await asyncio.get_running_loop().create_future()

    first.another = never
    reach = Reach(cast(Source, first), width=2)
    results = await asyncio.gather(*(reach.main(0.01) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in results] == [DeadlineExceeded] * 3
    await reach.close()


@pytest.mark.parametrize("lost", [True, False])
async def test_who_opens_one_while_all_are_closed_leaves_none_open(lost: bool) -> None:
    first: Any = Connection()
    first.may_end.set()
    opened: list[Connection] = []
    begun, may_open = asyncio.Event(), asyncio.Event()

    async def slowly(_deadline: float) -> Connection:
        begun.set()
        await may_open.wait()
        opened.append(Connection())
        opened[-1].may_end.set()
        return opened[-1]

    first.another, first.lost = slowly, lost
    reach = Reach(cast(Source, first), width=2)
    main, lane = asyncio.create_task(reach.main()), asyncio.create_task(reach.lanes.take())
    await begun.wait()
    await reach.close()
    may_open.set()
    await main
    with pytest.raises(ConnectionLost):
        await lane
    assert [each.closed for each in opened] == [True]


async def test_connections_that_somebody_still_holds_are_closed_with_the_others() -> None:
    first: Any = Connection()
    first.may_end.set()
    reach = Reach(cast(Source, first), width=2)
    held: Any = await reach.lanes.take()
    await reach.close()
    assert held.closed
    reach.lanes.give(held)
    with pytest.raises(ConnectionLost):
        await reach.lanes.take()


async def test_who_needs_a_connection_while_the_main_one_is_lost_has_it_opened_anew_first() -> None:
    """What is known of replies is shared by those that are opened from one another, and by no others."""
    first: Any = Connection()
    first.lost = True
    first.may_end.set()
    reach = Reach(cast(Source, first), width=2)
    lanes: list[Any] = [await reach.lanes.take(), await reach.lanes.take()]
    main: Any = await reach.main()
    assert main is first.next
    assert first.closed
    assert main.next is lanes[1]
    assert main not in lanes
    await reach.close()
