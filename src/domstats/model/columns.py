"""One statistic across all domains, as NumPy arrays; what is derived from a layout is kept with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from domstats.errors import MixedTypes, UnknownField
from domstats.model.layout import Layout, Positions
from domstats.model.names import is_other_name, resolve
from domstats.model.params import ParamType

COLUMNS_MAX = 1024
"""Columns that are kept with a layout, so many as all streams of a service may have; it may be asked for any name."""

Values = npt.NDArray[np.uint64]
Valid = npt.NDArray[np.bool_]

DTYPES: dict[ParamType, Any] = {
    ParamType.INT: np.int32,
    ParamType.UINT: np.uint32,
    ParamType.LLONG: np.int64,
    ParamType.ULLONG: np.uint64,
    ParamType.DOUBLE: np.float64,
    ParamType.BOOLEAN: np.bool_,
    ParamType.STRING: np.object_,
}


@dataclass(frozen=True, slots=True, eq=False)
class Gather:
    """Where a column's values are: one index into a snapshot's values for each row."""

    key: str
    index: Positions
    """0 where there is no value."""
    valid: Valid
    types: tuple[ParamType, ...]
    """The wire types met; one, in a column that can be read."""
    records: Positions
    """Position of each row's record."""

    @classmethod
    def of(cls, key: str, index: Positions, types: Iterable[int], records: Positions) -> Gather:
        """`index` is -1 where there is no value."""
        valid = index >= 0
        index = np.where(valid, index, 0)
        for array in (index, valid, records):
            array.flags.writeable = False
        return cls(key, index, valid, tuple(map(ParamType, sorted(set(types)))), records)

    def read(self, layout: Layout, values: Values) -> tuple[npt.NDArray[Any], Valid]:
        """The values in the dtype of their wire type (0, False or None where there is none), and where there are any.

        Raises MixedTypes.
        """
        if len(self.types) > 1:
            raise MixedTypes(self.key, tuple(kind.label for kind in self.types))
        kind = self.types[0]
        raw = values.take(self.index)
        if kind == ParamType.STRING:
            texts = zip(self.records.tolist(), raw.tolist(), self.valid.tolist(), strict=True)
            found = [layout.records[record].strings[number] if there else None for record, number, there in texts]
            column: npt.NDArray[Any] = np.empty(len(found), np.object_)
            column[:] = found
            return column, self.valid
        if not self.valid.all():
            raw *= self.valid
        if kind == ParamType.ULLONG:
            return raw, self.valid
        if kind in (ParamType.LLONG, ParamType.DOUBLE):
            return raw.view(DTYPES[kind]), self.valid
        return raw.astype(DTYPES[kind]), self.valid


def column(layout: Layout, key: str) -> Gather:
    """Where a value of every domain is, by key or device name. Raises UnknownField where no domain has it."""
    known: dict[str, Gather] = layout.derived.setdefault("columns", {})
    gather = known.get(key)
    if gather is None:
        gather = _find(layout, key)
        if len(known) >= COLUMNS_MAX:
            known.clear()
        known[key] = gather
    return gather


def _find(layout: Layout, key: str) -> Gather:
    index = np.full(len(layout), -1, np.int64)
    types: set[int] = set()
    other_name = is_other_name(key)
    for shape, positions in layout.by_shape():
        slot = shape.slots.get(key)
        if slot is not None:
            index[positions] = layout.starts[positions] + slot
            types.add(shape.types[slot])
            continue
        for position in positions.tolist() if other_name else ():
            found = resolve(layout.records[position], key)
            if found is not None and found[1] is None:
                index[position] = layout.starts[position] + found[0]
                types.add(shape.types[found[0]])
    if not types:
        raise UnknownField(key, "any domain")
    return Gather.of(key, index, types, np.arange(len(layout), dtype=np.int64))
