"""`domstats convert`: prints what a file holds in another format."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from domstats.cli.console import EXIT_CODES, Exit, say, terminal_width
from domstats.cli.metrics import FORMATS as METRICS
from domstats.cli.metrics import chosen_metrics, metrics_options
from domstats.cli.options import check_table, chosen_table, format_option, refuse_terminal, table_options
from domstats.cli.printing import print_snapshot
from domstats.errors import BadDocument, ProtocolError
from domstats.formats.options import NO_OPTIONS
from domstats.formats.registry import FORMATS

if TYPE_CHECKING:
    from domstats.model.snapshot import Snapshot

_READABLE = [each.name for each in FORMATS.values() if each.readable]
_STDIN = "-"
_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True)


@click.command("convert", epilog=EXIT_CODES)
@click.argument("file", type=_FILE)
@format_option("table on a terminal, and where columns, an order, a table or rates are asked for; else raw")
@click.option(
    "--from", "source", type=click.Choice(_READABLE), help="The file's format; by default what it looks like."
)
@click.option("--before", type=_FILE, metavar="FILE", help="-f table: an earlier file of the same host, for rates.")
@partial(table_options, asks=False)
@partial(metrics_options, asks=False)
def command(
    file: str,
    form: str | None,
    source: str | None,
    before: str | None,
    columns: str | None,
    sort: str | None,
    top: int | None,
    table: str | None,
    **flags: Any,
) -> int:
    """Print what a file holds in another format.

    FILE is what `domstats get` printed as json, ndjson, xml or reply, or a captured reply of libvirt's daemon; also
    compressed by gzip or xz. `-` is the standard input. A reply does not say when it was taken: that is when the file
    was last written.
    """
    options = chosen_table(columns, sort, top, table)
    plain = terminal_width() is None and options == NO_OPTIONS and before is None
    form = form or ("raw" if plain else "table")
    refuse_terminal(form, terminal_width())
    check_table(form, options)
    if before is not None and form != "table":
        raise click.UsageError(f"--before is for the rates of the format table, not for {form}")
    metrics = chosen_metrics(form, flags)
    if metrics is not None and metrics.labels:
        raise click.UsageError(
            "--labels and --label are made of the domains' definitions, which no file holds: they are for the formats "
            f"{' and '.join(METRICS)} of domstats get"
        )
    try:
        snapshot, earlier = _read(file, source), None if before is None else _read(before, source)
    except (BadDocument, ProtocolError) as error:
        say(str(error))
        return Exit.FAILED
    if earlier is not None and snapshot.time and earlier.time > snapshot.time:
        raise click.UsageError(f"--before {before} is the later one of the two: have it and {file} change places")
    print_snapshot(snapshot, form, replace(options, before=earlier, metrics=metrics))
    return Exit.COMPLETE


def _read(file: str, form: str | None) -> Snapshot:
    """The snapshot in a file. Raises BadDocument, ProtocolError, OSError."""
    from domstats.formats.detect import detect, uncompressed
    from domstats.wire.bulk.decoder import ReplyDecoder

    path = None if file == _STDIN else Path(file)
    data = uncompressed(sys.stdin.buffer.read() if path is None else path.read_bytes())
    if form is None and not data.strip():
        raise BadDocument(", ".join(_READABLE), "", f"{file} is empty; --from ndjson takes that for no domains")
    chosen = form or detect(data)
    if chosen != "reply":
        return FORMATS[chosen].decode(data)
    try:
        return ReplyDecoder().decode(data, time=path.stat().st_mtime if path else 0.0, source=file)
    except ProtocolError:
        if form:
            raise
        raise BadDocument(", ".join(_READABLE), "", f"{file} looks like none of them") from None
