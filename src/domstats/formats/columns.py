"""The columns a user asks for by name: which there are, and what the host must be asked for to have them.

Beside the words of `named` every key of a record is a column: `vcpu.current`, `block[vda].capacity` in the table of
domains, and in a table of devices the tail of a device's keys, `rd.reqs` for `block.<i>.rd.reqs`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce
from operator import or_

from domstats.catalog.fields import Field, Kind
from domstats.catalog.groups import GROUPS, group_of
from domstats.catalog.lookup import MAX_KEY, field_of, near_patterns
from domstats.errors import UnknownColumn, UnknownGroup
from domstats.formats.named import COLUMNS, Columns
from domstats.formats.options import Options
from domstats.model.flags import StatsGroup

_NEAR, _LIKE = 3, 0.7
"""How many columns an error proposes, and how like they must be what was typed."""
_KNOWN = (1 << len(GROUPS)) - 1


def columns_of(table: str) -> Columns:
    """A table's; the table of domains is also the empty name. Raises UnknownGroup."""
    try:
        return COLUMNS[table or "domain"]
    except KeyError:
        raise UnknownGroup(table, tuple(COLUMNS)) from None


def column_field(columns: Columns, key: str) -> Field | None:
    """The catalogue's entry of a key that is a column; None for one the catalogue does not know."""
    return field_of(f"{columns.prefix}.0.{key}" if columns.prefix else plain_key(key))


def plain_key(name: str) -> str:
    """A key of the same field as a record's other names: block.0.rd.bytes for block[vda].rd.bytes, and vcpu.0.time for
    cpu.0.time; any other text stays as it is."""
    prefix, bracket, rest = name.partition("[")
    _, end, tail = rest.rpartition("]")
    if bracket and end:
        return f"{prefix}.0{tail}"
    if name == "cpu.online":
        return "vcpu.current"
    parts = name.split(".")
    old = len(parts) == 3 and parts[0] == "cpu" and parts[1].isdigit() and parts[2] in ("state", "time")
    return f"v{name}" if old else name


@dataclass(frozen=True, slots=True)
class Needs:
    """What a table's columns are made of."""

    groups: int
    """StatsGroup bits; 0 for every group, where one of them is not known."""
    rates: int
    """The bits of those that must have been sampled before, too."""


def needs(options: Options) -> Needs:
    """What must be asked of the host for the columns, the order and the table asked for."""
    columns = columns_of(options.table)
    found = [_need(columns, name) for name in _wanted(columns, options)]
    groups = reduce(or_, (of_group for of_group, _ in found), columns.group)
    rates = reduce(or_, (of_group for of_group, counts in found if counts), 0)
    if any(not of_group for of_group, _ in found):
        return Needs(0, rates)
    # What every record has comes with any group; states cost the least.
    return Needs(groups & _KNOWN or int(StatsGroup.STATE), rates)


def _wanted(columns: Columns, options: Options) -> Iterator[str]:
    yield from options.columns or (each.name for each in columns.named if each.shown)
    if options.sort:
        yield options.sort.removeprefix("-")


_NOTHING = 1 << len(GROUPS)
"""Stands for the groups of a column that is made of none."""


def _need(columns: Columns, name: str) -> tuple[int, bool]:
    """Bits of a column's groups (0 where that is not known), and whether it is a rate."""
    named = columns.find(name)
    key = name if named is None else named.key
    if not key:
        return (int(named.groups) or columns.group or _NOTHING, named.rate) if named else (0, False)
    field = column_field(columns, key)
    counts = field is not None and field.kind is Kind.COUNTER
    if columns.group:
        return columns.group, counts
    group = group_of(plain_key(key))
    return (1 << group if group < len(GROUPS) else 0), counts


def check(options: Options) -> None:
    """See that each column is there that is no key for sure; whether there is such a key is for the records to know.

    Raises UnknownColumn.
    """
    columns = columns_of(options.table)
    for name in _wanted(columns, options):
        if "." in name or "[" in name or columns.find(name) or column_field(columns, name):
            continue
        error = unknown(options.table, name)
        # A device's key may be one word, which only a newer libvirt knows; it is hardly like one that is known.
        if error.near or not columns.prefix:
            raise error


def unknown(table: str, name: str) -> UnknownColumn:
    """The error for a column that does not exist."""
    columns = columns_of(table)
    words = tuple(each.name for each in columns.named)
    short = name[: MAX_KEY + 1]
    near = get_close_matches(short.lower(), words, _NEAR, _LIKE)
    if columns.prefix:
        beginnings = f"{columns.prefix}.<i>.", f"{columns.prefix}.<id>."
        keys = near_patterns(f"{columns.prefix}.0.{short}", _NEAR)
        keys = [reduce(str.removeprefix, beginnings, key) for key in keys if key.startswith(beginnings)]
    else:
        keys = near_patterns(plain_key(short), _NEAR)
    near = keys + near if "." in name else near + keys
    return UnknownColumn(name, tuple(dict.fromkeys(near))[:_NEAR], words)
