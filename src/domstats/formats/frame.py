"""Tables for other programs: what the arrow, parquet and csv formats share.

Each row of a frame begins with whose it is (`domain`, `uuid`, `id`), in a table of devices with the device's number,
called as the table is (`vcpu`, ...), and its `name` where it has one. Then comes how the row stands: the `status` of
the domain's record; `sampled`, when the values were read, and `age`, the seconds from then to the poll. Those two are
of the group that a device's values are in (the older, where the kernel gives some of them); for a domain, of the
oldest of its groups; missing where nothing was read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

from domstats.catalog.groups import GROUP_NAMES
from domstats.errors import UnknownField
from domstats.formats.options import Options
from domstats.model.columns import Gather, Valid
from domstats.model.domain import Domain
from domstats.model.layout import Layout
from domstats.model.params import ParamType, Value
from domstats.model.record import Poll
from domstats.model.sampling import COLUMN_NAMES, OVERLAID, Status
from domstats.model.tables import TABLES, Table

DOMAIN, UUID, ID, STATUS, AGE, SAMPLED = "domain", "uuid", "id", "status", "age", "sampled"
_IDENTITY = {DOMAIN: "name", UUID: "uuid", ID: "id"}
"""Of a Domain, by column."""
_NAME = "name"
_NEAR = 3
"""Columns that are offered in place of one that is not there, at most."""
_NO_WORDS = "words such as cpu, device names and rates are for the format table; here columns are keys"

_HELD_BY = {
    ParamType.INT: {ParamType.INT},
    ParamType.UINT: {ParamType.UINT},
    ParamType.LLONG: {ParamType.INT, ParamType.UINT, ParamType.LLONG},
    ParamType.ULLONG: {ParamType.UINT, ParamType.ULLONG},
}
"""Which integer types each integer type can hold, the smallest first."""

_FIRST_YEAR, _LAST_YEAR = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999 in seconds since the epoch: what programs can show as a time."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Cell = Value | datetime | None
"""A value of a frame; None where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column of a frame."""

    name: str
    gather: Gather | None
    """Where its values are; None for what the frame says of its rows."""
    key: str
    """A key whose values are in it, to look up in the catalogue; empty for what the frame says of its rows."""
    type: ParamType
    """The type that holds all its values: of integers the smallest, of what is not all alike STRING."""

    @property
    def mixed(self) -> bool:
        """Whether it is written as text because values of several types are in it."""
        return self.gather is not None and self.type is ParamType.STRING and len(self.gather.types) > 1


class Frame:
    """A table and what is said of its rows."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.poll: Poll = table.poll
        self.columns = _columns(table)
        """In their order; two may have the same name, see `labels`."""

    def __len__(self) -> int:
        return len(self.table)

    def values(self, column: Column) -> list[Cell]:
        """A column's values; `sampled` as times in UTC."""
        gather = column.gather
        if gather is None:
            return self._said(column.name)
        if column.mixed:
            return mixed_values(self.poll, gather)
        if len(gather.types) == 1:
            values, valid = gather.read(self.poll.layout, self.poll.values)
        else:
            raw = self.poll.values.take(gather.index)
            values, valid = raw if column.type is ParamType.ULLONG else raw.view(np.int64), gather.valid
        return _with_none(values, valid)

    def _said(self, name: str) -> list[Cell]:
        if name == STATUS:
            labels = [status.label for status in Status]
            return [labels[code] for code in self.status.tolist()]
        if name == AGE:
            return [None if math.isnan(age) else age for age in self.ages().tolist()]
        if name == SAMPLED:
            return moments(self._times())
        if name not in _IDENTITY:
            return _with_none(self.table.device, np.ones(len(self), np.bool_))
        said: list[Cell] = [getattr(domain, _IDENTITY[name]) for domain in self._domains()]
        return [said[record] for record in self.table.record.tolist()]

    def _domains(self) -> list[Domain]:
        return [record.domain for record in self.poll.layout.records]

    @property
    def status(self) -> npt.NDArray[np.uint8]:
        """The Status of each row's record."""
        return self.poll.sampling.status[self.table.record]

    def ages(self) -> npt.NDArray[np.float64]:
        """Seconds from when each row was sampled to the poll; NaN where it never was."""
        return self.poll.time - self._times()

    def sampled(self) -> tuple[npt.NDArray[np.int64], Valid]:
        """When each row was sampled, in microseconds since the epoch, and where that is known."""
        return _microseconds(self._times())

    def _times(self) -> npt.NDArray[np.float64]:
        times, name = self.poll.sampling.times, self.table.name
        if name != DOMAIN and not _overlaid(self.poll.layout):
            of_group: npt.NDArray[np.float64] = times[self.table.record, GROUP_NAMES.index(name)]
            return of_group
        known = np.where(_columns_present(self.poll.layout), times, np.nan)
        if name != DOMAIN:
            known = known[:, GROUP_NAMES.index(name) :: OVERLAID]
        oldest: npt.NDArray[np.float64] = np.fmin.reduce(known, axis=1)
        return oldest if name == DOMAIN else oldest[self.table.record]


def _microseconds(times: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], Valid]:
    """Seconds since the epoch in microseconds, and which of them are times at all."""
    valid = (times >= _FIRST_YEAR) & (times < _LAST_YEAR)
    return np.rint(np.where(valid, times, 0.0) * 1e6).astype(np.int64), valid


def moments(times: npt.NDArray[np.float64]) -> list[Cell]:
    """Seconds since the epoch as times in UTC; None for what is none."""
    numbers, valid = _microseconds(times)
    known: dict[int, datetime] = {}
    found: list[Cell] = []
    for number, there in zip(numbers.tolist(), valid.tolist(), strict=True):
        if there and number not in known:
            known[number] = _EPOCH + timedelta(microseconds=number)
        found.append(known[number] if there else None)
    return found


def _columns(table: Table) -> tuple[Column, ...]:
    derived = table.poll.layout.derived
    columns: tuple[Column, ...] | None = derived.get(("frame", table.name))
    if columns is None:
        columns = derived["frame", table.name] = tuple(_make_columns(table))
    return columns


def _make_columns(table: Table) -> list[Column]:
    said = [Column(DOMAIN, None, "", ParamType.STRING), Column(UUID, None, "", ParamType.STRING)]
    said.append(Column(ID, None, "", ParamType.INT))
    begin = ""
    if table.name != DOMAIN:
        said.append(Column(table.name, None, "", ParamType.UINT))
        begin = f"{TABLES[table.name]}0."
    own = []
    for name in table.columns:
        gather = table.gather(name)
        own.append(Column(name, gather, begin + name, widest(gather.types)))
    names = [column for column in own if column.name == _NAME and begin]
    said += names
    said.append(Column(STATUS, None, "", ParamType.STRING))
    said += [Column(AGE, None, "", ParamType.DOUBLE), Column(SAMPLED, None, "", ParamType.LLONG)]
    return said + [column for column in own if column not in names]


def widest(types: Sequence[ParamType]) -> ParamType:
    """The type that holds all values of these types without loss; STRING where no number does."""
    if len(types) == 1:
        return types[0]
    return next((kind for kind, held in _HELD_BY.items() if held.issuperset(types)), ParamType.STRING)


def _overlaid(layout: Layout) -> bool:
    return any(shape.overlaid for shape, _ in layout.by_shape())


def _columns_present(layout: Layout) -> npt.NDArray[np.bool_]:
    """Which columns of the sampling each record has values of: a row a record, a column for each of COLUMN_NAMES."""
    present: npt.NDArray[np.bool_] | None = layout.derived.get("frame_columns")
    if present is None:
        present = layout.derived["frame_columns"] = np.zeros((len(layout), len(COLUMN_NAMES)), np.bool_)
        for shape, positions in layout.by_shape():
            for column in set(shape.columns):
                present[positions, column] = True
    return present


def mixed_values(poll: Poll, gather: Gather) -> list[Cell]:
    """The values of a column with several wire types, each as its record has it; None where there is none."""
    raw, layout = poll.values.take(gather.index), poll.layout
    signed, doubles = raw.view(np.int64).tolist(), raw.view(np.float64).tolist()
    slots = gather.index - layout.starts[gather.records]
    values: list[Cell] = []
    places = zip(gather.records.tolist(), slots.tolist(), raw.tolist(), gather.valid.tolist(), strict=True)
    for row, (number, slot, unsigned, there) in enumerate(places):
        record = layout.records[number]
        kind = record.shape.types[slot] if there else 0
        if not there:
            values.append(None)
        elif kind == ParamType.DOUBLE:
            values.append(doubles[row])
        elif kind == ParamType.STRING:
            values.append(record.strings[unsigned])
        elif kind == ParamType.BOOLEAN:
            values.append(unsigned != 0)
        else:
            values.append(signed[row] if kind in (ParamType.INT, ParamType.LLONG) else unsigned)
    return values


def _with_none(values: npt.NDArray[np.generic], valid: Valid) -> list[Cell]:
    found: list[Cell] = values.tolist()
    if not valid.all():
        for row in np.flatnonzero(~valid).tolist():
            found[row] = None
    return found


def labels(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """The names, each with as many `_` after it as make it differ from those before it and from what is taken."""
    known, found = set(taken), []
    for name in names:
        label = name
        while label in known:
            label += "_"
        known.add(label)
        found.append(label)
    return found


def chosen(known: Sequence[str], options: Options, what: str) -> list[int]:
    """Positions of the columns asked for among those known; all when none is. Raises UnknownField."""
    return [position(known, name, what) for name in options.columns] or list(range(len(known)))


def position(known: Sequence[str], name: str, what: str) -> int:
    """Where a column is among those known. Raises UnknownField; `what`: the table, for its message."""
    try:
        return known.index(name)
    except ValueError:
        near = get_close_matches(name, known, _NEAR)
        beginning = ", ".join(known[: known.index(SAMPLED) + 1])
        advice = f"do you mean {' or '.join(near)}?" if near else f"{_NO_WORDS}, and before them {beginning}"
        raise UnknownField(name, what, advice) from None


def ordered(rows: int, options: Options, read: Callable[[str], Sequence[Cell]]) -> list[int] | None:
    """The rows that are wanted, in the order that is wanted, None for all as they are; `read` gives a column's values.

    Rows without a value (or NaN) are last, and text comes after numbers.
    """
    order = None
    if options.sort:
        turned = options.sort.startswith("-")
        order = _sorted(read(options.sort.removeprefix("-")), turned=turned)
    if options.top is None:
        return order
    return (list(range(rows)) if order is None else order)[: max(options.top, 0)]


def _sorted(values: Sequence[Cell], *, turned: bool) -> list[int]:
    numbers: list[int] = []
    texts: list[int] = []
    missing: list[int] = []
    for row, value in enumerate(values):
        unknown = value is None or value != value  # NaN alone differs from itself
        (missing if unknown else texts if isinstance(value, str) else numbers).append(row)
    numbers.sort(key=values.__getitem__, reverse=not turned)  # type: ignore[arg-type]  # numbers compare
    texts.sort(key=values.__getitem__, reverse=turned)  # type: ignore[arg-type]  # so do texts
    return numbers + texts + missing
