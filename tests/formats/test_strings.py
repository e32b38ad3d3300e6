"""Records of very many strings: a value's place among the strings is looked up, and never searched for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from domstats.formats.metrics.options import MetricsOptions
from domstats.formats.options import Options
from domstats.formats.registry import FORMATS
from domstats.model.domain import Domain
from domstats.model.merge import ALL_GROUPS, Merger, Part
from domstats.model.params import ParamType, TypedParameter
from domstats.model.snapshot import Snapshot
from domstats.serve.history.fields import Fields

COUNT = 400
"""Strings of the record. A search for each of them takes some 80,000 comparisons."""
FEW = 10 * COUNT


class Slot(int):
    """The number of a slot that counts how often it is compared with another."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Slot.compared += 1
        return int(self) == other

    __hash__ = int.__hash__


def host() -> Snapshot:
    keys = [f"block.{number}.{tail}" for number in range(COUNT // 2) for tail in ("name", "path")]
    params = [TypedParameter(key, ParamType.STRING, f"of {key}") for key in keys]
    params.append(TypedParameter("block.0.rd.bytes", ParamType.ULLONG, 1))
    return Snapshot.of_params([(Domain("vm", "6695eb01-f6a4-8304-79aa-97f2502e193f", 1), params)])


def encoding(name: str) -> Callable[[Snapshot], object]:
    options = Options(metrics=MetricsOptions(unknown=True))
    return lambda snapshot: FORMATS[name].encode(snapshot, options)


def merge_whole(snapshot: Snapshot) -> object:
    return Merger().merge(snapshot.domains, [[Part(snapshot, 0)]])


def merge_parts(snapshot: Snapshot) -> object:
    return Merger().merge(snapshot.domains, [[Part(snapshot, 0, ALL_GROUPS >> 1), Part(snapshot, 0)]])


def keep(snapshot: Snapshot) -> object:
    return Fields(("block.<i>.rd.bytes",)).of_record(snapshot.layout.records[0])


@pytest.mark.parametrize(
    "work",
    [*(pytest.param(encoding(name), id=name) for name in FORMATS), merge_whole, merge_parts, keep],
)
def test_no_string_is_searched_for(work: Callable[[Snapshot], object]) -> None:
    snapshot = host()
    shape = snapshot.layout.records[0].shape
    shape.string_slots = tuple(map(Slot, shape.string_slots))
    Slot.compared = 0
    work(snapshot)
    assert Slot.compared < FEW


def test_a_search_would_be_seen() -> None:
    slots = tuple(map(Slot, range(COUNT)))
    Slot.compared = 0
    assert [slots.index(int(slot)) for slot in slots] == list(range(COUNT))
    assert Slot.compared > FEW
