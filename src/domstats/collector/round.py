"""A round: a row for every domain first, then what needs the guests, in parallel, with nobody waited for too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from domstats.catalog.groups import GROUP_NAMES, GROUPS
from domstats.collector.board import FREE, MONITOR, Board
from domstats.collector.completeness import DOMAINS_MAX, half_groups
from domstats.collector.lanes import HungCall
from domstats.collector.reach import Reach
from domstats.collector.sweep import (
    FOR_EVER,
    LATE,
    OF_THE_QUESTION,
    UNREACHED,
    Answer,
    Asking,
    Slice,
    Sweep,
    late_after,
)
from domstats.errors import DomstatsError, ProtocolError, RemoteError
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter, StatsGroup
from domstats.model.layout import Shape
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.sources import Source

EVERY_BIT = 0xFFFFFFFF
"""Groups libvirt has not got are left out without a word, so this asks for those of later releases, too."""
KNOWN = (1 << len(GROUPS)) - 1
HOW = DomainFilter.NOWAIT | DomainFilter.BACKING | DomainFilter.ENFORCE
"""The flags that say how to ask; the others choose domains, which is over once there is a row for each."""

ALWAYS_THERE = (GROUP_NAMES.index("balloon"), GROUP_NAMES.index("vcpu"))
"""Groups of which libvirt says something of every domain, without asking the guest."""

MERGING, MERGING_MAX = 0.05, 0.25
"""Part of the time, and seconds at most, that are kept for making a snapshot of what has come."""

NEWCOMERS_MAX = 10.0
"""Seconds that asking those may take who came between two sweeps."""

Progress = Callable[[int, int], None]
"""Told of how many domains the sweep has heard, and of how many it asks."""


class RollCall:
    """The call for all domains: who is there, with the groups that need no guest."""

    def __init__(self, reach: Reach, board: Board, groups: int, flags: DomainFilter) -> None:
        """`groups`: bits of FREE, or none."""
        self.host_cpus: int | None = None
        self._reach, self._board, self._groups, self._flags = reach, board, groups, flags

    async def ask(self, domains: Sequence[Domain], seconds: float) -> None:
        """Learn which domains there are; `domains`: only these, all if empty.

        Raises DeadlineExceeded, ConnectError and its kinds, ConnectionLost, or what libvirt reports.
        """
        reach = self._reach
        now = asyncio.get_running_loop().time
        began = now()
        source = await reach.main(seconds)
        received, asked = source.received, now()
        bits = self._groups or StatsGroup.STATE  # something has to be asked for, to see who is there
        snapshot = await source.stats(domains, bits, self._flags, max(0.0, seconds - (asked - began)))
        took, size = now() - asked, source.received - received
        self.host_cpus = snapshot.host_cpus
        there = snapshot.domains
        uuids = {domain.uuid for domain in there}
        for uuid in self._board.see_all(snapshot, self._groups, asked):
            # Who is not there may only not have passed a filter. A call that hangs on an earlier run ends with it.
            if uuid in uuids and not reach.breaker.held_by_us(uuid):
                reach.breaker.reset(uuid)
            reach.slicer.forget(uuid)
            reach.cost.forget(uuid)
        reach.cost.add_call(bits, there, took, size, kept=self._board.rows)
        if not domains and not self._flags & ~HOW:
            # Of all there are: who is not among them is gone, also those that only another board had.
            for memory in (reach.breaker, reach.slicer, reach.completeness, reach.cost):
                memory.keep_only(uuids)
        else:  # who is gone is told by nobody
            for memory in (reach.breaker, reach.slicer, reach.cost):
                memory.keep_at_most(DOMAINS_MAX)


class GuestCall:
    """The calls for the groups that need the guests."""

    def __init__(self, reach: Reach, board: Board, groups: int, flags: DomainFilter) -> None:
        """`groups`: bits, of any groups but those of FREE."""
        self._reach, self._board, self._groups, self._flags = reach, board, groups, flags & HOW
        # Of the board's groups; that of keys whose prefix is not known comes with those that are not known.
        self.mask = groups & MONITOR & KNOWN | (MONITOR & ~KNOWN if groups & ~KNOWN else 0)
        self.heard = self.asked = 0
        """Of this sweep, or the last: how many domains have been heard, of how many."""
        self.cost = 0.0
        """Seconds of libvirtd's time that the last sweep took."""
        self._busy = 0.0
        self.swept = False
        """Whether a sweep is over."""
        self._asked_newcomers: set[str] = set()
        """UUIDs of the newcomers that are being asked."""
        self._failing: set[tuple[str, int | None]] = set()
        """UUIDs and ids of those of whom libvirt reported an error when they were asked last: they are no newcomers."""
        self._stuck: set[str] = set()
        """UUIDs of those who are stuck though they were answered for."""
        self._progress: Progress | None = None
        slow = reach.slicer.too_slow
        self._asking = Asking(
            self._ask, self._occupied, self._answered, self._failed, self._able, self._hung, slow, self._trusted
        )

    async def sweep(self, seconds: float, *, spread: float = 0.0, progress: Progress | None = None) -> None:
        """Ask every guest that seems able to answer, for at most so many seconds.

        `spread`: seconds over which to begin the calls. Raises what libvirt reports of the question itself.
        """
        reach, now = self._reach, asyncio.get_running_loop().time
        began, late = now(), late_after(seconds)
        stopped = await reach.stopped(late)
        rows = self._board.rows
        self._stuck &= rows.keys()
        self._failing &= {(uuid, row.domain.id) for uuid, row in rows.items()}
        reach.breaker.stopped({uuid for uuid in stopped if uuid in rows}, now())
        self._block()
        there = [row.domain for row in rows.values() if not row.gone]
        looks = await self._looks(there, late)
        slices = self._slices([domain for domain in there if domain.uuid not in reach.breaker])
        self._progress, self.heard, self.asked = progress, 0, sum(len(each.domains) for each in looks + slices)
        self._busy = 0.0
        self._tell(0)
        sweep = Sweep(reach.lanes, self._asking)
        try:
            await sweep.run(slices, seconds - (now() - began), spread=spread, looks=looks)
        finally:
            self.swept = True
            self._block()
            # Calls side by side share its processors; calls that were apart had them for themselves.
            self.cost = min(sweep.seconds, self._busy / min(reach.lanes.width, reach.cpus or 1))
            reach.cost.add_sweep(sweep.seconds)

    @property
    def newcomers(self) -> list[Domain]:
        """Those who came when the first sweep was over, and have not been asked yet."""
        if not self.swept:
            return []
        return [
            row.domain
            for uuid, row in self._board.rows.items()
            if not row.has(self.mask)
            and not row.gone
            and uuid not in self._reach.breaker
            and uuid not in self._asked_newcomers
            and (uuid, row.domain.id) not in self._failing
        ]

    async def ask_newcomers(self) -> None:
        """Ask these, and nobody else."""
        chosen = self.newcomers
        self._asked_newcomers.update(domain.uuid for domain in chosen)
        try:
            await self._ask_some(chosen)
        finally:
            self._asked_newcomers.difference_update(domain.uuid for domain in chosen)

    async def ask_old(self, since: npt.NDArray[np.float64]) -> None:
        """Ask those guests, but for stuck ones, of which a group's last sample is from before its time.

        `since`: of the source's clock, by the index into GROUP_NAMES.
        """
        breaker, offset = self._reach.breaker, self._reach.offset()
        chosen = [
            row.domain
            for uuid, row in self._board.rows.items()
            if not row.gone and uuid not in breaker and not row.sampled_since(self.mask, since, offset)
        ]
        await self._ask_some(chosen)

    async def _ask_some(self, chosen: Sequence[Domain]) -> None:
        """Ask these between two sweeps. That libvirt reports an error of each of them says nothing of the host."""
        try:
            await Sweep(self._reach.lanes, self._asking).run(self._slices(chosen), NEWCOMERS_MAX)
        except OF_THE_QUESTION:
            raise
        except (RemoteError, ProtocolError):
            pass
        finally:
            self._block()

    def _slices(self, domains: Sequence[Domain]) -> list[Slice]:
        reach = self._reach
        cut = [list(domains)] if reach.instant else reach.slicer.slices(domains, reach.lanes.width)
        return [Slice(each) for each in cut if each]

    async def _looks(self, there: Sequence[Domain], seconds: float) -> list[Slice]:
        """Slices of one stuck guest each, of those it is time to look at, and of those of whom this board has nothing.

        Where somebody holds the guest's job, NOWAIT passes it. Where nobody does, control info says so, and then it
        seems to answer again. `seconds`: how long control info may take; where it does not say so, nobody is asked but
        those whose job our own call holds.
        """
        breaker, rows = self._reach.breaker, self._board.rows
        due = set(breaker.due(asyncio.get_running_loop().time()))
        # By another board's question our call hangs there; what NOWAIT gives this one has not got yet.
        due.update(uuid for uuid, row in rows.items() if breaker.held_by_us(uuid) and not row.has_some(self.mask))
        looked = [domain for domain in there if domain.uuid in due]
        held = {domain.uuid for domain in looked if breaker.held_by_us(domain.uuid)}
        unheld = [domain for domain in looked if domain.uuid not in held]
        try:
            async with asyncio.timeout(seconds):
                held |= {domain.uuid for domain in await self._occupied(unheld, LATE)}
        except (*UNREACHED, TimeoutError):
            looked = [domain for domain in looked if domain.uuid in held]
        return [Slice([domain], nowait=domain.uuid in held) for domain in looked]

    async def _ask(self, source: Source, chosen: Slice) -> Snapshot:
        how = self._flags | DomainFilter.NOWAIT if chosen.nowait else self._flags
        snapshot = await source.stats(chosen.domains, self._groups, how, FOR_EVER)
        await self._see_who_is_stuck(snapshot)
        return snapshot

    async def _see_who_is_stuck(self, snapshot: Snapshot) -> None:
        """A server of domstats answers for a guest that is stuck at once, with what it knows: control info tells."""
        records = [record for record in snapshot.layout.records if record.domain.id is not None]
        doubtful = [record.domain for record in records if half_groups(record.shape) or self._lacks(record.shape)]
        stuck: list[Domain] = []
        if doubtful:
            with suppress(*UNREACHED):
                stuck = await self._occupied(doubtful, LATE)
        for domain in stuck:
            self._reach.breaker.trip(domain.uuid, asyncio.get_running_loop().time(), held_by_us=False)
        self._stuck.difference_update(record.domain.uuid for record in records)
        self._stuck.update(domain.uuid for domain in stuck)

    def _lacks(self, shape: Shape) -> bool:
        """Whether a group was asked for that every guest has, and nothing of it is there."""
        wanted = [group for group in ALWAYS_THERE if self._groups >> group & 1]
        return not all(group in shape.groups for group in wanted)

    async def _occupied(self, domains: Sequence[Domain], seconds: float) -> list[Domain]:
        return await (await self._reach.main(LATE)).occupied(domains, seconds)

    def _answered(self, answer: Answer) -> None:
        reach, asked = self._reach, answer.slice.domains
        if not answer.slice.nowait:
            reach.slicer.learn(asked, answer.seconds, answer.size)
        reach.cost.add_call(self._groups, asked, answer.seconds, answer.size)
        self._busy += answer.seconds
        if answer.slice.nowait:  # somebody holds the guest's job, so what needs it is not there
            status = np.full(len(answer.snapshot), Status.PARTIAL, np.uint8)
        else:
            status = reach.completeness.judge(answer.snapshot, self._groups, self._flags, answer.seconds)
        self._failing.difference_update((domain.uuid, domain.id) for domain in asked)
        for position, domain in enumerate(answer.snapshot.domains):
            if domain.uuid in self._stuck:
                status[position] = Status.PARTIAL
        for uuid in self._board.see(answer.snapshot, status, self.mask, answer.began):
            reach.breaker.reset(uuid)
        self._tell(len(asked))

    def _failed(self, domains: Sequence[Domain], _error: DomstatsError) -> None:
        self._failing.update((domain.uuid, domain.id) for domain in domains)
        self._board.fail(domain.uuid for domain in domains)
        self._tell(len(domains))

    async def _able(self, domains: Sequence[Domain], seconds: float) -> list[Domain]:
        breaker, stopped = self._reach.breaker, await self._reach.stopped_among(domains, seconds)
        for uuid in stopped:
            breaker.trip(uuid, asyncio.get_running_loop().time(), held_by_us=False)
        return [domain for domain in domains if domain.uuid not in stopped and not breaker.held_by_us(domain.uuid)]

    def _hung(self, call: HungCall) -> None:
        self._reach.hung(call)
        self._block()

    def _trusted(self, domain: Domain) -> bool:
        row = self._board.rows.get(domain.uuid)
        known = row is not None and row.has(self.mask) and not row.partial
        return known and domain.uuid not in self._reach.breaker

    def _block(self) -> None:
        breaker = self._reach.breaker
        self._board.block(uuid for uuid in self._board.rows if uuid in breaker)

    def _tell(self, heard: int) -> None:
        self.heard = min(self.heard + heard, self.asked)
        if self._progress is not None:
            self._progress(self.heard, self.asked)


class Question:
    """Some groups of the domains of a host, asked for again and again; what is known stays on a board."""

    def __init__(self, reach: Reach, groups: int, flags: DomainFilter) -> None:
        """`groups`: bits of StatsGroup; 0 for all."""
        self._reach, self._board = reach, Board()
        free = groups & FREE if groups else FREE
        monitor = groups & ~FREE if groups else EVERY_BIT & ~FREE
        # Without groups nothing is asked for by name, so there is nothing to insist on; and whether a group can be had
        # is for the guests' groups to say, if there are any.
        flags = flags if groups else flags & ~DomainFilter.ENFORCE
        self._roll = RollCall(reach, self._board, free, flags & ~DomainFilter.ENFORCE if not free else flags)
        self._guests = GuestCall(reach, self._board, monitor, flags) if monitor else None
        self._asked = (free | monitor) & KNOWN

    async def ask(
        self, domains: Sequence[Domain], seconds: float, *, keep: bool = True, progress: Progress | None = None
    ) -> Snapshot:
        """All that can be had within so many seconds; `domains`: only of these, of all if empty.

        `keep`: whether groups that did not come this time are there with their last values.

        Raises DeadlineExceeded when it is not even known who is there; ConnectError and its kinds, ConnectionLost, or
        what libvirt reports of the question itself.
        """
        now = asyncio.get_running_loop().time
        began = now()
        await self._roll.ask(domains, seconds)
        if self._guests is not None:
            left = seconds - (now() - began) - min(MERGING_MAX, MERGING * seconds)
            await self._guests.sweep(left, progress=progress)
        if self._reach.overlay is not None:
            await self._reach.overlay.lay_over(self._board, self._asked, max(0.0, seconds - (now() - began)))
        cpus, offset = self._roll.host_cpus, self._reach.offset()
        return self._board.answer(self._reach.clock(), self._asked, began, cpus, offset, keep=keep)
