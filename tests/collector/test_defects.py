"""What goes wrong in one of a collector's tasks, or in the middle of its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from domstats.collecting import chooser
from domstats.collector.collector import Collector
from domstats.collector.plan import make_plan
from domstats.collector.reach import Reach
from domstats.errors import RemoteError
from domstats.model.flags import NO_FILTERS
from domstats.sources.sim.source import SimSource

URI = "sim:///?domains=5&seed=1"
PATIENCE = 30.0


class Host(SimSource):
    """A simulated host whose calls do what the test wants first."""

    def do(self, **instead: Callable[[], Any]) -> Host:
        self.instead = instead
        return self

    async def another(self, deadline: float) -> Any:
        self.instead.get("another", int)()
        return await super().another(deadline)

    async def stats(self, domains: Any, *more: Any) -> Any:
        if not domains:
            self.instead.get("roll", int)()
        return await super().stats(domains, *more)

    async def aclose(self) -> None:
        self.instead.get("aclose", int)()
        await asyncio.sleep(self.instead.get("goodbye", float)())
        await super().aclose()


def collector_of(source: Host, kernel: Host | None = None) -> Collector:
    return Collector(Reach(source, kernel=kernel), make_plan(0, {}), 5.0, NO_FILTERS, chooser(None))


async def test_a_host_that_refuses_more_connections_does_not_end_collecting() -> None:
    asked = asyncio.Event()

    def refuse() -> None:
        asked.set()
        raise RemoteError(38, 7, "Cannot recv data")

    collector = collector_of(Host.open(URI).do(another=refuse))
    await collector.start()
    async with asyncio.timeout(PATIENCE):
        await asked.wait()
        snapshots = aiter(collector)
        for _ in range(3):
            await anext(snapshots)
    await collector.aclose()


async def test_a_defect_in_a_roll_call_ends_collecting() -> None:
    calls = [int, int]

    def fail() -> None:
        if not calls:
            raise ZeroDivisionError
        calls.pop()

    collector = collector_of(Host.open(URI).do(roll=fail))
    await collector.start()

    async def follow() -> None:
        async for _ in collector:
            pass

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(follow(), PATIENCE)
    await collector.aclose()


async def test_all_who_wait_for_a_refresh_see_one_snapshot() -> None:
    collector = collector_of(Host.open(URI).do())
    await collector.start()
    seen = []

    async def refreshed() -> None:
        await collector.refresh(PATIENCE)
        seen.append(collector.latest)

    await asyncio.gather(*(refreshed() for _ in range(20)))
    assert len({id(snapshot) for snapshot in seen}) == 1
    await collector.aclose()


async def test_an_end_that_is_cancelled_has_closed_everything() -> None:
    closed: list[str] = []
    host = Host.open(URI).do(aclose=lambda: closed.append("host"), goodbye=lambda: 0.5)
    kernel = Host.open(URI).do(aclose=lambda: closed.append("kernel"))
    collector = collector_of(host, kernel)
    await collector.start()
    ending = asyncio.create_task(collector.aclose())
    async with asyncio.timeout(PATIENCE):
        while "host" not in closed:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0)
    ending.cancel()
    await asyncio.wait([ending])
    assert closed[-2:] == ["kernel", "host"]
