"""A history that follows a collector: a part of a server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from domstats.collector.collector import Collector
from domstats.collector.plan import Plan, by_group
from domstats.serve.history.fields import DEFAULT_FIELDS
from domstats.serve.history.history import BYTES, History


def periods(plan: Plan) -> npt.NDArray[np.float64]:
    """Seconds between two samples, for each of GROUP_NAMES."""
    return by_group(plan.free.period, {pace.groups: pace.period for pace in plan.guests})


class Following:
    """Takes in every snapshot of a collector."""

    def __init__(
        self,
        collector: Collector,
        fields: Iterable[str] = DEFAULT_FIELDS,
        *,
        history_bytes: int = BYTES,
        history: History | None = None,
    ) -> None:
        """`history`: one that goes on, instead of a new one. Raises UnknownColumn, UsageError."""
        self._collector = collector
        self.history = history or History(fields, history_bytes=history_bytes, periods=periods(collector.plan))
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with what is known now."""
        self._task = asyncio.create_task(self.run())

    async def stop(self) -> None:
        """Take in no more. Raises what ended it before."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def run(self) -> None:
        """Take in snapshots until the collector is closed."""
        async for snapshot in self._collector:
            self.history.add(snapshot)
