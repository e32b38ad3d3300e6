"""The collector's snapshots as they come, numbered, with what is said of the host."""

from __future__ import annotations

import asyncio
import secrets
import socket
from dataclasses import dataclass
from typing import Any

import numpy as np

from domstats.collector.collector import Collector
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot

_FIRST = 1 << 40
"""Numbers begin somewhere below that: those of one process are hardly those of another."""


@dataclass(frozen=True, slots=True, eq=False)
class Numbered:
    """A snapshot, and what was known when it came."""

    number: int
    """One more than the snapshot's before."""
    snapshot: Snapshot
    previous: Snapshot
    """Each group as it came the time before, for rates."""
    host: dict[str, Any]
    """What is said of the host: see `Latest._host`."""


class Latest:
    """What a collector knows, as it is served."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._came = asyncio.Event()
        """Set, and replaced by another, with each snapshot."""
        self._now = asyncio.get_running_loop().time
        self._cpu = (self._now(), collector.cost.cpu_seconds)
        self._answered = self._now()
        """When the host last answered, on the loop's clock."""
        self._numbered = self._make(secrets.randbelow(_FIRST))

    @property
    def numbered(self) -> Numbered:
        """The latest snapshot."""
        if self._numbered.snapshot is not self._collector.latest:
            self._numbered = self._make(self._numbered.number + 1)
            came, self._came = self._came, asyncio.Event()
            came.set()
        return self._numbered

    @property
    def silence(self) -> float:
        """Seconds that the host has not answered for; 0 when it does."""
        return 0.0 if self._collector.trouble is None else self._now() - self._answered

    async def after(self, number: int) -> Numbered:
        """The latest snapshot, as soon as it is not the one of that number."""
        while (found := self.numbered).number == number:
            await self._came.wait()
        return found

    async def follow(self) -> None:
        """See every snapshot as it comes, for ever."""
        async for _ in self._collector:
            self.numbered  # noqa: B018  it is told of by being looked at
            if self._collector.trouble is None:
                self._answered = self._now()

    def _make(self, number: int) -> Numbered:
        collector = self._collector
        return Numbered(number, collector.latest, collector.previous, self._host())

    def _host(self) -> dict[str, Any]:
        """The host's URI and name, how many domains there are, how many of each status, what collecting costs."""
        collector, now = self._collector, self._now()
        counts = np.bincount(collector.latest.sampling.status, minlength=len(Status)).tolist()
        host: dict[str, Any] = {"uri": collector.uri, "domains": sum(counts) - counts[Status.GONE]}
        if not collector.uri.startswith("sim:"):  # all others are this machine's
            host["hostname"] = socket.gethostname()
        host |= {status.label: counts[status] for status in Status}
        began, used = self._cpu
        cpu = collector.cost.cpu_seconds
        if now > began:
            host["cpu_seconds_per_second"] = round((cpu - used) / (now - began), 4)
            self._cpu = (now, cpu)
        host |= {"sweep_seconds": round(collector.cost.sweep_seconds, 3), "period": collector.plan.period}
        host["guests_period"] = round(collector.guests_period, 3)
        if collector.trouble is not None:
            host["trouble"] = str(collector.trouble)
        return host
