"""A table's column, and how a figure is written in a cell: few digits, and a unit that fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from domstats.catalog.enums import DIRTYRATE_STATUSES, DOMAIN_STATES, VCPU_STATES
from domstats.catalog.fields import Field, Kind
from domstats.formats.text import cut, escape

MISSING = "-"
TEXT_COLUMNS = 40
"""Text is cut to this; a UUID, which some use as a name, takes 36."""
_TEXT_MAX = 2 * TEXT_COLUMNS
"""Characters of a text that are looked at: it may be long and take no room."""

KIB, MIB = 1024, 1024 * 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_TIMES = (("s", 60), ("m", 60), ("h", 24))
_NANOSECONDS = (("ns", 1000), ("us", 1000), ("ms", 1000), ("s", 60), ("m", 60), ("h", 24))
_THOUSANDS = ("", "k", "M", "G", "T", "P", "E")
_FOUR_DIGITS = 999.5
"""From here on a number would be rounded to four digits, so it takes the next unit."""
_WORDS = {
    "state.state": DOMAIN_STATES,
    "vcpu.<id>.state": VCPU_STATES,
    "dirtyrate.calc_status": DIRTYRATE_STATUSES,
}
"""The words for a field's numbers."""


def no_style(_value: Any) -> str:
    """No color, for any value."""
    return ""


@dataclass(frozen=True, slots=True)
class Column:
    """What one column of a table holds."""

    heading: str
    values: Sequence[Any]
    """A value a row, None where it is missing; the rows are sorted by them."""
    form: Callable[[Any], str]
    """Writes a value; what comes from a guest is escaped by it."""
    left: bool = False
    """Whether the cells begin below each other, as text does, and not end, as numbers do."""
    flexible: bool = False
    """Whether the cells may be cut to fit a terminal."""
    leave_out: int = 0
    """As in formats.named.Named."""
    marks: Sequence[str] = ()
    """A word a row that stands behind its cell, where `unless` is not shown; none when empty."""
    unless: str = ""
    """Heading of the column that says what the marks say."""
    style: Callable[[Any], str] = no_style
    """A value's color, as the parameters of a terminal's SGR sequence; empty for none."""


def has_words(field: Field | None) -> bool:
    """Whether there are words for the field's numbers."""
    return field is not None and field.pattern in _WORDS


def form_of(field: Field | None, *, rate: bool) -> Callable[[Any], str]:
    """How a field's values, or their rates per second, are written."""
    unit = field.unit if field else ""
    words = _WORDS.get(field.pattern, ()) if field else ()
    number = _BY_UNIT.get(unit, count_text if rate else number_text)
    if unit == "s" and field is not None and field.kind is Kind.GAUGE:
        number = number_text  # a point in time

    def form(value: Any) -> str:
        if isinstance(value, str):
            return text(value)
        return words[value] if isinstance(value, int) and 0 <= value < len(words) else number(value)

    return form


def text(value: str) -> str:
    """Text from outside, made fit for a cell."""
    # Cut before it is escaped, too: a name may have some MiB.
    return cut(escape(value[:_TEXT_MAX]) + ("…" if len(value) > _TEXT_MAX else ""), TEXT_COLUMNS)


def percent(value: float) -> str:
    """A percentage, without its sign."""
    return f"{value:.1f}"


def number_text(value: float) -> str:
    """A number without a unit: all digits of an integer, six of others, a word for a truth value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, int) else f"{value:g}"


def count_text(value: float) -> str:
    """How often something happens, in three digits: 0, 0.5, 123, 1.2k, 34.5M."""
    if value < _FOUR_DIGITS:
        return f"{value:.1f}" if 0 < value < 99.95 else f"{value:.0f}"
    unit = 0
    while value >= _FOUR_DIGITS and unit < len(_THOUSANDS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.1f}{_THOUSANDS[unit]}"


def bytes_text(value: float) -> str:
    """A number of bytes in three digits: 512B, 39.4MiB."""
    if value < _FOUR_DIGITS:
        return f"{value:.0f}B"
    unit = 0
    while value >= _FOUR_DIGITS and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f}{_UNITS[unit]}"


def age_text(seconds: float) -> str:
    """A length of time in its largest whole unit: 12s, 3m, 5h, 40d."""
    for unit, size in _TIMES:
        if seconds < size:
            return f"{int(seconds)}{unit}"
        seconds /= size
    return f"{int(seconds)}d"


def time_text(nanoseconds: float) -> str:
    """A number of nanoseconds in its largest unit: 0s, 12ns, 3.4ms, 5.6h, 7.8d."""
    if not nanoseconds:
        return "0s"
    value: float = nanoseconds
    for unit, size in _NANOSECONDS:
        digits = 0 if unit == "ns" else 1
        if value < size - 0.5 / 10**digits:  # what would be rounded to the next unit takes it
            return f"{value:.{digits}f}{unit}"
        value /= size
    return f"{value:.1f}d"


_BY_UNIT: dict[str, Callable[[float], str]] = {
    "bytes": bytes_text,
    "KiB": lambda value: bytes_text(value * KIB),
    "bytes/s": lambda value: bytes_text(value) + "/s",
    "MiB/s": lambda value: bytes_text(value * MIB) + "/s",
    "ns": time_text,
    "s": lambda value: f"{number_text(value)}s",
}
