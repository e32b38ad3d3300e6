"""Putting a snapshot together from parts of others: some groups of a domain from one poll, the rest from another.

A part that is laid over the others gives single values in place of theirs, see `model.overlay`.

What is worked out for a combination of parts (the merged record layouts, and where each value comes from) is remembered
by the parts' identities, so that a round whose polls had the layouts of the round before costs one gather.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from domstats.model.columns import Values
from domstats.model.description import Description
from domstats.model.domain import Domain
from domstats.model.layout import Layout, Positions, RecordLayout, Shape
from domstats.model.overlay import Chosen, lay_over
from domstats.model.sampling import COLUMN_NAMES
from domstats.model.snapshot import Snapshot

ALL_GROUPS = (1 << len(COLUMN_NAMES)) - 1
"""Bits by index into COLUMN_NAMES."""


@dataclass(slots=True, eq=False)
class Part:
    """Some groups of one record of a snapshot. Not to be changed; a frozen one takes three times as long to make."""

    snapshot: Snapshot
    position: int
    groups: int = ALL_GROUPS
    """Which groups are taken; bits by index into COLUMN_NAMES."""
    overlay: bool = False
    """Whether it gives single values of its groups in place of the others', and what these have not."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class _MergedRecord:
    """A record made of parts, and for each of its slots the part and the slot it comes from."""

    layout: RecordLayout
    part: Positions
    slot: Positions
    strings: dict[int, int]
    """Slot to index, for strings: their indexes change as the tables are joined."""


_Piece = tuple[RecordLayout, int, bool]
"""Of a part: its record, groups, and whether it is laid over the others."""
_RecordKey = tuple[Domain, Description | None, tuple[_Piece, ...]]
"""What a merged record is made of; a domain's description is named apart, since equal domains may differ in it."""


PLANS_MAX = 4
"""A round is most often like the last one, or like the one whose samples came before it."""


class Merger:
    """Merges rounds of one host, one after another."""

    def __init__(self) -> None:
        self._records: WeakValueDictionary[_RecordKey, _MergedRecord] = WeakValueDictionary()
        self._plans: OrderedDict[tuple[object, ...], _Plan] = OrderedDict()

    def merge(self, domains: Sequence[Domain], rows: Sequence[Sequence[Part]]) -> tuple[Layout, Values]:
        """A layout with a record of each domain, made of the parts of its row; and its values.

        Keys stand in the order of their groups; a group that two parts have is taken from the first. What is laid over
        comes last in its row.
        """
        snapshots: dict[int, Snapshot] = {}
        for row in rows:
            for part in row:
                snapshots.setdefault(id(part.snapshot), part.snapshot)
        numbers = {identity: number for number, identity in enumerate(snapshots)}
        identity: tuple[object, ...] = (
            # What the plan was made of lives as long as the plan, so no other object has its identity. Equality is not
            # enough: domains are equal whatever their definitions say.
            tuple(map(id, domains)),
            tuple(snapshot.layout for snapshot in snapshots.values()),
            tuple(
                tuple((numbers[id(part.snapshot)], part.position, part.groups, part.overlay) for part in row)
                for row in rows
            ),
        )
        plan = self._plans.get(identity)
        if plan is None:
            plan = self._plans[identity] = self._make_plan(domains, rows, numbers, list(snapshots.values()))
            if len(self._plans) > PLANS_MAX:
                self._plans.popitem(last=False)
        self._plans.move_to_end(identity)
        values = np.concatenate([_NOTHING, *(snapshot.values for snapshot in snapshots.values())]).take(plan.index)
        values[plan.string_slots] = plan.string_values
        return plan.layout, values

    def _make_plan(
        self,
        domains: Sequence[Domain],
        rows: Sequence[Sequence[Part]],
        numbers: dict[int, int],
        snapshots: list[Snapshot],
    ) -> _Plan:
        offsets = np.cumsum([0, *(snapshot.layout.size for snapshot in snapshots)])
        merged: list[_MergedRecord] = []
        for domain, row in zip(domains, rows, strict=True):
            parts = tuple((part.snapshot.layout.records[part.position], part.groups, part.overlay) for part in row)
            key = (domain, domain.info, parts)
            record = self._records.get(key)
            if record is None or record.layout.domain is not domain:
                record = self._records[key] = _merge_record(domain, parts)
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
        strings_at = np.array(slots, np.int64), np.array(strings, np.uint64)
        return _Plan(tuple(domains), tuple(merged), layout, np.concatenate(indexes), *strings_at)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    domains: tuple[Domain, ...]
    records: tuple[_MergedRecord, ...]
    layout: Layout
    index: Positions
    string_slots: Positions
    string_values: npt.NDArray[np.uint64]


_NOTHING = np.empty(0, np.uint64)


def without_old_groups(snapshot: Snapshot, seconds: float, merger: Merger | None = None) -> Snapshot:
    """The snapshot without the values of groups that were older than so many seconds at its time.

    `merger`: one that did this before, for snapshots of the same host.
    """
    young = snapshot.time - snapshot.sampling.times <= seconds
    if young.all():
        return snapshot
    groups = (young << np.arange(len(COLUMN_NAMES))).sum(axis=1).tolist()
    rows = [[Part(snapshot, position, bits)] for position, bits in enumerate(groups)]
    layout, values = (merger or Merger()).merge(snapshot.domains, rows)
    times = np.where(young, snapshot.sampling.times, np.nan)
    return Snapshot(layout, values, snapshot.time, replace(snapshot.sampling, times=times), snapshot.host_cpus)


def _merge_record(domain: Domain, parts: Sequence[_Piece]) -> _MergedRecord:
    if len(parts) == 1 and parts[0][1:] == (ALL_GROUPS, False):
        return _as_it_is(domain, parts[0][0])
    taken = 0
    chosen: list[Chosen] = []
    for number, (record, groups, overlay) in enumerate(parts):
        shape, present = record.shape, 0
        if overlay:
            chosen = lay_over(chosen, [record for record, _, _ in parts], number, groups)
            continue
        over = shape.overlaid or bytes(len(shape))
        for slot, (key, group, column) in enumerate(zip(shape.keys, shape.groups, shape.columns, strict=True)):
            if groups & ~taken & (1 << column):
                chosen.append(Chosen(key, group, number, slot, over[slot]))
                present |= 1 << column
        taken |= present
    chosen.sort(key=lambda each: each.group)
    types = bytes(parts[each.part][0].shape.types[each.slot] for each in chosen)
    shape = Shape.of([each.key for each in chosen], types, bytes(each.overlaid for each in chosen))
    strings: list[str] = []
    indexes: dict[int, int] = {}
    for slot in shape.string_slots:
        source, source_slot = parts[chosen[slot].part][0], chosen[slot].slot
        indexes[slot] = len(strings)
        strings.append(source.strings[source.shape.string_slots.index(source_slot)])
    return _MergedRecord(
        RecordLayout(domain, shape, strings),
        np.array([each.part for each in chosen], np.int64),
        np.array([each.slot for each in chosen], np.int64),
        indexes,
    )


def _as_it_is(domain: Domain, record: RecordLayout) -> _MergedRecord:
    count = len(record.shape)
    strings = {slot: number for number, slot in enumerate(record.shape.string_slots)}
    layout = record if record.domain is domain else RecordLayout(domain, record.shape, record.strings)
    return _MergedRecord(layout, np.zeros(count, np.int64), np.arange(count, dtype=np.int64), strings)
