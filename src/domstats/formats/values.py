"""The values of each record as Python objects, a whole record at a time."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from domstats.model.layout import Shape
from domstats.model.params import ParamType
from domstats.model.record import Record
from domstats.model.snapshot import Snapshot

_SIGNED = (ParamType.INT, ParamType.LLONG)
_UNSIGNED = (ParamType.UINT, ParamType.ULLONG)
_SIGN = 1 << 63
_ALL = 1 << 64


@dataclass(frozen=True, slots=True)
class Writers:
    """What a format makes of the values that are not integers; integers stay what they are."""

    double: Callable[[float], Any]
    boolean: Callable[[bool], Any]
    string: Callable[[str], Any]


def rows(snapshot: Snapshot, writers: Writers) -> Iterator[tuple[Record, list[Any]]]:
    """Each record with its values by slot, which is the order of `record.layout.shape.keys`: the values of
    `record.params` without an object for each."""
    starts = snapshot.layout.starts.tolist()
    for position, record in enumerate(snapshot):
        values: list[Any] = snapshot.values[starts[position] : starts[position + 1]].tolist()
        for slot, kind in _not_unsigned(record.layout.shape):
            value = values[slot]
            if kind in _SIGNED:
                values[slot] = value - _ALL if value >= _SIGN else value
            elif kind == ParamType.DOUBLE:
                values[slot] = writers.double(struct.unpack("=d", struct.pack("=Q", value))[0])
            elif kind == ParamType.BOOLEAN:
                values[slot] = writers.boolean(value != 0)
            else:
                values[slot] = writers.string(record.layout.strings[value])
        yield record, values


def _not_unsigned(shape: Shape) -> list[tuple[int, int]]:
    """Slots and types of the values that are not what the array holds."""
    found: list[tuple[int, int]] | None = shape.derived.get("not_unsigned")
    if found is None:
        found = [(slot, kind) for slot, kind in enumerate(shape.types) if kind not in _UNSIGNED]
        shape.derived["not_unsigned"] = found
    return found
