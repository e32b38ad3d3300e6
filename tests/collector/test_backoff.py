"""When to try again what has failed."""

from __future__ import annotations

import random

from domstats.collector.backoff import FIRST, LONGEST, BackOff


def test_delays_double_give_or_take_half_up_to_a_limit() -> None:
    back_off = BackOff(random.Random(1))
    expected, delays = FIRST, [back_off.delay() for _ in range(20)]
    for delay in delays:
        assert 0.5 * expected <= delay <= 1.5 * expected
        expected = min(2 * expected, LONGEST)
    assert delays[-1] >= 0.5 * LONGEST
    back_off.reset()
    assert back_off.delay() <= 1.5 * FIRST


def test_two_are_not_in_step() -> None:
    assert BackOff().delay() != BackOff().delay()
