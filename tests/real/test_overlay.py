"""What the kernel says of real guests, laid over what libvirtd says."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

import domstats
from domstats import aio
from domstats.catalog.fields import Kind
from domstats.catalog.lookup import kind_of
from domstats.model.record import Record
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from hypervisor import Hypervisor

PATIENCE = 60.0
STUCK = "vm0007"


def overlaid(record: Record) -> list[str]:
    shape = record.layout.shape
    return [key for key, flag in zip(shape.keys, shape.overlaid, strict=False) if flag]


async def test_nothing_but_the_source_of_some_values_is_another(hypervisor: Hypervisor) -> None:
    async with aio.connect(hypervisor.uri) as libvirt, aio.connect(hypervisor.uri, kernel="auto") as both:
        before = await libvirt.stats()
        snapshot = await both.stats()
        after = await libvirt.stats()
    compared = 0
    for record in snapshot:
        mine, then, later = overlaid(record), before[record.domain.uuid], after[record.domain.uuid]
        assert [key for key in record if key in then] == list(then), "in libvirt's order"
        assert {key for key in record if key not in then} <= set(mine)
        if record.domain.id is None:
            assert not mine
            continue
        assert {"cpu.time", "cpu.user", "cpu.system", "vcpu.0.time", "balloon.rss"} <= set(mine)
        assert record.sources["cpu.kernel"] == "kernel"
        for key in mine:
            if key in then and kind_of(key) is Kind.COUNTER:
                assert then[key] <= record[key] <= later[key], (record.domain.name, key)
                compared += 1
        for key in then:
            assert record.type_of(key) == then.type_of(key)
    assert compared > 5 * len(snapshot)
    assert any("net.0.rx.bytes" in overlaid(record) for record in snapshot)


async def until(collector: domstats.Collector, name: str, status: Status) -> Snapshot:
    """The first snapshot in which a guest has that status."""
    async with asyncio.timeout(PATIENCE), aclosing(aiter(collector)) as snapshots:
        async for snapshot in snapshots:
            if snapshot[name].status is status:
                return snapshot
    raise AssertionError("the collector ended")


@pytest.mark.parametrize("pace", [0.5])
async def test_a_stuck_guest_keeps_young_figures(hypervisor: Hypervisor, pace: float) -> None:
    async with domstats.collect(hypervisor.uri, plan={"kernel": pace}) as collector:
        first = await until(collector, STUCK, Status.FRESH)
        assert first[STUCK].ages["cpu.kernel"] < 2 * pace
        hypervisor.stop_guest(STUCK)
        try:
            await until(collector, STUCK, Status.BLOCKED)
            seen = []
            async with asyncio.timeout(PATIENCE), aclosing(aiter(collector)) as snapshots:
                async for snapshot in snapshots:
                    seen.append(snapshot)
                    if len(seen) == 6:
                        break
        finally:
            hypervisor.continue_guest(STUCK)
        assert {snapshot[STUCK].status for snapshot in seen} == {Status.BLOCKED}
        assert max(snapshot[STUCK].ages["cpu.kernel"] for snapshot in seen) < 2 * pace
        assert seen[-1].rates(seen[0])[STUCK]["cpu.time"] == 0.0, "its process stands still, which the kernel sees"
        assert collector.cost.kernel_polls >= 6
        await until(collector, STUCK, Status.FRESH)
