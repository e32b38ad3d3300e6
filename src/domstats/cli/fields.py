"""`domstats fields`: prints the catalogue."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import click

from domstats.catalog.fields import Field
from domstats.catalog.groups import GROUPS
from domstats.catalog.lookup import find_fields
from domstats.cli.console import put, terminal_width

_HEADINGS = ("field", "type", "unit", "kind", "since", "meaning")
_INDENT = "    "
_ROOM_MIN = 40
"""Columns that a meaning needs."""


@click.command("fields")
@click.argument("pattern", default="")
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print.",
)
def command(pattern: str, form: str) -> None:
    """Say what each statistic is: its type, unit, kind, the libvirt release that brought it, and its meaning.

    PATTERN chooses: the name of a group (vcpu), a key (vcpu.3.time), a glob ('block.*.bytes') or a part of a name
    (latency). Without it, all are printed.
    """
    fields = find_fields(pattern)
    if not fields:
        groups = ", ".join(group.name for group in GROUPS)
        raise click.ClickException(f"no field fits {pattern!r}; try a part of a name, or a group: {groups}")
    if form == "json":
        import msgspec

        put(msgspec.json.encode(fields) + b"\n")
    else:
        put("".join(f"{line}\n" for line in _table(fields, terminal_width())).encode())


def _table(fields: Sequence[Field], width: int | None) -> list[str]:
    """A line a field, in aligned columns. On a terminal (`width` columns): headings, and meanings wrapped to fit, below
    the rest where beside it there is no room."""
    rows: list[tuple[str, ...]] = [
        (f.pattern, "|".join(f.types), f.unit or "-", f.kind.value, f.since, f.help) for f in fields
    ]
    if width is not None:
        rows.insert(0, _HEADINGS)
    sizes = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    lines = ["  ".join((*map(str.ljust, row, sizes), "")) for row in rows]
    if width is None:
        return [before + row[-1] for before, row in zip(lines, rows, strict=True)]
    room = width - len(lines[0])
    if room >= _ROOM_MIN:
        return [line for before, row in zip(lines, rows, strict=True) for line in _wrapped(before, row[-1], room)]
    room = max(_ROOM_MIN, width - len(_INDENT))
    return [
        line
        for before, row in zip(lines, rows, strict=True)
        for line in (before.rstrip(), *_wrapped(_INDENT, row[-1], room))
    ]


def _wrapped(before: str, text: str, room: int) -> list[str]:
    """The text in lines of so many columns, which stand one below the other."""
    first, *others = textwrap.wrap(text, room, break_on_hyphens=False)
    return [before + first, *(" " * len(before) + other for other in others)]
