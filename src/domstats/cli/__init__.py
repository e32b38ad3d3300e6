"""The command `domstats`: its verbs, and what becomes of errors.

Each verb is a module of this package with a `command`, imported when the verb is used. Exit codes: see console.Exit.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from domstats.cli.console import Exit, forget_output, say
from domstats.errors import (
    BadUri,
    DomstatsError,
    MissingExtra,
    NoSocket,
    ReplyTooLarge,
    UnknownColumn,
    UnknownField,
    UnknownGroup,
)
from domstats.version import __version__

VERBS = {
    "convert": "Print what a file holds in another format.",
    "doctor": "Say which figures can be had of a host, and what is missing for the others.",
    "fields": "Say what each statistic is: its type, unit, kind, the libvirt release that brought it, and its meaning.",
    "get": "Print the statistics of domains.",
    "serve": "Serve what is known of a host, read-only: over HTTP, and to libvirt's own clients (virsh, ...).",
    "watch": "Print the statistics of domains again and again, or what happens to them.",
}
"""The verbs and the first sentence of their help, which the list of verbs shows without importing them."""


class _Verbs(click.Group):
    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        verb: click.Command = import_module(f"domstats.cli.{cmd_name}").command
        return verb

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group("domstats", cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="domstats")
def group() -> None:
    """Every statistic of every virtual machine on a host."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (the process's when None); the exit code."""
    try:
        return _run(sys.argv[1:] if args is None else list(args))
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (BadUri, MissingExtra, UnknownColumn, UnknownField, UnknownGroup) as error:
        say(str(error))
        return Exit.WRONG_USE
    except NoSocket as error:
        say(str(error))
        return Exit.NO_DAEMON
    except ReplyTooLarge as error:
        say(f"{error}: too much for one reply; ask for fewer domains (names, --running) or groups (--group state,cpu)")
        return Exit.FAILED
    except DomstatsError as error:
        say(str(error))
        return Exit.FAILED
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        forget_output()
        return Exit.CLOSED_PIPE
    except OSError as error:
        forget_output()
        say(error.strerror or str(error))
        return Exit.FAILED


def _run(args: list[str]) -> int:
    """What click's own main does, but for its ways with Ctrl-C and closed pipes."""
    try:
        with group.make_context("domstats", args) as context:
            code: int | None = group.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    return code or 0
