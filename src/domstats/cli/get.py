"""`domstats get`: asks a host once (for a table, twice) and prints what it says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import click

from domstats.cli.console import EXIT_CODES, Exit, say, terminal_width
from domstats.cli.metrics import chosen_metrics, metrics_options
from domstats.cli.options import (
    Command,
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
from domstats.cli.printing import print_snapshot
from domstats.cli.progress import ProgressLine
from domstats.errors import DeadlineExceeded, UnknownDomain
from domstats.formats.named import DOMAIN_GROUPS
from domstats.formats.options import NO_OPTIONS, Options
from domstats.model.flags import NO_FILTERS, DomainFilter

if TYPE_CHECKING:
    from domstats.aio import Host, Kernel
    from domstats.model.domain import Domain
    from domstats.model.snapshot import Snapshot

DESCRIBING_MAX = 10.0
"""Seconds that reading the definitions of domains may take; each takes libvirtd 1 ms."""

_NO_TIME = "a table's rates need two, an --interval apart: give a longer --deadline, or --interval 0 for no rates"
_NO_PATTERNS = "; domains are given by name, id or UUID (domstats watch takes patterns)"

_FILTERS = {
    DomainFilter.ACTIVE: "Domains that are on.",
    DomainFilter.INACTIVE: "Domains that are off.",
    DomainFilter.PERSISTENT: "Domains that stay defined when they are turned off.",
    DomainFilter.TRANSIENT: "Domains that are gone when they are turned off.",
    DomainFilter.RUNNING: "Domains that run.",
    DomainFilter.PAUSED: "Domains that are paused.",
    DomainFilter.SHUTOFF: "Domains that are shut off.",
    DomainFilter.OTHER: "Domains in any other state.",
}
_WAYS = {
    DomainFilter.NOWAIT: "Do not wait for a guest that is busy: leave out what it would have to be asked for.",
    DomainFilter.BACKING: "Disks with the images they are based on.",
    DomainFilter.ENFORCE: "Fail if the hypervisor lacks a group asked for.",
}
_ALL_WAYS = reduce(or_, _WAYS)


@dataclass(frozen=True, slots=True)
class _Question:
    uri: str | None
    names: Sequence[str]
    groups: int
    rates: int
    """The groups that are asked for twice, for rates."""
    filters: DomainFilter
    deadline: float
    interval: float
    """Seconds between two polls; 0 for a single one."""
    kernel: Kernel
    """Whether what this host's kernel measures is taken from it."""
    describe: bool = False
    """Whether what the definitions of the domains say is wanted, too."""


@dataclass(frozen=True, slots=True)
class _Answer:
    snapshot: Snapshot | None
    """None when only unknown domains were asked for."""
    before: Snapshot | None
    missing: Sequence[str]
    """For each domain asked for by name that is not there, why."""


def _filter_options(command: Command) -> Command:
    """The options that are a bit each of DomainFilter."""
    for flag, meaning in reversed((_FILTERS | _WAYS).items()):
        name = str(flag.name).lower()
        names = [f"--{name}", f"--list-{name}"] if flag in _FILTERS else [f"--{name}"]
        command = click.option(*names, f"filter_{name}", is_flag=True, help=meaning)(command)
    return command


@click.command("get", epilog=EXIT_CODES)
@domain_arguments
@host_option
@group_options
@_filter_options
@metrics_options
@format_option(
    "table on a terminal, if it has columns for the groups asked for, and where columns, an order or a table are; "
    "else raw"
)
@click.option("--raw", is_flag=True, hidden=True)  # virsh's
@table_options
@click.option(
    "--interval",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    callback=finite,
    help="Time between the two polls a table's rates are made of; 0 for one poll and no rates.",
)
@kernel_option("off")
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    callback=finite,
    help="Time all of it may take.",
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
    deadline: float,
    **flags: Any,
) -> int:
    """Print the statistics of domains.

    Of all domains, or of each DOMAIN given by name, id or UUID.
    """
    bits, filters = chosen_groups(groups, flags), _chosen_filters(flags)
    options = chosen_table(columns, sort, top, table)
    form = form or ("raw" if flags["raw"] else _usual_format(bits, options))
    refuse_terminal(form, terminal_width())
    check_table(form, options)
    needed = needed_groups(form, bits, options)
    if needed.groups != bits:
        filters &= ~DomainFilter.ENFORCE  # only what was asked for by name is enforced
    if not needed.rates:
        interval = 0.0
    if interval >= deadline:
        raise click.UsageError(f"an interval of {interval:g} s does not fit into a deadline of {deadline:g} s")
    metrics = chosen_metrics(form, flags)
    describe = metrics is not None and bool(metrics.labels)
    question = _Question(
        uri, more + domains, needed.groups, needed.rates, filters, deadline, interval, kernel, describe
    )
    answer = asyncio.run(_ask(question))
    if answer.snapshot is not None:
        options = replace(options, groups=bits, before=answer.before, metrics=metrics)
        print_snapshot(answer.snapshot, form, options)
        if terminal_width() is not None and not len(answer.snapshot) and not answer.missing:
            say("no domains")
    return _report(answer)


def _usual_format(groups: int, options: Options) -> str:
    """What is printed where nobody chose a format."""
    if options != NO_OPTIONS:
        return "table"
    # int(): the inverse of an IntFlag lacks the bits that have no name, those of groups of a newer libvirt.
    return "table" if terminal_width() is not None and not groups & ~DOMAIN_GROUPS else "raw"


def _chosen_filters(flags: dict[str, bool]) -> DomainFilter:
    chosen = [flag for flag in _FILTERS | _WAYS if flags[f"filter_{str(flag.name).lower()}"]]
    return reduce(or_, chosen, NO_FILTERS)


async def _ask(question: _Question) -> _Answer:
    """Raises DeadlineExceeded, with the question's deadline, and what the front raises."""
    from domstats import aio

    ends = time.monotonic() + question.deadline

    def left(wait: float = 0.0) -> float:
        """Seconds that are left beside those of the wait between two polls."""
        seconds = ends - time.monotonic() - wait
        if seconds <= 0:
            during, advice = ("two polls", _NO_TIME) if wait else ("what was asked", "")
            raise DeadlineExceeded(during, question.deadline, advice)
        return seconds

    progress = ProgressLine()
    try:
        async with aio.connect(question.uri, deadline=question.deadline, kernel=question.kernel) as host:
            async with asyncio.timeout(left()):
                domains, missing = await _find(host, question.names)
            if question.names and not domains:
                return _Answer(None, None, missing)
            which = domains or None
            before = None
            if question.interval:
                filters = question.filters & ~DomainFilter.ENFORCE  # these groups were not asked for by name
                half = left(question.interval) / 2  # the other is for the poll that is shown
                before = await host.stats(which, question.rates, filters=filters, deadline=half, progress=progress)
                progress.done()
                await asyncio.sleep(question.interval)
                progress = ProgressLine()
            snapshot = await host.stats(
                which, question.groups, filters=question.filters, deadline=left(), progress=progress
            )
            if question.describe and (rest := ends - time.monotonic()) > 0:
                snapshot = await host.describe(snapshot, deadline=min(rest, DESCRIBING_MAX))
    except DeadlineExceeded as error:
        raise DeadlineExceeded(error.during, question.deadline, error.advice) from None
    except TimeoutError:
        raise DeadlineExceeded("the search for the domains", question.deadline) from None
    finally:
        progress.done()
    if question.filters in _ALL_WAYS:
        missing += [f"domain {domain.name!r} has just gone" for domain in domains if domain.uuid not in snapshot]
    return _Answer(snapshot, before, missing)


async def _find(host: Host, names: Sequence[str]) -> tuple[list[Domain], list[str]]:
    """The domains of these names, each once, and what is said of those that do not exist."""
    found: dict[str, Domain] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            domain = await host.find(name)
        except UnknownDomain as error:
            pattern = any(sign in name for sign in "*?[")
            missing[name] = str(error) + (_NO_PATTERNS if pattern else "")
        else:
            found.setdefault(domain.uuid, domain)
    return list(found.values()), list(missing.values())


def _report(answer: _Answer) -> Exit:
    """Say what is missing; the exit code."""
    for line in answer.missing:
        say(line)
    from domstats.cli.problems import explain

    problems = [] if answer.snapshot is None else answer.snapshot.problems
    for record in problems:
        say(explain(record))
    if answer.missing and not answer.snapshot:
        return Exit.FAILED
    return Exit.PARTIAL if answer.missing or problems else Exit.COMPLETE
