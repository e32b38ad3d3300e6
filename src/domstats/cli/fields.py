"""`domstats fields`: prints the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

import click

from domstats.catalog.fields import Field
from domstats.catalog.groups import GROUPS
from domstats.catalog.lookup import find_fields
from domstats.cli.console import put, terminal_width

_HEADINGS = ("field", "type", "unit", "kind", "since", "meaning")


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
    """A line a field, in aligned columns. On a terminal (`width` columns): headings, and meanings cut to fit."""
    rows: list[tuple[str, ...]] = [
        (f.pattern, "|".join(f.types), f.unit or "-", f.kind.value, f.since, f.help) for f in fields
    ]
    if width is not None:
        rows.insert(0, _HEADINGS)
    sizes = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    room = None if width is None else max(0, width - sum(sizes) - 2 * len(sizes))
    return ["  ".join((*map(str.ljust, row, sizes), row[-1][:room])) for row in rows]
