"""The options that several verbs have in common: the host, the groups, the format, its table, numbers of seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from domstats.catalog.groups import GROUPS, group_bits
from domstats.formats.columns import Needs, check, needs
from domstats.formats.named import COLUMNS
from domstats.formats.options import NO_OPTIONS, Options
from domstats.formats.registry import FORMATS

Command = Callable[..., Any]

_VIRSH = "group_"
"""What the parameters of virsh's options for groups begin with."""


def host_option(command: Command) -> Command:
    """`-c URI`, as `uri`."""
    meaning = "The host; by default the libvirt daemon of this one."
    return click.option("-c", "--connect", "uri", metavar="URI", help=meaning)(command)


def kernel_option(default: str) -> Callable[[Command], Command]:
    """`--kernel auto|off`, as `kernel`."""
    return click.option(
        "--kernel",
        type=click.Choice(["auto", "off"]),
        default=default,
        show_default=True,
        help="With auto, processor times, network counters and resident memory of the guests that run here come from "
        "this host's kernel, for guests that do not answer libvirt, too.",
    )


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


TABLES = ("table", "csv", "arrow", "parquet")
"""The formats that have tables, whose columns and rows can be chosen."""

_WORDS = ", ".join(each.name for each in COLUMNS["domain"].named)


_COLUMNS = (
    "Only these columns, in this order. Every key is one (vcpu.current; with --table the tail of a device's keys: "
    "rd.reqs). -f table has device names, too (block[vda].capacity), counters as rates per second, and the words "
    f"{_WORDS}."
)
_COLUMNS_ASKED = f"{_COLUMNS} Without --group, the host is asked only for what the columns are made of."


def table_options(command: Command, *, asks: bool = True) -> Command:
    """`--columns`, `--sort`, `--top` and `--table`, as parameters of these names; `chosen_table` reads them.

    `asks`: whether the verb asks a host.
    """
    options = (
        click.option("--columns", metavar="NAME,...", help=_COLUMNS_ASKED if asks else _COLUMNS),
        click.option(
            "--sort",
            metavar="[-]COLUMN",
            help="Order of the rows: numbers from the greatest, text from A; a - before it turns that round. Rows "
            "without a value come last. The column need not be shown. Equal rows, and without --sort all, are in the "
            "order of the domains' names in -f table, and of the host in csv, arrow and parquet.",
        ),
        click.option(
            "--top",
            type=click.IntRange(min=1),
            metavar="N",
            help="Only the first N rows. Without --sort, in -f table, those with the greatest cpu (of disks read, of "
            "interfaces rx), if that is among the columns.",
        ),
        click.option(
            "--table",
            type=click.Choice(list(COLUMNS)),
            help="A row a domain, or a row for each vCPU, interface, disk or I/O thread of every domain.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def chosen_table(columns: str | None, sort: str | None, top: int | None, table: str | None) -> Options:
    """The table asked for, as a format takes it."""
    names = () if columns is None else tuple(name.strip() for name in columns.split(","))
    return Options(table=table or "", columns=names, sort=sort or "", top=top)


def check_table(form: str, options: Options) -> None:
    """See that the format can be had, that it has tables, if one is asked for, and the table the columns.

    Raises MissingExtra, UnknownColumn, click.UsageError.
    """
    if FORMATS[form].binary:
        FORMATS[form].load()
    if options != NO_OPTIONS and form not in TABLES:
        raise click.UsageError(
            f"--columns, --sort, --top and --table are for the formats {', '.join(TABLES)}, not for {form}"
        )
    if form == "table":
        check(options)


def needed_groups(form: str, groups: int, options: Options) -> Needs:
    """The groups to ask for, and those that rates need twice. `groups`: those that were asked for by name, which are
    asked for whatever the table is made of."""
    people = form == "table"
    if not people and not options.columns and options.table in ("", "domain"):
        return Needs(groups, 0)
    needed = needs(options)
    rates = needed.rates if people else 0
    return Needs(groups, rates & groups) if groups else Needs(needed.groups, rates)


def refuse_terminal(form: str, width: int | None) -> None:
    """Print nothing binary to a terminal. `width`: its columns; None when there is none. Raises click.UsageError."""
    if width is not None and FORMATS[form].binary:
        raise click.UsageError(f"{form} is binary, nothing for a terminal: write it to a file (> FILE)")


def finite(_context: click.Context, _option: click.Parameter, seconds: float) -> float:
    """The number of seconds; for an option's callback."""
    if not math.isfinite(seconds):
        raise click.BadParameter("must be a number of seconds")
    return seconds
