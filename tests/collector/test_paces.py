"""Several paces, in fast time: whatever the plan, guests that hang cost the healthy ones nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path

import pytest

from domstats.catalog.groups import GROUPS
from domstats.collector.collector import Collector
from domstats.collector.lanes import MAX_HUNG
from domstats.collector.plan import make_plan
from domstats.collector.reach import Reach
from domstats.model.flags import NO_FILTERS
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.sources.sim.source import SimSource
from fast_time import clock, run_fast
from scripted import Scripted, events

DEADLINE = 5.0
GUESTS = 50
HUNG = MAX_HUNG - 1
"""With one more nobody would be asked any more."""
FOUND_BY = 30.0
"""Seconds until all that hang have been asked, and found."""
LONG = 300.0
PLANS: Mapping[str, Mapping[str, float]] = {
    "as usual": {},
    "one pace": {group.name: 1.0 for group in GROUPS},
    "later groups apart": {group.name: 1.0 for group in GROUPS} | {"20": 15.0},
    "three paces": {"cpu": 1.0, "vcpu": 4.0},
    "each its own": {group.name: 2.0 + group.bit for group in GROUPS},
}


def stuck() -> list[str]:
    domains = SimSource(f"sim:///?domains={GUESTS}", clock)._host.domains
    return [domain.name for domain in domains if domain.id is not None][: HUNG * 3 : 3]


async def watched(folder: Path, periods: Mapping[str, float], hung_at: float) -> list[Snapshot]:
    """All snapshots from when those that hang must have been found on."""
    script = events(*(f"{hung_at}; hang {name}" for name in stuck()))
    source = Scripted(folder, script, f"domains={GUESTS}").source
    collector = Collector(Reach(source, width=4), make_plan(0, periods), DEADLINE, NO_FILTERS, lambda _: True)
    await collector.start()
    now = asyncio.get_running_loop().time
    seen = []
    async with aclosing(aiter(collector)) as snapshots:
        async for snapshot in snapshots:
            if now() > hung_at + FOUND_BY:
                seen.append(snapshot)
            if now() > LONG:
                break
    assert collector.cost.hung_total == HUNG, "no guest has two calls that hang"
    await collector.aclose()
    return seen


@pytest.mark.parametrize("hung_at", [2.0, 3.05])
@pytest.mark.parametrize("plan", PLANS)
def test_the_healthy_stay_fresh(tmp_path: Path, plan: str, hung_at: float) -> None:
    async def look() -> None:
        names = set(stuck())
        seen = await watched(tmp_path, PLANS[plan], hung_at)
        assert len(seen) > 100
        for snapshot in seen:
            statuses = {record.domain.name: record.status for record in snapshot}
            assert {name for name, status in statuses.items() if status is Status.BLOCKED} == names
            assert {status for name, status in statuses.items() if name not in names} == {Status.FRESH}

    run_fast(look())
