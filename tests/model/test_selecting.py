"""A part of a snapshot says of what is in it what the whole says."""

from __future__ import annotations

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captures import CAPTURES, capture
from domstats.catalog.groups import GROUPS, group_of
from domstats.model.flags import StatsGroup
from domstats.model.selecting import ALL, KEPT, Selector, Wanted
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from overlaid import KERNEL, LIBVIRT, laid_over

SMALL = next(name for name in CAPTURES if "12-guests-poll" in name)
WHOLE = ReplyDecoder().decode(capture(SMALL))


def check(part: Snapshot, whole: Snapshot, positions: list[int], wanted: Wanted) -> None:
    """The records at these positions, in that order, with what is wanted of them."""
    assert part.domains == [whole.domains[position] for position in positions]
    assert (part.time, part.host_cpus) == (whole.time, whole.host_cpus)
    for record, position in zip(part, positions, strict=True):
        source = whole.records[position]
        assert record.params == [each for each in source.params if wanted.takes(each.name, group_of(each.name))]
        assert record.status == source.status
        assert record.ages == {group: age for group, age in source.ages.items() if group in record.ages}
        assert record.sources == {group: name for group, name in source.sources.items() if group in record.ages}


@given(
    st.lists(st.integers(0, len(WHOLE) - 1), unique=True),
    st.integers(0, (1 << len(GROUPS)) - 1),
    st.lists(st.sampled_from(["block.*", "*.name", "vcpu.current", "*", "nothing", "net.?.rx.bytes"]), max_size=2),
)
def test_any_part(positions: list[int], groups: int, keys: list[str]) -> None:
    wanted = Wanted(groups, tuple(keys))
    check(Selector().select(WHOLE, positions, wanted), WHOLE, positions, wanted)


@given(st.integers(0, (1 << len(GROUPS)) - 1), st.sampled_from([(), ("cpu.time",), ("net.*",)]))
def test_what_the_kernel_gave_is_still_its(groups: int, keys: tuple[str, ...]) -> None:
    wanted = Wanted(groups, keys)
    whole = laid_over(LIBVIRT, KERNEL)
    part = Selector().select(whole, [0], wanted)
    check(part, whole, [0], wanted)
    shape, source = part.records[0].layout.shape, whole.records[0].layout.shape
    taken = [slot for slot, key in enumerate(source.keys) if wanted.takes(key, group_of(key))]
    assert list(shape.columns) == [source.columns[slot] for slot in taken]


def test_everything_is_the_whole() -> None:
    assert Selector().select(WHOLE) is WHOLE
    check(Selector().select(WHOLE, None, Wanted(keys=("*",))), WHOLE, list(range(len(WHOLE))), ALL)


def test_groups_that_are_not_known() -> None:
    assert Wanted(1 << 20).takes("new.key", group_of("new.key"))
    assert not Wanted(1 << 20).takes("cpu.time", group_of("cpu.time"))
    assert not Wanted(int(StatsGroup.CPU)).takes("new.key", group_of("new.key"))


@pytest.mark.parametrize("count", [2, KEPT + 2])
def test_the_layout_of_a_part_is_kept(count: int) -> None:
    selector = Selector()
    parts = [Wanted(keys=(f"vcpu.{number}.*",)) for number in range(count)]
    first = [selector.select(WHOLE, None, wanted).layout for wanted in parts]
    again = selector.select(WHOLE, None, parts[-1])
    assert again.layout is first[-1]
    assert (selector.select(WHOLE, None, parts[0]).layout is first[0]) == (count <= KEPT)
    other = ReplyDecoder().decode(capture(SMALL))
    check(selector.select(other, None, parts[-1]), other, list(range(len(other))), parts[-1])


def test_a_layout_is_not_held_by_its_parts() -> None:
    selector, whole = Selector(), Snapshot.of_params([(WHOLE.domains[0], WHOLE.records[0].params)])
    source = weakref.ref(whole.layout)
    part = selector.select(whole, [0], Wanted(int(StatsGroup.CPU)))
    assert selector.select(whole, [0], Wanted(int(StatsGroup.CPU))).layout is part.layout
    del whole
    gc.collect()
    assert source() is None
