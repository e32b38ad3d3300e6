"""What collecting costs: calls, bytes and seconds, by group and by guest, and the process's own time and memory."""

from __future__ import annotations

import resource
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from domstats.catalog.groups import GROUPS
from domstats.model.domain import Domain

KIB = 1024


@dataclass
class Cost:
    """Counters since the beginning; seconds are those between asking and the answer."""

    calls: int = 0
    bytes: int = 0
    """Of replies."""
    seconds: float = 0.0
    seconds_by_group: dict[str, float] = field(default_factory=dict)
    """A call's seconds count in equal parts for the groups it asked."""
    seconds_by_domain: dict[str, float] = field(default_factory=dict)
    """By UUID; a call's seconds count in equal parts for the domains it asked."""
    sweeps: int = 0
    """Over all guests, for the groups that need them."""
    sweep_seconds: float = 0.0
    """In which calls of the last sweep were under way."""
    hung_calls: int = 0
    """Calls whose answer is late, now."""
    hung_total: int = 0
    reconnects: int = 0
    kernel_polls: int = 0
    """Of the host's kernel, beside libvirt."""
    kernel_seconds: float = 0.0
    """That these took; they are not among `seconds`."""

    def add_call(
        self, groups: int, domains: Sequence[Domain], seconds: float, size: int, kept: Container[str] | None = None
    ) -> None:
        """A call for these groups (bits) of these domains has been answered.

        `kept`: the UUIDs of those whose part is kept, of all if None.
        """
        self.calls += 1
        self.bytes += size
        self.seconds += seconds
        names = [group.name for group in GROUPS if groups >> group.bit & 1 or not groups]
        for name in names:
            self.seconds_by_group[name] = self.seconds_by_group.get(name, 0.0) + seconds / len(names)
        for domain in domains if kept is None else [each for each in domains if each.uuid in kept]:
            spent = self.seconds_by_domain.get(domain.uuid, 0.0)
            self.seconds_by_domain[domain.uuid] = spent + seconds / len(domains)

    def add_sweep(self, seconds: float) -> None:
        """A sweep is over; so long were calls of it under way."""
        self.sweeps += 1
        self.sweep_seconds = seconds

    def add_kernel_poll(self, seconds: float) -> None:
        """The kernel has been asked for what it says of the guests."""
        self.kernel_polls += 1
        self.kernel_seconds += seconds

    def forget(self, uuid: str) -> None:
        """A domain is gone."""
        self.seconds_by_domain.pop(uuid, None)

    def keep_only(self, uuids: set[str]) -> None:
        """There are these domains, and no others."""
        for uuid in self.seconds_by_domain.keys() - uuids:
            del self.seconds_by_domain[uuid]

    def keep_at_most(self, count: int) -> None:
        """Forget all domains if there are more; their seconds begin anew."""
        if len(self.seconds_by_domain) > count:
            self.seconds_by_domain.clear()

    @property
    def cpu_seconds(self) -> float:
        """Processor time of this process so far."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    @property
    def memory_bytes(self) -> int:
        """Most memory this process has occupied so far."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB
