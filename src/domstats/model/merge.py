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
from domstats.model.domain import Domain
from domstats.model.layout import Layout, Positions, RecordLayout, Shape
from domstats.model.overlay import Chosen, lay_over
from domstats.model.sampling import COLUMN_NAMES, Seconds
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
class _Recipe:
    """How records of some shapes make one: few exist, as few shapes do."""

    shape: Shape
    part: Positions
    """For each slot the part it comes from."""
    slot: Positions
    """And the slot it has there."""
    strings: tuple[tuple[int, int], ...]
    """Part and place there of each string; their places change as the tables are joined."""
    string_slots: Positions
    string_values: npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class _MergedRecord:
    """A record made of parts."""

    layout: RecordLayout
    recipe: _Recipe


_Piece = tuple[RecordLayout, int, bool]
"""Of a part: its record, groups, and whether it is laid over the others."""
_RecipeKey = tuple[tuple[Shape, int], ...]
_RecordKey = tuple[str, tuple[_Piece, ...]]
"""Of which parts the record of a domain, named by its UUID, is made."""


PLANS_MAX, UNUSED_MAX = 2, 8
"""A round is most often like the last one, or like the one whose samples came before it; a plan that so many rounds had
no use for is let go of."""


class Merger:
    """Merges rounds of one host, one after another."""

    def __init__(self) -> None:
        self._recipes: WeakValueDictionary[_RecipeKey, _Recipe] = WeakValueDictionary()
        self._records: WeakValueDictionary[_RecordKey, _MergedRecord] = WeakValueDictionary()
        self._plans: OrderedDict[tuple[object, ...], _Plan] = OrderedDict()
        """The one that was used last comes last."""
        self._rounds = 0

    @property
    def size(self) -> int:
        """How many values are put together by what is remembered."""
        return sum(plan.layout.size for plan in self._plans.values())

    def merge(self, domains: Sequence[Domain], rows: Sequence[Sequence[Part]]) -> tuple[Layout, Values]:
        """A layout with a record of each domain, made of the parts of its row; and its values.

        Keys stand in the order of their groups; a group that two parts have is taken from the first. What is laid over
        comes last in its row.
        """
        parts = [part for row in rows for part in row]
        snapshots = list({id(part.snapshot): part.snapshot for part in parts}.values())
        numbers = {id(snapshot): number for number, snapshot in enumerate(snapshots)}
        identity: tuple[object, ...] = (
            # What the plan was made of lives as long as the plan, so no other object has its identity. Equality is not
            # enough: domains are equal whatever their definitions say.
            tuple(map(id, domains)),
            tuple(snapshot.layout for snapshot in snapshots),
            # As bytes, since so many tuples would keep the garbage collector busy.
            np.array([len(row) for row in rows], np.int64).tobytes(),
            np.array([numbers[id(part.snapshot)] for part in parts], np.int64).tobytes(),
            np.array([part.position for part in parts], np.int64).tobytes(),
            np.array([part.groups for part in parts], np.int64).tobytes(),
            bytes([part.overlay for part in parts]),
        )
        plan = self._plans.pop(identity, None)
        if plan is None:
            plan = self._make_plan(domains, rows, snapshots)
        self._plans[identity] = plan
        plan.used = self._rounds + 1
        self.skip()
        values = np.concatenate([_NOTHING, *(snapshot.values for snapshot in snapshots)]).take(plan.index)
        values[plan.string_slots] = plan.string_values
        return plan.layout, values

    def skip(self) -> None:
        """A round is over in which nothing (more) was to be merged: plans are let go of that rounds have no use for."""
        self._rounds += 1
        while self._plans:
            oldest = next(iter(self._plans))
            if len(self._plans) <= PLANS_MAX and self._plans[oldest].used >= self._rounds - UNUSED_MAX:
                break
            self._forget(self._plans.pop(oldest).layout)

    def _make_plan(
        self, domains: Sequence[Domain], rows: Sequence[Sequence[Part]], snapshots: Sequence[Snapshot]
    ) -> _Plan:
        merged = [self._record(domain, row) for domain, row in zip(domains, rows, strict=True)]
        recipes = [record.recipe for record in merged]
        layout = self._layout(tuple([record.layout for record in merged]))
        first_part = np.cumsum([0, *map(len, rows)])[:-1]
        part = _joined([recipe.part for recipe in recipes]) + first_part.repeat(np.diff(layout.starts))
        index = _places(rows, snapshots)[part] + _joined([recipe.slot for recipe in recipes])
        string_counts = np.array([len(recipe.strings) for recipe in recipes], np.int64)
        string_slots = _joined([recipe.string_slots for recipe in recipes]) + layout.starts[:-1].repeat(string_counts)
        string_values = np.concatenate([_NOTHING, *(recipe.string_values for recipe in recipes)])
        return _Plan(tuple(domains), tuple(merged), layout, index, string_slots, string_values)

    def _layout(self, records: tuple[RecordLayout, ...]) -> Layout:
        """The one of these records: other parts may well make the same, and what is kept with it is of use again."""
        for plan in self._plans.values():
            if plan.layout.records == records:
                return plan.layout
        return Layout(records)

    def _forget(self, layout: Layout) -> None:
        """Drop what was worked out from a layout that is not made any more: some MiB, for as long as one holds it."""
        if all(plan.layout is not layout for plan in self._plans.values()):
            layout.derived.clear()

    def _record(self, domain: Domain, row: Sequence[Part]) -> _MergedRecord:
        parts = tuple([(part.snapshot.layout.records[part.position], part.groups, part.overlay) for part in row])
        key = domain.uuid, parts
        record = self._records.get(key)
        if record is None or record.layout.domain is not domain:
            record = self._records[key] = self._merge_record(domain, parts)
        return record

    def _merge_record(self, domain: Domain, parts: Sequence[_Piece]) -> _MergedRecord:
        recipe = self._recipe(parts)
        whole = parts[0][0] if len(parts) == 1 else None
        if whole is not None and whole.shape is recipe.shape and whole.domain is domain:
            return _MergedRecord(whole, recipe)
        strings = [parts[number][0].strings[place] for number, place in recipe.strings]
        return _MergedRecord(RecordLayout(domain, recipe.shape, strings), recipe)

    def _recipe(self, parts: Sequence[_Piece]) -> _Recipe:
        if any(overlay for _, _, overlay in parts):
            return _make_recipe(parts)  # it depends on the names of the record's devices, too
        shapes = tuple([(record.shape, groups) for record, groups, _ in parts])
        recipe = self._recipes.get(shapes)
        if recipe is None:
            recipe = self._recipes[shapes] = _make_recipe(parts)
        return recipe


@dataclass(slots=True, eq=False)
class _Plan:
    domains: tuple[Domain, ...]
    records: tuple[_MergedRecord, ...]
    layout: Layout
    index: Positions
    string_slots: Positions
    string_values: npt.NDArray[np.uint64]
    used: int = 0
    """The round it was used for last."""


_NOTHING = np.empty(0, np.uint64)
_NOWHERE = np.empty(0, np.int64)


def _joined(arrays: Sequence[Positions]) -> Positions:
    return np.concatenate([_NOWHERE, *arrays])


def _places(rows: Sequence[Sequence[Part]], snapshots: Sequence[Snapshot]) -> Positions:
    """Where the values of each part begin among those of all snapshots, one after another."""
    starts: dict[int, list[int]] = {}
    before = 0
    for snapshot in snapshots:
        starts[id(snapshot)] = (snapshot.layout.starts + before).tolist()
        before += snapshot.layout.size
    return np.array([starts[id(part.snapshot)][part.position] for row in rows for part in row], np.int64)


def without_old_groups(snapshot: Snapshot, seconds: Seconds, merger: Merger | None = None) -> Snapshot:
    """The snapshot without the values of groups that were older than so many seconds at its time, or of a later time.

    `merger`: one that did this before, for snapshots of the same host.
    """
    young = ~snapshot.sampling.old(snapshot.time, seconds)
    return snapshot if young.all() else of_groups(snapshot, young, merger)


def of_groups(snapshot: Snapshot, chosen: npt.NDArray[np.bool_], merger: Merger | None = None) -> Snapshot:
    """The snapshot with the values of some groups: a row for each record, a column for each of COLUMN_NAMES.

    `merger`: one that did this before, for snapshots of the same host.
    """
    groups = (chosen << np.arange(len(COLUMN_NAMES))).sum(axis=1).tolist()
    rows = [[Part(snapshot, position, bits)] for position, bits in enumerate(groups)]
    layout, values = (merger or Merger()).merge(snapshot.domains, rows)
    times = np.where(chosen, snapshot.sampling.times, np.nan)
    return Snapshot(layout, values, snapshot.time, replace(snapshot.sampling, times=times), snapshot.host_cpus)


def _make_recipe(parts: Sequence[_Piece]) -> _Recipe:
    if len(parts) == 1 and parts[0][1:] == (ALL_GROUPS, False):
        shape = parts[0][0].shape
        return _recipe(shape, [(0, slot) for slot in range(len(shape))], parts)
    chosen = _choose(parts)
    types = bytes(parts[each.part][0].shape.types[each.slot] for each in chosen)
    shape = Shape.of([each.key for each in chosen], types, bytes(each.overlaid for each in chosen))
    return _recipe(shape, [(each.part, each.slot) for each in chosen], parts)


def _recipe(shape: Shape, sources: Sequence[tuple[int, int]], parts: Sequence[_Piece]) -> _Recipe:
    """`sources`: part and slot of each of the shape's slots."""
    strings = [
        (part, parts[part][0].shape.string_places[slot]) for part, slot in map(sources.__getitem__, shape.string_slots)
    ]
    return _Recipe(
        shape,
        np.array([part for part, _ in sources], np.int64),
        np.array([slot for _, slot in sources], np.int64),
        tuple(strings),
        np.array(shape.string_slots, np.int64),
        np.arange(len(strings), dtype=np.uint64),
    )


def _choose(parts: Sequence[_Piece]) -> list[Chosen]:
    """The values of the record, in the order of their groups; a group that two parts have is taken from the first."""
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
    return chosen
