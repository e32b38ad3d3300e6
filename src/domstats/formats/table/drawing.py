"""A table's lines: columns below each other as a terminal shows them, fitted to its width, with colors or without."""

from __future__ import annotations

from collections.abc import Sequence

from domstats.formats.table.cells import MISSING, Column
from domstats.formats.text import cut, width

GAP = "  "
TEXT_LEAST = 16
"""Text is not cut to less than this to keep a column that can be left out."""
LEAST = 4
"""Text is not cut to less than this."""
_BOLD = "1"


def widest(lines: Sequence[str]) -> int:
    """How many columns of a terminal the widest of these takes."""
    return max(map(len if "".join(lines).isascii() else width, lines))


class Drawn:
    """A column with its cells."""

    def __init__(self, column: Column, rows: Sequence[int]) -> None:
        self.column = column
        self.values = [column.values[row] for row in rows]
        self.marks = [column.marks[row] for row in rows] if column.marks else []
        cells = (MISSING if value is None else column.form(value) for value in self.values)
        self.lines = [column.heading, *cells]
        self.width = widest(self.lines)

    @property
    def least(self) -> int:
        """What its width can be cut to while there are columns to leave out."""
        return min(self.width, TEXT_LEAST) if self.column.flexible else self.width

    def mark(self) -> None:
        """Put its marks behind its cells, whose numbers stay below each other."""
        room = max(map(len, self.marks), default=0)
        heading, *cells = self.lines
        self.lines = [heading, *(cell + mark.ljust(room) for cell, mark in zip(cells, self.marks, strict=True))]
        self.width = widest(self.lines)
        self.marks = []

    def cut(self, columns: int) -> None:
        """Cut its lines to so many columns."""
        self.width = columns
        self.lines = [cut(line, self.width) for line in self.lines]

    def padded(self, *, color: bool) -> list[str]:
        """Its lines, all of the same width."""
        left, room = self.column.left, self.width
        if not color and "".join(self.lines).isascii():
            return [line.ljust(room) for line in self.lines] if left else [line.rjust(room) for line in self.lines]
        fills = [" " * (room - width(line)) for line in self.lines]
        lines = self._colored() if color else self.lines
        return [line + fill if left else fill + line for line, fill in zip(lines, fills, strict=True)]

    def _colored(self) -> list[str]:
        style = self.column.style
        styles = [_BOLD, *("" if value is None else style(value) for value in self.values)]
        return [f"\x1b[{code}m{line}\x1b[m" if code else line for code, line in zip(styles, self.lines, strict=True)]


def draw(columns: Sequence[Column], rows: Sequence[int], room: int | None, *, color: bool) -> bytes:
    """A line of headings and a line for each of these rows. `room`: columns of the terminal; None when there is none.

    Columns that can be left out are, until the rest fits; then text is cut. What has a width of its own stays whole.
    """
    drawn = [Drawn(column, rows) for column in columns]
    _mark(drawn)
    if room is not None:
        drawn = _left_out(drawn, room)
        _cut(drawn, room)
    padded = [each.padded(color=color) for each in drawn]
    return "".join(f"{GAP.join(cells).rstrip(' ')}\n" for cells in zip(*padded, strict=True)).encode()


def _left_out(drawn: list[Drawn], room: int) -> list[Drawn]:
    """The columns that fit beside each other when text is cut to TEXT_LEAST."""
    for number in sorted({each.column.leave_out for each in drawn} - {0}):
        if sum(each.least for each in drawn) + len(GAP) * (len(drawn) - 1) <= room:
            break
        drawn = [each for each in drawn if each.column.leave_out != number]
        _mark(drawn)
    return drawn


def _mark(drawn: Sequence[Drawn]) -> None:
    """Mark what no column says any more."""
    headings = {each.column.heading for each in drawn}
    for each in drawn:
        if each.marks and each.column.unless not in headings:
            each.mark()


def _cut(drawn: Sequence[Drawn], room: int) -> None:
    """Cut the widest text, then the next, until a line fits or there is nothing left to cut."""
    flexible = [each for each in drawn if each.column.flexible]
    over = sum(each.width for each in drawn) + len(GAP) * (len(drawn) - 1) - room
    while over > 0 and flexible:
        flexible.sort(key=lambda each: each.width)
        *others, most = flexible
        before = most.width
        if before <= LEAST:
            break
        next_width = others[-1].width if others else 0
        most.cut(max(before - over, min(next_width, before - 1), LEAST))
        over -= before - most.width
