"""What of a table in Arrow depends on the layout alone, made once for each layout; only numbers are gathered anew.

The numbers of all columns of the same size are gathered into one matrix, a row a column, whose memory the Arrow arrays
share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from domstats.catalog.lookup import field_of
from domstats.formats import document, frame, libarrow
from domstats.formats.frame import Cell, Column, Frame
from domstats.formats.libarrow import TYPES, Array, DataType, Field, Schema, Validity
from domstats.model.columns import Gather, Values
from domstats.model.layout import Positions
from domstats.model.params import ParamType
from domstats.model.record import Poll
from domstats.model.sampling import Status
from domstats.model.tables import TABLES, Table

DEVICES = tuple(name for name in TABLES if name != frame.DOMAIN)
"""The tables that have a row a device."""

_HELP = {
    frame.DOMAIN: "The domain's name.",
    frame.UUID: "The domain's UUID.",
    frame.ID: "The number of the running instance, new at each start; null when the domain is off.",
    "vcpu": "The vCPU's number.",
    "interface": "The interface's position in the keys.",
    "block": "The disk's position in the keys.",
    "iothread": "The I/O thread's id.",
    frame.STATUS: "How the domain's record stands: fresh, partial, blocked, stale or gone.",
    frame.AGE: "Time from the sample of the values to the poll.",
    frame.SAMPLED: "When the values were sampled; of a domain, the oldest of them.",
}
_LISTS = {
    "vcpu": "The domain's vCPUs.",
    "interface": "The domain's network interfaces.",
    "block": "The domain's disks.",
    "iothread": "The domain's I/O threads.",
}
_UNITS = {frame.AGE: "s"}
_OF_THE_DOMAIN = (frame.DOMAIN, frame.UUID, frame.ID, frame.STATUS)
"""What a device's row says of its domain."""
_EVERY_ROW = (frame.DOMAIN, frame.UUID, frame.STATUS, *DEVICES)
"""What is said of every row, and never missing."""

_FOUR_BYTES = (ParamType.INT, ParamType.UINT)
_EIGHT_BYTES = (ParamType.LLONG, ParamType.ULLONG, ParamType.DOUBLE)
_BITS = (ParamType.BOOLEAN,)
_STATUS_LABELS = [status.label for status in Status]


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Columns whose values take the same room."""

    kinds: tuple[ParamType, ...]
    """The wire types whose columns are in it."""
    places: tuple[int, ...]
    """Where each column is in the table."""
    types: tuple[DataType, ...]
    validities: tuple[Validity, ...]
    index: Positions
    """Where each value is among the snapshot's: a row a column."""

    def arrays(self, values: Values) -> list[Array]:
        """The columns of a snapshot with these values."""
        numbers: npt.NDArray[Any] = values.take(self.index)
        if self.kinds == _FOUR_BYTES:
            numbers = numbers.astype(np.uint32)  # the low half is the value, a sign included
        elif self.kinds == _BITS:
            numbers = np.packbits(numbers != 0, axis=1, bitorder="little")
        return libarrow.arrays(self.types, numbers, self.index.shape[1], self.validities)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How the columns of a table come about."""

    schema: Schema
    fixed: dict[int, Array]
    """By place in the table, what is the same in every snapshot of the layout."""
    said: dict[str, int]
    """The places of `status`, `age` and `sampled`."""
    blocks: tuple[_Block, ...]
    mixed: tuple[tuple[int, Gather], ...]
    """Places of the columns that are written as text."""
    offsets: npt.NDArray[np.int32]
    """Where each domain's rows begin; one more at the end, their number."""
    inner: tuple[int, ...]
    """Places of the columns that a struct of a device has."""
    inner_fields: tuple[Field, ...]

    @classmethod
    def of(cls, rows: Frame) -> Plan:
        """The plan of a frame's layout and table."""
        derived, key = rows.poll.layout.derived, ("arrow", rows.table.name)
        plan: Plan | None = derived.get(key)
        if plan is None:
            plan = derived[key] = _make(rows)
        return plan

    def arrays(self, rows: Frame) -> list[Array]:
        """The columns, in the schema's order."""
        found = dict(self.fixed)
        found[self.said[frame.STATUS]] = libarrow.words(_STATUS_LABELS, rows.status)
        ages = rows.ages()
        found[self.said[frame.AGE]] = libarrow.array(TYPES[ParamType.DOUBLE], ages, Validity.of(~np.isnan(ages)))
        times, known = rows.sampled()
        found[self.said[frame.SAMPLED]] = libarrow.array(libarrow.TIME, times, Validity.of(known))
        for block in self.blocks:
            found.update(zip(block.places, block.arrays(rows.poll.values), strict=True))
        for place, gather in self.mixed:
            found[place] = libarrow.texts([_text(value) for value in frame.mixed_values(rows.poll, gather)])
        return [found[place] for place in range(len(found))]


def whole_schema(poll: Poll) -> Schema:
    """The columns of the table of everything."""
    schema: Schema | None = poll.layout.derived.get("arrow_whole")
    if schema is None:
        domains = Plan.of(Frame(Table(frame.DOMAIN, poll))).schema
        lists = [
            libarrow.field(
                label,
                libarrow.list_of(Plan.of(Frame(Table(name, poll))).inner_fields),
                {"help": _LISTS[name]},
                nullable=False,
            )
            for name, label in zip(DEVICES, frame.labels(DEVICES, domains.names), strict=True)
        ]
        schema = poll.layout.derived["arrow_whole"] = libarrow.schema([*domains, *lists])
    return schema


def _make(rows: Frame) -> Plan:
    columns, derived = rows.columns, rows.table
    labels = frame.labels(document.key(column.name) for column in columns)
    fields = [_field(column, label) for column, label in zip(columns, labels, strict=True)]
    fixed, mixed, said = {}, [], {}
    for place, column in enumerate(columns):
        if column.mixed and column.gather is not None:
            mixed.append((place, column.gather))
        elif column.gather is None and column.name in (frame.STATUS, frame.AGE, frame.SAMPLED):
            said[column.name] = place
        elif column.gather is None or column.type is ParamType.STRING:
            fixed[place] = _fixed(rows, column)
    inner = tuple(
        place for place, column in enumerate(columns) if column.gather is not None or column.name not in _OF_THE_DOMAIN
    )
    offsets = np.searchsorted(derived.record, np.arange(len(rows.poll.layout) + 1)).astype(np.int32)
    blocks = (_block(rows, kinds) for kinds in (_FOUR_BYTES, _EIGHT_BYTES, _BITS))
    return Plan(
        libarrow.schema(fields),
        fixed,
        said,
        tuple(block for block in blocks if block.places),
        tuple(mixed),
        offsets,
        inner,
        tuple(fields[place] for place in inner),
    )


def _fixed(rows: Frame, column: Column) -> Array:
    """A column of strings or of what identifies a row: the layout's, whatever the values are."""
    values = rows.values(column)
    if column.type is ParamType.STRING:
        return libarrow.texts([_text(value) for value in values])
    return libarrow.numbers(TYPES[column.type], values)


def _block(rows: Frame, kinds: tuple[ParamType, ...]) -> _Block:
    places, types, validities, indexes = [], [], [], []
    for place, column in enumerate(rows.columns):
        if column.gather is not None and column.type in kinds:
            places.append(place)
            types.append(TYPES[column.type])
            validities.append(Validity.of(column.gather.valid))
            indexes.append(column.gather.index)
    index = np.array(indexes, np.int64).reshape(len(places), len(rows))
    return _Block(kinds, tuple(places), tuple(types), tuple(validities), index)


def _field(column: Column, label: str) -> Field:
    """A column's name and type, and what is known of it."""
    if column.gather is None:
        kind = libarrow.TIME if column.name == frame.SAMPLED else TYPES[column.type]
        known = {"unit": _UNITS.get(column.name, ""), "help": _HELP[column.name]}
        return libarrow.field(label, kind, known, nullable=column.name not in _EVERY_ROW)
    known = {"type": ",".join(kind.label for kind in column.gather.types)}
    if entry := field_of(column.key):
        known |= {"field": entry.pattern, "unit": entry.unit, "kind": entry.kind.value}
        known |= {"since": entry.since, "help": entry.help}
    return libarrow.field(label, TYPES[column.type], known)


def _text(value: Cell) -> str | None:
    """A value in a column of text."""
    if value is None:
        return None
    if isinstance(value, str):
        return document.key(value)
    return str(value).lower() if isinstance(value, bool) else repr(value)
