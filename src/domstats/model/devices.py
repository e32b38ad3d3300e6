"""Figures of single devices made from their statistics, defined once for every view: of a vCPU its share of a
processor, of a disk how long a request takes.

Each figure is an array with a place for each row of a table of devices, and a mask of where it is known.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from domstats.model.derived import NS_PER_PERCENT, Figure, rates_of
from domstats.model.rates import Rates
from domstats.model.snapshot import Snapshot


class DeviceFigures:
    """The derived figures of every row of a table; what its devices do not count is nowhere known."""

    def __init__(self, snapshot: Snapshot, table: str, rates: Rates | None = None) -> None:
        """`table`: one of model.tables.TABLES; `rates`: those of this snapshot since an earlier one."""
        self._snapshot, self._rates = snapshot, rates
        self._table = snapshot.table(table)

    @cached_property
    def cpu_percent(self) -> Figure:
        """Time the vCPU ran, in percent of one CPU."""
        return self._percent("time")

    @cached_property
    def steal_percent(self) -> Figure:
        """Time the vCPU was ready but waited for a processor, in percent."""
        return self._percent("delay")

    @cached_property
    def wait_percent(self) -> Figure:
        """Time the vCPU waited although it could run, in percent, as the scheduler's statistics have it."""
        return self._percent("wait")

    @cached_property
    def read_time(self) -> Figure:
        """Nanoseconds a read request took, on average; known where there were any."""
        return self._per_request("rd")

    @cached_property
    def write_time(self) -> Figure:
        """Nanoseconds a write request took, on average; known where there were any."""
        return self._per_request("wr")

    @cached_property
    def flush_time(self) -> Figure:
        """Nanoseconds a flush request took, on average; known where there were any."""
        return self._per_request("fl")

    def _percent(self, column: str) -> Figure:
        rate, known = self._rate(column)
        return rate / NS_PER_PERCENT, known

    def _per_request(self, operation: str) -> Figure:
        """Of the requests between the two snapshots. Both counters grow when a request ends, so it is their ratio."""
        time, timed = self._rate(f"{operation}.times")
        requests, counted = self._rate(f"{operation}.reqs")
        known = timed & counted & (requests > 0)
        return time / np.where(known, requests, 1), known

    def _rate(self, column: str) -> Figure:
        if self._rates is None or column not in self._table:
            return np.zeros(len(self._table)), np.zeros(len(self._table), np.bool_)
        return rates_of(self._rates, self._table.gather(column))
