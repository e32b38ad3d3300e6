"""Putting a snapshot together from parts of others: some groups of a domain from one poll, the rest from another.

What is worked out for a combination of parts (the merged record layouts, and where each value comes from) is remembered
by the parts' identities, so that a round whose polls had the layouts of the round before costs one gather.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domstats.catalog.groups import GROUP_NAMES
from domstats.model.columns import Values
from domstats.model.layout import Layout, Positions, RecordLayout, Shape
from domstats.model.snapshot import Snapshot

GROUP_COUNT = len(GROUP_NAMES)
ALL_GROUPS = (1 << GROUP_COUNT) - 1
"""Bits by index into GROUP_NAMES."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some groups of one record of a snapshot."""

    snapshot: Snapshot
    position: int
    groups: int = ALL_GROUPS
    """Which groups are taken; bits by index into GROUP_NAMES."""


@dataclass(frozen=True, slots=True, eq=False)
class _MergedRecord:
    """A record made of parts, and for each of its slots the part and the slot it comes from."""

    layout: RecordLayout
    part: Positions
    slot: Positions
    strings: dict[int, int]
    """Slot to index, for strings: their indexes change as the tables are joined."""


class Merger:
    """Merges rounds of one host, one after another."""

    def __init__(self) -> None:
        self._records: dict[tuple[tuple[RecordLayout, int], ...], _MergedRecord] = {}
        self._plans: dict[tuple[object, ...], _Plan] = {}

    def merge(self, rows: Sequence[Sequence[Part]]) -> tuple[Layout, Values]:
        """A layout with a record for each row, and its values; a row's first part says who the domain is.

        Keys stand in the order of their groups; a group that two parts have is taken from the first.
        """
        snapshots: dict[int, Snapshot] = {}
        for row in rows:
            for part in row:
                snapshots.setdefault(id(part.snapshot), part.snapshot)
        numbers = {identity: number for number, identity in enumerate(snapshots)}
        identity: tuple[object, ...] = (
            tuple(snapshot.layout for snapshot in snapshots.values()),
            tuple(tuple((numbers[id(part.snapshot)], part.position, part.groups) for part in row) for row in rows),
        )
        plan = self._plans.get(identity)
        if plan is None:
            plan = self._make_plan(rows, numbers, list(snapshots.values()))
            self._plans = {identity: plan}  # only the last round's: the next is most often like it
        values = np.concatenate([_NOTHING, *(snapshot.values for snapshot in snapshots.values())]).take(plan.index)
        values[plan.string_slots] = plan.string_values
        return plan.layout, values

    def _make_plan(self, rows: Sequence[Sequence[Part]], numbers: dict[int, int], snapshots: list[Snapshot]) -> _Plan:
        offsets = np.cumsum([0, *(snapshot.layout.size for snapshot in snapshots)])
        known, self._records = self._records, {}
        merged: list[_MergedRecord] = []
        for row in rows:
            key = tuple((part.snapshot.layout.records[part.position], part.groups) for part in row)
            record = known.get(key) or _merge_record(key)
            self._records[key] = record
            merged.append(record)
        layout = Layout([record.layout for record in merged])
        indexes: list[Positions] = [np.empty(0, np.int64)]
        slots: list[int] = []
        strings: list[int] = []
        for row, record, start in zip(rows, merged, layout.starts.tolist()[:-1], strict=True):
            places = [offsets[numbers[id(part.snapshot)]] + part.snapshot.layout.starts[part.position] for part in row]
            indexes.append(np.array(places, np.int64)[record.part] + record.slot)
            slots.extend(start + slot for slot in record.strings)
            strings.extend(record.strings.values())
        return _Plan(layout, np.concatenate(indexes), np.array(slots, np.int64), np.array(strings, np.uint64))


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    layout: Layout
    index: Positions
    string_slots: Positions
    string_values: npt.NDArray[np.uint64]


_NOTHING = np.empty(0, np.uint64)


def _merge_record(parts: Sequence[tuple[RecordLayout, int]]) -> _MergedRecord:
    if len(parts) == 1 and parts[0][1] == ALL_GROUPS:
        return _as_it_is(parts[0][0])
    taken = 0
    chosen: list[tuple[int, int, int]] = []
    for number, (record, groups) in enumerate(parts):
        present = 0
        for slot, group in enumerate(record.shape.groups):
            if groups & ~taken & (1 << group):
                chosen.append((group, number, slot))
                present |= 1 << group
        taken |= present
    chosen.sort(key=lambda each: each[0])
    keys = [parts[number][0].shape.keys[slot] for _, number, slot in chosen]
    types = bytes(parts[number][0].shape.types[slot] for _, number, slot in chosen)
    shape = Shape.of(keys, types)
    strings: list[str] = []
    indexes: dict[int, int] = {}
    for slot in shape.string_slots:
        _, number, source_slot = chosen[slot]
        source = parts[number][0]
        indexes[slot] = len(strings)
        strings.append(source.strings[source.shape.string_slots.index(source_slot)])
    return _MergedRecord(
        RecordLayout(parts[0][0].domain, shape, strings),
        np.array([number for _, number, _ in chosen], np.int64),
        np.array([slot for _, _, slot in chosen], np.int64),
        indexes,
    )


def _as_it_is(record: RecordLayout) -> _MergedRecord:
    count = len(record.shape)
    strings = {slot: number for number, slot in enumerate(record.shape.string_slots)}
    return _MergedRecord(record, np.zeros(count, np.int64), np.arange(count, dtype=np.int64), strings)
