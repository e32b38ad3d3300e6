"""Lines for people: how each domain is, what it uses, and how far the figures can be trusted; or the same of devices.

Sorted by name, where nothing else is asked for. Bytes are in IEC units; what is not known is `-`. Only what can be
known has a column: rates (processor, steal, disk, network) need an earlier snapshot, and every figure its group. A
status other than fresh is in capitals. Memory that is not the guest's own figure is marked `rss`, unless a column says
so.

On a terminal columns are left out, the least telling first, until the rest fits beside names of drawing.TEXT_LEAST
columns. Columns that were asked for all stay, and text is cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from domstats.formats.columns import check, columns_of, unknown
from domstats.formats.options import NO_OPTIONS, Options
from domstats.formats.table.drawing import draw
from domstats.formats.table.view import View
from domstats.model.snapshot import Snapshot


def encode(snapshot: Snapshot, options: Options = NO_OPTIONS) -> bytes:
    """A line of headings and a line a row; nothing where there are no domains.

    A key that no record has is a column without values. Raises UnknownGroup for a table that does not exist,
    UnknownColumn for a column that cannot be a key.
    """
    check(options)
    if not len(snapshot):
        return b""
    view = View(snapshot, options.table, options.before)
    names = list(options.columns) or _shown(options)
    columns = [view.column(name) for name in names]
    rows = _sorted(view, options, names)[: options.top]
    if options.columns:
        columns = [replace(column, leave_out=0) for column in columns]
    return draw(columns, rows, options.width, color=options.color)


def check_keys(snapshot: Snapshot, options: Options) -> None:
    """See that the columns asked for are there, where there are domains to know: keys of a newer libvirt, too.

    Raises UnknownGroup for a table that does not exist, UnknownColumn.
    """
    view = View(snapshot, options.table, None)
    for name in (*options.columns, options.sort.removeprefix("-")):
        if name and len(snapshot) and not view.is_known(name):
            raise unknown(options.table, name)


def _shown(options: Options) -> list[str]:
    """The columns of a table that nobody chose columns for: those that can be known from what was asked for."""
    columns = columns_of(options.table)
    groups = 0 if columns.prefix else options.groups
    return [
        each.name
        for each in columns.named
        if each.shown
        and not (each.rate and options.before is None)
        and not (groups and each.groups and not groups & each.groups)
    ]


def _sorted(view: View, options: Options, names: Sequence[str]) -> list[int]:
    """The rows in order."""
    columns = columns_of(options.table)
    shown = {named.name for named in map(columns.find, names) if named is not None}
    sort = options.sort or (columns.busiest if options.top is not None and columns.busiest in shown else "")
    if not sort:
        return view.by_name()
    values = view.column(sort.removeprefix("-")).values
    return _ordered(view.by_name(), values, turned=sort.startswith("-"))


def _ordered(rows: Sequence[int], values: Sequence[Any], *, turned: bool) -> list[int]:
    """Rows by their values: numbers, the greatest first; then text, ascending; both turned round if asked for; last the
    rows without a value. Equal ones stay as they are."""
    texts = [row for row in rows if isinstance(values[row], str)]
    numbers = [row for row in rows if isinstance(values[row], int | float) and not math.isnan(values[row])]
    texts.sort(key=values.__getitem__, reverse=turned)
    numbers.sort(key=values.__getitem__, reverse=not turned)
    placed = {*numbers, *texts}
    return [*numbers, *texts, *(row for row in rows if row not in placed)]
