"""The report as text: a line a check, then the table of figures."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Literal

from domstats.doctor.findings import Availability, Finding, Report, Verdict
from domstats.formats.table.styles import GREEN, RED, YELLOW
from domstats.formats.text import escape

NAMES_SHOWN = 5
"""Guests that are named; of more there is the number."""
_STYLES = {Verdict.OK: GREEN, Verdict.WARN: YELLOW, Verdict.MISSING: RED}
_VERDICT_WIDTH = max(map(len, Verdict))
_ROOM_MIN = 30
"""Columns for what is said, below which a terminal wraps the lines itself."""


def report_lines(report: Report, width: int | None, *, color: bool) -> list[str]:
    """The lines. `width`: columns of the terminal, to which they are wrapped; None for lines that are not.

    Whatever is quoted in them cannot move a cursor.
    """
    rows = [(each.part, each.check, _said(each)) for each in report.findings]
    sizes = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    lines = [f"host {escape(report.uri)}"]
    for finding, (part, check, said) in zip(report.findings, rows, strict=True):
        lines += _wrapped(finding.verdict, f"{part:{sizes[0]}}  {check:{sizes[1]}}", said, width, color=color)
    if report.figures:
        lines += ["", *_table(report, width, color=color)]
    end = "Every figure can be had." if report.complete else "Not every figure can be had."
    return [*lines, "", end]


def _said(finding: Finding) -> str:
    names = [escape(name) for name in finding.domains[:NAMES_SHOWN]]
    more = len(finding.domains) - len(names)
    who = f" ({', '.join(names)}{f' and {more:,} more' if more else ''})" if names else ""
    return escape(finding.text) + who + (f" -> {escape(finding.advice)}" if finding.advice else "")


def _table(report: Report, width: int | None, *, color: bool) -> Iterator[str]:
    heads = ("figures", *report.sources, "neither" if len(report.sources) > 1 else "without")
    rows = [_cells(each, report.sources) for each in report.figures]
    sizes = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    yield from _wrapped("", _aligned(heads, sizes), f"of {report.guests:,} on: what is missing", width, color=False)
    for each, row in zip(report.figures, rows, strict=True):
        yield from _wrapped(each.verdict, _aligned(row, sizes), escape(each.why), width, color=color)


def _cells(row: Availability, sources: Sequence[str]) -> tuple[str, ...]:
    numbers = (*(row.counts[source] for source in sources), row.neither)
    return (row.figures, *(f"{number:,}" if number else "-" for number in numbers))


def _aligned(cells: Sequence[str], sizes: Sequence[int]) -> str:
    """The first to the left, the numbers to the right."""
    numbers = (cell.rjust(size) for cell, size in zip(cells[1:], sizes[1:], strict=True))
    return "  ".join((cells[0].ljust(sizes[0]), *numbers))


def _wrapped(verdict: Verdict | Literal[""], middle: str, said: str, width: int | None, *, color: bool) -> list[str]:
    """A line, or more where the terminal is too narrow for it: those that follow begin where the text begins, or
    below the first word after the verdict where that leaves no room."""
    before = f"{verdict:{_VERDICT_WIDTH}}  {middle}  "
    lines = [before + said]
    if width is not None and len(lines[0].rstrip()) > width:
        beside = width - len(before) >= _ROOM_MIN
        indent = " " * (len(before) if beside else _VERDICT_WIDTH + 2)
        if width - len(indent) >= _ROOM_MIN:
            parts = textwrap.wrap(said, width - len(indent), break_on_hyphens=False)
            lines = [before + parts.pop(0)] if beside else [before]
            lines += [indent + part for part in parts]
    if verdict and color:
        lines[0] = f"\x1b[{_STYLES[verdict]}m{verdict}\x1b[m{lines[0][len(verdict) :]}"
    return [line.rstrip() for line in lines]
