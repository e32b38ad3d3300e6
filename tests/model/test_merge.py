"""Merging parts of snapshots against the records they are parts of."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from captures import CAPTURES, POLL1, POLL2, capture
from domstats.catalog.groups import group_of
from domstats.model.description import Description
from domstats.model.domain import Domain
from domstats.model.merge import ALL_GROUPS, PLANS_MAX, UNUSED_MAX, Merger, Part, without_old_groups
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import COLUMN_NAMES
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from strategies import hosts

ODD = 0b010101010101


def merged(merger: Merger, *rows: list[Part]) -> Snapshot:
    layout, values = merger.merge([part.snapshot.layout.records[part.position].domain for part, *_ in rows], rows)
    return Snapshot.of_one_poll(layout, values, time=0.0, source="")


def pieces(snapshot: Snapshot, groups: int) -> list[tuple[Domain, list[TypedParameter]]]:
    return [
        (record.domain, [param for param in record.params if groups >> group_of(param.name) & 1]) for record in snapshot
    ]


def content(snapshot: Snapshot) -> list[str]:
    return [repr((record.domain, sorted(record.params, key=lambda param: group_of(param.name)))) for record in snapshot]


@given(hosts, st.integers(0, ALL_GROUPS))
def test_a_record_cut_in_two_is_whole_again(host: list[tuple[Domain, list[TypedParameter]]], groups: int) -> None:
    whole = Snapshot.of_params(host)
    first = Snapshot.of_params(pieces(whole, groups))
    second = Snapshot.of_params(reversed(pieces(whole, ALL_GROUPS & ~groups)))
    last = len(whole) - 1
    rows = [
        [Part(first, position, groups), Part(second, last - position, ALL_GROUPS & ~groups)]
        for position in range(len(whole))
    ]
    again = merged(Merger(), *rows)
    assert content(again) == content(whole)


def test_a_round_whose_polls_kept_their_layouts_keeps_its_own() -> None:
    merger, decoder = Merger(), ReplyDecoder()
    layouts = []
    for name in (POLL1, POLL2):
        whole = decoder.decode(capture(name))
        again = merged(merger, *([Part(whole, position)] for position in range(len(whole))))
        assert (again.values == whole.values).all()
        layouts.append(again.layout)
    assert layouts[0] is layouts[1]


def test_the_first_part_that_has_a_group_gives_it() -> None:
    snapshot = ReplyDecoder().decode(capture(CAPTURES[0]))
    other = Snapshot.of_params((record.domain, list(record.params)[:3]) for record in snapshot)
    again = merged(Merger(), [Part(snapshot, 0), Part(other, 0)])
    assert again.records[0].params == snapshot.records[0].params


def test_records_are_kept_while_their_parts_are() -> None:
    decoder, merger = ReplyDecoder(), Merger()
    snapshot = decoder.decode(capture(POLL1))
    free = Snapshot.of_params(pieces(snapshot, ODD))
    rest = Snapshot.of_params(pieces(snapshot, ALL_GROUPS & ~ODD))
    rows = [[Part(free, each, ODD), Part(rest, each, ALL_GROUPS & ~ODD)] for each in range(len(snapshot))]
    before = merged(merger, *rows)
    random.Random(1).shuffle(rows)
    after = merged(merger, *rows[1:])
    known = {record.domain.uuid: record for record in before.layout.records}
    assert all(known[record.domain.uuid] is record for record in after.layout.records)
    assert {repr((r.domain, r.params)) for r in after} <= {repr((r.domain, r.params)) for r in before}


def test_old_groups_are_left_out() -> None:
    params = [TypedParameter("state.state", ParamType.INT, 1), TypedParameter("cpu.time", ParamType.ULLONG, 5)]
    domains = [Domain(f"vm{number}", f"00000000-0000-0000-0000-{number:012}", number) for number in (1, 2)]
    snapshot = Snapshot.of_params(((domain, params) for domain in domains), time=100.0)
    assert without_old_groups(snapshot, 0.0) is snapshot
    times = np.full((2, len(COLUMN_NAMES)), 100.0)
    times[0, 1] = 90.0
    aged = snapshot.with_sampling(replace(snapshot.sampling, times=times))
    assert without_old_groups(aged, 10.0) is aged
    young = without_old_groups(aged, 9.0)
    assert [dict(record.items()) for record in young] == [{"state.state": 1}, {"state.state": 1, "cpu.time": 5}]
    assert [record.ages for record in young] == [{"state": 0.0}, {"state": 0.0, "cpu": 0.0}]


def test_groups_of_a_later_time_are_left_out() -> None:
    params = [TypedParameter("state.state", ParamType.INT, 1), TypedParameter("cpu.time", ParamType.ULLONG, 5)]
    domain = Domain("vm", "00000000-0000-0000-0000-000000000001", 1)
    snapshot = Snapshot.of_params([(domain, params)], time=100.0)
    times, uncertainty = np.full((1, len(COLUMN_NAMES)), 100.0), np.full((1, len(COLUMN_NAMES)), 0.0)
    times[0, :2], uncertainty[0, 0] = 103.5, 2.5
    ahead = snapshot.with_sampling(replace(snapshot.sampling, times=times, uncertainty=uncertainty))
    assert [dict(record.items()) for record in without_old_groups(ahead, 10.0)] == [{"state.state": 1}]


def test_a_description_makes_another_record_of_an_equal_domain() -> None:
    merger, snapshot = Merger(), ReplyDecoder().decode(capture(CAPTURES[0]))
    rows = [[Part(snapshot, position)] for position in range(len(snapshot))]
    before, _ = merger.merge(snapshot.domains, rows)
    described = [replace(domain, info=Description(title="new")) for domain in snapshot.domains[:1]]
    after, _ = merger.merge([*described, *snapshot.domains[1:]], rows)
    assert after.records[0].domain.info == Description(title="new")
    assert after.records[0].domain == before.records[0].domain
    assert after.records[1:] == before.records[1:]
    again, _ = merger.merge([*described, *snapshot.domains[1:]], rows)
    assert again is after


def test_other_parts_that_make_the_same_records_make_the_same_layout() -> None:
    """Groups that are asked for in turns come from other replies each time."""
    decoder, merger = ReplyDecoder(), Merger()
    first, second = (decoder.decode(capture(name)) for name in (POLL1, POLL2))
    rows = [[Part(second, each, ODD), Part(first, each, ALL_GROUPS & ~ODD)] for each in range(len(first))]
    turned = [[Part(second, each, ODD), Part(second, each, ALL_GROUPS & ~ODD)] for each in range(len(first))]
    before, after = merged(merger, *rows), merged(merger, *turned)
    assert after.layout is before.layout
    assert (before.values != after.values).any()
    assert content(after) == content(second)


def test_a_plan_that_is_of_no_use_for_long_goes() -> None:
    merger, snapshot = Merger(), ReplyDecoder().decode(capture(POLL1))
    rows = [[Part(snapshot, position)] for position in range(len(snapshot))]
    sizes, first = [], merged(merger, *rows[1:])
    first.column("cpu.time")
    for _ in range(UNUSED_MAX + 1):
        sizes.append(merger.size)
        assert first.layout.derived
        now = merged(merger, *rows)
    sizes.append(merger.size)
    assert sizes == [len(first.values)] + UNUSED_MAX * [len(first.values) + len(now.values)] + [len(now.values)]
    assert not first.layout.derived
    assert merged(merger, *rows).layout is now.layout


def test_rounds_that_have_nothing_to_merge_count() -> None:
    merger, snapshot = Merger(), ReplyDecoder().decode(capture(POLL1))
    rows = [[Part(snapshot, position)] for position in range(len(snapshot))]
    made = [merged(merger, *rows), merged(merger, *rows[1:])]
    made[0].column("cpu.time")
    sizes = []
    for _ in range(UNUSED_MAX + 2):
        merger.skip()
        sizes.append(merger.size)
    values = [len(each.values) for each in made]
    assert sizes == (UNUSED_MAX - 1) * [sum(values)] + [values[1]] + 2 * [0]
    assert not made[0].layout.derived


def test_what_was_worked_out_from_a_layout_goes_when_it_is_made_no_more() -> None:
    merger, snapshot = Merger(), ReplyDecoder().decode(capture(POLL1))
    rows = [[Part(snapshot, position)] for position in range(len(snapshot))]
    made = []
    for number in range(PLANS_MAX + 1):
        made.append(merged(merger, *rows[number:]))
        made[-1].layout.index, made[-1].column("cpu.time")
        assert "cpu.time" in made[-1].layout.derived["columns"]
    assert not made[0].layout.derived
    assert all("cpu.time" in each.layout.derived["columns"] for each in made[1:])
    values, there = made[0].column("cpu.time")
    assert values[there].tolist() == [record["cpu.time"] for record in made[0] if "cpu.time" in record]
