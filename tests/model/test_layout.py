"""Shapes, record layouts, layouts."""

from __future__ import annotations

import pickle
import uuid

import pytest

from domstats.errors import UnknownDomain
from domstats.model.domain import Domain
from domstats.model.layout import Layout, RecordLayout, Shape
from domstats.model.params import ParamType

UUIDS = [str(uuid.UUID(int=number + 1)) for number in range(4)]


def layout(*names: str, ids: tuple[int | None, ...] = (1, 2, 3, 4)) -> Layout:
    shape = Shape.of(["a", "b"], bytes([ParamType.INT, ParamType.STRING]))
    return Layout(
        [
            RecordLayout(Domain(name, UUIDS[number], ids[number]), shape, [f"text {number}"])
            for number, name in enumerate(names)
        ]
    )


def test_equal_shapes_are_the_same_object() -> None:
    assert Shape.of(["a", "b"], b"\1\4") is Shape.of(("a", "b"), b"\1\4")
    assert Shape.of(["a", "b"], b"\1\4") is not Shape.of(["a", "b"], b"\1\3")
    assert Shape.of(["a", "b"], b"\1\4") is not Shape.of(["b", "a"], b"\1\4")


def test_a_duplicate_key_is_found_at_its_last_slot() -> None:
    shape = Shape.of(["a", "b", "a"], b"\1\1\7")
    assert shape.slots == {"a": 2, "b": 1}
    assert shape.entries["a"] == (2, 7)
    assert shape.string_slots == (2,)


def test_a_domain_is_found_by_uuid_name_and_id() -> None:
    here = layout("web", "db", "7")
    assert [here.position(key) for key in ("web", "db", "7")] == [0, 1, 2]
    assert [here.position(key) for key in (1, 2, 3)] == [0, 1, 2]
    assert here.position(UUIDS[1]) == 1
    assert here.position(UUIDS[1].upper()) == 1
    assert here.position(uuid.UUID(UUIDS[1])) == 1


def test_a_name_that_looks_like_a_uuid_does_not_hide_the_uuid() -> None:
    here = layout(UUIDS[1], "db")
    assert here.position(UUIDS[1]) == 1
    with pytest.raises(UnknownDomain):
        layout(UUIDS[3]).position(UUIDS[3])


@pytest.mark.parametrize("key", ["nobody", 99, UUIDS[3], None, ["web"], uuid.UUID(int=77), 1.5])
def test_an_unknown_domain_is_named(key: object) -> None:
    with pytest.raises(UnknownDomain) as caught:
        layout("web").position(key)  # type: ignore[arg-type]
    assert caught.value.domain == key
    assert isinstance(caught.value, KeyError)


def test_a_domain_that_is_off_has_no_id_to_be_found_by() -> None:
    here = layout("web", "db", ids=(None, 5))
    assert here.position(5) == 1
    with pytest.raises(UnknownDomain):
        here.position(-1)


def test_starts_count_the_values() -> None:
    here = layout("web", "db", "x")
    assert here.starts.tolist() == [0, 2, 4, 6]
    assert here.size == 6
    assert Layout([]).size == 0


def test_layouts_travel_between_processes() -> None:
    here = layout("web", "db")
    there: Layout = pickle.loads(pickle.dumps(here))
    assert [record.domain for record in there.records] == [record.domain for record in here.records]
    assert there.records[0].shape is here.records[0].shape
    assert there.records[0].strings == ("text 0",)


def test_shapes_die_with_their_last_user() -> None:
    before = Shape.of(["only", "here"], b"\1\1")
    identity = id(before)
    del before
    again = Shape.of(["only", "here"], b"\1\1")
    assert again.derived == {}, identity
