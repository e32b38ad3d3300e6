"""What is kept to put replies together is bounded, and is forgotten when nobody asks for them any more."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator
from typing import cast

import pytest

from domstats.collector.collector import Collector
from domstats.collector.plan import make_plan
from domstats.collector.reach import Reach
from domstats.model.flags import NO_FILTERS, StatsGroup
from domstats.model.merge import Merger
from domstats.model.snapshot import Snapshot
from domstats.serve.freshness import Freshness
from domstats.serve.libvirt.behind import Behind
from domstats.serve.libvirt.bulk import Bulk
from domstats.serve.libvirt.lists import Rolls
from domstats.sources.sim.source import SimSource


class Asked:
    """Bulk over one collector, and the mergers that are alive."""

    def __init__(self, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
        self.collector, self.alive = collector, weakref.WeakSet[Merger]()
        self.bulk = Bulk(collector, Freshness(collector), cast(Behind, None), Rolls())
        alive = self.alive

        class Counted(Merger):
            def __init__(self) -> None:
                super().__init__()
                alive.add(self)

        monkeypatch.setattr("domstats.serve.libvirt.bulk.Merger", Counted)

    async def ask(self, first: int = 0, groups: int = 0) -> bytes:
        """The reply for the domains from that one on."""
        domains = self.collector.latest.domains[first:] if first else ()
        return bytes(await self.bulk.reply(domains, groups, 0))

    def another_snapshot(self) -> None:
        """As it is, under another identity."""
        latest = self.collector.latest
        self.collector.latest = Snapshot(latest.layout, latest.values, latest.time, latest.sampling, latest.host_cpus)

    @property
    def kept(self) -> list[int]:
        """How many values each of the mergers that are kept has."""
        gc.collect()
        return sorted(merger.size for merger in self.alive)


@pytest.fixture
async def asked(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asked]:
    reach = Reach(SimSource.open("sim:///?domains=40"))
    collector = Collector(reach, make_plan(0, {}), 5.0, NO_FILTERS, lambda _: True)
    await collector.start()
    async for _ in collector:
        if collector.swept:
            break
    yield Asked(collector, monkeypatch)
    await collector.aclose()


async def test_few_are_kept(asked: Asked) -> None:
    for first in range(1, 30):
        await asked.ask(first)
    assert len(asked.kept) == 16


async def test_they_have_a_number_of_values_together(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    await asked.ask(1)
    (size,) = asked.kept
    assert size > 1000
    monkeypatch.setattr("domstats.serve.libvirt.bulk._MERGED_VALUES", 3 * size)
    for first in range(1, 10):
        await asked.ask(first)
    assert 3 <= len(asked.kept) < 9
    assert sum(asked.kept) <= 3 * size
    monkeypatch.setattr("domstats.serve.libvirt.bulk._MERGED_VALUES", 1)
    await asked.ask(20)
    assert len(asked.kept) == 1


async def test_what_nobody_asks_for_is_forgotten(asked: Asked) -> None:
    first = await asked.ask(1, StatsGroup.CPU)
    for _ in range(59):
        asked.another_snapshot()
        await asked.ask()
    assert len(asked.kept) == 1
    assert await asked.ask(1, StatsGroup.CPU) == first
    for _ in range(60):
        asked.another_snapshot()
        await asked.ask()
    assert asked.kept == []
