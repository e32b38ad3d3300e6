"""Texts that go record by record, beside the same texts written value by value."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.formats.stencil import BLOCK_MAX, Place, Style, render
from domstats.model.domain import Domain
from domstats.model.layout import Layout, RecordLayout, Shape
from domstats.model.params import ParamType, TypedParameter, Value
from domstats.model.snapshot import Snapshot
from strategies import hosts

WORDS = ("off", "running very smoothly, thank you")


def pieces(shape: Shape) -> list[bytes | Place]:
    found: list[bytes | Place] = []
    for slot in reversed(range(len(shape))):  # in an order of its own
        found += [b"<", Place(slot, WORDS if shape.keys[slot] == "state.state" else ()), b">"]
    return found


def written(key: str, kind: ParamType, value: Value) -> bytes:
    if kind == ParamType.STRING:
        return b"'%d'" % len(str(value))
    if kind == ParamType.DOUBLE:
        return repr(value).encode()
    if kind == ParamType.BOOLEAN:
        return b"ja" if value else b"nein"
    return WORDS[int(value)].encode() if key == "state.state" and value in (0, 1) else b"%d" % int(value)


STYLE = Style("test", pieces, lambda text: b"'%d'" % len(text), lambda number: repr(number).encode(), (b"nein", b"ja"))


def by_hand(snapshot: Snapshot, between: Sequence[bytes]) -> bytes:
    text = between[0]
    for record, after in zip(snapshot, between[1:], strict=True):
        for param in reversed(record.params):
            text += b"<%b>" % written(param.name, param.type, param.value)
        text += after
    return text


def numbers(names: Sequence[str], values: Sequence[int]) -> Snapshot:
    domains = [Domain(name, f"00000000-0000-0000-0000-{number:012}", None) for number, name in enumerate(names)]
    keys = ("cpu.time", "state.state", "block.0.name", "x")
    return Snapshot.of_params(
        (
            domain,
            [
                TypedParameter(key, ParamType.STRING, domain.name)
                if key == "block.0.name"
                else TypedParameter(key, ParamType.LLONG, value)
                for key in keys
            ],
        )
        for domain, value in zip(domains, values, strict=True)
    )


def following(snapshot: Snapshot, values: Sequence[int]) -> Snapshot:
    """A later poll with the same layout, each record with another value."""
    new = snapshot.values.copy()
    for start, value in zip(snapshot.layout.starts.tolist(), values, strict=False):
        new[[start, start + 1, start + 3]] = np.uint64(value & 2**64 - 1)
    return Snapshot(snapshot.layout, new, snapshot.time, snapshot.sampling, None)


@given(hosts, st.data())
def test_any_host(host: list[tuple[Domain, list[TypedParameter]]], data: st.DataObject) -> None:
    snapshot = Snapshot.of_params(host)
    size = len(host) + 1
    between = data.draw(
        st.lists(st.binary(max_size=5).map(lambda raw: raw.replace(b"\0", b"")), min_size=size, max_size=size)
    )
    assert render(snapshot, STYLE, between) == by_hand(snapshot, between)
    assert render(snapshot, STYLE, between) == by_hand(snapshot, between)


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3), min_size=1, max_size=5))
def test_poll_after_poll(polls: list[list[int]]) -> None:
    """Numbers that grow, shrink and change their sign, in texts that are kept."""
    first = numbers(["a", "b" * 30, "c"], [0, 1, 2])
    between = [b"[", b",", b",", b"]"]
    render(first, STYLE, between)
    for number, values in enumerate(polls):
        later = following(first, values)
        between = [b"[" * number, *between[1:]]
        assert render(later, STYLE, between) == by_hand(later, between)
    assert render(first, STYLE, between) == by_hand(first, between)


@pytest.mark.parametrize("values", [(0, 9), (10, 9), (9, 10), (-1, 5), (2**63 - 1, -(2**63)), (1, 2)])
def test_the_first_numbers_do_not_say_how_long_the_next_are(values: tuple[int, int]) -> None:
    snapshot = numbers(["a"], values[:1])
    render(snapshot, STYLE, [b"", b""])
    later = following(snapshot, values[1:])
    assert render(later, STYLE, [b"", b""]) == by_hand(later, [b"", b""])


def test_a_guest_that_comes_leaves_the_blocks_of_the_others() -> None:
    before = numbers([f"guest {number}" for number in range(2000)], range(2000))
    render(before, STYLE, [b""] * 2001)
    new = numbers(["new"], [7])
    after = Layout([*before.layout.records[:500], *new.layout.records, *before.layout.records[500:]])
    values = np.concatenate([before.values[:2000], new.values, before.values[2000:]])
    snapshot = Snapshot.of_one_poll(after, values, time=0.0, source="")

    def blocks(layout: Layout) -> list[object]:
        return [found for record in layout.records if (found := record.derived.get("blocks", {}).get("test"))]

    kept = blocks(before.layout)
    assert render(snapshot, STYLE, [b"|"] * 2002) == by_hand(snapshot, [b"|"] * 2002)
    remade = [each for each in blocks(after) if each not in kept]
    assert len(kept) > 4
    assert len(remade) == 1


def test_a_block_is_never_too_large() -> None:
    records = numbers(["same"] * BLOCK_MAX * 2, range(BLOCK_MAX * 2)).layout.records
    alike = [RecordLayout(records[1].domain, record.shape, record.strings) for record in records]
    values = np.zeros(len(alike) * 4, np.uint64)
    snapshot = Snapshot.of_one_poll(Layout(alike), values, time=0.0, source="")
    render(snapshot, STYLE, [b""] * (len(alike) + 1))
    assert [number for number, each in enumerate(alike) if "test" in each.derived.get("blocks", {})] == [0, BLOCK_MAX]


def test_what_is_kept_goes_with_the_records() -> None:
    snapshot = numbers(["a"], [1])
    render(snapshot, STYLE, [b"", b""])
    record = weakref.ref(snapshot.layout.records[0])
    assert "test" in snapshot.layout.records[0].derived["blocks"]
    del snapshot
    gc.collect()
    assert record() is None


def test_a_record_of_a_block_goes_when_another_takes_its_place() -> None:
    """Before the block is written anew: the text of what is not asked for any more would keep all its records."""
    before = numbers(["a", "b"], [1, 2])
    first, gone = before.layout.records[0], weakref.ref(before.layout.records[1])
    render(before, STYLE, [b"", b"", b""])
    del before
    gc.collect()
    assert "test" in first.derived["blocks"]
    assert gone() is None


def test_a_record_that_no_longer_begins_a_block_has_none() -> None:
    before = numbers(["same"] * BLOCK_MAX * 2, range(BLOCK_MAX * 2))
    alike = [RecordLayout(before.domains[1], record.shape, record.strings) for record in before.layout.records]
    for gone in range(4):
        layout = Layout(alike[gone:])
        values = np.zeros(4 * len(layout), np.uint64)
        render(Snapshot.of_one_poll(layout, values, time=0.0, source=""), STYLE, [b""] * (len(layout) + 1))
    firsts = [number for number, each in enumerate(alike) if "blocks" in each.derived]
    assert firsts == [0, 1, 2, 3, BLOCK_MAX + 3], "the first of those that are there no more have theirs"


def test_no_domains() -> None:
    assert render(Snapshot.of_params([]), STYLE, [b"nothing"]) == b"nothing"


def test_a_text_holds_its_own_numbers_and_not_the_whole_poll() -> None:
    """Each block may be of another poll, and a poll has the numbers of all of them."""
    count = 2 * BLOCK_MAX
    snapshot = numbers([f"vm-{number}" for number in range(count)], [10**9 + number for number in range(count)])
    rest = snapshot.time, snapshot.sampling, snapshot.host_cpus
    polls = [Snapshot(snapshot.layout, snapshot.values.copy(), *rest) for _ in range(2)]
    values = [weakref.ref(poll.values) for poll in polls]
    between = [b"\n"] * (count + 1)
    for poll in polls:
        assert render(poll, STYLE, between) == by_hand(poll, between)
    del poll
    polls.clear()
    assert all(each() is None for each in values)
