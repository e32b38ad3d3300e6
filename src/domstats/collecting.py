"""The front of the collector: one object that keeps what is known of a host up to date.

async with domstats.collect("qemu:///system") as collector:
    async for snapshot in collector:  # every 2 s
        ...
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType

from domstats.aio import Kernel, WhichGroups, checked_deadline, checked_kernel, kernel_of, stats_bits
from domstats.collector.collector import Collector
from domstats.collector.lanes import MAX_HUNG
from domstats.collector.plan import SHARE, make_plan
from domstats.collector.reach import Reach
from domstats.errors import UsageError
from domstats.model.domain import Domain, is_uuid
from domstats.model.flags import NO_FILTERS, DomainFilter
from domstats.model.globs import Globs
from domstats.sources import Source
from domstats.sources.registry import open_source

DEADLINE = 5.0
"""Seconds that a sample may be late when the caller does not say."""


def chooser(patterns: Iterable[str] | None) -> Callable[[Domain], bool]:
    """Whether a domain is one of these, by its name, its UUID, or a pattern of names as shells have them."""
    if patterns is None:
        return lambda _: True
    if isinstance(patterns, str):
        patterns = [patterns]
    asked = {pattern.lower() if is_uuid(pattern) else pattern for pattern in patterns}
    globs = Globs(pattern for pattern in asked if any(sign in pattern for sign in "*?["))
    return lambda domain: domain.name in asked or domain.uuid in asked or globs.fit(domain.name)


class Collecting:
    """What `collect` gives, for `async with`."""

    def __init__(self, uri: str | None, make: Callable[[Source], Collector], deadline: float) -> None:
        self._uri, self._make, self._deadline = uri, make, deadline
        self._collector: Collector | None = None

    async def __aenter__(self) -> Collector:
        source = await open_source(self._uri, os.environ, self._deadline)
        self._collector = self._make(source)
        try:
            await self._collector.start()
        except BaseException:  # nobody else would close the connection
            await self._collector.aclose()
            raise
        return self._collector

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._collector is not None:
            await self._collector.aclose()


def collect(
    uri: str | None = None,
    groups: WhichGroups | None = None,
    *,
    domains: Iterable[str] | None = None,
    plan: Mapping[str, float] | None = None,
    share: float = SHARE,
    deadline: float = DEADLINE,
    max_hung: int = MAX_HUNG,
    connections: int | None = None,
    backing: bool = False,
    kernel: Kernel = "auto",
) -> Collecting:
    """Collect the statistics of a host's domains, for as long as the `async with` block lasts.

    `uri`: as for `domstats.connect`. `groups`: names, numbers of bits as text, or StatsGroup bits; all when None.
    `domains`: names, UUIDs, or patterns of names (`web-*`); all when None. One that is not there yet is collected when
    it comes. `plan`: seconds from one sample to the next, by the groups' names; by default 2 where no guest has to be
    asked (state, interface, perf, memory), else 15; and by the name `kernel` for what this host's kernel gives, by
    default 1. A period is longer where libvirtd would be busy with us for more than `share` of it. `deadline`: seconds
    that a sample may be late before its record is `stale`, and that connecting may take. `max_hung`: calls that may
    hang in libvirtd, which has 20 workers for all its clients. `connections`: how many calls there are at a time; by
    default two for each processor of this machine, at most 8. `backing`: disks with the images they are based on.
    `kernel`: with "auto", what this host's kernel measures of a guest is taken from it, whether the guest answers or
    not, and only the rest from libvirt; with "off" everything.

    Raises UsageError and its kinds BadUri and UnknownGroup; entering the block raises what `connect` raises.
    """
    made = make_plan(stats_bits(groups), plan or {}, share)
    flags = DomainFilter.BACKING if backing else NO_FILTERS
    for name, number in (("max_hung", max_hung), ("connections", connections)):
        if number is not None and (not isinstance(number, int) or number < 1):
            raise UsageError(f"{name} is a whole number over 0, not {number!r}")
    seconds = checked_deadline(deadline)
    wanted, chosen = chooser(domains), checked_kernel(kernel)

    def make(source: Source) -> Collector:
        reach = Reach(source, width=connections, max_hung=max_hung, kernel=kernel_of(source, chosen))
        return Collector(reach, made, seconds, flags, wanted)

    return Collecting(uri, make, seconds)
