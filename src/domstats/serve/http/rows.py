"""A domain's row in a stream: who it is, how it stands, and its values as text.

Integers are all their digits, fractions have a point and never an exponent: who reads them in JavaScript would lose
what is above 2^53. Text is as it is, but for bytes that are not UTF-8, which become \\xNN.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from domstats.catalog.enums import state_name
from domstats.formats.columns import check
from domstats.formats.options import Options
from domstats.formats.table.reading import by_key, listed
from domstats.formats.table.view import View
from domstats.formats.text import to_bytes
from domstats.model.columns import Values
from domstats.model.derived import Figures
from domstats.model.layout import RecordLayout
from domstats.model.params import ParamType
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot

_PERCENT = frozenset({"cpu", "cpu-guest", "cpu-host", "steal"})
"""Columns with one decimal."""
_DECIMALS = 3
"""Of other figures."""
_SIGN, _64_BITS = 1 << 63, 1 << 64


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One domain, at one time."""

    name: str
    id: int | None
    """None when it is off."""
    state: str | None
    """A word of catalog.enums.DOMAIN_STATES; None where it is not known."""
    status: str
    """A label of Status."""
    age: float | None
    """Seconds since the oldest of its groups was sampled; None where that is not known: see Figures.age."""
    values: Any
    """What the reader that made it reads them from."""


class Reader(Protocol):
    """Makes rows, and reads their values."""

    @property
    def names(self) -> Sequence[str] | None:
        """The columns, None for all keys."""

    def rows(self, snapshot: Snapshot, previous: Snapshot, /) -> dict[str, Row]:
        """The rows of the domains that are there, by UUID. `previous`: an earlier snapshot, for rates."""

    def all(self, row: Row) -> dict[str, str]:
        """Each value that is not missing, as text."""

    def changed(self, before: Row, now: Row) -> dict[str, str | None]:
        """Those that are others than in an earlier row of the domain; None for one that is missing now."""


class ColumnReader:
    """Rows of the columns that the table of domains has: words (`cpu`, `rx`) and keys, of counters the rates."""

    names: Sequence[str]

    def __init__(self, columns: Sequence[str]) -> None:
        """Raises UnknownColumn."""
        check(Options(columns=columns))
        self.names = list(columns)

    def rows(self, snapshot: Snapshot, previous: Snapshot) -> dict[str, Row]:
        """As of Reader."""
        view = View(snapshot, "", previous)
        columns = [view.column(name).values for name in self.names]
        values = zip(*columns, strict=True) if columns else [()] * len(snapshot)
        return _rows(snapshot, values)

    def all(self, row: Row) -> dict[str, str]:
        """As of Reader."""
        texts = ((name, _written(name, value)) for name, value in zip(self.names, row.values, strict=True))
        return {name: text for name, text in texts if text is not None}

    def changed(self, before: Row, now: Row) -> dict[str, str | None]:
        """As of Reader."""
        found: dict[str, str | None] = {}
        for name, was, value in zip(self.names, before.values, now.values, strict=True):
            if was != value:
                text = _written(name, value)
                if text != _written(name, was):
                    found[name] = text
        return found


class KeyReader:
    """Rows of all keys of the records, with the values as they are."""

    names = None

    def rows(self, snapshot: Snapshot, _previous: Snapshot) -> dict[str, Row]:
        """As of Reader."""
        starts = snapshot.layout.starts.tolist()
        slices = (snapshot.values[start:end] for start, end in pairwise(starts))
        return _rows(snapshot, zip(snapshot.layout.records, slices, strict=True))

    def all(self, row: Row) -> dict[str, str]:
        """As of Reader."""
        layout, raw = row.values
        return {key: text for key, text in _texts(layout, raw).items() if text is not None}

    def changed(self, before: Row, now: Row) -> dict[str, str | None]:
        """As of Reader."""
        (was, old), (layout, raw) = before.values, now.values
        if was is layout:
            slots = np.flatnonzero(old != raw).tolist()
            keys = layout.shape.keys
            return {_plain(keys[slot]): _text(layout, slot, int(raw[slot])) for slot in slots if _counts(layout, slot)}
        texts, earlier = _texts(layout, raw), _texts(was, old)
        found = {key: text for key, text in texts.items() if earlier.get(key) != text}
        return found | {key: None for key, text in earlier.items() if text is not None and key not in texts}


def _rows(snapshot: Snapshot, values: Any) -> dict[str, Row]:
    states = by_key(snapshot, "state.state")
    ages = listed(Figures(snapshot).age)
    statuses = snapshot.sampling.status.tolist()
    rows = {}
    for domain, state, status, age, of_domain in zip(snapshot.domains, states, statuses, ages, values, strict=True):
        if status == Status.GONE:
            continue
        word = state_name(state) if type(state) is int else None
        rounded = None if age is None else round(age, _DECIMALS)
        rows[domain.uuid] = Row(_plain(domain.name), domain.id, word, Status(status).label, rounded, of_domain)
    return rows


def head(row: Row) -> dict[str, Any]:
    """What is said of a domain beside its values and its age."""
    return {"name": row.name, "id": row.id, "state": row.state, "status": row.status}


def _written(name: str, value: Any) -> str | None:
    """A column's value."""
    if isinstance(value, Status):
        return value.label
    if isinstance(value, float):
        return _figure(value, 1 if name in _PERCENT else _DECIMALS)
    if value is None or isinstance(value, bool):
        return None if value is None else str(int(value))
    return str(value) if isinstance(value, int) else _plain(value)


def _figure(value: float, decimals: int) -> str | None:
    if not math.isfinite(value):
        return None
    text = f"{value:.{decimals}f}"
    return text if decimals == 1 else text.rstrip("0").removesuffix(".")


def _plain(text: str) -> str:
    return text if text.isascii() else to_bytes(text).decode("utf-8", "backslashreplace")


def _counts(layout: RecordLayout, slot: int) -> bool:
    """Whether a slot is the one that its key means: of equal keys, the last."""
    return layout.shape.slots[layout.shape.keys[slot]] == slot


def _texts(layout: RecordLayout, raw: Values) -> Mapping[str, str | None]:
    numbers: list[int] = raw.tolist()
    return dict(_each(layout, numbers))


def _each(layout: RecordLayout, numbers: Sequence[int]) -> Iterator[tuple[str, str | None]]:
    for key, slot in layout.shape.slots.items():
        yield _plain(key), _text(layout, slot, numbers[slot])


def _text(layout: RecordLayout, slot: int, number: int) -> str | None:
    """The value whose 64 bits these are; None for a double that is no number."""
    kind = layout.shape.types[slot]
    if kind in (ParamType.ULLONG, ParamType.UINT, ParamType.BOOLEAN):
        return str(number)
    if kind in (ParamType.LLONG, ParamType.INT):
        return str(number - _64_BITS if number >= _SIGN else number)
    if kind == ParamType.STRING:
        return _plain(layout.strings[number])
    value = float(np.uint64(number).view(np.float64))
    return f"{Decimal(repr(value)):f}" if math.isfinite(value) else None
