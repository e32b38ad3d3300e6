"""The offset of a clock: the same until the clock is set, however unluckily the two are read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import chain, repeat

import pytest

from domstats.sources.clock import HOST, LEAST_STEP, Offset


@dataclass
class Clocks:
    """Time passes when it is read."""

    passed: float = 100.0
    """Since the boot."""
    ahead: float = 1_800_000_000.0
    reading: float = 1e-6

    def steady(self) -> float:
        self.passed += self.reading
        return self.passed

    def wall(self) -> float:
        return self.steady() + self.ahead


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def offset(clocks: Clocks) -> Offset:
    return Offset(clocks.wall, clocks.steady)


def test_it_stays_the_same_bit_for_bit(clocks: Clocks, offset: Offset) -> None:
    first = offset()
    assert first == pytest.approx(clocks.ahead, abs=1e-5)
    for _ in range(100):
        clocks.passed += 3600.1
        assert offset() == first


@pytest.mark.parametrize("step", [-3600.0, -0.01, 2 * LEAST_STEP, 10.0])
def test_a_clock_that_is_set(clocks: Clocks, offset: Offset, step: float) -> None:
    first = offset()
    clocks.ahead += step
    assert offset() - first == pytest.approx(step, abs=1e-5)
    assert offset() == offset()


def test_a_thread_that_has_to_wait_while_it_reads(clocks: Clocks, offset: Offset) -> None:
    first, read = offset(), clocks.steady
    waits = chain([0.0, 0.5], repeat(0.0))

    def steady() -> float:
        clocks.passed += next(waits)
        return read()

    clocks.steady = steady  # type: ignore[method-assign]
    assert Offset(clocks.wall, clocks.steady)() == pytest.approx(first, abs=1e-5)


def test_of_this_host() -> None:
    assert HOST() + time.clock_gettime(time.CLOCK_BOOTTIME) == pytest.approx(time.time(), abs=1.0)
