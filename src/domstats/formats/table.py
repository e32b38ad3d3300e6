"""A line a domain, for people: how it is, what it uses, and how far the figures can be trusted.

Sorted by name. Bytes are in IEC units; what is not known is `-`. Only what can be known has a column: rates (processor,
steal, disk, network) need an earlier snapshot, and every figure its group. A status other than fresh is in capitals.

On a terminal columns are left out, the least telling first, until the rest fits beside names of NAME_LEAST columns;
then memory that is not the guest's own figure is marked `rss`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from domstats.catalog.enums import state_name
from domstats.formats.options import NO_OPTIONS, Options
from domstats.formats.text import cut, escape, width
from domstats.model.derived import RSS, Figure, Figures
from domstats.model.flags import StatsGroup
from domstats.model.record import Record
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot

MISSING = "-"
NAME_COLUMNS = 40
"""Names are cut to this; a UUID, which some use as a name, takes 36."""
NAME_LEAST = 16
"""Names are not cut to less than this to keep a column that can be left out."""
GROUPS = {
    "state": StatsGroup.STATE,
    "cpu %": StatsGroup.CPU,
    "steal %": StatsGroup.VCPU,
    "mem used": StatsGroup.BALLOON,
    "mem total": StatsGroup.BALLOON,
    "mem from": StatsGroup.BALLOON,
    "read/s": StatsGroup.BLOCK,
    "write/s": StatsGroup.BLOCK,
    "rx/s": StatsGroup.INTERFACE,
    "tx/s": StatsGroup.INTERFACE,
}
"""The group each column is made of; the others need none."""
_RATES = ("cpu %", "steal %", "read/s", "write/s", "rx/s", "tx/s")
_LEAVE_OUT = (("status", "age"), ("mem from",), ("steal %",), ("rx/s", "tx/s"), ("read/s", "write/s"))
"""What is left out on a narrow terminal, in this order."""
_GAP = "  "
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_TIMES = (("s", 60), ("m", 60), ("h", 24))
_LEFT = ("name", "state", "mem from", "status")

_Columns = dict[str, list[str]]


def encode(snapshot: Snapshot, options: Options = NO_OPTIONS) -> bytes:
    """A line of headings and a line a domain; nothing where there are no domains."""
    if not len(snapshot):
        return b""
    before = options.before
    figures = Figures(snapshot, snapshot.rates(before) if before is not None else None)
    columns = _columns(snapshot, figures)
    columns = {heading: cells for heading, cells in columns.items() if _can_be_known(heading, options)}
    if options.width is not None:
        _fit(columns, options.width, figures.memory_source, fresh=not snapshot.problems)
    order = sorted(range(len(snapshot)), key=lambda position: snapshot.layout.records[position].domain.name)
    padded = [_padded(heading, [cells[position] for position in order]) for heading, cells in columns.items()]
    lines = (_GAP.join(cells).rstrip() for cells in zip(*padded, strict=True))
    return "".join(f"{line}\n" for line in lines).encode()


def _columns(snapshot: Snapshot, figures: Figures) -> _Columns:
    """Headings and cells, in the snapshot's order."""
    records = list(snapshot)
    return {
        "name": [cut(escape(record.domain.name), NAME_COLUMNS) for record in records],
        "state": [_state(record) for record in records],
        "cpu %": _cells(figures.cpu_percent, _percent),
        "steal %": _cells(figures.steal_percent, _percent),
        "mem used": _cells(figures.memory_used, bytes_text),
        "mem total": _cells(figures.memory_total, bytes_text),
        "mem from": _memory_sources(figures),
        "read/s": _cells(figures.disk_read, bytes_text),
        "write/s": _cells(figures.disk_write, bytes_text),
        "rx/s": _cells(figures.net_receive, bytes_text),
        "tx/s": _cells(figures.net_transmit, bytes_text),
        "status": [_status(record.status) for record in records],
        "age": [age_text(max(record.ages.values())) if record.ages else MISSING for record in records],
    }


def _can_be_known(heading: str, options: Options) -> bool:
    """Whether what was asked for can bring figures for this column."""
    if heading in _RATES and options.before is None:
        return False
    return not options.groups or heading not in GROUPS or bool(options.groups & GROUPS[heading])


def _fit(columns: _Columns, room: int, memory_source: Sequence[str], *, fresh: bool) -> None:
    """Leave out columns and cut names until a line takes no more than so much room, or nothing more can be done."""
    least = min(NAME_LEAST, _width("name", columns["name"]))
    for headings in _LEAVE_OUT if fresh else _LEAVE_OUT[1:]:
        if _room_for_names(columns, room) >= least:
            break
        for heading in headings:
            if columns.pop(heading, None) and heading == "mem from":
                columns["mem used"] = _marked(columns["mem used"], memory_source)
    most = max(len("name"), _room_for_names(columns, room))
    columns["name"] = [cut(name, most) for name in columns["name"]]


def _room_for_names(columns: _Columns, room: int) -> int:
    others = [_width(heading, cells) for heading, cells in columns.items() if heading != "name"]
    return room - sum(others) - len(_GAP) * len(others)


def _width(heading: str, cells: Sequence[str]) -> int:
    return max(width(heading), *map(width, cells))


def _marked(used: Sequence[str], sources: Sequence[str]) -> list[str]:
    """What memory is used, with a mark where the figure is not the guest's; the numbers stay below each other."""
    marks = [f" {source}" if source == RSS else "" for source in sources]
    room = max(map(len, marks))
    return [cell + mark.ljust(room) for cell, mark in zip(used, marks, strict=True)]


def _padded(heading: str, cells: Sequence[str]) -> list[str]:
    """A column's lines, all of the same width."""
    room = _width(heading, cells)
    lines = [(line, " " * (room - width(line))) for line in (heading, *cells)]
    return [line + fill if heading in _LEFT else fill + line for line, fill in lines]


def _cells(figure: Figure, form: Callable[[float], str]) -> list[str]:
    values, known = figure
    return [form(value) if there else MISSING for value, there in zip(values.tolist(), known.tolist(), strict=True)]


def _state(record: Record) -> str:
    state = record.get("state.state")
    return state_name(state) if type(state) is int else MISSING


def _memory_sources(figures: Figures) -> list[str]:
    """Who says how much memory is used, and whether that is because the balloon statistics are off."""
    words = zip(figures.memory_source, figures.balloon_off.tolist(), strict=True)
    return [", ".join(filter(None, (source, "balloon off" if off else ""))) or MISSING for source, off in words]


def _status(status: Status) -> str:
    return status.label if status is Status.FRESH else status.label.upper()


def _percent(value: float) -> str:
    return f"{value:.1f}"


def bytes_text(value: float) -> str:
    """A number of bytes in three digits: 512B, 39.4MiB."""
    unit = 0
    while value >= 999.5 and unit < len(_UNITS) - 1:  # what would be rounded to four digits takes the next unit
        value, unit = value / 1024, unit + 1
    return f"{value:.{min(unit, 1)}f}{_UNITS[unit]}"


def age_text(seconds: float) -> str:
    """A length of time in its largest whole unit: 12s, 3m, 5h, 40d."""
    for unit, size in _TIMES:
        if seconds < size:
            return f"{int(seconds)}{unit}"
        seconds /= size
    return f"{int(seconds)}d"
