"""Figures made from statistics, defined once for every view: processor use, steal, memory, disk and network totals.

Each figure is an array with a place for each domain, and a mask of where it is known. What needs two snapshots (rates)
is nowhere known without an earlier one.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from domstats.catalog.groups import GROUP_NAMES
from domstats.errors import MixedTypes, UnknownField
from domstats.model.columns import Gather
from domstats.model.rates import Rates
from domstats.model.snapshot import Snapshot

Known = npt.NDArray[np.bool_]
Figure = tuple[npt.NDArray[np.float64], Known]

NS_PER_PERCENT = 1e9 / 100
KIB = 1024

GUEST_AGE = 300.0
"""Seconds after which what the guest said of its memory is not what it uses now. Its driver is asked every few seconds
where it is asked at all: every 10 by default in OpenStack (mem_stats_period_seconds of Nova)."""
GUEST, RSS, NOTHING = "guest", "rss", ""
"""Where a memory figure comes from: the guest's balloon driver, the resident set of its QEMU, nowhere."""


_BALLOON = GROUP_NAMES.index("balloon")


class Figures:
    """The derived figures of every domain of a snapshot."""

    def __init__(self, snapshot: Snapshot, rates: Rates | None = None) -> None:
        """`rates`: those of this snapshot since an earlier one."""
        self._snapshot, self._rates = snapshot, rates

    @cached_property
    def cpu_percent(self) -> Figure:
        """Processor time of the domain, its emulator included, in percent of one CPU: 200 is two CPUs busy."""
        rate, known = self._rate("cpu.time")
        return rate / NS_PER_PERCENT, known

    @cached_property
    def cpu_guest_percent(self) -> Figure:
        """Processor time of the domain's vCPUs in percent of all its online vCPUs."""
        return self._share_of_vcpus("time")

    @cached_property
    def cpu_host_percent(self) -> Figure:
        """Processor time of the domain in percent of all processors of the host."""
        percent, known = self.cpu_percent
        cpus = self._snapshot.host_cpus
        return (percent / cpus, known) if cpus else (percent, np.zeros_like(known))

    @cached_property
    def steal_percent(self) -> Figure:
        """Time the domain's vCPUs were ready but waited for a processor, in percent of all its online vCPUs."""
        return self._share_of_vcpus("delay")

    @cached_property
    def memory_total(self) -> Figure:
        """Bytes of memory the domain has: what the guest sees or, where it says nothing, its balloon's size."""
        available, there = self._number("balloon.available")
        current, known = self._number("balloon.current")
        return np.where(self._guest_reports & there, available, current) * KIB, known | (self._guest_reports & there)

    @cached_property
    def memory_used(self) -> Figure:
        """Bytes of memory in use: the guest's own figure or, where it has none, what its QEMU occupies on the host."""
        guest, known = self._memory_by_guest
        rss, there = self._number("balloon.rss")
        return np.where(known, guest, rss) * KIB, known | there

    @cached_property
    def memory_source(self) -> list[str]:
        """Where memory_used comes from: `guest`, `rss`, or nothing where it is not known."""
        known, there = self._memory_by_guest[1].tolist(), self._number("balloon.rss")[1].tolist()
        return [GUEST if a else RSS if b else NOTHING for a, b in zip(known, there, strict=True)]

    @cached_property
    def balloon_off(self) -> Known:
        """Where the guest's memory statistics are switched off, or its driver never answered."""
        update, there = self._number("balloon.last-update")
        return np.asarray(there & (update == 0))

    @cached_property
    def balloon_old(self) -> Known:
        """Where the guest's driver answered once, but not in the last GUEST_AGE before the sample."""
        update, there = self._number("balloon.last-update")
        sampled = self._snapshot.sampling.times[:, _BALLOON]
        return np.asarray(there & (update > 0) & (sampled - update > GUEST_AGE))

    @cached_property
    def disk_read(self) -> Figure:
        """Bytes per second the guest reads from its disks."""
        return self._sum_of_rates("block", "rd.bytes")

    @cached_property
    def disk_write(self) -> Figure:
        """Bytes per second the guest writes to its disks."""
        return self._sum_of_rates("block", "wr.bytes")

    @cached_property
    def disk_reads(self) -> Figure:
        """Read requests per second to the guest's disks."""
        return self._sum_of_rates("block", "rd.reqs")

    @cached_property
    def disk_writes(self) -> Figure:
        """Write requests per second to the guest's disks."""
        return self._sum_of_rates("block", "wr.reqs")

    @cached_property
    def net_receive(self) -> Figure:
        """Bytes per second the guest receives."""
        return self._sum_of_rates("interface", "rx.bytes")

    @cached_property
    def net_transmit(self) -> Figure:
        """Bytes per second the guest sends."""
        return self._sum_of_rates("interface", "tx.bytes")

    @cached_property
    def age(self) -> Figure:
        """Seconds since the oldest of a record's groups was sampled.

        Not known for a record without values, nor for one with a sample from before the clock was set back.
        """
        ages, known = self._nowhere()
        ahead = self._snapshot.sampling.ahead(self._snapshot.time)
        for shape, positions in self._snapshot.layout.by_shape():
            columns = sorted(set(shape.columns))
            times = self._snapshot.sampling.times[positions][:, columns]
            oldest = np.min(times, axis=1, initial=np.inf, where=~np.isnan(times))
            known[positions] = (oldest < np.inf) & ~ahead[positions][:, columns].any(axis=1)
            ages[positions] = self._snapshot.time - oldest
        return ages, known

    @cached_property
    def _guest_reports(self) -> Known:
        update, there = self._number("balloon.last-update")
        return np.asarray(there & (update > 0) & ~self.balloon_old)

    @cached_property
    def _memory_by_guest(self) -> Figure:
        """KiB in use as the guest counts: its total less what it could give away or, from old drivers, what is free."""
        total, has_total = self._number("balloon.available")
        usable, has_usable = self._number("balloon.usable")
        unused, has_unused = self._number("balloon.unused")
        free = np.where(has_usable, usable, unused)
        known = self._guest_reports & has_total & (has_usable | has_unused) & (free <= total)
        return total - free, known

    def _nowhere(self) -> Figure:
        return np.zeros(len(self._snapshot)), np.zeros(len(self._snapshot), np.bool_)

    def _number(self, key: str) -> Figure:
        """A gauge of every domain. Figures are for people, and a float holds KiB and counts exactly up to 2^53."""
        try:
            values, valid = self._snapshot.column(key)
        except (UnknownField, MixedTypes):
            return self._nowhere()
        return (values.astype(np.float64), valid) if values.dtype != np.object_ else self._nowhere()

    def _rate(self, key: str) -> Figure:
        if self._rates is None:
            return self._nowhere()
        try:
            rate, known = rates_of(self._rates, self._snapshot.gather(key))
        except UnknownField:
            return self._nowhere()
        return rate, known

    def _share_of_vcpus(self, column: str) -> Figure:
        """A time of the vCPUs, in percent of all that are online."""
        rate, known = self._sum_of_rates("vcpu", column)
        vcpus, there = self._number("vcpu.current")
        known = known & there & (vcpus > 0)
        return rate / NS_PER_PERCENT / np.where(known, vcpus, 1), known

    def _sum_of_rates(self, table: str, column: str) -> Figure:
        """The sum over a domain's devices; known where the rate of every device that has the counter is known."""
        devices = self._snapshot.table(table)
        if self._rates is None or column not in devices:
            return self._nowhere()
        gather = devices.gather(column)
        rate, known = rates_of(self._rates, gather)
        count = len(self._snapshot)
        asked = np.bincount(gather.records, weights=gather.valid, minlength=count)
        found = np.bincount(gather.records, weights=known, minlength=count)
        total = np.asarray(np.bincount(gather.records, weights=rate, minlength=count), np.float64)
        return total, (asked > 0) & (asked == found)


def rates_of(rates: Rates, gather: Gather) -> Figure:
    """The rates of a column, 0 where there is none, and where there are any."""
    values, known = rates.read(gather.index, gather.valid)
    return np.where(known, values, 0.0), known
