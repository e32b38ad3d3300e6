"""A line a domain, for people: how it is, what it uses, and how far the figures can be trusted.

Sorted by name. Bytes are in IEC units; what is not known is `-`. Rates (processor, steal, disk, network) need an
earlier snapshot. A status other than fresh is in capitals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from domstats.catalog.enums import state_name
from domstats.formats.options import NO_OPTIONS, Options
from domstats.formats.text import cut, escape, width
from domstats.model.derived import Figure, Figures
from domstats.model.record import Record
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot

MISSING = "-"
NAME_COLUMNS = 40
"""Names are cut to this; a UUID, which some use as a name, takes 36."""
_GAP = "  "
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_TIMES = (("s", 60), ("m", 60), ("h", 24))
_LEFT = ("name", "state", "mem from", "status")


def encode(snapshot: Snapshot, options: Options = NO_OPTIONS) -> bytes:
    """A line of headings and a line a domain; nothing where there are no domains."""
    if not len(snapshot):
        return b""
    before = options.before
    columns = _columns(snapshot, Figures(snapshot, snapshot.rates(before) if before is not None else None))
    order = sorted(range(len(snapshot)), key=lambda position: snapshot.layout.records[position].domain.name)
    padded = [_padded(heading, [cells[position] for position in order]) for heading, cells in columns.items()]
    lines = (_GAP.join(cells).rstrip() for cells in zip(*padded, strict=True))
    return "".join(f"{line}\n" for line in lines).encode()


def _columns(snapshot: Snapshot, figures: Figures) -> dict[str, list[str]]:
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


def _padded(heading: str, cells: Sequence[str]) -> list[str]:
    """A column's lines, all of the same width."""
    lines = [heading, *cells]
    widths = list(map(width, lines))
    room = max(widths)
    fills = [" " * (room - taken) for taken in widths]
    if heading in _LEFT:
        return [line + fill for line, fill in zip(lines, fills, strict=True)]
    return [fill + line for line, fill in zip(lines, fills, strict=True)]


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
