"""sources.sim.clocks: clocks that never go back, and gauges that stay in their range."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from domstats.sources.sim.clocks import EPOCH, TURN, Clock, Clocks
from domstats.sources.sim.dice import Dice, Ints
from domstats.sources.sim.flavours import FLAVOURS
from domstats.sources.sim.uri import TIME_MAX

GAUGES = (Clock.USED, Clock.FREE, Clock.FLICKER, Clock.FLICKER_BACK)
COUNTERS = [clock for clock in Clock if clock not in GAUGES]
GUESTS = 60
TICK = 1 / 1024

activities = [FLAVOURS[number % len(FLAVOURS)].activity for number in range(GUESTS)]
paused = np.arange(GUESTS) % 20 == 7
clocks = Clocks(Dice(3, GUESTS), activities, paused)
times = st.floats(0.0, TIME_MAX) | st.floats(EPOCH - 1e7, EPOCH + 1e9)


def read(now: float) -> Ints:
    turns, ticks = clocks.read(now)
    whole: Ints = (turns.astype(np.int64) * TURN + ticks.astype(np.int64)).reshape(GUESTS, len(Clock))
    return whole


@given(times, times)
def test_a_counters_clock_never_goes_back(one: float, other: float) -> None:
    earlier, later = read(min(one, other)), read(max(one, other))
    assert (earlier[:, COUNTERS] <= later[:, COUNTERS]).all()
    assert (earlier[:, COUNTERS] >= 0).all()


@given(times, st.integers(1, 3))
def test_nor_from_one_tick_to_the_next(now: float, ticks: int) -> None:
    now = np.floor(now * 1024) / 1024
    earlier, later = read(now), read(now + ticks * TICK)
    moved = (later - earlier)[:, [Clock.UP, Clock.CPU, Clock.DISK, Clock.NET]]
    assert ((moved >= 0) & (moved <= 2 * ticks)).all()


@given(times, st.lists(st.integers(0, GUESTS - 1), unique=True))
def test_the_clocks_of_some_are_those_of_all(now: float, some: list[int]) -> None:
    guests = np.array(some, np.int64)
    for whole, part in zip(clocks.read(now), clocks.read(now, guests), strict=True):
        assert (whole.reshape(GUESTS, -1)[guests] == part.reshape(GUESTS, -1)[guests]).all()
        assert not np.delete(part.reshape(GUESTS, -1), guests, axis=0).any()


@given(times)
def test_gauges_stay_in_their_range_and_opposites_are_opposite(now: float) -> None:
    all_clocks = read(now)
    assert ((all_clocks[:, GAUGES] >= 0) & (all_clocks[:, GAUGES] < TURN)).all()
    assert (all_clocks[:, Clock.USED] + all_clocks[:, Clock.FREE] == TURN - 1).all()
    assert (all_clocks[:, Clock.FLICKER] + all_clocks[:, Clock.FLICKER_BACK] == 1023).all()


def test_a_busy_guest_is_busier_at_times() -> None:
    minutes = np.array([read(EPOCH + 60.0 * minute)[:, Clock.CPU] for minute in range(61)])
    speed = np.diff(minutes, axis=0)[:, ~paused] / (60 * 1024)
    swing = np.array([each.swing for each in activities])[~paused] / 1024
    assert (speed.max(axis=0) > 1 + swing * 0.5).all()
    assert (speed.min(axis=0) < 1 - swing * 0.5).all()
    assert (abs(speed - 1) <= swing + 0.001).all()


def test_gauges_swing_wide() -> None:
    levels = np.array([read(EPOCH + 30.0 * step)[:, Clock.USED] for step in range(120)])[:, ~paused]
    assert (levels.max(axis=0) > TURN * 0.95).all()
    assert (levels.min(axis=0) < TURN * 0.05).all()


def test_a_paused_guest_stands_still() -> None:
    earlier, later = read(EPOCH - 1e8), read(EPOCH + 1e8)
    assert (earlier[paused] == later[paused]).all()
    assert (earlier[~paused][:, Clock.UP] == 0).all()
    assert (earlier[paused][:, Clock.UP] > 0).all()


def test_clocks_stop_before_a_counter_leaves_64_bits() -> None:
    own = Clocks(Dice(3, 2), activities[:2], paused[:2])
    own.end_at(np.array([10**13, 0]))
    turns, _ = own.read(TIME_MAX)
    fast, slow = turns.reshape(2, len(Clock))[:, Clock.UP].tolist()
    assert 0.99 * 2**63 < fast * 10**13 <= 2**63
    assert slow > 2e8
