"""Derived figures, each from a record whose answer can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.catalog.groups import GROUP_NAMES
from domstats.model.derived import GUEST_AGE, Figures
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.snapshot import Snapshot

P, T = TypedParameter, ParamType
SECOND = 10**9
BOTH = Domain("vm", "00000000-0000-0000-0000-000000000001", 1)
OFF = Domain("off", "00000000-0000-0000-0000-000000000002", None)


def busy(seconds: int) -> list[TypedParameter]:
    """Two vCPUs, one busy and the other half of the time, a quarter of a second stolen from one; two disks, one NIC."""
    values = {
        "cpu.time": seconds * SECOND * 8 // 5,
        "vcpu.0.time": seconds * SECOND,
        "vcpu.0.delay": 0,
        "vcpu.1.time": seconds * SECOND // 2,
        "vcpu.1.delay": seconds * SECOND // 4,
        "block.0.rd.bytes": seconds * 1000,
        "block.0.rd.reqs": seconds * 3,
        "block.1.rd.reqs": seconds * 4,
        "block.1.wr.reqs": seconds * 5,
        "block.0.wr.bytes": seconds * 10,
        "block.1.rd.bytes": seconds * 2000,
        "block.1.wr.bytes": 0,
        "net.0.rx.bytes": seconds * 7,
        "net.0.tx.bytes": seconds * 9,
    }
    names = [P("block.0.name", T.STRING, "vda"), P("block.1.name", T.STRING, "vdb"), P("net.0.name", T.STRING, "tap0")]
    vcpus = P("vcpu.current", T.UINT, 2)
    return [vcpus, *names, *(P(key, T.ULLONG, value) for key, value in values.items())]


def figures(before: list[TypedParameter] | None, now: list[TypedParameter], host_cpus: int | None = 8) -> Figures:
    later = Snapshot.of_params([(BOTH, now), (OFF, [])], time=20.0, host_cpus=host_cpus)
    if before is None:
        return Figures(later)
    return Figures(later, later.rates(Snapshot.of_params([(BOTH, before), (OFF, [])], time=10.0)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cpu_percent", 160.0),
        ("cpu_guest_percent", 75.0),
        ("cpu_host_percent", 20.0),
        ("steal_percent", 12.5),
        ("disk_read", 3000.0),
        ("disk_write", 10.0),
        ("disk_reads", 7.0),
        ("disk_writes", 5.0),
        ("net_receive", 7.0),
        ("net_transmit", 9.0),
    ],
)
def test_figures_from_rates(name: str, value: float) -> None:
    values, known = getattr(figures(busy(10), busy(20)), name)
    assert values[0] == pytest.approx(value)
    assert known.tolist() == [True, False]
    assert not getattr(figures(None, busy(20)), name)[1].any(), "one snapshot has no rates"


def test_a_domain_that_is_off_uses_no_processor() -> None:
    polls = [Snapshot.of_params([(OFF, [P("cpu.time", T.ULLONG, time * SECOND)])], time=time) for time in (10, 20)]
    assert not Figures(polls[1], polls[1].rates(polls[0])).cpu_percent[1].any()


def test_share_of_the_host_needs_its_number_of_processors() -> None:
    assert not figures(busy(10), busy(20), host_cpus=None).cpu_host_percent[1].any()


def test_a_sum_is_known_only_when_every_device_is() -> None:
    before = [param for param in busy(10) if not param.name.startswith("block.1.")]
    assert not figures(before, busy(20)).disk_read[1][0]
    assert figures(before, busy(20)).net_receive[1][0]


def memory(**values: int) -> Figures:
    return figures(None, [P(f"balloon.{key.replace('_', '-')}", T.ULLONG, value) for key, value in values.items()])


def test_memory_as_the_guest_counts_it() -> None:
    found = memory(current=9000, last_update=5, available=8000, usable=3000, unused=1000, rss=7777)
    assert found.memory_used[0][0] == 5000 * 1024
    assert found.memory_total[0][0] == 8000 * 1024
    assert found.memory_source == ["guest", ""]
    assert not found.balloon_off.any()


def test_memory_of_an_old_guest_driver() -> None:
    assert memory(current=9000, last_update=5, available=8000, unused=1000, rss=7777).memory_used[0][0] == 7000 * 1024


def test_memory_where_balloon_statistics_are_off() -> None:
    found = memory(current=9000, last_update=0, available=8000, usable=3000, rss=7777)
    assert found.memory_used[0][0] == 7777 * 1024
    assert found.memory_total[0][0] == 9000 * 1024
    assert found.memory_source == ["rss", ""]
    assert found.balloon_off.tolist() == [True, False]


@pytest.mark.parametrize(("seconds", "source"), [(0, "guest"), (GUEST_AGE, "guest"), (GUEST_AGE + 1, "rss")])
def test_memory_of_which_the_guest_has_said_nothing_for_long(seconds: float, source: str) -> None:
    sampled = 10_000.0
    values = {"current": 9000, "last-update": int(sampled - seconds), "available": 8000, "usable": 3000, "rss": 7777}
    params = [P(f"balloon.{key}", T.ULLONG, value) for key, value in values.items()]
    snapshot = Snapshot.of_params([(BOTH, params)], time=sampled + 1000)
    sampling = replace(snapshot.sampling, times=np.full_like(snapshot.sampling.times, sampled))
    found = Figures(snapshot.with_sampling(sampling))
    assert found.memory_source == [source]
    assert found.memory_total[0][0] == (8000 if source == "guest" else 9000) * 1024
    assert found.balloon_old.tolist() == [source == "rss"]
    assert not found.balloon_off.any()


def test_memory_the_guest_cannot_mean() -> None:
    found = memory(current=9000, last_update=5, available=10, usable=3000, rss=7777)
    assert found.memory_source == ["rss", ""]


def test_memory_nobody_knows() -> None:
    found = memory(current=9000)
    assert not found.memory_used[1].any()
    assert found.memory_total[1].tolist() == [True, False]
    assert found.memory_source == ["", ""]


def test_the_age_of_a_record_is_that_of_its_oldest_group() -> None:
    snapshot = Snapshot.of_params([(BOTH, busy(1)), (OFF, [])], time=20.0)
    times = np.full_like(snapshot.sampling.times, np.nan)
    times[0, GROUP_NAMES.index("cpu")], times[0, GROUP_NAMES.index("block")] = 18.0, 13.5
    times[0, GROUP_NAMES.index("balloon")] = 1.0  # of which the record has nothing
    snapshot = snapshot.with_sampling(replace(snapshot.sampling, times=times))
    ages, known = Figures(snapshot).age
    assert known.tolist() == [True, False]
    assert ages[0] == snapshot[BOTH.uuid].age == 6.5
    times[0, GROUP_NAMES.index("cpu")] = 3620.0  # from before the clock was set back
    assert not Figures(snapshot).age[1].any()


KEYS = [
    "vcpu.current",
    "balloon.current",
    "balloon.rss",
    "balloon.last-update",
    "cpu.time",
    "vcpu.0.time",
    "state.state",
]
ODD = [P("", T.STRING, "many"), P("", T.DOUBLE, float("nan")), P("", T.LLONG, -1), P("", T.BOOLEAN, True)]


@given(
    st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from([*ODD, P("", T.ULLONG, 7)])), max_size=9),
    st.integers(0, 9),
)
def test_values_of_unforeseen_types_are_not_known(content: list[tuple[str, TypedParameter]], cut: int) -> None:
    params = [P(key, param.type, param.value) for key, param in content]
    polls = [Snapshot.of_params([(BOTH, params[:cut]), (OFF, params[cut:])], time=time) for time in (10.0, 20.0)]
    found = Figures(polls[1], polls[1].rates(polls[0]))
    for name, kind in vars(Figures).items():
        if not name.startswith("_") and not callable(kind):
            assert getattr(found, name) is not None
    for record in polls[1]:
        assert isinstance(record.get("state", ""), str)
