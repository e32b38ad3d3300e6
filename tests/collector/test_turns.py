"""Turns: nobody is asked twice at a time, and nobody who has nothing to do with another waits for him."""

from __future__ import annotations

import asyncio

import pytest

from domstats.collector.turns import Turns
from domstats.model.domain import Domain
from fast_time import in_fast_time

DOMAINS = [Domain(f"vm{number}", f"00000000-0000-0000-0000-{number:012}", number) for number in range(4)]


class Calls:
    """Calls that take a second each."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.asked: list[str] = []
        self.most = 0
        """How many calls have asked one domain at a time, at most."""

    async def call(self, *numbers: int, seconds: float = 1.0) -> float:
        """When it was over."""
        domains = [DOMAINS[number] for number in numbers]
        async with self.turns.of(domains):
            names = [domain.name for domain in domains]
            self.asked += names
            self.most = max(self.most, *(self.asked.count(name) for name in names))
            await asyncio.sleep(seconds)
            for name in names:
                self.asked.remove(name)
        return asyncio.get_running_loop().time()


@in_fast_time
async def test_one_after_another() -> None:
    calls = Calls()
    ends = await asyncio.gather(calls.call(0, 1), calls.call(1, 2), calls.call(2, 3), calls.call(3), calls.call(0))
    assert calls.most == 1
    assert ends == [1.0, 2.0, 1.0, 2.0, 2.0]


@in_fast_time
async def test_who_stops_waiting_holds_nobody_up() -> None:
    calls = Calls()
    first = asyncio.create_task(calls.call(0, seconds=10.0))
    waiting = asyncio.create_task(calls.call(0, 1))
    await asyncio.sleep(1.0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await calls.call(1) == 2.0
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await calls.call(0) == 3.0
