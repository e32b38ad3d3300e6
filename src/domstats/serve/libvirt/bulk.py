"""The bulk statistics: which records and groups of a snapshot a call chooses, and its reply, encoded once for all.

A reply lives as long as its snapshot; what it is put together with, as long as it is asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from domstats.catalog.groups import GROUP_NAMES, GROUPS, OTHER
from domstats.collector.collector import Collector
from domstats.errors import RPC_ERROR, TOO_LARGE_TEXT, DomstatsError, LimitExceeded, RemoteError, StatsUnsupported
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter, StatsGroup
from domstats.model.layout import Shape
from domstats.model.merge import ALL_GROUPS, Merger, Part
from domstats.model.record import Record
from domstats.model.sampling import OVERLAID, Status
from domstats.model.snapshot import Snapshot
from domstats.serve.freshness import PATIENCE, Freshness
from domstats.serve.libvirt.behind import Behind
from domstats.serve.libvirt.lists import NOT_KNOWN_HERE, STATE_FLAGS, Roll, Rolls, check_flags, passes
from domstats.sources import Source
from domstats.wire.bulk.encoder import ReplyEncoder, encode_reply
from domstats.wire.failure import RPC_DOMAIN
from domstats.wire.limits import PARAM_MIN, RECORD_MIN, RECORDS_MAX
from domstats.wire.packet import PAYLOAD_MAX

_log = logging.getLogger(__name__)

_KNOWN = (1 << len(GROUPS)) - 1
_BLOCK = GROUP_NAMES.index("block")
_OTHER_BIT = 1 << GROUP_NAMES.index(OTHER)
"""Of the group of keys that a newer libvirt has brought."""
_FLAGS = sum(DomainFilter)
_FUNCTION = "qemuConnectGetAllDomainStats"
_KEPT_BYTES = 1 << 27
"""Bytes of replies that are kept for a snapshot."""
_SELECTIONS = 16
"""Those whose parts are kept; clients ask for a few, over and over."""
_MERGED_VALUES = 2_000_000
"""Values that these may have together, unless the newest alone has more."""
_UNUSED = 60
"""Snapshots after which a selection that nobody has asked for again is forgotten."""
_KNOWN_MAX = 256
"""Sets of groups of which it is remembered whether the host has them; clients ask for a few."""
_WANTED = 300.0
"""Seconds after which images that nobody has asked for again are not collected any more."""
_INTERNAL_ERROR = 1
"""Of virErrorNumber."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """What a call asks for, as far as its reply depends on it."""

    positions: tuple[int, ...] | None
    """Of the records, in the order of the reply; None for all that are there."""
    groups: int
    """Bits by index into COLUMN_NAMES."""
    backing: Snapshot | None
    """Where disks come from, with the images they are based on."""


@dataclass(slots=True, eq=False)
class _Selection:
    """How replies to one kind of question are made."""

    merger: Merger
    encode: Callable[[Snapshot, int], bytes]
    """As encode_reply."""
    used: int
    """The number of the snapshot for which it was used last."""


class Bulk:
    """Answers the calls for the statistics of many domains."""

    def __init__(self, collector: Collector, freshness: Freshness, behind: Behind, rolls: Rolls) -> None:
        self._freshness, self._behind, self._rolls = freshness, behind, rolls
        self._backing = BackingChains(collector)
        self._supported = SupportedGroups(collector)
        self._snapshot: Snapshot | None = None
        """The one whose replies are kept."""
        self._replies: dict[_Choice, bytes] = {}
        self._snapshots = 0
        """How many there have been."""
        self._whole = ReplyEncoder()
        """Of replies with everything there is, which need no selection."""
        self._selections: OrderedDict[object, _Selection] = OrderedDict()
        """By what they choose, the one last used last."""

    async def reply(self, domains: Sequence[Domain], stats: int, flags: int) -> bytes:
        """The body of the reply (virConnectGetAllDomainStats, virDomainListGetStats). Raises RemoteError."""
        check_flags(flags, _FLAGS, _FUNCTION)
        groups = _groups(stats)
        snapshot = await self._freshness.snapshot(groups | (StatsGroup.STATE if flags & STATE_FLAGS else 0))
        roll = self._rolls.of(snapshot)
        positions = await self._positions(snapshot, roll, domains, flags)
        if flags & DomainFilter.ENFORCE:
            await self._supported.check(snapshot, roll.positions if positions is None else positions, stats)
        backing = None
        if flags & DomainFilter.BACKING and groups & StatsGroup.BLOCK:
            backing = await self._backing.snapshot(float(self._freshness.ages[_BLOCK]))
        return self._encoded(snapshot, roll, _Choice(positions, groups, backing))

    async def aclose(self) -> None:
        """End what is under way; safe to call twice."""
        await self._backing.aclose()
        await self._supported.aclose()

    async def _positions(
        self, snapshot: Snapshot, roll: Roll, domains: Sequence[Domain], flags: int
    ) -> tuple[int, ...] | None:
        asked = roll.positions
        if domains:
            known = (roll.by_uuid.get(domain.uuid) for domain in domains)
            asked = [position for position in known if position is not None]
        elif not flags & (STATE_FLAGS | NOT_KNOWN_HERE):
            return None
        if flags & STATE_FLAGS:
            asked = await self._in_state(snapshot, asked, flags)
        if flags & NOT_KNOWN_HERE and flags & NOT_KNOWN_HERE != NOT_KNOWN_HERE:
            chosen = {domain.uuid for domain in await self._behind.domains(flags & NOT_KNOWN_HERE)}
            asked = [position for position in asked if snapshot.layout.records[position].domain.uuid in chosen]
        return tuple(asked)

    async def _in_state(self, snapshot: Snapshot, asked: Sequence[int], flags: int) -> list[int]:
        """Those of the positions whose records pass, by the state last known: a guest does not go when that is old."""
        known = await self._freshness.identities()
        passing = []
        for position in asked:
            there = known.layout.index.get(snapshot.layout.records[position].domain.uuid)
            if there is not None and passes(Record(known, there), flags):
                passing.append(position)
        return passing

    def _encoded(self, snapshot: Snapshot, roll: Roll, choice: _Choice) -> bytes:
        if self._snapshot is not snapshot:
            self._snapshot, self._replies = snapshot, {}
            self._snapshots += 1
            self._forget_selections()
        reply = self._replies.get(choice)
        if reply is None:
            reply = self._encode(snapshot, roll, choice)
            if sum(map(len, self._replies.values())) + len(reply) <= _KEPT_BYTES:
                self._replies[choice] = reply
        return reply

    def _encode(self, snapshot: Snapshot, roll: Roll, choice: _Choice) -> bytes:
        positions = roll.positions if choice.positions is None else choice.positions
        if len(positions) > RECORDS_MAX:
            text = f"internal error: {len(positions)} records, at most {RECORDS_MAX} fit into a reply"
            raise RemoteError(_INTERNAL_ERROR, RPC_DOMAIN, text)
        whole = choice.positions is None and len(positions) == len(snapshot)
        try:
            if whole and choice.groups == ALL_GROUPS and choice.backing is None:
                return self._whole.encode(snapshot, PAYLOAD_MAX)
            rows = [_parts(snapshot, position, choice) for position in positions]
            _check_size(rows)
            selection = self._selection(choice)
            domains = [snapshot.layout.records[position].domain for position in positions]
            layout, values = selection.merger.merge(domains, rows)
            self._forget_selections()
            chosen = Snapshot(layout, values, snapshot.time, snapshot.sampling, snapshot.host_cpus)
            return selection.encode(chosen, PAYLOAD_MAX)
        except LimitExceeded:
            raise RemoteError(RPC_ERROR, RPC_DOMAIN, TOO_LARGE_TEXT) from None

    def _selection(self, choice: _Choice) -> _Selection:
        """Calls for one domain after another are cheap to put together anew, and share one."""
        few = choice.positions is not None and len(choice.positions) <= 1
        key = (0, 0, False) if few else (choice.positions, choice.groups, choice.backing is not None)
        selection = self._selections.pop(key, None)
        if selection is None:
            selection = _Selection(Merger(), encode_reply if few else ReplyEncoder().encode, 0)
        selection.used = self._snapshots
        self._selections[key] = selection
        return selection

    def _forget_selections(self) -> None:
        """Those that nobody has used for long, and the oldest, where they are too many or too large together."""
        size = sum(each.merger.size for each in self._selections.values())
        for key, selection in list(self._selections.items()):
            too_much = len(self._selections) > _SELECTIONS or (size > _MERGED_VALUES and len(self._selections) > 1)
            if not too_much and self._snapshots - selection.used < _UNUSED:
                break
            del self._selections[key]
            size -= selection.merger.size


def _groups(stats: int) -> int:
    """The groups a call asks for, as bits by index into COLUMN_NAMES: whoever gave their values."""
    if not stats:
        return ALL_GROUPS
    groups = stats & _KNOWN | (_OTHER_BIT if stats & ~_KNOWN else 0)
    return groups | groups << OVERLAID


def _parts(snapshot: Snapshot, position: int, choice: _Choice) -> list[Part]:
    backing = choice.backing
    if backing is not None:
        there = backing.layout.index.get(snapshot.layout.records[position].domain.uuid)
        if there is not None and len(backing.layout.records[there].shape):
            block = int(StatsGroup.BLOCK)
            return [Part(backing, there, block), Part(snapshot, position, choice.groups & ~block)]
    return [Part(snapshot, position, choice.groups)]


def _check_size(rows: Sequence[Sequence[Part]]) -> None:
    """Raise LimitExceeded for what fits into no reply, before it is put together: a domain may be named many times."""
    sizes: dict[tuple[Shape, int], int] = {}
    size = len(rows) * RECORD_MIN
    for part in (part for row in rows for part in row):
        shape = part.snapshot.layout.records[part.position].shape
        key = shape, part.groups
        if key not in sizes:
            keys = (name for name, column in zip(shape.keys, shape.columns, strict=True) if part.groups >> column & 1)
            sizes[key] = sum(PARAM_MIN + len(name) for name in keys)
        size += sizes[key]
    if size > PAYLOAD_MAX:
        raise LimitExceeded("body", 0, f"the records have more than {PAYLOAD_MAX} bytes")


class BackingChains:
    """Disks with the images they are based on: collected from when somebody asks for them, for as long as they do.

    The host takes longer for them than a client waits, and clients ask more seldom than they grow old: between two
    questions of a client the host is asked once a period.
    """

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._asking: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._latest: Snapshot | None = None
        self._came = self._wanted = 0.0
        """The loop's time when that came, and when somebody asked last."""

    async def snapshot(self, max_age: float) -> Snapshot | None:
        """The group block with all images, no older than that if it can be had within PATIENCE; None if not at all."""
        now = asyncio.get_running_loop().time
        self._wanted = now()
        old = self._latest is None or now() - self._came > max_age
        if old and (self._asking is None or self._asking.done()):
            self._begin()
        if old and self._asking is not None:
            await asyncio.wait([self._asking], timeout=PATIENCE)
        return None if now() - self._came > max_age + PATIENCE else self._latest

    async def aclose(self) -> None:
        """Ask no more; safe to call twice."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        if self._again is not None:
            self._again.cancel()

    def _begin(self) -> None:
        if self._again is not None:
            self._again.cancel()
        self._asking = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        try:
            self._latest = await self._collector.ask(StatsGroup.BLOCK, DomainFilter.BACKING)
            self._came = asyncio.get_running_loop().time()
        except DomstatsError as error:
            _log.warning("disks with the images they are based on cannot be asked for: %s", error)
        self._again = asyncio.get_running_loop().call_later(self._collector.guests_period, self._go_on)

    def _go_on(self) -> None:
        if asyncio.get_running_loop().time() - self._wanted < _WANTED:
            self._begin()
        else:
            self._latest = None


class SupportedGroups:
    """Which groups the host has, for calls that insist on them: of domains that are off it may have fewer."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._known: dict[tuple[int, bool, int], tuple[int, int, str] | None] = {}
        """The error by groups, whether the domain was on, and how many connections were lost: after one the daemon may
        be another. Code, domain and text; not the exception, which keeps all that was at hand when it was raised."""
        self._source: Source | None = None
        self._opening = asyncio.Lock()

    async def check(self, snapshot: Snapshot, positions: Sequence[int], stats: int) -> None:
        """Raise StatsUnsupported if one of these domains does not support one of the groups (bits).

        The host is asked once for each set of groups; what a domain of the same kind shows needs no question.
        """
        kinds: dict[bool, list[int]] = {}
        for position in positions:
            active = snapshot.layout.records[position].domain.id is not None
            kinds.setdefault(active, []).append(position)
        for active, members in kinds.items():
            present = set().union(*{snapshot.layout.records[position].shape.groups for position in members})
            doubtful = stats & ~sum(1 << group for group in present if group < len(GROUPS))
            if not doubtful:
                continue
            key = doubtful, active, self._collector.cost.reconnects
            if key not in self._known:
                able = [position for position in members if snapshot.sampling.status[position] != Status.BLOCKED]
                if not able:
                    continue
                error = await self._ask(snapshot.layout.records[able[0]].domain, doubtful)
                if len(self._known) >= _KNOWN_MAX:
                    self._known.clear()
                self._known[key] = error
            error = self._known[key]
            if error is not None:
                raise StatsUnsupported(*error)

    async def _ask(self, chosen: Domain, groups: int) -> tuple[int, int, str] | None:
        """What the host says of these groups, of a domain that can answer; None where it has them."""
        flags = DomainFilter.ENFORCE | DomainFilter.NOWAIT
        async with self._opening:
            if self._source is None or self._source.lost:
                self._source = await self._collector.another(PATIENCE)
            source = self._source
        try:
            await source.stats([chosen], groups, flags, PATIENCE)
        except StatsUnsupported as error:
            return error.code, error.domain, error.text
        return None

    async def aclose(self) -> None:
        """Let go of the connection; safe to call twice."""
        if self._source is not None:
            await self._source.aclose()
