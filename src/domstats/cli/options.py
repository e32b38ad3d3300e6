"""The options that several verbs have in common: the host, the groups, the format, numbers of seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from domstats.catalog.groups import GROUPS, group_bits
from domstats.formats.registry import FORMATS

Command = Callable[..., Any]

_VIRSH = "group_"
"""What the parameters of virsh's options for groups begin with."""


def host_option(command: Command) -> Command:
    """`-c URI`, as `uri`."""
    meaning = "The host; by default the libvirt daemon of this one."
    return click.option("-c", "--connect", "uri", metavar="URI", help=meaning)(command)


def domain_arguments(command: Command) -> Command:
    """The domains, as `domains`, and virsh's option for one, as `more`."""
    command = click.option("--domain", "more", multiple=True, hidden=True)(command)
    return click.argument("domains", nargs=-1, metavar="[DOMAIN]...")(command)


def group_options(command: Command) -> Command:
    """`--group`, as `groups`, and the groups as virsh writes them; `chosen_groups` reads them all."""
    for group in reversed(GROUPS):
        option = click.option(f"--{group.option}", f"{_VIRSH}{group.name}", is_flag=True, hidden=True)
        command = option(command)
    return click.option(
        "--group",
        "groups",
        multiple=True,
        metavar="NAME,...",
        help=f"Only these groups: {', '.join(group.name for group in GROUPS)}, or the number of a group's bit. "
        "virsh's options for groups (--cpu-total, --vcpu, ...) are understood, too.",
    )(command)


def chosen_groups(groups: Sequence[str], flags: Mapping[str, bool]) -> int:
    """The bits of the groups asked for; `flags`: all options that are a flag. Raises UnknownGroup."""
    bits = 0
    for name in ",".join(groups).split(",") if groups else ():
        bits |= group_bits(name)
    for option, wanted in flags.items():
        if wanted and option.startswith(_VIRSH):
            bits |= group_bits(option.removeprefix(_VIRSH))
    return bits


def format_option(default: str) -> Callable[[Command], Command]:
    """`-f FORMAT`, as `form`; `default`: what to say of it."""
    summaries = "; ".join(f"{each.name}: {each.summary}" for each in FORMATS.values())
    return click.option(
        "-f", "--format", "form", type=click.Choice(list(FORMATS)), help=f"{summaries}. By default {default}."
    )


def refuse_terminal(form: str, width: int | None) -> None:
    """Print nothing binary to a terminal. `width`: its columns; None when there is none. Raises click.UsageError."""
    if width is not None and FORMATS[form].binary:
        raise click.UsageError(f"{form} is binary, nothing for a terminal: write it to a file (> FILE)")


def finite(_context: click.Context, _option: click.Parameter, seconds: float) -> float:
    """The number of seconds; for an option's callback."""
    if not math.isfinite(seconds):
        raise click.BadParameter("must be a number of seconds")
    return seconds
