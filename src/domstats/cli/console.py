"""What the verbs have in common: data goes to stdout, talk to stderr, and the exit code says how it went."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from enum import IntEnum

import click

from domstats.formats.text import escape

STDOUT = 1


EXIT_CODES = (
    "Exit codes: 0 all is there, 1 nothing could be had, 2 wrong use, 3 some of it is missing, 4 no libvirt daemon "
    "listens, 130 Ctrl-C."
)
"""For those who use a verb that ends by itself; the reader of a closed pipe sees no exit code."""


EXIT_CODES_RUNNING = (
    "Exit codes: 0 ended by Ctrl-C, SIGTERM or as told, 1 it could not begin or go on, 2 wrong use, 4 no libvirt "
    "daemon listens."
)
"""For those who use a verb that goes on until it is ended."""


class Exit(IntEnum):
    """The exit codes."""

    COMPLETE = 0
    """Everything asked for is there; that may be nothing."""
    FAILED = 1
    """Nothing could be had."""
    WRONG_USE = 2
    """What was asked makes no sense."""
    PARTIAL = 3
    """Some of it is missing."""
    NO_DAEMON = 4
    """No libvirt daemon listens: a host without a hypervisor, perhaps."""
    INTERRUPTED = 128 + 2
    """Ctrl-C; what a shell shows for a process that SIGINT ended."""
    CLOSED_PIPE = 128 + 13
    """The reader went away; what a shell shows for a process that SIGPIPE ended, as it ends most commands."""


def say(message: str) -> None:
    """A line on stderr; whatever the message quotes cannot make it two, or move the cursor."""
    click.echo(f"domstats: {escape(message)}", err=True)


def put(data: bytes) -> None:
    """All of the bytes to stdout, at once. Raises OSError."""
    # Not through sys.stdout: with PYTHONUNBUFFERED it writes a part, and says so only in what write() returns.
    with os.fdopen(STDOUT, "wb", closefd=False) as out:
        out.write(data)


def terminal_width() -> int | None:
    """How many columns the terminal has that shows what goes to stdout; None when that is no terminal."""
    return shutil.get_terminal_size().columns if os.isatty(STDOUT) else None


def terminal_height() -> int | None:
    """How many lines it has; None when there is no terminal."""
    return shutil.get_terminal_size().lines if os.isatty(STDOUT) else None


def terminal_color(environment: Mapping[str, str]) -> bool:
    """Whether there is a terminal that shows colors, and nobody has asked for none (https://no-color.org)."""
    able = environment.get("TERM", "dumb") not in ("", "dumb")
    return able and not environment.get("NO_COLOR") and os.isatty(STDOUT)


def forget_output() -> None:
    """Give up what could not be written, or Python would try again at its end, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDOUT)
