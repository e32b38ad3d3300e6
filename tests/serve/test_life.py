"""The life of a server: parts start in their order and stop in the opposite one, whatever happens."""

from __future__ import annotations

import asyncio

import pytest

from domstats.collector.tasks import Tasks
from domstats.errors import ConnectError
from domstats.serve.life import STOPPING, live
from fast_time import in_fast_time


class Part:
    """Tells what is done to it."""

    def __init__(self, name: str, told: list[str], *, fails: bool = False, hangs: bool = False) -> None:
        self.name, self.told, self.fails, self.hangs = name, told, fails, hangs

    async def start(self) -> None:
        if self.fails:
            raise ConnectError(self.name)
        self.told.append(f"start {self.name}")

    async def stop(self) -> None:
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        self.told.append(f"stop {self.name}")


async def at_once() -> None:
    """Over."""


async def fault() -> None:
    raise RuntimeError("a defect")


async def never() -> None:
    await asyncio.get_running_loop().create_future()


async def test_a_life() -> None:
    told: list[str] = []
    await live([Part("a", told), Part("b", told)], never(), at_once())
    assert told == ["start a", "start b", "stop b", "stop a"]


async def test_one_that_does_not_start() -> None:
    told: list[str] = []
    with pytest.raises(ConnectError):
        await live([Part("a", told), Part("b", told, fails=True), Part("c", told)], never())
    assert told == ["start a", "stop b", "stop a"]


async def test_an_end_that_is_a_defect() -> None:
    told: list[str] = []
    with pytest.raises(RuntimeError):
        await live([Part("a", told)], never(), fault())
    assert told == ["start a", "stop a"]


async def test_work_that_ends_by_a_defect_is_told_of() -> None:
    work = Tasks()
    work.begin(never())
    work.check()
    work.begin(fault())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError):
        work.check()
    await work.stop()
    await work.stop()


async def test_work_that_is_cancelled_is_let_go_of() -> None:
    work = Tasks()
    ends, goes_on = (work.begin(never()) for _ in range(2))
    ends.cancel()
    await asyncio.wait([ends])
    assert work._all == {goes_on}
    work.check()
    await work.stop()


@in_fast_time
async def test_one_that_does_not_stop() -> None:
    told: list[str] = []
    now = asyncio.get_running_loop().time
    began = now()
    await live([Part("a", told), Part("b", told, hangs=True)], at_once())
    assert told == ["start a", "start b", "stop a"]
    assert now() - began == STOPPING


async def test_what_is_under_way_ends_before_the_parts_do() -> None:
    told: list[str] = []

    async def change() -> None:
        try:
            await never()
        finally:
            told.append("over")

    await live([Part("a", told)], change(), at_once())
    assert told == ["start a", "over", "stop a"]
