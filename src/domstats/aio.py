"""The asyncio front: connect to a host, ask it for statistics.

async with domstats.aio.connect("qemu:///system") as host:
    snapshot = await host.stats()
"""

from __future__ import annotations

import asyncio
import math
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from functools import reduce
from operator import or_
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, TypeVar, Unpack, get_args

from domstats.catalog.groups import group_bits
from domstats.collector.describing import describe
from domstats.collector.reach import Reach
from domstats.collector.round import Progress, Question
from domstats.errors import DeadlineExceeded, UsageError
from domstats.model.domain import Domain
from domstats.model.flags import NO_FILTERS, DomainFilter
from domstats.model.layout import DomainKey
from domstats.model.record import Record
from domstats.model.snapshot import Snapshot
from domstats.sources import Source
from domstats.sources.registry import open_kernel, open_source

T = TypeVar("T")

DEADLINE = 30.0
"""Seconds a call may take when the caller does not say."""

QUESTIONS_MAX = 16
"""Questions whose answers are remembered; a program asks a few, over and over."""

WhichDomain = DomainKey | Domain | Record
WhichDomains = WhichDomain | Iterable[WhichDomain]
WhichGroups = int | str | Iterable[int | str]

Kernel = Literal["auto", "off"]
"""Whether the values that this host's kernel has, too, are taken from it: where it has any, or nowhere."""

_BITS_MAX = (1 << 32) - 1
"""Groups and filters are unsigned ints of 32 bits on the wire."""


class Filters(TypedDict, total=False):
    """Which domains, by state, and how to ask: the members of DomainFilter by their names in lower case."""

    active: bool
    inactive: bool
    persistent: bool
    transient: bool
    running: bool
    paused: bool
    shutoff: bool
    other: bool
    nowait: bool
    backing: bool
    enforce: bool


class Host:
    """A host whose domains are asked for statistics. Made by `connect`.

    It remembers who was stuck, and of each question what was answered last. A connection that is lost is opened anew by
    the next call.
    """

    def __init__(self, source: Source, kernel: Source | None = None) -> None:
        self._reach = Reach(source, kernel=kernel)
        self._questions: OrderedDict[tuple[object, ...], Question] = OrderedDict()

    @property
    def uri(self) -> str:
        """The URI it was reached by."""
        return self._reach.uri

    async def domains(self, *, deadline: float = DEADLINE) -> list[Domain]:
        """All domains of the host, running or not; `deadline`: seconds it may take.

        Raises DeadlineExceeded, ConnectionLost, or what libvirt reports. Source: virConnectListAllDomains.
        """
        return await self._ask_main(lambda source, left: source.domains(left), checked_deadline(deadline))

    async def find(self, name: DomainKey, *, deadline: float = DEADLINE) -> Domain:
        """The domain of that id, UUID or name, tried in this order as virsh does.

        A number is an id only, a uuid.UUID a UUID only. `deadline`: seconds it may take. Raises UnknownDomain,
        DeadlineExceeded, ConnectionLost, or what libvirt reports.
        """
        if not isinstance(name, DomainKey):
            raise UsageError(f"a domain is found by its name, UUID or id, not by {name!r}")
        return await self._find(name, checked_deadline(deadline))

    async def stats(
        self,
        domains: WhichDomains | None = None,
        groups: WhichGroups | None = None,
        *,
        filters: DomainFilter = NO_FILTERS,
        deadline: float = DEADLINE,
        keep: bool = True,
        progress: Progress | None = None,
        **flags: Unpack[Filters],
    ) -> Snapshot:
        """The statistics of many domains, all that can be had in time.

        First every domain gets a row, with the groups libvirt knows without asking guests. The others are read in
        slices over several connections. A guest that does not answer is found, and costs the others nothing: its
        record's status says `blocked`, and it keeps what it answered this question last, with its age.

        `domains`: which ones, or which one: names, UUIDs and ids, or domains and records of earlier calls; all when
        None. `groups`: names, bit numbers as text, or StatsGroup bits; all that the hypervisor has when None or 0.
        `filters` and the keywords choose domains by state. `deadline`: seconds it may take; what has not come by then
        is `stale`. `keep`: whether groups that did not come this time are there with their last values. `progress` is
        called with the number of domains heard and asked, now and then.

        Raises UsageError and its kinds UnknownDomain and UnknownGroup, DeadlineExceeded (when not even the list of
        domains came), ConnectError and its kinds, ConnectionLost, or what libvirt reports. Source:
        virConnectGetAllDomainStats, virDomainListGetStats, virDomainGetControlInfo.
        """
        now = asyncio.get_running_loop().time
        ends = now() + checked_deadline(deadline)
        bits, how, which = stats_bits(groups), domain_filter(filters, flags), _listed(domains)
        try:
            found = [await self._domain(each, ends - now()) for each in which]
            chosen = list({domain.uuid: domain for domain in found}.values())
            if domains is not None and not chosen:  # an empty list on the wire means every domain
                return Snapshot.of_params([], time=self._reach.clock(), source=self.uri, host_cpus=self._reach.cpus)
            question = self._question(chosen, bits, how)
            return await question.ask(chosen, ends - now(), keep=keep, progress=progress)
        except DeadlineExceeded as late:
            # The caller's deadline, not what was left of it.
            raise DeadlineExceeded(late.during, deadline, late.advice) from None

    async def describe(self, snapshot: Snapshot, *, deadline: float = DEADLINE) -> Snapshot:
        """The snapshot with what the definitions of its domains say (title, metadata, devices): `record.domain.info`.

        They are read in parallel. `deadline`: seconds it may take; of a domain whose definition has not come by then,
        and of one that is stuck, nothing is said. Source: virDomainGetXMLDesc.
        """
        infos = await describe(self._reach, snapshot.domains, checked_deadline(deadline))
        return snapshot.with_descriptions(infos)

    async def _domain(self, which: WhichDomain, seconds: float) -> Domain:
        if isinstance(which, Record):
            return which.domain
        return which if isinstance(which, Domain) else await self._find(which, seconds)

    async def _find(self, name: DomainKey, seconds: float) -> Domain:
        return await self._ask_main(lambda source, left: source.find(name, left), seconds)

    async def _ask_main(self, ask: Callable[[Source, float], Awaitable[T]], seconds: float) -> T:
        """Ask by a call that waits for no guest, over a connection that is there, or made within the same seconds."""
        now = asyncio.get_running_loop().time
        ends = now() + seconds
        try:
            return await ask(await self._reach.main(seconds), ends - now())
        except DeadlineExceeded as late:
            # The caller's deadline, not what was left of it.
            raise DeadlineExceeded(late.during, seconds, late.advice) from None

    def _question(self, domains: Sequence[Domain], groups: int, flags: DomainFilter) -> Question:
        key = (tuple(domain.uuid for domain in domains), groups, flags)
        question = self._questions.pop(key, None) or Question(self._reach, groups, flags)
        self._questions[key] = question
        if len(self._questions) > QUESTIONS_MAX:
            self._questions.popitem(last=False)
        return question

    async def aclose(self) -> None:
        """Let go of the host; safe to call twice."""
        await self._reach.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def checked_kernel(kernel: Kernel) -> Kernel:
    """The word. Raises UsageError unless it is one of Kernel."""
    if kernel not in get_args(Kernel):
        raise UsageError(f"kernel is one of {', '.join(get_args(Kernel))}, not {kernel!r}")
    return kernel


def kernel_of(source: Source, kernel: Kernel) -> Source | None:
    """What the kernel says of a source's guests; None where that is not wanted, or they are of another host."""
    return open_kernel(source.uri) if kernel == "auto" else None


def checked_deadline(seconds: float) -> float:
    """The deadline. Raises UsageError unless it is a finite number over 0."""
    if not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise UsageError(f"a deadline is a finite number of seconds over 0, not {seconds!r}")
    return seconds


def stats_bits(groups: WhichGroups | None) -> int:
    """The bits of groups given by name, by number as text, or as bits; 0 for None. Raises UnknownGroup, UsageError."""
    if groups is None:
        return 0
    if isinstance(groups, str | int) or not isinstance(groups, Iterable):
        return _group_bits(groups)
    bits = [_group_bits(group) for group in groups]
    if not bits:
        raise UsageError("the list of groups is empty; None asks for all of them")
    return reduce(or_, bits)


def _group_bits(group: object) -> int:
    if isinstance(group, str):
        return group_bits(group)
    if not isinstance(group, int) or not 0 <= group <= _BITS_MAX:
        raise UsageError(f"groups are names, or bits from 0 to 2^32 - 1, not {group!r}")
    return int(group)


def domain_filter(filters: DomainFilter, flags: Mapping[str, object]) -> DomainFilter:
    """Filters and keywords in one. Raises UsageError for a keyword that does not exist, or bits out of range."""
    if not isinstance(filters, int) or not 0 <= filters <= _BITS_MAX:
        raise UsageError(f"filters are DomainFilter bits from 0 to 2^32 - 1, not {filters!r}")
    known = Filters.__annotations__
    for name in flags:
        if name not in known:
            raise UsageError(
                f"there is no keyword {name!r}; beside 'filters' and 'deadline' there are {', '.join(known)}"
            )
    chosen = (DomainFilter[name.upper()] for name, wanted in flags.items() if wanted)
    return reduce(or_, chosen, DomainFilter(filters))


def _listed(domains: WhichDomains | None) -> list[WhichDomain]:
    """Every domain asked for. Raises UsageError."""
    if domains is None:
        return []
    if isinstance(domains, WhichDomain) or not isinstance(domains, Iterable):
        domains = [domains]
    listed = list(domains)
    for each in listed:
        if not isinstance(each, WhichDomain):
            raise UsageError(f"a domain is given by its name, UUID or id, as a Domain or a Record, not as {each!r}")
    return listed


class Connecting:
    """What `connect` gives: await it for a Host, or use it in `async with`."""

    def __init__(self, uri: str | None, deadline: float, kernel: Kernel) -> None:
        self._uri, self._deadline, self._kernel = uri, deadline, kernel
        self._host: Host | None = None

    async def open(self) -> Host:
        """Connect, see `connect`; a coroutine, for asyncio.create_task and the like."""
        source = await open_source(self._uri, os.environ, self._deadline)
        return Host(source, kernel_of(source, self._kernel))

    def __await__(self) -> Generator[Any, None, Host]:
        return self.open().__await__()

    async def __aenter__(self) -> Host:
        self._host = await self.open()
        return self._host

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._host is not None:
            await self._host.aclose()


def connect(uri: str | None = None, *, deadline: float = DEADLINE, kernel: Kernel = "off") -> Connecting:
    """Connect to a host.

    `uri`: libvirt's (qemu:///system, qemu:///session, qemu+unix:///system?socket=PATH, test+unix:///default) or
    sim:///?domains=1000&seed=1; without one $DOMSTATS_URI, $LIBVIRT_DEFAULT_URI, or the local libvirt daemon.
    `deadline`: seconds it may take. `kernel`: with "auto", what this host's kernel measures of a guest is taken from it
    as of the end of each `stats`, whether the guest answers or not, and only the rest from libvirt.

    Raises UsageError and its kind BadUri, ConnectError and its kinds NoSocket and SocketDenied, DeadlineExceeded, or
    what libvirt reports.
    """
    return Connecting(uri, checked_deadline(deadline), checked_kernel(kernel))
