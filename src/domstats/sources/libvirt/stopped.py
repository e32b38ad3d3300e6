"""StoppedGuests: who of a host's guests is stopped, as /proc shows it, never waited for longer than one wants to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from domstats.sources.processes import Processes
from domstats.sources.worker import Worker


class StoppedGuests:
    """Looks at processes in a thread: the command line of one that hangs in a page fault keeps its reader waiting.

    While a look hangs no other is begun, and nobody is known to be stopped.
    """

    def __init__(self, processes: Processes | None = None) -> None:
        """`processes`: those of this host if None; nobody else may look at them."""
        self._processes = processes or Processes()
        self._worker = Worker("domstats-processes")
        self._late = False
        """Whether the last look is one that nobody waits for any more."""

    async def all(self, seconds: float) -> set[str]:
        """UUIDs of the guests whose QEMU is stopped; of nobody if the look takes longer than that."""
        return await self._look(self._processes.stopped_guests, seconds)

    async def among(self, uuids: list[str], seconds: float) -> set[str]:
        """Those of these guests, of whom `all` has found the processes; nobody if the look takes longer than that."""
        return await self._look(lambda: self._processes.stopped_among(uuids), seconds)

    async def _look(self, work: Callable[[], set[str]], seconds: float) -> set[str]:
        if self._late and self._worker.busy:
            return set()
        late = True
        try:
            async with asyncio.timeout(seconds):
                found = await self._worker.do(work)
            late = False
        except TimeoutError:
            return set()
        finally:
            self._late = late
        return found
