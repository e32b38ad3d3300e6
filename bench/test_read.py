"""Reading values from a snapshot."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

import domstats
from domstats.sources.sim.source import SimSource

pytestmark = pytest.mark.benchmark(timer=time.process_time)


async def snapshot_of(domains: int) -> domstats.Snapshot:
    source = SimSource.open(f"sim:///?domains={domains}&seed=1&time=1700000000&vcpus=2&disks=1&nics=1")
    return await source.stats([], 0, domstats.DomainFilter(0), 60.0)


def read_500(benchmark: Any, snapshot: domstats.Snapshot) -> None:
    """The same 500 reads: of as many domains as there are, up to 500, spread over the host."""
    running = [domain.uuid for domain in snapshot.domains if domain.id is not None]
    chance = random.Random(1)
    keys = ("vcpu.0.time", "cpu.time", "block.0.rd.bytes", "balloon.current", "vcpu.1.exits.sum")
    reads = [(chance.choice(running), chance.choice(keys)) for _ in range(500)]

    def read() -> None:
        for uuid, key in reads:
            snapshot[uuid][key]

    benchmark.pedantic(read, rounds=200, warmup_rounds=5)


async def test_read_100(benchmark: Any) -> None:
    read_500(benchmark, await snapshot_of(100))


async def test_read_16000(benchmark: Any) -> None:
    read_500(benchmark, await snapshot_of(16_000))


async def test_column_1000(benchmark: Any) -> None:
    snapshot = await snapshot_of(1000)
    benchmark.pedantic(lambda: snapshot.column("cpu.time"), rounds=50, iterations=100, warmup_rounds=1)
