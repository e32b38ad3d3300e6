"""What goes wrong in one of a collector's tasks, or in the middle of its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from domstats.collecting import chooser
from domstats.collector.collector import LOOK_PAUSE, Collector
from domstats.collector.plan import make_plan
from domstats.collector.reach import Reach
from domstats.errors import ProtocolError, RemoteError
from domstats.model.flags import NO_FILTERS
from domstats.model.sampling import Status
from domstats.sources.sim.source import SimSource

URI = "sim:///?domains=5&seed=1"
PATIENCE = 30.0
GUEST = "mail-1"


async def nothing(_: object) -> None:
    """Done at once."""


class Host(SimSource):
    """A simulated host whose calls do what the test wants first."""

    def do(self, **instead: Callable[..., Any]) -> Host:
        self.instead = instead  # of all connections that are opened from this one
        return self

    async def another(self, deadline: float) -> Any:
        self.instead.get("another", int)()
        return await super().another(deadline)

    async def stats(self, domains: Any, *more: Any) -> Any:
        if not domains:
            self.instead.get("roll", int)()
        else:
            await self.instead.get("ask", nothing)([domain.name for domain in domains])
        return await super().stats(domains, *more)

    async def describe(self, domain: Any, deadline: float) -> Any:
        self.instead.get("describe", int)()
        return await super().describe(domain, deadline)

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


async def test_a_guest_of_which_libvirt_always_reports_an_error_is_no_trouble_of_the_host() -> None:
    asked = 0

    async def fail(names: list[str]) -> None:
        nonlocal asked
        if GUEST in names:
            asked += len(names) == 1
            raise RemoteError(1, 10, "internal error: unable to read")

    collector = collector_of(Host.open(URI).do(ask=fail))
    await collector.start()
    async with asyncio.timeout(PATIENCE):
        await until_swept(collector)
        before = asked
        for _ in range(4):
            await collector.refresh(5.0)
            assert collector.trouble is None
        await collector.refresh(5.0, since=collector.clock())
        assert collector.trouble is None
    assert before <= asked <= before + 1, "who has failed is asked by sweeps, and when somebody wants to know"
    assert collector.latest[GUEST].status is Status.PARTIAL
    await collector.aclose()


async def test_guests_that_come_and_take_long_hold_up_no_look() -> None:
    slow = asyncio.Event()

    async def wait(names: list[str]) -> None:
        if GUEST in names:
            slow.set()
            await asyncio.get_running_loop().create_future()

    host = Host.open(URI).do()
    collector = collector_of(host)
    collector._board._wanted = lambda domain: domain.name != GUEST
    await collector.start()
    async with asyncio.timeout(PATIENCE):
        await until_swept(collector)
        host.instead["ask"] = wait
        collector._board._wanted = lambda _: True
        await collector.refresh(0.01)
        await slow.wait()
        looked = [await look(collector) for _ in range(3)]
    assert looked == [True] * 3
    await collector.aclose()


async def look(collector: Collector) -> bool:
    """Whether a look shows who is there, though somebody has not answered yet."""
    await collector.refresh(2 * LOOK_PAUSE)
    before = sampled(collector)
    await collector.refresh(2 * LOOK_PAUSE)
    return sampled(collector) > before


def sampled(collector: Collector) -> float:
    return collector.latest.time - collector.latest[GUEST].ages["state"]


async def test_a_definition_that_cannot_be_read_is_read_once() -> None:
    read = 0

    def fail() -> None:
        nonlocal read
        read += 1
        raise ProtocolError("the definition", 0, "not well-formed")

    collector = collector_of(Host.open(URI).do(describe=fail))
    await collector.start()
    async with asyncio.timeout(PATIENCE):
        await until_swept(collector)
        while any(domain.info is None for domain in collector.latest.domains):
            await collector.refresh(5.0)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        before = read
        for _ in range(3):
            await collector.refresh(5.0)
            await asyncio.sleep(0.05)
    assert len(collector.latest) <= read == before
    await collector.aclose()


async def until_swept(collector: Collector) -> None:
    """Wait until every guest has been asked once."""
    async for _ in collector:
        if collector.swept:
            return
