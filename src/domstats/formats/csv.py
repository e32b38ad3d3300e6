r"""CSV, quoted as RFC 4180 and Python's csv module have it; lines end with a newline alone.

Without a table it has everything, a line a value: `domain,uuid,id,status,age,sampled,key,type,value`. That form loses
nothing, and its columns are the same whatever the guests are. `age` and `sampled` are of the group that the value is
in, and a domain without values has one line, with no key. With `options.table` it is that table: a line a row and a
column a key, after what `frame` says of each row.

- Missing is empty; an empty text is `""`. Where there is but one column, missing is `""`, too: readers skip a line that
  is empty.
- Integers are exact, doubles as Python writes them (`nan`, `inf`), booleans `true` and `false`.
- `age` is in seconds, `sampled` a time in UTC as ISO 8601 has it.
- In names, keys and texts, what a terminal would obey and bytes that are not UTF-8 appear as `\xNN`, so that a row is
  always one line. What a spreadsheet takes for a formula stays as it is: names are data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from types import NoneType
from typing import Any

import numpy as np

from domstats.formats import frame
from domstats.formats.frame import Cell, Frame
from domstats.formats.options import NO_OPTIONS, Options
from domstats.formats.standing import MICROSECONDS
from domstats.formats.text import escape
from domstats.model.layout import Layout, Shape
from domstats.model.params import ParamType, Value
from domstats.model.record import Record
from domstats.model.sampling import COLUMN_NAMES
from domstats.model.snapshot import Snapshot

LONG = (frame.DOMAIN, frame.UUID, frame.ID, frame.STATUS, frame.AGE, frame.SAMPLED, "key", "type", "value")
"""The columns when no table is asked for."""


_Writers = Mapping[type, Callable[[Any], str]]
_Part = Sequence[Sequence[Cell]]
"""Some rows, column by column."""


def encode(snapshot: Snapshot, options: Options = NO_OPTIONS) -> bytes:
    """A line of names of columns and a line a row. Raises UnknownGroup, UnknownField."""
    if options.table:
        content = Frame(snapshot.table(options.table))
        known: Sequence[str] = frame.labels(escape(column.name) for column in content.columns)
        what, parts = f"table {options.table!r}", _wide(content)
    else:
        known, what, parts = LONG, "the table of everything", _long(snapshot)
    wanted = frame.chosen(known, options, what)
    if options.sort or options.top is not None:
        parts = _arranged(parts, known, options, what)
    writers = _writers(snapshot.layout, '""' if len(wanted) == 1 else "")
    lines = [",".join(_written([known[place] for place in wanted], writers))]
    for part in parts:
        lines += map(",".join, zip(*(_written(part[place], writers) for place in wanted), strict=True))
    lines.append("")
    return "\n".join(lines).encode()


def _wide(content: Frame) -> Iterator[_Part]:
    """A table, whole."""
    part = []
    for column in content.columns:
        values = content.values(column)
        part.append(_rounded(values) if column.gather is None and column.name == frame.AGE else values)
    yield part


def _long(snapshot: Snapshot) -> Iterator[_Part]:
    """The values of everybody, a part a record."""
    keys: dict[Shape, tuple[Sequence[str], Sequence[str]]] = {}
    labels = {int(kind): kind.label for kind in ParamType}
    times, columns = snapshot.sampling.times, len(COLUMN_NAMES)
    ages, sampled = (snapshot.time - times).tolist(), frame.moments(times.ravel())
    for position, (record, values) in enumerate(_records(snapshot)):
        shape, domain = record.layout.shape, record.domain
        who: list[Cell] = [domain.name, domain.uuid, domain.id, record.status.label]
        if not values:
            yield [[cell] for cell in (*who, None, None, None, None, None)]
            continue
        if shape not in keys:
            keys[shape] = shape.keys, [labels[kind] for kind in shape.types]
        by_column = _rounded(ages[position]), sampled[position * columns : (position + 1) * columns]
        of_columns = [list(map(cells.__getitem__, shape.columns)) for cells in by_column]
        yield [*([cell] * len(values) for cell in who), *of_columns, *keys[shape], values]


def _records(snapshot: Snapshot) -> Iterator[tuple[Record, list[Value]]]:
    """Each record with its values by slot: those of `record.params` without an object for each."""
    starts = snapshot.layout.starts.tolist()
    signed, doubles = snapshot.values.view(np.int64).data, snapshot.values.view(np.float64).data
    for record, start, end in zip(snapshot, starts[:-1], starts[1:], strict=True):
        values: list[Value] = snapshot.values[start:end].tolist()
        for slot, kind in _not_unsigned(record.layout.shape):
            if kind == ParamType.DOUBLE:
                values[slot] = doubles[start + slot]
            elif kind == ParamType.BOOLEAN:
                values[slot] = values[slot] != 0
            elif kind == ParamType.STRING:
                values[slot] = record.layout.strings[signed[start + slot]]
            else:
                values[slot] = signed[start + slot]
        yield record, values


def _not_unsigned(shape: Shape) -> list[tuple[int, int]]:
    """Slots and types of the values that are not what the array holds."""
    found: list[tuple[int, int]] | None = shape.derived.get("csv")
    if found is None:
        unsigned = (ParamType.UINT, ParamType.ULLONG)
        found = shape.derived["csv"] = [(slot, kind) for slot, kind in enumerate(shape.types) if kind not in unsigned]
    return found


def _rounded(ages: Iterable[Cell]) -> list[Cell]:
    """Ages with as many decimals as they have; None where there is none."""
    return [round(age, MICROSECONDS) if isinstance(age, float) and not math.isnan(age) else None for age in ages]


def _arranged(parts: Iterable[_Part], known: Sequence[str], options: Options, what: str) -> Iterator[_Part]:
    """The rows that are wanted, in the order that is wanted."""
    whole: list[list[Cell]] = [[] for _ in known]
    for part in parts:
        for column, values in zip(whole, part, strict=True):
            column.extend(values)
    order = frame.ordered(len(whole[0]), options, lambda name: whole[frame.position(known, name, what)])
    yield whole if order is None else [[column[row] for row in order] for column in whole]


def _written(values: Sequence[Cell], writers: _Writers) -> list[str]:
    """Values as they are written."""
    kinds = set(map(type, values))
    if len(kinds) == 1:
        return list(map(writers[kinds.pop()], values))
    return [writers[type(value)](value) for value in values]


def _writers(layout: Layout, missing: str) -> _Writers:
    """What writes the values of each of Python's types; `missing` is written where there is none."""
    return {
        int: int.__repr__,
        float: float.__repr__,
        bool: ("false", "true").__getitem__,
        str: _Texts.of(layout).__getitem__,
        datetime: cache(partial(datetime.isoformat, timespec="microseconds")),
        NoneType: lambda _none: missing,
    }


class _Texts(dict[str, str]):
    """Texts as they are written; each is looked at once."""

    @classmethod
    def of(cls, layout: Layout) -> _Texts:
        """Those of a layout, which hardly change from poll to poll."""
        texts: _Texts | None = layout.derived.get("csv")
        if texts is None:
            texts = layout.derived["csv"] = cls()
        return texts

    def __missing__(self, text: str) -> str:
        written = escape(text)
        if not written or "," in written or '"' in written:
            written = written.replace('"', '""')
            written = f'"{written}"'
        self[text] = written
        return written
