"""The columns of the tables for people, by the words a user types: what each is made of, and what must be asked for it.

Beside these words every key of a record is a column: `vcpu.current`, `block[vda].capacity` in the table of domains,
and in a table of devices the tail of a device's keys, `rd.reqs` for `block.<i>.rd.reqs`.
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
from domstats.formats.options import Options
from domstats.model.flags import StatsGroup

_NEAR, _LIKE = 3, 0.7
"""How many columns an error proposes, and how like they must be what was typed."""
_KNOWN = (1 << len(GROUPS)) - 1
_STATE, _CPU, _BALLOON, _VCPU = StatsGroup.STATE, StatsGroup.CPU, StatsGroup.BALLOON, StatsGroup.VCPU
_NET, _BLOCK, _IOTHREAD = StatsGroup.INTERFACE, StatsGroup.BLOCK, StatsGroup.IOTHREAD


@dataclass(frozen=True, slots=True)
class Named:
    """A column that has a word of its own."""

    name: str
    """The word."""
    heading: str
    """What stands above it; a counter's gets `/s` behind it where there is a rate."""
    groups: int = 0
    """StatsGroup bits of what it is made of; 0 for what every record has."""
    rate: bool = False
    """Whether it needs an earlier snapshot."""
    key: str = ""
    """The key it is (in a table of devices, its tail); empty where it is worked out."""
    leave_out: int = 0
    """When it is left out on a narrow terminal: those with 1 first; never with 0."""
    shown: bool = True
    """Whether it is there when no columns are asked for."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one table that have words."""

    prefix: str
    """First component of the keys of its devices; empty for the table of domains."""
    named: tuple[Named, ...]
    busiest: str
    """What the first rows are chosen by when nobody says."""

    @property
    def group(self) -> int:
        """Bit of the group that its devices are in; 0 for the table of domains."""
        return 1 << group_of(f"{self.prefix}.") if self.prefix else 0

    def find(self, name: str) -> Named | None:
        """The column of that name, in either case."""
        word = name.lower()
        return next((each for each in self.named if each.name == word), None)


_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH = range(1, 6)
_LAST = (Named("status", "status", leave_out=_FIRST), Named("age", "age", leave_out=_FIRST))
_WHO = (Named("id", "id", shown=False), Named("uuid", "uuid", shown=False))

# Aligned columns, a row a column of a table, are what makes these readable; the formatter would break them up.
# fmt: off
_DOMAIN = (
    Named("name",      "name"),
    Named("state",     "state",     _STATE),
    Named("cpu",       "cpu %",     _CPU, rate=True),
    Named("steal",     "steal %",   _VCPU, rate=True, leave_out=_THIRD),
    Named("mem",       "mem used",  _BALLOON),
    Named("total",     "mem total", _BALLOON),
    Named("from",      "mem from",  _BALLOON, leave_out=_SECOND),
    Named("read",      "read/s",    _BLOCK, rate=True, leave_out=_FIFTH),
    Named("write",     "write/s",   _BLOCK, rate=True, leave_out=_FIFTH),
    Named("rx",        "rx/s",      _NET, rate=True, leave_out=_FOURTH),
    Named("tx",        "tx/s",      _NET, rate=True, leave_out=_FOURTH),
    *_LAST,
    *_WHO,
    Named("reason",    "reason",    _STATE, shown=False),
    Named("vcpus",     "vcpus",     _VCPU, key="vcpu.current", shown=False),
    Named("cpu-guest", "guest %",   _VCPU, rate=True, shown=False),
    Named("cpu-host",  "host %",    _CPU, rate=True, shown=False),
    Named("reads",     "reads/s",   _BLOCK, rate=True, shown=False),
    Named("writes",    "writes/s",  _BLOCK, rate=True, shown=False),
)
_OF_VCPU = (
    Named("domain", "domain"),
    Named("vcpu",   "vcpu"),
    Named("state",  "state",   _VCPU, key="state"),
    Named("cpu",    "cpu %",   _VCPU, rate=True),
    Named("steal",  "steal %", _VCPU, rate=True),
    Named("wait",   "wait %",  _VCPU, rate=True),
    *_LAST,
    *_WHO,
)
_OF_INTERFACE = (
    Named("domain",    "domain"),
    Named("interface", "interface"),
    Named("rx",        "rx",      _NET, key="rx.bytes"),
    Named("tx",        "tx",      _NET, key="tx.bytes"),
    Named("rx-pkts",   "rx pkts", _NET, key="rx.pkts", leave_out=_FOURTH),
    Named("tx-pkts",   "tx pkts", _NET, key="tx.pkts", leave_out=_FOURTH),
    Named("rx-drop",   "rx drop", _NET, key="rx.drop", leave_out=_THIRD),
    Named("tx-drop",   "tx drop", _NET, key="tx.drop", leave_out=_THIRD),
    Named("rx-errs",   "rx errs", _NET, key="rx.errs", leave_out=_SECOND),
    Named("tx-errs",   "tx errs", _NET, key="tx.errs", leave_out=_SECOND),
    *_LAST,
    *_WHO,
    Named("device",    "device",  shown=False),
)
_OF_BLOCK = (
    Named("domain",     "domain"),
    Named("disk",       "disk"),
    Named("read",       "read",       _BLOCK, key="rd.bytes"),
    Named("write",      "write",      _BLOCK, key="wr.bytes"),
    Named("reads",      "reads",      _BLOCK, key="rd.reqs", leave_out=_FIFTH),
    Named("writes",     "writes",     _BLOCK, key="wr.reqs", leave_out=_FIFTH),
    Named("rd-time",    "rd time",    _BLOCK, rate=True, leave_out=_FOURTH),
    Named("wr-time",    "wr time",    _BLOCK, rate=True, leave_out=_FOURTH),
    Named("allocation", "allocation", _BLOCK, key="allocation", leave_out=_SECOND),
    Named("capacity",   "capacity",   _BLOCK, key="capacity", leave_out=_THIRD),
    *_LAST,
    *_WHO,
    Named("fl-time",    "fl time",    _BLOCK, rate=True, shown=False),
    Named("device",     "device",     shown=False),
)
_OF_IOTHREAD = (
    Named("domain",   "domain"),
    Named("iothread", "iothread"),
    Named("poll-max", "poll max", _IOTHREAD, key="poll-max-ns"),
    Named("grow",     "grow",     _IOTHREAD, key="poll-grow"),
    Named("shrink",   "shrink",   _IOTHREAD, key="poll-shrink"),
    Named("weight",   "weight",   _IOTHREAD, key="poll-weight"),
    *_LAST,
    *_WHO,
)
# fmt: on

COLUMNS: dict[str, Columns] = {
    "domain": Columns("", _DOMAIN, "cpu"),
    "vcpu": Columns("vcpu", _OF_VCPU, "cpu"),
    "interface": Columns("net", _OF_INTERFACE, "rx"),
    "block": Columns("block", _OF_BLOCK, "read"),
    "iothread": Columns("iothread", _OF_IOTHREAD, ""),
}
"""The columns with words of each of model.tables.TABLES."""

DOMAIN_GROUPS = reduce(or_, (int(each.groups) for each in _DOMAIN if each.shown))
"""StatsGroup bits of what the table of domains shows when no columns are asked for."""


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
    return Needs(groups & _KNOWN or int(_STATE), rates)


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
        return (int(named.groups) or _NOTHING, named.rate) if named else (0, False)
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
