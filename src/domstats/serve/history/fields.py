"""Which figures and values are kept of a guest, and which series a record has of them.

A field is chosen by a word of the table of domains (`cpu`), by a word of a table of devices for every device
(`vcpu.<id>.steal`, `block.<i>.read`, `net.<i>.rx`): these are derived; or, plain, by a pattern of the catalogue
(`block.<i>.allocation`) or any key or other name of a record (`balloon.rss`, `block[vda].allocation`). A series is a
field of one guest or device, under the name a record answers to: `block[vda].read`, `vcpu.0.steal`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from domstats.catalog.fields import FIELDS
from domstats.errors import UsageError
from domstats.formats.columns import column_field, columns_of, unknown
from domstats.model.layout import RecordLayout, Shape
from domstats.model.names import name_slots, resolve
from domstats.model.params import ParamType
from domstats.model.tables import TABLES, device_key

DEFAULT_FIELDS = (
    *("cpu", "cpu-guest", "steal", "mem", "total", "read", "write", "reads", "writes", "rx", "tx"),
    *("vcpu.<id>.cpu", "vcpu.<id>.steal", "vcpu.<id>.wait"),
    *("block.<i>.read", "block.<i>.write", "block.<i>.reads", "block.<i>.writes"),
    *("block.<i>.rd-time", "block.<i>.wr-time", "net.<i>.rx", "net.<i>.tx"),
)
"""31 series of a guest with two vCPUs, two disks and one network device."""
FIELDS_MAX = 1000
"""How many fields may be chosen."""

DERIVED, PLAIN = 0, 1
"""The kinds of series: figures in 32 bits, and values as they are."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A figure made from statistics, or a counter's rate."""

    table: str
    """The one of model.tables.TABLES that it is a column of."""
    word: str
    """Its name there."""
    figure: str
    """The attribute of Figures or, of devices, of DeviceFigures; empty for a rate."""
    needs: tuple[str, ...]
    """It is there for a record (of devices: for a device) that has one of these keys (of devices: of these tails), and
    sampled with the first that there is."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A value as it is, all its 64 bits."""

    name: str
    """A key or another name of a record; with `<i>` or `<id>` for every device."""


Field = Derived | Plain


@dataclass(frozen=True, slots=True)
class Series:
    """A field of one guest, or of one of its devices."""

    name: str
    column: int
    """Index into model.sampling.COLUMN_NAMES: series of one column are sampled together."""
    kind: int
    """DERIVED or PLAIN."""
    field: int
    """The field's place among the chosen ones of its kind."""
    place: int
    """Of a derived field, which of the record's devices in the table it is of; of a plain one, its slot."""
    type: int
    """The ParamType of a plain value; of a derived one, 0."""


# fmt: off
_DOMAIN: dict[str, tuple[str, tuple[str, ...]]] = {
    "cpu":       ("cpu_percent",       ("cpu.time",)),
    "cpu-guest": ("cpu_guest_percent", ("vcpu.<id>.time",)),
    "cpu-host":  ("cpu_host_percent",  ("cpu.time",)),
    "steal":     ("steal_percent",     ("vcpu.<id>.delay",)),
    "mem":       ("memory_used",       ("balloon.rss", "balloon.available")),
    "total":     ("memory_total",      ("balloon.current", "balloon.available")),
    "read":      ("disk_read",         ("block.<i>.rd.bytes",)),
    "write":     ("disk_write",        ("block.<i>.wr.bytes",)),
    "reads":     ("disk_reads",        ("block.<i>.rd.reqs",)),
    "writes":    ("disk_writes",       ("block.<i>.wr.reqs",)),
    "rx":        ("net_receive",       ("net.<i>.rx.bytes",)),
    "tx":        ("net_transmit",      ("net.<i>.tx.bytes",)),
}
_DEVICES: dict[str, dict[str, tuple[str, str]]] = {
    "vcpu": {
        "cpu":     ("cpu_percent",   "time"),
        "steal":   ("steal_percent", "delay"),
        "wait":    ("wait_percent",  "wait"),
    },
    "block": {
        "read":    ("",              "rd.bytes"),
        "write":   ("",              "wr.bytes"),
        "reads":   ("",              "rd.reqs"),
        "writes":  ("",              "wr.reqs"),
        "rd-time": ("read_time",     "rd.times"),
        "wr-time": ("write_time",    "wr.times"),
        "fl-time": ("flush_time",    "fl.times"),
    },
    "interface": {
        "rx":      ("",              "rx.bytes"),
        "tx":      ("",              "tx.bytes"),
        "rx-pkts": ("",              "rx.pkts"),
        "tx-pkts": ("",              "tx.pkts"),
        "rx-drop": ("",              "rx.drop"),
        "tx-drop": ("",              "tx.drop"),
        "rx-errs": ("",              "rx.errs"),
        "tx-errs": ("",              "tx.errs"),
    },
}
# fmt: on
"""The words: which figure each is, and the keys it is made of."""

_MARKS = {"vcpu": ".<id>.", "block": ".<i>.", "net": ".<i>.", "iothread": ".<id>."}
_PATTERNS = {field.pattern for field in FIELDS}


class Fields:
    """The fields that were chosen."""

    def __init__(self, names: Iterable[str] = DEFAULT_FIELDS) -> None:
        """Raises UnknownColumn for a word that is none, UsageError for one that is no figure, and too many fields."""
        chosen = [_field(name) for name in dict.fromkeys(names)]
        if len(chosen) > FIELDS_MAX:
            raise UsageError(f"{len(chosen)} fields of the history are too many; at most {FIELDS_MAX} are kept")
        self.derived: tuple[Derived, ...] = tuple(each for each in chosen if isinstance(each, Derived))
        self.plain: tuple[Plain, ...] = tuple(each for each in chosen if isinstance(each, Plain))

    def of_record(self, record: RecordLayout) -> tuple[Series, ...]:
        """What there is of them for a record, in the order of the fields; no name twice."""
        found: dict[str, Series] = {}
        devices = _devices(record.shape)
        for number, field in enumerate(self.derived):
            for series in _derived_series(record, devices, field, number):
                found.setdefault(series.name, series)
        for number, plain in enumerate(self.plain):
            for series in _plain_series(record, devices, plain, number):
                found.setdefault(series.name, series)
        return tuple(found.values())


def has_the_same(record: RecordLayout, other: RecordLayout) -> bool:
    """Whether two records have the same series: their shape is the same, and so are the names of their devices."""
    slots = name_slots(record.shape) if record.shape is other.shape else None
    return slots is not None and all(record.strings[string] == other.strings[string] for _, _, string in slots)


def _field(name: str) -> Field:
    """What a name chooses. Raises UnknownColumn."""
    if name in _DOMAIN:
        figure, needs = _DOMAIN[name]
        return Derived("domain", name, figure, needs)
    prefix, _, rest = name.partition(".")
    mark, _, word = rest.partition(".")
    table = "interface" if prefix == "net" else prefix
    if table in _DEVICES and f".{mark}." == _MARKS[prefix] and word in _DEVICES[table]:
        figure, tail = _DEVICES[table][word]
        return Derived(table, word, figure, (tail,))
    if "<" in name and name not in _PATTERNS:
        raise unknown("domain", name)
    if columns_of("domain").find(name):
        there = f"{', '.join(_DOMAIN)}, those of devices, and keys"
        raise UsageError(f"the column {name!r} is none that a history keeps; there are {there}")
    if not ("." in name or "[" in name or column_field(columns_of(""), name)):
        raise unknown("domain", name)
    return Plain(name)


_Devices = dict[str, dict[int, int]]
"""Of each table with devices: the number of each device to its place among the record's rows."""


def _devices(shape: Shape) -> _Devices:
    found: _Devices | None = shape.derived.get("history devices")
    if found is None:
        found = {table: {} for table in TABLES}
        for key in shape.slots:
            table, number, _ = device_key(key)
            found[table].setdefault(number, len(found[table]))
        shape.derived["history devices"] = found
    return found


def _derived_series(record: RecordLayout, devices: _Devices, field: Derived, number: int) -> Iterator[Series]:
    shape = record.shape
    if field.table == "domain":
        slots = [slot for key in field.needs if (slot := _slot(shape, devices, key)) is not None]
        if slots:
            yield Series(field.word, shape.columns[slots[0]], DERIVED, number, 0, 0)
        return
    prefix = TABLES[field.table][:-1]
    for entry, place in _entries(record, devices, field.table):
        slots = [shape.slots[key] for tail in field.needs if (key := f"{prefix}.{entry}.{tail}") in shape.slots]
        if slots:
            name = _name(record, prefix, entry, field.word)
            yield Series(name, shape.columns[slots[0]], DERIVED, number, place, 0)


def _plain_series(record: RecordLayout, devices: _Devices, plain: Plain, number: int) -> Iterator[Series]:
    shape = record.shape
    prefix, _, rest = plain.name.partition(".")
    mark = _MARKS.get(prefix, "")
    if mark and f".{rest}".startswith(mark):
        tail = f".{rest}".removeprefix(mark)
        table = "interface" if prefix == "net" else prefix
        for entry, _ in _entries(record, devices, table):
            slot = shape.slots.get(f"{prefix}.{entry}.{tail}")
            if slot is not None and shape.types[slot] != ParamType.STRING:
                name = _name(record, prefix, entry, tail)
                yield Series(name, shape.columns[slot], PLAIN, number, slot, shape.types[slot])
        return
    slot = shape.slots.get(plain.name)
    if slot is None:
        found = resolve(record, plain.name)
        slot = found[0] if found is not None else None
    if slot is not None and shape.types[slot] != ParamType.STRING:
        yield Series(plain.name, shape.columns[slot], PLAIN, number, slot, shape.types[slot])


def _slot(shape: Shape, devices: _Devices, pattern: str) -> int | None:
    """Where such a key is; of a pattern of devices, the first of theirs."""
    prefix, _, rest = pattern.partition(".")
    mark, _, tail = rest.partition(".")
    if not mark.startswith("<"):
        return shape.slots.get(pattern)
    table = "interface" if prefix == "net" else prefix
    slots = (shape.slots.get(f"{prefix}.{number}.{tail}") for number in devices[table])
    return next((slot for slot in slots if slot is not None), None)


def _entries(record: RecordLayout, devices: _Devices, table: str) -> Sequence[tuple[int, int]]:
    """The devices of a table that are the first of their name: of a disk's images, the topmost."""
    prefix = TABLES[table][:-1]
    met: set[str] = set()
    found = []
    for number, place in devices[table].items():
        name = _device_name(record, prefix, number)
        if name is None or name not in met:
            found.append((number, place))
        if name is not None:
            met.add(name)
    return found


def _name(record: RecordLayout, prefix: str, number: int, tail: str) -> str:
    device = _device_name(record, prefix, number)
    return f"{prefix}.{number}.{tail}" if device is None else f"{prefix}[{device}].{tail}"


def _device_name(record: RecordLayout, prefix: str, number: int) -> str | None:
    shape = record.shape
    slot = shape.slots.get(f"{prefix}.{number}.name")
    if slot is None or shape.types[slot] != ParamType.STRING:
        return None
    return record.strings[shape.string_places[slot]]
