"""KernelSource: the kernel's own figures of this host's guests as a source of statistics."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self, TypeVar

from domstats.errors import DeadlineExceeded, StatsUnsupported, UnknownDomain
from domstats.model.description import Description, Device, DeviceKind
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter
from domstats.model.layout import DomainKey
from domstats.model.sampling import Sampling
from domstats.model.snapshot import Snapshot
from domstats.sources import OnDomainEvent
from domstats.sources.clock import HOST
from domstats.sources.kernel.guest import Guest
from domstats.sources.kernel.host import KernelHost
from domstats.sources.kernel.keys import GROUPS
from domstats.sources.kernel.rights import Lack
from domstats.sources.kernel.uri import parse
from domstats.sources.naming import By, lookups
from domstats.sources.worker import Worker

T = TypeVar("T")
_ARGUMENT_UNSUPPORTED, _FROM_QEMU = 74, 10
"""virErrorNumber and virErrorDomain of what libvirt reports for groups it does not have."""
_FILTERS = (
    (DomainFilter.ACTIVE, DomainFilter.INACTIVE),
    (DomainFilter.PERSISTENT, DomainFilter.TRANSIENT),
    (DomainFilter.RUNNING, DomainFilter.PAUSED, DomainFilter.SHUTOFF, DomainFilter.OTHER),
)
"""The lines of filters."""
_PASS = DomainFilter.ACTIVE | DomainFilter.OTHER
"""What every guest is: its process runs, and whether it is paused only the monitor knows."""
_PATIENCE = 1.0
"""Seconds that closing waits for a read that is under way; one of a process that hangs may never end."""


class KernelSource:
    """A Source of what /proc and /sys show of every QEMU guest, whoever started it.

    A domain's id is the number of its process. A poll runs in a thread of its own: nothing it reads waits for a guest.
    """

    lost = False
    received = 0
    instant = True
    speed = 1.0

    def __init__(self, uri: str, clock: Callable[[], float] = time.time, offset: Callable[[], float] = HOST) -> None:
        """`clock`: the time that samples are stamped with, in seconds since the epoch. Raises BadUri.

        `offset`: by how much it is ahead of one that is never set.
        """
        config = parse(uri)
        self.uri = uri
        self.cpus = _processors(config.sys)
        self._clock, self._offset = clock, offset
        self._host = KernelHost(config)
        self._thread = Worker("domstats-kernel")
        self._users = [1]
        self._closed = False

    @classmethod
    def open(cls, uri: str) -> KernelSource:
        """The host that a URI describes, see `uri.parse`. Raises BadUri."""
        return cls(uri)

    def clock(self) -> float:
        """The time, in seconds since the epoch."""
        return self._clock()

    def offset(self) -> float:
        """Seconds by which `clock` is ahead of one that is never set."""
        return self._offset()

    async def until_lost(self) -> None:
        """Wait for ever: there is nothing to be lost."""
        await asyncio.get_running_loop().create_future()

    async def another(self, deadline: float) -> Self:  # noqa: ARG002  nothing is opened
        """The same host once more: what is held open is held for all of them, until the last is closed."""
        other = copy.copy(self)
        other._users[0] += 1
        return other

    async def domains(self, deadline: float) -> list[Domain]:
        """All guests whose process is there."""
        return [guest.domain for guest in await self._do(self._host.look, "the list of processes", deadline)]

    async def find(self, name: DomainKey, deadline: float) -> Domain:
        """The domain of that process number, UUID or name, see `sources.Source.find`. Raises UnknownDomain."""
        domains = await self.domains(deadline)
        for by, value in lookups(name):
            for domain in domains:
                if value == {By.ID: domain.id, By.UUID: domain.uuid, By.NAME: domain.name}[by]:
                    return domain
        raise UnknownDomain(name)

    async def stats(self, domains: Sequence[Domain], groups: int, flags: DomainFilter, deadline: float) -> Snapshot:
        """One poll, see `sources.Source.stats`. Raises StatsUnsupported where ENFORCE asks for a group it has not.

        Whether a guest is running or paused, and whether it has a definition, is not known: a filter for any of these
        is passed by none, one for OTHER by all.
        """
        missing = groups & ~GROUPS
        if missing and flags & DomainFilter.ENFORCE:
            text = f"argument unsupported: Stats types bits 0x{missing:x} are not known to the kernel"
            raise StatsUnsupported(_ARGUMENT_UNSUPPORTED, _FROM_QEMU, text)
        wanted = {domain.uuid for domain in domains}
        return await self._do(lambda: self._poll(wanted, groups or GROUPS, flags), "the kernel's figures", deadline)

    def _poll(self, wanted: set[str], groups: int, flags: DomainFilter) -> Snapshot:
        began, offset = self._clock(), self._offset()
        guests = self._host.look()
        chosen = [guest for guest in guests if _passes(flags) and (not wanted or guest.domain.uuid in wanted)]
        layout, values = self._host.poll(chosen, groups & GROUPS)
        ended, now_offset = self._clock(), self._offset()
        began += now_offset - offset  # it may have been set meanwhile
        half = abs(ended - began) / 2
        sampling = Sampling.of_one_poll(len(layout), ended - half, "kernel", half, now_offset)
        return Snapshot(layout, values, ended, sampling, self.cpus)

    async def stopped(self, _seconds: float) -> set[str]:
        """None of them: the figures of a guest that is stopped come like any other's."""
        return set()

    async def stopped_among(self, _domains: Sequence[Domain], _seconds: float) -> set[str]:
        """None of them."""
        return set()

    async def occupied(self, _domains: Sequence[Domain], _seconds: float) -> list[Domain]:
        """None of them: no monitor is asked."""
        return []

    async def describe(self, domain: Domain, deadline: float) -> Description:
        """Its network devices, as far as a poll has found them. Raises UnknownDomain."""
        for guest in await self._do(self._host.look, "the list of processes", deadline):
            if guest.domain.uuid == domain.uuid:
                return _description(guest)
        raise UnknownDomain(domain.name)

    async def subscribe(self, on_event: OnDomainEvent, deadline: float) -> None:
        """The kernel tells of nothing; each poll sees who is there."""

    def lacking(self) -> list[Lack]:
        """What cannot be had, of the host and of each guest of the last poll, and why."""
        return self._host.lacking()

    @property
    def held(self) -> int:
        """Files held open."""
        return self._host.held

    async def aclose(self) -> None:
        """Let go of whatever is held, after what is under way, which is waited for briefly; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._users[0] -= 1
        if not self._users[0]:
            await self._thread.end(self._host.close, _PATIENCE)

    async def _do(self, work: Callable[[], T], what: str, deadline: float) -> T:
        """Do the work in the thread that alone knows the host."""
        try:
            async with asyncio.timeout(deadline):
                return await self._thread.do(work)
        except TimeoutError:
            raise DeadlineExceeded(what, deadline) from None


def _passes(flags: DomainFilter) -> bool:
    lines = ([flag for flag in line if flag in flags] for line in _FILTERS)
    return all(
        not asked or len(asked) == len(line) or any(flag in _PASS for flag in asked)
        for asked, line in zip(lines, _FILTERS, strict=True)
    )


def _description(guest: Guest) -> Description:
    return Description(devices=tuple(Device(DeviceKind.INTERFACE, nic.name) for nic in guest.nics or ()))


def _processors(sys: Path) -> int | None:
    """How many processors are online: `0-3,6` are five."""
    try:
        text = (sys / "devices/system/cpu/online").read_text(encoding="ascii")
        ends = [part.partition("-")[::2] for part in text.strip().split(",")]
        return sum(int(last or first) - int(first) + 1 for first, last in ends)
    except (OSError, ValueError):
        return None
