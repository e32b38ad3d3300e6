"""What an hour of 1,000 simulated guests takes, in bytes that were really allocated."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

import domstats
from domstats.model.sampling import COLUMN_NAMES, Sampling
from domstats.model.snapshot import Snapshot
from domstats.serve.history.history import BYTES, History
from histories import EPOCH, FREE, MIXED

GUESTS = 1000
BESIDE = 16 << 10
"""Bytes a guest that names, lanes and what a layout's columns are found by may take."""
EVERY = 10.0
"""Seconds from one snapshot to the next."""


@pytest.fixture(scope="module")
def simulated() -> Snapshot:
    with domstats.connect(f"sim:///?domains={GUESTS}&time={EPOCH:.0f}") as host:
        return host.stats()


def an_hour_of(simulated: Snapshot) -> Iterator[Snapshot]:
    """What a collector gives: some groups are new each time, the others, of a part of the guests after the other, less
    often; all counters grow."""
    count, values = len(simulated), simulated.values
    times = np.full((count, len(COLUMN_NAMES)), EPOCH)
    for number in range(int(3600 / EVERY) + 1):
        now = EPOCH + EVERY * number
        part = np.arange(count) % 3 == number % 3
        times = np.where(part[:, np.newaxis], now, times)
        times[:, FREE] = now
        values = values + np.uint64(number % 7)
        sampling = Sampling(
            np.zeros(count, np.uint8), times, np.zeros(times.shape, np.uint8), ("sim",), np.zeros_like(times)
        )
        yield Snapshot(simulated.layout, values, now, sampling, 8)


@pytest.mark.parametrize("limit", [BYTES, 24 << 20])
def test_an_hour_stays_within_its_bytes(simulated: Snapshot, limit: int) -> None:
    hour = an_hour_of(simulated)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        history = History(history_bytes=limit, periods=MIXED)
        history.add(next(hour))
        allocated = history.kept().bytes
        del hour
        taken_at_first = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert allocated <= taken_at_first <= limit + GUESTS * BESIDE
    for snapshot in an_hour_of(simulated):
        history.add(snapshot)
        assert history.kept().bytes <= limit
    kept = history.kept()
    rings = [ring for store in history._room.stores for block in store.blocks for ring in block.rings]
    assert kept.bytes == sum(
        array.nbytes for ring in rings for array in vars(ring).values() if isinstance(array, np.ndarray)
    )
    assert (kept.guests, kept.waiting) == (GUESTS, 0)
    assert kept.seconds >= 3600 - kept.step
    assert kept.series > 25 * GUESTS
    if limit == BYTES:
        assert (kept.step, kept.full_seconds) == (10.0, 600.0)
        assert kept.bytes < 80e6
    else:
        assert kept.step > 10.0


def test_the_peak_of_an_hour_too_large(simulated: Snapshot) -> None:
    """Making blocks anew never takes more than the limit either."""
    limit, guests = 16 << 20, len(simulated)
    gc.collect()
    tracemalloc.start()
    try:
        history = History(history_bytes=limit, periods=MIXED)
        for _, snapshot in zip(range(3), an_hour_of(simulated), strict=False):
            history.add(snapshot)
        del snapshot
        beside = tracemalloc.get_traced_memory()[0] - history.kept().bytes
        tracemalloc.reset_peak()
        while history._room.settle():
            now, peak = tracemalloc.get_traced_memory()
            assert peak - beside <= limit + (1 << 20)
            assert now - beside <= limit
    finally:
        tracemalloc.stop()
    assert beside < guests * BESIDE + 3 * simulated.values.nbytes
    assert history.kept().step > 10.0
