"""The plan: which groups are asked for together, and how often."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from domstats.catalog.groups import GROUP_NAMES, GROUPS
from domstats.collector.board import FREE, MONITOR
from domstats.collector.plan import FREE_PERIOD, MONITOR_PERIOD, SHARE, Pace, by_group, make_plan
from domstats.collector.round import EVERY_BIT, KNOWN
from domstats.errors import UnknownGroup, UsageError


def test_everything_by_default() -> None:
    plan = make_plan(0, {})
    assert plan.free == Pace(FREE, FREE_PERIOD)
    assert plan.guests == (Pace(EVERY_BIT & ~FREE, MONITOR_PERIOD),)
    assert (plan.period, plan.share, plan.asked) == (FREE_PERIOD, SHARE, KNOWN)


def test_groups_of_one_period_are_asked_for_together() -> None:
    plan = make_plan(0b101111, {"vcpu": 5, "cpu": 5, "block": 60, "state": 1})
    assert plan.free == Pace(0b1, 1.0)
    assert plan.guests == (Pace(0b1010, 5.0), Pace(0b100, MONITOR_PERIOD), Pace(0b100000, 60.0))
    assert plan.period == 1.0
    assert make_plan(0b1010, {"vcpu": 1, "cpu": 1}).period == 1.0


def test_free_groups_are_asked_for_together_as_often_as_the_most_frequent() -> None:
    assert make_plan(0, {"net": 7, "state": 9}).free.period == FREE_PERIOD
    assert make_plan(FREE, dict.fromkeys(("state", "net", "perf", "memory"), 30.0)).free.period == 30.0


def test_a_group_of_a_later_libvirt() -> None:
    plan = make_plan(0, {"20": 3})
    assert plan.guests[0] == Pace(1 << 20, 3.0)
    assert plan.guests[0].groups & plan.guests[1].groups == 0


def test_nobody_is_asked_for_groups_of_a_later_libvirt_alone() -> None:
    assert make_plan(0, {group.name: 1.0 for group in GROUPS}).guests == (Pace(EVERY_BIT & ~FREE, 1.0),)
    later = EVERY_BIT & ~KNOWN
    apart = make_plan(0, {group.name: 20.0 for group in GROUPS} | {"cpu": 1.0})
    assert [pace.period for pace in apart.guests if pace.groups & later] == [20.0]
    assert make_plan(later, {}).guests == (Pace(later, MONITOR_PERIOD),)


@pytest.mark.parametrize("seconds", [0, -1, 0.05, float("nan"), float("inf"), "5", None])
def test_what_is_no_period(seconds: Any) -> None:
    with pytest.raises(UsageError, match="the period of 'cpu' is a number of seconds"):
        make_plan(0, {"cpu": seconds})


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan")])
def test_what_is_no_share(share: float) -> None:
    with pytest.raises(UsageError, match="a share is"):
        make_plan(0, {}, share)


def test_groups_that_do_not_fit() -> None:
    with pytest.raises(UnknownGroup):
        make_plan(0, {"nonsense": 3})
    with pytest.raises(UsageError, match="'block', which is not asked for"):
        make_plan(0b1, {"block": 3})


def test_the_seconds_of_each_group() -> None:
    cpu, rest = 0b10, MONITOR & ~0b10
    seconds = by_group(2.0, {cpu: 5.0, rest: 15.0})
    expected = [2.0 if FREE >> index & 1 else 5.0 if index == 1 else 15.0 for index in range(len(GROUP_NAMES))]
    assert np.array_equal(seconds, expected)


@pytest.mark.parametrize(
    ("groups", "periods", "goes_on"),
    [
        (0, {"block": 30}, True),
        (0, {"block": 60}, True),
        (0, {"block": 60, "state": 1}, True),
        (0, {"block": 30, "kernel": 5}, True),
        (0, {"block": 20}, False),
        (0, {}, False),
        (0, {"block": 30, "cpu": 30}, False),
        (0b100111, {"block": 30}, False),
    ],
)
def test_which_plan_can_follow(groups: int, periods: dict[str, float], goes_on: bool) -> None:
    assert make_plan(groups, periods).can_follow(make_plan(0, {"block": 30})) == goes_on
