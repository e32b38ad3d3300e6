"""A history that follows a collector, and the two as a part of a server."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from domstats.collector.collector import Collector
from domstats.collector.plan import Plan, by_group
from domstats.collector.tasks import Tasks
from domstats.serve.history.fields import DEFAULT_FIELDS
from domstats.serve.history.history import BYTES, History


def periods(plan: Plan) -> npt.NDArray[np.float64]:
    """Seconds between two samples, for each of model.sampling.COLUMN_NAMES."""
    of_groups = by_group(plan.free.period, {pace.groups: pace.period for pace in plan.guests})
    return np.concatenate((of_groups, np.full(len(of_groups), plan.kernel)))


def history_of(collector: Collector, fields: Iterable[str] = DEFAULT_FIELDS, *, history_bytes: int = BYTES) -> History:
    """An empty history of what this collector samples. Raises UnknownColumn, UsageError."""
    return History(fields, history_bytes=history_bytes, periods=periods(collector.plan))


class Following:
    """A Part (see serve.life) that has a history follow a collector."""

    def __init__(self, history: History, collector: Collector) -> None:
        self.history, self._collector = history, collector
        self.work = Tasks()

    async def start(self) -> None:
        """Begin with what is known now."""
        self.work.begin(self._follow())

    async def stop(self) -> None:
        """Take in no more."""
        await self.work.stop()

    async def _follow(self) -> None:
        async for snapshot in self._collector:
            self.history.add(snapshot)
