"""A part of a snapshot as a snapshot: some of its domains, and of their values those of some groups or keys."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from weakref import ref

import numpy as np
import numpy.typing as npt

from domstats.catalog.groups import GROUPS
from domstats.model.globs import Globs
from domstats.model.layout import Layout, Positions, RecordLayout, Shape
from domstats.model.snapshot import Snapshot

KEPT = 4
"""Parts of which it is kept where their values are; who asks for one most often asks again."""
_KNOWN = (1 << len(GROUPS)) - 1
_OTHER = len(GROUPS)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which values are wanted."""

    groups: int = 0
    """StatsGroup bits; those that are not known stand for the group `other`. All when 0."""
    keys: tuple[str, ...] = ()
    """Keys, or patterns of keys as shells have them; all when empty."""
    _globs: Globs = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_globs", Globs(self.keys))

    def takes(self, key: str, group: int) -> bool:
        """Whether a key is wanted; `group`: its index into GROUP_NAMES."""
        known = self.groups & ~_KNOWN if group == _OTHER else self.groups >> group & 1
        if self.groups and not known:
            return False
        return not self.keys or key in self.keys or self._globs.fit(key)


ALL = Wanted()


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    source: ref[Layout]
    """Not held: an old one would live on, with all that is kept with it, until somebody asks for this part again."""
    layout: Layout
    index: Positions
    """Of each value among those of the source."""
    string_slots: Positions
    """Index of each string's slot,"""
    strings: npt.NDArray[np.uint64]
    """and its place among the strings of its record."""


class Selector:
    """Takes parts of the snapshots of one host. Not for two threads at a time."""

    def __init__(self) -> None:
        self._plans: OrderedDict[tuple[Wanted, bytes | None], _Plan] = OrderedDict()

    def select(self, snapshot: Snapshot, positions: Sequence[int] | None = None, wanted: Wanted = ALL) -> Snapshot:
        """The wanted values of the records at these positions, or of all."""
        if positions is None and wanted == ALL:
            return snapshot
        chosen = np.arange(len(snapshot)) if positions is None else np.array(positions, np.int64)
        plan = self._plan(snapshot.layout, chosen, wanted)
        values = snapshot.values.take(plan.index)
        values[plan.string_slots] = plan.strings
        sampling = snapshot.sampling
        part = replace(
            sampling,
            status=sampling.status[chosen],
            times=sampling.times[chosen],
            sources=sampling.sources[chosen],
            uncertainty=sampling.uncertainty[chosen],
        )
        return Snapshot(plan.layout, values, snapshot.time, part, snapshot.host_cpus)

    def _plan(self, layout: Layout, chosen: Positions, wanted: Wanted) -> _Plan:
        what = (wanted, chosen.tobytes())
        plan = self._plans.get(what)
        if plan is None or plan.source() is not layout:
            plan = self._plans[what] = _make(layout, chosen, wanted)
        self._plans.move_to_end(what)
        if len(self._plans) > KEPT:
            self._plans.popitem(last=False)
        return plan


def _make(layout: Layout, chosen: Positions, wanted: Wanted) -> _Plan:
    parts: dict[Shape, _Part] = {}
    records: list[RecordLayout] = []
    indexes: list[Positions] = [np.empty(0, np.int64)]
    for position in chosen.tolist():
        record = layout.records[position]
        if record.shape not in parts:
            parts[record.shape] = _part(record.shape, wanted)
        part = parts[record.shape]
        strings = [record.strings[number] for number in part.strings]
        records.append(RecordLayout(record.domain, part.shape, strings))
        indexes.append(layout.starts[position] + part.slots)
    made = Layout(records)
    places = [
        (start + slot, number)
        for record, start in zip(records, made.starts.tolist()[:-1], strict=True)
        for number, slot in enumerate(record.shape.string_slots)
    ]
    at, numbers = np.array(places, np.int64).reshape(-1, 2).T
    return _Plan(ref(layout), made, np.concatenate(indexes), at, numbers.astype(np.uint64))


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What is wanted of the records of a shape."""

    shape: Shape
    slots: Positions
    """Where its values are in the whole's shape,"""
    strings: tuple[int, ...]
    """and which of a record's strings it has."""


def _part(shape: Shape, wanted: Wanted) -> _Part:
    slots = [slot for slot, key in enumerate(shape.keys) if wanted.takes(key, shape.groups[slot])]
    taken = set(slots)
    strings = tuple(number for number, slot in enumerate(shape.string_slots) if slot in taken)
    overlaid = bytes(shape.overlaid[slot] for slot in slots) if shape.overlaid else b""
    part = Shape.of([shape.keys[slot] for slot in slots], bytes(shape.types[slot] for slot in slots), overlaid)
    return _Part(part, np.array(slots, np.int64), strings)
