"""A column's values as Python objects, None where one is missing."""

from __future__ import annotations

from typing import Any

from domstats.errors import UnknownField
from domstats.model.columns import Gather
from domstats.model.derived import Figure
from domstats.model.snapshot import Snapshot


def listed(figure: Figure) -> list[Any]:
    """The values of a figure."""
    values, known = figure
    return [value if there else None for value, there in zip(values.tolist(), known.tolist(), strict=True)]


def gathered(snapshot: Snapshot, gather: Gather) -> list[Any]:
    """The values of a column, whatever their wire types."""
    if len(gather.types) == 1:
        values, valid = gather.read(snapshot.layout, snapshot.values)
        return [value if there else None for value, there in zip(values.tolist(), valid.tolist(), strict=True)]
    starts, records = snapshot.layout.starts.tolist(), list(snapshot)
    rows = zip(gather.records.tolist(), gather.index.tolist(), gather.valid.tolist(), strict=True)
    # A column is found by the last of equal keys, and so is a record's value.
    return [
        records[record][records[record].layout.shape.keys[index - starts[record]]] if there else None
        for record, index, there in rows
    ]


def by_key(snapshot: Snapshot, key: str) -> list[Any]:
    """The value of every domain by a key or another of a record's names."""
    try:
        return gathered(snapshot, snapshot.gather(key))
    except UnknownField:  # also a name that stands for a word, which no array holds
        return [record.get(key) for record in snapshot]
