"""Rates: exact differences, and a reason wherever there is none."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captures import POLL1, POLL2, capture
from domstats.errors import NoRate, NotACounter, UnknownField
from domstats.model.domain import Domain
from domstats.model.matching import earlier_slots
from domstats.model.params import ParamType, TypedParameter
from domstats.model.rates import LEAST_INTERVAL, Reason
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.bulk.encoder import encode_reply

P, T = TypedParameter, ParamType
UUID = "00000000-0000-0000-0000-000000000001"


def poll(time: float, *params: TypedParameter, id: int | None = 1, uuid: str = UUID) -> Snapshot:  # noqa: A002
    return Snapshot.of_params([(Domain("vm", uuid, id), params)], time=time)


def count(value: int, key: str = "cpu.time") -> TypedParameter:
    return P(key, T.ULLONG, value)


def disk(position: int, name: str, read: int) -> list[TypedParameter]:
    return [P(f"block.{position}.name", T.STRING, name), count(read, f"block.{position}.rd.bytes")]


def test_a_rate_is_the_change_per_second() -> None:
    rates = poll(12.0, count(500)).rates(poll(10.0, count(100)))
    assert rates["vm"]["cpu.time"] == 200.0
    assert rates["vm"].reason("cpu.time") == ""
    assert rates["vm"].items() == [("cpu.time", 200.0)]


@pytest.mark.parametrize("step", [-3600.0, -1.9, 10.0])
@pytest.mark.parametrize("other", [False, True])
def test_a_clock_that_was_set_in_between_changes_no_rate(step: float, *, other: bool) -> None:
    more = [count(0, "cpu.user")] if other else []
    before = poll(10.0, count(100))
    now = poll(12.0 + step, count(500), *more)
    before, now = (
        each.with_sampling(replace(each.sampling, offset=1_800_000_000.0 + by))
        for each, by in ((before, 0.0), (now, step))
    )
    assert now.rates(before)["vm"]["cpu.time"] == pytest.approx(200.0)


def test_whether_a_clock_was_set_is_not_always_known() -> None:
    before, now = poll(10.0, count(100)), poll(12.0, count(500))
    known = now.with_sampling(replace(now.sampling, offset=1_800_000_000.0))
    assert known.rates(before)["vm"]["cpu.time"] == 200.0
    assert now.rates(before.with_sampling(replace(before.sampling, offset=1.0)))["vm"]["cpu.time"] == 200.0


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_differences_are_of_64_bit_integers(before: int, now: int) -> None:
    rates = poll(11.0, count(now)).rates(poll(10.0, count(before)))
    if now < before:
        assert rates["vm"].reason("cpu.time") == "counter went back"
    else:
        assert rates["vm"]["cpu.time"] == float(now - before)


def test_large_counters_keep_their_last_bit() -> None:
    rates = poll(11.0, count(2**63 + 1)).rates(poll(10.0, count(2**63)))
    assert rates["vm"]["cpu.time"] == 1.0


@pytest.mark.parametrize(
    ("now", "before", "key", "reason"),
    [
        (poll(11.0, count(5), id=2), poll(10.0, count(4)), "cpu.time", "restarted"),
        (poll(11.0, count(5)), poll(10.0, count(4), id=None), "cpu.time", "restarted"),
        (poll(11.0, count(5), id=None), poll(10.0, count(4), id=None), "cpu.time", "not running"),
        (poll(11.0, count(3)), poll(10.0, count(4)), "cpu.time", "counter went back"),
        (poll(11.0, count(3)), poll(10.0), "cpu.time", "no earlier sample"),
        (poll(11.0, count(3)), Snapshot.of_params([]), "cpu.time", "no earlier sample"),
        (poll(11.0, count(3)), poll(10.0, count(3), uuid=UUID[:-1] + "2"), "cpu.time", "no earlier sample"),
        (poll(10.0, count(5)), poll(10.0, count(4)), "cpu.time", "interval too short"),
        (poll(10.0, count(5)), poll(11.0, count(4)), "cpu.time", "interval too short"),
        (poll(10.0 + LEAST_INTERVAL / 2, count(5)), poll(10.0, count(4)), "cpu.time", "interval too short"),
        (poll(math.nan, count(5)), poll(10.0, count(4)), "cpu.time", "interval too short"),
        (poll(11.0, *disk(0, "vdb", 5)), poll(10.0, *disk(0, "vda", 4)), "block.0.rd.bytes", "device replaced"),
        (poll(11.0, P("cpu.time", T.LLONG, 5)), poll(10.0, count(4)), "cpu.time", "no earlier sample"),
    ],
)
def test_where_there_is_no_rate_there_is_a_reason(now: Snapshot, before: Snapshot, key: str, reason: str) -> None:
    rates = now.rates(before)["vm"]
    assert rates.reason(key) == reason
    assert rates.get(key) is None
    with pytest.raises(NoRate) as caught:
        rates[key]
    assert caught.value.reason == reason
    assert rates.items() == []


def test_devices_are_matched_by_name() -> None:
    before = poll(10.0, *disk(0, "vda", 100), *disk(1, "vdb", 1000), *disk(2, "vdc", 5))
    now = poll(11.0, *disk(0, "vdb", 1500), *disk(1, "vdd", 7), *disk(3, "vde", 7), *disk(4, "vda", 101))
    rates = now.rates(before)["vm"]
    assert rates["block.0.rd.bytes"] == rates["block[vdb].rd.bytes"] == 500.0
    assert rates["block[vda].rd.bytes"] == 1.0
    assert rates.reason("block.1.rd.bytes") == "device replaced"
    assert rates.reason("block.3.rd.bytes") == "no earlier sample"


def test_entries_of_one_name_are_matched_in_their_order() -> None:
    before = poll(10.0, *disk(0, "vda", 1), *disk(1, "vda", 10), *disk(2, "vdb", 100))
    now = poll(11.0, *disk(0, "vdb", 101), *disk(1, "vda", 3), *disk(2, "vda", 13))
    rates = now.rates(before)["vm"]
    assert [rates[f"block.{each}.rd.bytes"] for each in range(3)] == [1.0, 2.0, 3.0]


def test_a_device_without_a_name_is_not_matched_with_one_that_has() -> None:
    before = poll(10.0, *disk(0, "vda", 1))
    now = poll(11.0, count(5, "block.0.rd.bytes"))
    assert now.rates(before)["vm"].reason("block.0.rd.bytes") == "no earlier sample"


def test_a_device_without_a_name_may_have_moved_when_another_has_come_or_gone() -> None:
    keys = ("net.0.rx.bytes", "net.1.rx.bytes", "block.0.rd.bytes", "vcpu.0.time")
    two = poll(10.0, *(count(100, key) for key in keys), P("net.count", T.UINT, 2))
    one = poll(11.0, *(count(150, key) for key in keys if key != "net.1.rx.bytes"), P("net.count", T.UINT, 1))
    rates = one.rates(two)["vm"]
    assert rates.reason("net.0.rx.bytes") == "no earlier sample"
    assert (rates["block.0.rd.bytes"], rates["vcpu.0.time"]) == (50.0, 50.0)
    later = poll(12.0, *(count(200, key) for key in keys))
    assert later.rates(one)["vm"].reason("net.0.rx.bytes") == "no earlier sample"
    assert later.rates(two)["vm"]["net.1.rx.bytes"] == 50.0, "without the number of devices it is the same"
    named = poll(11.0, *disk(0, "vda", 5), *disk(1, "vdb", 5)).rates(poll(10.0, *disk(0, "vdb", 4)))["vm"]
    assert named["block[vdb].rd.bytes"] == 1.0


def test_only_counters_have_rates() -> None:
    now = poll(11.0, P("balloon.current", T.ULLONG, 5), P("future.thing", T.ULLONG, 6))
    rates = now.rates(poll(10.0, P("balloon.current", T.ULLONG, 4), P("future.thing", T.ULLONG, 4)))["vm"]
    with pytest.raises(NotACounter, match=r"'balloon.current' is a gauge, only counters have rates"):
        rates["balloon.current"]
    with pytest.raises(NotACounter, match=r"'future.thing' is a value of unknown kind"):
        rates["future.thing"]
    assert rates.get("balloon.current") is None
    assert rates.reason("balloon.current") == "not a counter"
    with pytest.raises(UnknownField):
        rates["cpu.time"]
    with pytest.raises(UnknownField):
        rates.reason("cpu.time")


def test_signed_and_double_counters() -> None:
    key = "cpu.energy.monitor.0.pkg.0.core_energy"
    rates = poll(12.0, P(key, T.DOUBLE, 1.5)).rates(poll(10.0, P(key, T.DOUBLE, 0.5)))["vm"]
    assert rates[key] == 0.5
    assert (
        poll(12.0, P(key, T.DOUBLE, 0.5)).rates(poll(10.0, P(key, T.DOUBLE, 1.5)))["vm"].reason(key)
        == "counter went back"
    )
    assert poll(12.0, P(key, T.DOUBLE, math.nan)).rates(poll(10.0, P(key, T.DOUBLE, 1.5)))["vm"].get(key) is None
    signed = [poll(time, P("cpu.time", T.LLONG, value)) for time, value in ((10.0, -5), (11.0, 5))]
    assert signed[1].rates(signed[0])["vm"]["cpu.time"] == 10.0
    assert signed[0].rates(poll(9.0, P("cpu.time", T.LLONG, 7)))["vm"].reason("cpu.time") == "counter went back"


def test_a_whole_host_is_one_subtraction() -> None:
    decoder = ReplyDecoder()
    before, now = decoder.decode(capture(POLL1), time=100.0), decoder.decode(capture(POLL2), time=115.0)
    rates = now.rates(before)
    slow = ReplyDecoder().decode(capture(POLL2), time=115.0).rates(before)
    assert (rates.reasons == slow.reasons).all()
    assert ((rates.per_second == slow.per_second) | (rates.reasons != Reason.NONE)).all()
    for record, record_rates in zip(now, rates, strict=True):
        earlier = before[record.domain.uuid]
        for key, rate in record_rates.items():
            assert rate == (record[key] - earlier[key]) / 15.0  # type: ignore[operator]
    assert len(rates) == 1024
    assert (rates.per_second[rates.reasons == Reason.NONE] > 0).sum() > 1000


def test_rates_are_per_group_of_a_record() -> None:
    before, now = poll(10.0, count(1)), poll(20.0, count(11))
    times = now.sampling.times.copy()
    times[0, 1] = 12.0  # the group cpu was sampled earlier than the rest
    later = Snapshot(now.layout, now.values, 20.0, replace(now.sampling, times=times), None)
    assert later.rates(before)["vm"]["cpu.time"] == 5.0


def test_a_rate_over_less_than_four_times_the_uncertainty_is_none() -> None:
    before, now = poll(10.0, count(1)), poll(20.0, count(11))
    for uncertainty, rate in ((2.4, 1.0), (2.6, None)):
        blurred = replace(now.sampling, uncertainty=now.sampling.uncertainty + uncertainty)
        later = Snapshot(now.layout, now.values, 20.0, blurred, None)
        assert later.rates(before)["vm"].get("cpu.time") == rate
        earlier = Snapshot(before.layout, before.values, 10.0, replace(blurred, times=before.sampling.times), None)
        assert now.rates(earlier)["vm"].get("cpu.time") == rate
        assert rate is not None or later.rates(before)["vm"].reason("cpu.time") == "interval too short"


@pytest.mark.parametrize(
    ("before", "now"), [(math.inf, math.inf), (1.0, math.inf), (-math.inf, math.inf), (math.nan, 1.0)]
)
def test_doubles_without_end_have_no_rate(before: float, now: float) -> None:
    key = "cpu.energy.monitor.0.pkg.0.core_energy"
    rates = poll(11.0, P(key, T.DOUBLE, now)).rates(poll(10.0, P(key, T.DOUBLE, before)))
    assert rates["vm"].reason(key) == "counter went back"


def test_records_that_stay_are_not_matched_key_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = ReplyDecoder()
    before = decoder.decode(capture(POLL1), time=100.0)
    fewer = decoder.decode(encode_reply(Snapshot.of_params((r.domain, r.params) for r in list(before)[1:])), time=115.0)
    monkeypatch.setattr("domstats.model.rates.earlier_slots", None)
    assert len(fewer.rates(before)) == 1023


def test_what_is_kept_of_one_earlier_record_is_not_taken_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    now = poll(12.0, *disk(0, "vda", 900), *disk(1, "vdb", 500))
    swapped = poll(10.0, *disk(0, "vdb", 100), *disk(1, "vda", 500))
    fewer = poll(10.0, *disk(0, "vda", 700))
    asked = []
    monkeypatch.setattr(
        "domstats.model.rates.earlier_slots", lambda *records: asked.append(records) or earlier_slots(*records)
    )
    for _ in range(2):
        assert now.rates(swapped)["vm"]["block[vda].rd.bytes"] == now.rates(swapped)["vm"]["block[vdb].rd.bytes"] == 200
        assert now.rates(fewer)["vm"]["block[vda].rd.bytes"] == 100
        assert now.rates(fewer)["vm"].reason("block[vdb].rd.bytes") == "no earlier sample"
    assert len(asked) == 4  # once for each time that the other was asked of in between
