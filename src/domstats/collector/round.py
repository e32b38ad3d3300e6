"""A round: a row for every domain first, then what needs the guests, in parallel, with nobody waited for too long."""

from __future__ import annotations

import time
from collections.abc import Sequence

from domstats.catalog.groups import GROUPS
from domstats.collector.board import FREE, Board
from domstats.collector.reach import Reach
from domstats.collector.sweep import FOR_EVER, Answer, Asking, Sweep
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter, StatsGroup
from domstats.model.snapshot import Snapshot
from domstats.sources import Source

EVERY_BIT = 0xFFFFFFFF
"""Groups libvirt has not got are left out without a word, so this asks for those of later releases, too."""
KNOWN = (1 << len(GROUPS)) - 1
HOW = DomainFilter.NOWAIT | DomainFilter.BACKING | DomainFilter.ENFORCE
"""The flags that say how to ask; the others choose domains, which is over once there is a row for each."""


class Question:
    """Some groups of the domains of a host, and the board of what is known of them."""

    def __init__(self, reach: Reach, board: Board, groups: int, flags: DomainFilter) -> None:
        """`groups`: bits of StatsGroup; 0 for all."""
        self.board = board
        self.host_cpus: int | None = None
        self._reach = reach
        self._free = groups & FREE if groups else FREE
        self._monitor = groups & ~FREE if groups else EVERY_BIT & ~FREE
        # Without groups nothing is asked for by name, so there is nothing to insist on.
        self._flags = flags if groups else flags & ~DomainFilter.ENFORCE

    async def refresh(self, domains: Sequence[Domain], seconds: float) -> None:
        """Learn which domains there are, with the groups that need no guest; `domains`: only these, all if empty.

        Raises DeadlineExceeded, ConnectError and its kinds, ConnectionLost, or what libvirt reports.
        """
        reach = self._reach
        source = await reach.main()
        received, began = source.received, time.monotonic()
        bits = self._free or StatsGroup.STATE  # something has to be asked for, to see who is there
        # Whether a group can be had is for the guests' groups to say, if there are any.
        flags = self._flags & ~DomainFilter.ENFORCE if not self._free else self._flags
        snapshot = await source.stats(domains, bits, flags, seconds)
        reach.cost.add_call(bits, snapshot.domains, time.monotonic() - began, source.received - received)
        self.host_cpus = snapshot.host_cpus
        for uuid in self.board.see_all(snapshot, self._free):
            reach.breaker.reset(uuid)
            reach.slicer.forget(uuid)
            reach.cost.forget(uuid)

    async def sweep(self, seconds: float, *, spread: float = 0.0) -> None:
        """Ask every guest that seems able to answer for the groups that need it, for at most so many seconds.

        `spread`: seconds over which to begin the calls. Raises what libvirt reports of the question itself.
        """
        if not self._monitor:
            return
        breaker, rows = self._reach.breaker, self.board.rows
        now = time.monotonic()
        stopped = self._reach.stopped()
        for uuid in stopped & rows.keys():
            breaker.trip(uuid, now, held_by_us=False)
        due = {uuid for uuid in breaker.due(now) if uuid not in stopped and not breaker.held_by_us(uuid)}
        there = [row.domain for row in rows.values() if not row.gone]
        healthy = [domain for domain in there if domain.uuid not in breaker]
        slices = self._reach.slicer.slices(healthy, self._reach.lanes.width)
        slices += [[domain] for domain in there if domain.uuid in due]
        asking = Asking(self._ask, self._occupied, self._answered, self._reach.hung, self._trusted)
        try:
            await Sweep(self._reach.lanes, asking).run(slices, seconds, spread=spread)
        finally:
            self.board.block(uuid for uuid in rows if uuid in breaker)

    def snapshot(self, at: float, fresh_for: float) -> Snapshot:
        """All that is known, as of this time (seconds since the epoch); see Board.snapshot."""
        return self.board.snapshot(at, (self._free | self._monitor) & KNOWN, fresh_for, self.host_cpus)

    async def _ask(self, source: Source, domains: Sequence[Domain]) -> Snapshot:
        return await source.stats(domains, self._monitor, self._flags & HOW, FOR_EVER)

    async def _occupied(self, domains: Sequence[Domain], seconds: float) -> list[Domain]:
        return await (await self._reach.main()).occupied(domains, seconds)

    def _answered(self, answer: Answer) -> None:
        reach = self._reach
        reach.slicer.learn(answer.asked, answer.seconds, answer.size)
        reach.cost.add_call(self._monitor, answer.asked, answer.seconds, answer.size)
        status = reach.completeness.judge(answer.snapshot, self._monitor, self._flags, answer.seconds)
        for uuid in self.board.see(answer.snapshot, status):
            reach.breaker.reset(uuid)

    def _trusted(self, domain: Domain) -> bool:
        row = self.board.rows.get(domain.uuid)
        known = row is not None and row.monitor is not None and not row.partial
        return known and domain.uuid not in self._reach.breaker
