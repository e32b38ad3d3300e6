"""`domstats doctor`: says which figures can be had of a host, and what is missing for the others."""

from __future__ import annotations

import asyncio
import os

import click

from domstats.cli.console import EXIT_CODES, Exit, put, terminal_color, terminal_width
from domstats.cli.options import finite, host_option


@click.command("doctor", epilog=EXIT_CODES)
@host_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document, for programs.")
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    callback=finite,
    help="Time that asking all guests may take; every other check has 5 s at most.",
)
def command(uri: str | None, as_json: bool, deadline: float) -> int:
    """Say which figures can be had of a host, and what is missing for the others.

    A line a check: ok, warn (nothing is missing, but it could be better), or missing, and what to do next. At the end
    a table: for how many of the guests that are on each kind of figure can be had, from libvirt and from the kernel.
    """
    from domstats.doctor.examine import examine

    report = asyncio.run(examine(uri, os.environ, deadline=deadline))
    if as_json:
        from domstats.doctor.document import to_json

        put(to_json(report) + b"\n")
    else:
        from domstats.doctor.text import report_lines

        lines = report_lines(report, terminal_width(), color=terminal_color(os.environ))
        put("".join(f"{line}\n" for line in lines).encode())
    if not report.daemon:
        return Exit.NO_DAEMON
    return Exit.COMPLETE if report.complete else Exit.PARTIAL
