"""One domain's statistics: a view into a snapshot, made when asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from domstats.errors import UnknownField
from domstats.model.columns import Values
from domstats.model.domain import Domain
from domstats.model.layout import Layout, RecordLayout
from domstats.model.names import resolve
from domstats.model.params import ParamType, TypedParameter, Value
from domstats.model.sampling import COLUMN_NAMES, Sampling, Status
from domstats.model.tree import tree

_LAST_NUMBER = int(ParamType.DOUBLE)


class Poll:
    """The parts of a snapshot that its records read."""

    def __init__(self, layout: Layout, values: Values, time: float, sampling: Sampling) -> None:
        values.flags.writeable = False
        self.layout = layout
        self.values = values
        """64 bits a value; what they hold depends on the slot's type, see model.layout."""
        self.time = time
        """When the poll was taken, in seconds since the epoch."""
        self.sampling = sampling
        self._starts = memoryview(layout.starts.data)
        unsigned, signed = values.data, values.view(np.int64).data
        views = {ParamType.INT: signed, ParamType.LLONG: signed, ParamType.DOUBLE: values.view(np.float64).data}
        self._views = (unsigned, *(views.get(kind, unsigned) for kind in ParamType))


class Record:
    """A mapping from key to value, in the source's order. Look-up is two dict look-ups and an index.

    Beside its keys a record answers to device names (`block[vda].rd.bytes`) and to the keys of the 2014 proposal (see
    model.names). Of a duplicate key, look-up gives the last; `params` has them all.
    """

    __slots__ = ("_poll", "_position", "layout")

    def __init__(self, poll: Poll, position: int) -> None:
        self._poll = poll
        self._position = position
        self.layout: RecordLayout = poll.layout.records[position]

    def __getitem__(self, key: str) -> Value:
        try:
            slot, kind = self.layout.shape.entries[key]
        except KeyError:
            return self._by_other_name(key)
        if kind <= _LAST_NUMBER:
            poll = self._poll
            number: int | float = poll._views[kind][poll._starts[self._position] + slot]
            return number
        return self._value(slot)

    def _value(self, slot: int) -> Value:
        poll, kind = self._poll, self.layout.shape.types[slot]
        value: int = poll._views[kind][poll._starts[self._position] + slot]
        if kind == ParamType.BOOLEAN:
            return value != 0
        return self.layout.strings[value] if kind == ParamType.STRING else value

    def _by_other_name(self, name: str) -> Value:
        found = resolve(self.layout, name) if isinstance(name, str) else None
        if found is None:
            raise UnknownField(name, f"domain {self.domain.name!r}")
        slot, words = found
        value = self._value(slot)
        return words(int(value)) if words else value

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or the default where this domain does not report it."""
        try:
            return self[key]
        except UnknownField:
            return default

    def __contains__(self, key: object) -> bool:
        """Whether looking it up gives a value."""
        return key in self.layout.shape.slots or (isinstance(key, str) and resolve(self.layout, key) is not None)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.layout.shape.slots)

    def __len__(self) -> int:
        return len(self.layout.shape.slots)

    def __repr__(self) -> str:
        return f"<Record of {self.domain.name!r}: {len(self)} values, {self.status.label}>"

    def keys(self) -> list[str]:
        """The keys, in the source's order."""
        return list(self.layout.shape.slots)

    def items(self) -> list[tuple[str, Value]]:
        """Keys and values, in the source's order."""
        return [(key, self._value(slot)) for key, slot in self.layout.shape.slots.items()]

    def values(self) -> list[Value]:
        """The values, in the order of the keys."""
        return [self._value(slot) for slot in self.layout.shape.slots.values()]

    @property
    def domain(self) -> Domain:
        """Whose record it is."""
        return self.layout.domain

    @property
    def params(self) -> list[TypedParameter]:
        """The typed parameters as the source sent them, duplicates included."""
        shape = self.layout.shape
        return [
            TypedParameter(key, ParamType(kind), self._value(slot))
            for slot, (key, kind) in enumerate(zip(shape.keys, shape.types, strict=True))
        ]

    def type_of(self, key: str) -> ParamType:
        """The wire type of a key's value. Raises UnknownField."""
        try:
            return ParamType(self.layout.shape.entries[key][1])
        except KeyError:
            raise UnknownField(key, f"domain {self.domain.name!r}") from None

    def tree(self) -> dict[str | int, Any]:
        """The statistics as nested dicts, by the parts of their keys; see model.tree."""
        return tree(self.items())

    @property
    def status(self) -> Status:
        """How this record stands."""
        return Status(int(self._poll.sampling.status[self._position]))

    @property
    def ages(self) -> dict[str, float]:
        """Seconds since each group of this record was sampled, counted from the snapshot's time.

        What of a group the kernel gives has an age of its own: `cpu` is libvirt's part of it, `cpu.kernel` the rest.
        """
        times = self._poll.sampling.times[self._position].tolist()
        shape = self.layout.shape
        present: list[int] | None = shape.derived.get("columns_present")
        if present is None:
            present = shape.derived["columns_present"] = sorted(set(shape.columns))
        there = ((column, times[column]) for column in present if not math.isnan(times[column]))
        return {COLUMN_NAMES[column]: self._poll.time - time for column, time in there}

    @property
    def age(self) -> float | None:
        """Seconds since the oldest of its groups was sampled; None for a record without values."""
        return max(self.ages.values(), default=None)

    @property
    def sources(self) -> dict[str, str]:
        """Where each group of this record came from, with the names of `ages`."""
        row = self._poll.sampling.sources[self._position].tolist()
        return {group: self._poll.sampling.source_names[row[COLUMN_NAMES.index(group)]] for group in self.ages}
