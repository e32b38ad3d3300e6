"""The derived figures of a snapshot, all in one array: for each field a place for each domain, or for each device."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from domstats.errors import UnknownField
from domstats.model.derived import Figure, Figures, rates_of
from domstats.model.devices import DeviceFigures
from domstats.model.layout import Positions
from domstats.model.rates import Rates
from domstats.model.snapshot import Snapshot
from domstats.serve.history.fields import Derived

Numbers = npt.NDArray[np.float32]


def offsets(snapshot: Snapshot, fields: Sequence[Derived]) -> Positions:
    """For each field and each record, where the record's figures are in what `numbers` gives: its first device's.

    The same for all snapshots of a layout.
    """
    records = np.arange(len(snapshot))
    start, rows = 0, []
    for field in fields:
        table = snapshot.table(field.table)
        rows.append(start + np.searchsorted(table.record, records))
        start += len(table)
    return np.array(rows, np.int64).reshape(len(fields), len(snapshot))


def numbers(snapshot: Snapshot, rates: Rates, fields: Sequence[Derived]) -> Numbers:
    """The figures, one field after the other, and a NaN at the end; NaN where one is not known.

    In 32 bits: they are for charts, and 24 bits of a rate are more than its samples' times are good for.
    """
    of_tables: dict[str, Figures | DeviceFigures] = {}
    parts = []
    for field in fields:
        if field.table not in of_tables:
            make = Figures if field.table == "domain" else partial(DeviceFigures, table=field.table)
            of_tables[field.table] = make(snapshot, rates=rates)
        values, known = _figure(snapshot, rates, field, of_tables[field.table])
        parts.append(np.where(known, values, np.nan))
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.concatenate([*parts, np.array([np.nan])]).astype(np.float32)
    found[np.isinf(found)] = np.nan
    return found


def _figure(snapshot: Snapshot, rates: Rates, field: Derived, figures: Figures | DeviceFigures) -> Figure:
    if field.figure:
        figure: Figure = getattr(figures, field.figure)
        return figure
    table = snapshot.table(field.table)
    try:
        return rates_of(rates, table.gather(field.needs[0]))
    except UnknownField:
        return np.zeros(len(table)), np.zeros(len(table), np.bool_)
