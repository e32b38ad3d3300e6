"""`domstats watch`: collects from a host and prints what it knows once an interval, or what happens to its domains."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import click

from domstats.catalog.groups import GROUPS
from domstats.cli.console import EXIT_CODES_RUNNING, Exit, put, say, terminal_color, terminal_height, terminal_width
from domstats.cli.metrics import FORMATS as METRICS
from domstats.cli.options import (
    check_table,
    chosen_groups,
    chosen_table,
    domain_arguments,
    finite,
    format_option,
    group_options,
    host_option,
    kernel_option,
    needed_groups,
    refuse_terminal,
    table_options,
)
from domstats.cli.progress import ProgressLine
from domstats.formats.metrics.options import MetricsOptions
from domstats.formats.options import NO_OPTIONS, Options
from domstats.formats.registry import FORMATS
from domstats.formats.text import escape, width
from domstats.model.flags import StatsGroup

if TYPE_CHECKING:
    from domstats.aio import Kernel
    from domstats.collector.collector import Collector
    from domstats.model.changes import Change
    from domstats.model.snapshot import Snapshot

DEADLINE = 10.0
"""Seconds that connecting may take, and that a sample may be late before its record is stale."""
CHANGES_GROUPS = StatsGroup.STATE | StatsGroup.BALLOON
"""What shows changes: states, and something that a guest has to answer, which is cheap and which all have."""
_CLEAR = b"\x1b[H\x1b[2J"
"""To the upper left corner; clear the screen."""
_LEAST_LINES = 3
_STYLE = re.compile("\x1b\\[[0-9]*m")
"""What a table's colors are made of."""

Printer = Callable[["Collector", "Snapshot", int | None], int]
"""Prints at most so much of a snapshot (None for all), and says how much."""


@dataclass(frozen=True, slots=True)
class _Watching:
    uri: str | None
    names: Sequence[str]
    groups: int
    interval: float
    count: int | None
    kernel: Kernel


@click.command("watch", epilog=EXIT_CODES_RUNNING)
@domain_arguments
@host_option
@group_options
@format_option("table")
@table_options
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    callback=finite,
    help="Time from one print to the next, and between two samples of a guest; where asking all guests takes more than "
    "a fifth of it, their samples are further apart.",
)
@kernel_option("auto")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many prints, or changes.")
@click.option(
    "--changes",
    "only_changes",
    is_flag=True,
    help="Only what happens: who appears and goes, and whose name, state or status changes, a line each.",
)
def command(
    domains: tuple[str, ...],
    more: tuple[str, ...],
    uri: str | None,
    groups: tuple[str, ...],
    form: str | None,
    columns: str | None,
    sort: str | None,
    top: int | None,
    table: str | None,
    interval: float,
    kernel: Kernel,
    count: int | None,
    only_changes: bool,
    **flags: bool,
) -> int:
    """Print the statistics of domains again and again, or what happens to them.

    Of all domains, or of each DOMAIN given by name, UUID, or a pattern such as 'web-*'; one that is not there yet is
    waited for. Ends with Ctrl-C.
    """
    form = form or "table"
    refuse_terminal(form, terminal_width())
    options = chosen_table(columns, sort, top, table)
    if only_changes and (form not in ("table", "ndjson") or options != NO_OPTIONS):
        raise click.UsageError("changes are printed as text, or with -f ndjson, and have no columns")
    check_table(form, options)
    asked = chosen_groups(groups, flags)
    if only_changes and asked:
        raise click.UsageError("--changes is made of states, whatever the groups: leave --group out")
    bits = int(CHANGES_GROUPS) if only_changes else needed_groups(form, asked, options).groups
    options = replace(options, groups=asked)
    printer = _Changes(form).show if only_changes else _Snapshots(form, options, interval).show
    try:
        asyncio.run(_watch(_Watching(uri, more + domains, bits, interval, count, kernel), printer))
    except (KeyboardInterrupt, asyncio.CancelledError):  # how it is meant to end
        return Exit.COMPLETE
    return Exit.COMPLETE


async def _watch(watching: _Watching, show: Printer) -> None:
    from domstats.collecting import collect

    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    # A word for every group by name: the plan has none for those that this release does not know.
    plan = {
        group.name: watching.interval for group in GROUPS if not watching.groups or watching.groups >> group.bit & 1
    }
    collecting = collect(
        watching.uri,
        watching.groups or None,
        domains=watching.names or None,
        plan=plan | {"kernel": watching.interval},
        deadline=DEADLINE,
        kernel=watching.kernel,
    )
    async with collecting as collector:
        await _until_swept(collector)
        if watching.names and not len(collector.latest):
            say("no such domain yet")
        left = watching.count
        async for snapshot in collector:
            printed = show(collector, snapshot, left)
            if left is not None and (left := left - printed) <= 0:
                return


async def _until_swept(collector: Collector) -> None:
    """Wait until everybody has been asked once."""
    progress = ProgressLine()
    try:
        while not collector.swept:
            progress(*collector.progress)
            await asyncio.sleep(0.05)
    finally:
        progress.done()


class _Snapshots:
    """Prints a snapshot in a format."""

    def __init__(self, form: str, options: Options, interval: float) -> None:
        self._form, self._options, self._interval = form, options, interval
        self._checked = form != "table"

    def show(self, collector: Collector, snapshot: Snapshot, _most: int | None = None) -> int:
        from domstats.model.merge import without_old_groups

        if not self._checked and len(snapshot):  # only once: later a key may go with the last domain that has it
            from domstats.formats.table import check_keys

            check_keys(snapshot, self._options)
            self._checked = True
        columns, lines = terminal_width(), terminal_height()
        # A counter that is only repeated would seem to stand still: what shows no ages has no old values.
        max_age = (2 * max(self._interval, collector.guests_period) + DEADLINE) * collector.speed
        if self._form == "raw":
            snapshot = without_old_groups(snapshot, max_age)
        metrics = MetricsOptions(max_age=max_age) if self._form in METRICS else None
        before = collector.previous if self._form == "table" else None
        options = replace(
            self._options, width=columns, before=before, color=terminal_color(os.environ), metrics=metrics
        )
        text = FORMATS[self._form].encode(snapshot, options)
        if self._form != "table":
            put(text)
            return 1
        heading = _heading(collector, snapshot)
        if lines is not None and columns is not None:
            taken = _height(heading.decode(), columns)
            put(_CLEAR + heading + _fitting(text, lines - taken, columns))
        else:
            put(heading + text + b"\n")
        return 1


def _heading(collector: Collector, snapshot: Snapshot) -> bytes:
    """What time it is, how the guests stand, and what asking them takes."""
    counts: dict[str, int] = {}
    for record in snapshot:
        counts[record.status.label] = counts.get(record.status.label, 0) + 1
    stand = ", ".join(f"{number:,} {label}" for label, number in counts.items()) or "none"
    time = datetime.fromtimestamp(snapshot.time).astimezone()
    line = f"{time:%H:%M:%S}  {len(snapshot):,} domains: {stand}; asking all takes {collector.cost.sweep_seconds:.2f} s"
    if collector.trouble is not None:
        line += "; THE HOST DOES NOT ANSWER"
    return f"{line}\n".encode()


def _fitting(text: bytes, lines: int, columns: int) -> bytes:
    """The table, cut to so many lines of a screen, with a word about what is not shown."""
    rows = text.splitlines(keepends=True)
    heights = [_height(row.decode(), columns) for row in rows]
    lines = max(_LEAST_LINES, lines)
    if sum(heights) < lines:
        return text
    shown = 0
    while shown < len(rows) and sum(heights[: shown + 1]) < lines:
        shown += 1
    return b"".join(rows[:shown]) + f"... and {len(rows) - shown:,} more".encode()


def _height(row: str, columns: int) -> int:
    """How many lines of the screen a row takes: one, unless it is wider than the screen."""
    return max(1, -(-width(_STYLE.sub("", row.rstrip("\n"))) // columns))


class _Changes:
    """Prints what has happened since the snapshot before."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._before: Snapshot | None = None

    def show(self, _collector: Collector, snapshot: Snapshot, most: int | None = None) -> int:
        from domstats.model.changes import changes

        before, self._before = self._before, snapshot
        if before is None:
            return 0
        line = _json_line if self._form == "ndjson" else _text_line
        lines = [line(change) for change in changes(before, snapshot)][:most]
        put(b"".join(lines))
        return len(lines)


def _text_line(change: Change) -> bytes:
    time = datetime.fromtimestamp(change.time).astimezone().isoformat(timespec="milliseconds")
    happened = " -> ".join(filter(None, (change.before, change.after)))
    return f"{time}  {escape(change.domain.name)}  {change.what.value}  {escape(happened)}\n".encode()


def _json_line(change: Change) -> bytes:
    from domstats.formats.document import as_json, text

    domain = change.domain
    was, now = (None if each is None else text(each) for each in (change.before, change.after))
    who = {"name": text(domain.name), "uuid": domain.uuid, "id": domain.id}
    line = as_json({"time": change.time} | who | {"what": change.what.value, "before": was, "after": now})
    return line + b"\n"
