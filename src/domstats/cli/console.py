"""What the verbs have in common: data goes to stdout, talk to stderr, and the exit code says how it went."""

from __future__ import annotations

import os
from enum import IntEnum

import click

from domstats.formats.text import escape

STDOUT = 1


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


def on_terminal() -> bool:
    """Whether a terminal shows what goes to stdout."""
    return os.isatty(STDOUT)


def forget_output() -> None:
    """Give up what could not be written, or Python would try again at its end, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDOUT)
