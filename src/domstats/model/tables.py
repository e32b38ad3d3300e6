"""Tables: one row a domain, or one row a vCPU, interface, disk or I/O thread of every domain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from domstats.errors import UnknownField, UnknownGroup
from domstats.model.columns import Gather, Valid
from domstats.model.layout import Layout, Positions, Shape
from domstats.model.record import Poll

if TYPE_CHECKING:
    import pyarrow as pa

TABLES: dict[str, str] = {
    "domain": "",
    "vcpu": "vcpu.",
    "interface": "net.",
    "block": "block.",
    "iothread": "iothread.",
}
"""The tables, and the prefix of the keys in each; `domain` has what is in none of the others."""


class Table:
    """Columns of equal length. A column's name is the tail of the keys in it: `rd.bytes` for `block.<i>.rd.bytes`."""

    def __init__(self, name: str, poll: Poll) -> None:
        """Raises UnknownGroup for a name that is none of TABLES."""
        self.name = name
        self.poll = poll
        """The snapshot it is a table of."""
        self._plan = _plan(poll.layout, name)

    def __len__(self) -> int:
        return len(self._plan.records)

    def __iter__(self) -> Iterator[str]:
        return iter(self._plan.columns)

    def __contains__(self, column: object) -> bool:
        return column in self._plan.columns

    def __getitem__(self, column: str) -> tuple[npt.NDArray[Any], Valid]:
        """Values and where there are any, as Snapshot.column gives them. Raises UnknownField and MixedTypes."""
        return self.gather(column).read(self.poll.layout, self.poll.values)

    def gather(self, column: str) -> Gather:
        """Where the column's values are among the snapshot's. Raises UnknownField."""
        try:
            return self._plan.columns[column]
        except KeyError:
            raise UnknownField(column, f"table {self.name!r}") from None

    def __repr__(self) -> str:
        return f"<Table {self.name!r}: {len(self)} rows, {len(self.columns)} columns>"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns' names, in the order of their first appearance."""
        return tuple(self._plan.columns)

    @property
    def record(self) -> Positions:
        """Position in the snapshot of each row's record."""
        return self._plan.records

    @property
    def device(self) -> Positions:
        """Each row's number in its keys (a position, or the id of a vCPU or I/O thread); in `domain`, the record's."""
        return self._plan.devices

    def to_arrow(self) -> pa.Table:
        """The table with, before its columns, whose each row is and how old; see domstats.formats.arrow.

        Raises MissingExtra.
        """
        from domstats.formats import arrow

        return arrow.flat(self)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The same, for what reads Arrow's C stream: polars.DataFrame(table), duckdb, pyarrow.table(table)."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    records: Positions
    devices: Positions
    columns: dict[str, Gather]


def _plan(layout: Layout, name: str) -> _Plan:
    plan: _Plan | None = layout.derived.get(("table", name))
    if plan is None:
        if name not in TABLES:
            raise UnknownGroup(name, tuple(TABLES))
        plan = layout.derived["table", name] = _make_plan(layout, name)
    return plan


def _make_plan(layout: Layout, name: str) -> _Plan:
    counts = np.zeros(len(layout), np.int64)
    for shape, positions in layout.by_shape():
        counts[positions] = len(_devices(shape, name))
    first_row = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))
    rows = int(first_row[-1])
    records = np.repeat(np.arange(len(layout), dtype=np.int64), counts)
    devices = np.zeros(rows, np.int64)
    indexes: dict[str, Positions] = {}
    types: dict[str, set[int]] = {}
    for shape, positions in layout.by_shape():
        for order, (device, slots) in enumerate(_devices(shape, name).items()):
            at = first_row[positions] + order
            devices[at] = positions if name == "domain" else device
            for tail, slot in slots.items():
                if tail not in indexes:
                    indexes[tail], types[tail] = np.full(rows, -1, np.int64), set()
                indexes[tail][at] = layout.starts[positions] + slot
                types[tail].add(shape.types[slot])
    columns = {tail: Gather.of(tail, index, types[tail], records) for tail, index in indexes.items()}
    return _Plan(records, devices, columns)


def _devices(shape: Shape, name: str) -> dict[int, dict[str, int]]:
    """Number of each device to the slots of its key tails."""
    found: dict[int, dict[str, int]] | None = shape.derived.get(("devices", name))
    if found is None:
        found = {0: {}} if name == "domain" else {}
        for key, slot in shape.slots.items():
            table, device, tail = device_key(key)
            if table == name:
                found.setdefault(device, {})[tail] = slot
        shape.derived["devices", name] = found
    return found


def device_key(key: str) -> tuple[str, int, str]:
    """A key's table, device number and column: block.0.rd.bytes to (block, 0, rd.bytes); of a domain's, number 0."""
    prefix, _, rest = key.partition(".")
    number, _, tail = rest.partition(".")
    table = _BY_PREFIX.get(prefix)
    if table and tail and number.isascii() and number.isdigit() and len(number) <= _DIGITS_MAX:
        device = int(number)
        if device <= _NUMBER_MAX:
            return table, device, tail
    return "domain", 0, key


_BY_PREFIX = {prefix[:-1]: name for name, prefix in TABLES.items() if prefix}
_NUMBER_MAX = (1 << 32) - 1
"""libvirt's device numbers are unsigned integers of 32 bits, and so is the column that holds them in Arrow."""
_DIGITS_MAX = len(str(_NUMBER_MAX))
