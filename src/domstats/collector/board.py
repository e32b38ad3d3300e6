"""What is known of each domain now: the newest part of each kind, kept until a newer one comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from domstats.catalog.groups import GROUP_NAMES, GROUPS
from domstats.model.description import Description
from domstats.model.domain import Domain
from domstats.model.layout import Shape
from domstats.model.merge import Merger, Part, of_groups
from domstats.model.sampling import COLUMN_NAMES, OVERLAID, Sampling, Status
from domstats.model.snapshot import Snapshot

FREE = sum(1 << group.bit for group in GROUPS if not group.needs_monitor)
"""Bits of the groups libvirt fills without asking a guest."""
MONITOR = ((1 << len(GROUP_NAMES)) - 1) & ~FREE
"""Bits of those it asks the guest's monitor or waits for its job to fill, and of what a newer libvirt may bring."""


Parts = tuple[Part, ...]


@dataclass
class Row:
    """One domain."""

    domain: Domain
    parts: Parts = ()
    """From where each group came last; no group is in two of them."""
    previous: Parts = ()
    """And the time before."""
    overlay: Part | None = None
    """What the host's kernel says of it, laid over the other parts."""
    overlay_before: Part | None = None
    """And the time before."""
    lifted: bool = False
    """The kernel says nothing any more: of what it said last that is shown of which libvirt has said nothing since."""
    partial: bool = False
    """The last reply lacked what the monitor gives."""
    blocked: bool = False
    gone: bool = False

    def take(self, part: Part) -> None:
        """These groups have come anew."""
        self.parts, replaced = _put(self.parts, part)
        for each in replaced:
            self.previous, _ = _put(self.previous, each)
        if self.lifted:
            self._drop_overtaken()

    def lay_over(self, part: Part | None) -> None:
        """What the kernel says now; None where it says nothing any more.

        libvirt's values are older than the kernel's. Counters would step back, so the last ones are shown until libvirt
        gives later ones.
        """
        before, self.lifted = self.overlay, part is None
        if part is None:
            self._drop_overtaken()
        elif before is not None and _domain(before) != _domain(part):
            # Of another process. It is of another run of the guest, which the next roll call will tell, so its first
            # figures are not shown as this run's.
            self.overlay = self.overlay_before = None
        else:
            self.overlay, self.overlay_before = part, before

    def _drop_overtaken(self) -> None:
        """Of what the kernel said last, only those groups stay that libvirt has not given since."""
        overlay, before = self.overlay, self.overlay_before
        if overlay is None:
            return
        left = overlay.groups & ~sum(
            1 << bit
            for part in self.parts
            for bit in range(len(GROUP_NAMES))
            if overlay.groups & part.groups & 1 << bit and _is_later(part, overlay, bit)
        )
        self.overlay = replace(overlay, groups=left) if left else None
        self.overlay_before = replace(before, groups=before.groups & left) if before and left else None

    def has(self, groups: int) -> bool:
        """Whether all of these groups (bits) have come."""
        return not groups & ~sum(part.groups for part in self.parts)

    def has_some(self, groups: int) -> bool:
        """Whether any of these groups (bits) has come."""
        return any(groups & part.groups for part in self.parts)

    def sampled_since(self, groups: int, since: npt.NDArray[np.float64], offset: float | None = None) -> bool:
        """Whether all of these groups (bits) have come, each sampled at its time (by the bit's number) or later.

        `offset`: of the clock that `since` is of, see Sampling.
        """
        return self.has(groups) and all(
            _time(part, bit, offset) >= since[bit]
            for part in self.parts
            for bit in range(len(GROUP_NAMES))
            if (groups & part.groups) >> bit & 1
        )


def _put(parts: Parts, new: Part) -> tuple[Parts, Parts]:
    """The parts with a new one in the place of what they had of its groups; and what that was."""
    for number, part in enumerate(parts):
        if part.groups == new.groups:  # as it is from poll to poll
            return (*parts[:number], new, *parts[number + 1 :]), (part,)
    kept = [replace(part, groups=part.groups & ~new.groups) for part in parts if part.groups & ~new.groups]
    replaced = [replace(part, groups=part.groups & new.groups) for part in parts if part.groups & new.groups]
    # In an order of their own, so that equal sets of parts make the same record.
    return tuple(sorted((*kept, new), key=lambda part: part.groups)), tuple(replaced)


def _domain(part: Part) -> Domain:
    return part.snapshot.layout.records[part.position].domain


def _time(part: Part, bit: int, offset: float | None) -> float:
    """When a group was sampled, as a clock with that offset tells it."""
    sampling = part.snapshot.sampling
    return float(sampling.times[part.position, bit]) + sampling.set_by(offset)


def _is_later(part: Part, other: Part, bit: int) -> bool:
    """Whether a group was sampled later in the one than in the other, however wrong their times may be."""
    offset = other.snapshot.sampling.offset
    wrong = sum(float(each.snapshot.sampling.uncertainty[each.position, bit]) for each in (part, other))
    return _time(part, bit, offset) - _time(other, bit, offset) >= wrong


Picture = Sequence[tuple[Domain, Parts]]
"""Of which parts the record of each domain is made."""


class Board:
    """The rows of a host, in the order the domains were first seen."""

    def __init__(self, wanted: Callable[[Domain], bool] = lambda _: True) -> None:
        """`wanted`: which domains are to have a row."""
        self.rows: dict[str, Row] = {}
        """By UUID."""
        self._wanted = wanted
        self._merger = Merger()
        self._asked: WeakKeyDictionary[Snapshot, float] = WeakKeyDictionary()
        """When each reply that the rows show was asked for, by the loop's time: the wall clock can be set."""

    def see_all(self, snapshot: Snapshot, groups: int, began: float = 0.0) -> list[str]:
        """A reply to the call for all domains: who is there, with the groups (bits) of it that were asked for.

        `began`: the loop's time when it was asked for. The UUIDs of those that are gone or have been started anew.
        """
        self._asked[snapshot] = began
        before, self.rows = self.rows, {}
        ended: list[str] = []
        records = enumerate(snapshot.layout.records)
        there = [(position, record.domain) for position, record in records if self._wanted(record.domain)]
        seen = {domain.uuid: domain for _, domain in there}
        for uuid, row in before.items():
            if uuid not in seen:
                row.gone = True
            if uuid not in seen or seen[uuid].id != row.domain.id:
                ended.append(uuid)
            self.rows[uuid] = row
        another_run = set(ended)
        for position, domain in there:
            row = self.rows.get(domain.uuid) or Row(domain)
            if domain.uuid in another_run:  # of another run of the guest nothing is left to show
                row = Row(domain)
            elif domain != row.domain:
                row.domain = replace(domain, info=row.domain.info)
            row.gone = False
            row.take(Part(snapshot, position, groups))
            self.rows[domain.uuid] = row
        return ended

    def see(
        self, snapshot: Snapshot, status: npt.NDArray[np.uint8], groups: int = MONITOR, began: float = 0.0
    ) -> list[str]:
        """A reply with these groups (bits), which need the monitor. The UUIDs of the domains that answered in full.

        `began`: the loop's time when it was asked for.
        """
        self._asked[snapshot] = began
        full: list[str] = []
        partial = (status == Status.PARTIAL).tolist()
        for position, record in enumerate(snapshot.layout.records):
            row = self.rows.get(record.domain.uuid)
            if row is None or row.domain.id != record.domain.id:
                continue  # it has gone, or been started anew, since it was asked
            row.partial = partial[position]
            part = Part(snapshot, position, groups)
            if row.partial:
                part = replace(part, groups=_not_less(row, part))
            else:
                full.append(record.domain.uuid)
                row.blocked = False
            if part.groups:
                row.take(part)
        return full

    def lay_over(self, kernel: Snapshot, groups: int, began: float = 0.0) -> None:
        """What the host's kernel says of the guests it has, with these groups (bits); of the others it says nothing.

        `began`: the loop's time when it was asked.
        A guest of that UUID and name may also run under another libvirt, in a container: whose process is which cannot
        be told, so of those nothing is taken.
        """
        self._asked[kernel] = began
        names = Counter(domain.name for domain in kernel.domains)
        places = {
            (domain.uuid, domain.name): position
            for position, domain in enumerate(kernel.domains)
            if names[domain.name] == 1
        }
        for uuid, row in self.rows.items():
            position = places.get((uuid, row.domain.name)) if row.domain.id is not None else None
            row.lay_over(None if position is None else Part(kernel, position, groups, overlay=True))

    def lift(self) -> None:
        """The kernel says nothing any more."""
        for row in self.rows.values():
            row.lay_over(None)

    @property
    def overlaid(self) -> int:
        """Of how many domains the kernel says something."""
        return sum(row.overlay is not None and not row.lifted for row in self.rows.values())

    def fail(self, uuids: Iterable[str]) -> None:
        """libvirt could not say what was asked of these."""
        for uuid in uuids:
            if uuid in self.rows:
                self.rows[uuid].partial = True

    def block(self, uuids: Iterable[str]) -> None:
        """These guests, and no others, do not answer."""
        blocked = set(uuids)
        for uuid, row in self.rows.items():
            row.blocked = uuid in blocked

    def describe(self, uuid: str, info: Description) -> None:
        """What the definition of a domain says; nothing if the domain has gone."""
        row = self.rows.get(uuid)
        if row is not None and row.domain.info != info:
            row.domain = replace(row.domain, info=info)

    def describe_as_unknown(self, uuid: str) -> None:
        """The definition of a domain cannot be read: what it said before is known still."""
        row = self.rows.get(uuid)
        if row is not None and row.domain.info is None:
            self.describe(uuid, Description())

    def snapshot(
        self,
        time: float,
        asked: int,
        fresh_for: npt.NDArray[np.float64],
        host_cpus: int | None,
        offset: float | None = None,
    ) -> Snapshot:
        """All that is known, as of `time` (seconds since the epoch); domains that are gone are in it for the last time.

        `asked`: the groups (bits) that should be there; a record is stale with one that is older than its seconds in
        `fresh_for`, a number for each of GROUP_NAMES. `offset`: of the clock that `time` is of, see Sampling: where the
        clock has been set since, the samples' times are told as it is now.
        """
        rows = list(self.rows.values())
        parts = _parts(rows)
        sampling = _sampling(parts, offset)
        young = ~sampling.old(time, np.tile(fresh_for, 2))[:, : len(GROUP_NAMES)]
        _set_status(sampling.status, rows, young, asked)
        self.rows = {uuid: row for uuid, row in self.rows.items() if not row.gone}
        layout, values = self._merger.merge([row.domain for row in rows], parts)
        return Snapshot(layout, values, time, sampling, host_cpus)

    def answer(
        self,
        time: float,
        asked: int,
        began: float,
        host_cpus: int | None,
        offset: float | None = None,
        *,
        keep: bool,
    ) -> Snapshot:
        """What is known, as of `time`, as the answer to a question that began at `began` of the loop's time.

        `asked`: the groups (bits) that should be there; a record is stale with one that was asked for before the
        question began. `keep`: whether the values of such groups are there. Domains that are gone are not. `offset`: as
        of `snapshot`.
        """
        self.rows = {uuid: row for uuid, row in self.rows.items() if not row.gone}
        rows = list(self.rows.values())
        parts = _parts(rows)
        sampling, came = _sampling(parts, offset), self._came(parts, began)
        _set_status(sampling.status, rows, came[:, : len(GROUP_NAMES)], asked)
        layout, values = self._merger.merge([row.domain for row in rows], parts)
        snapshot = Snapshot(layout, values, time, sampling, host_cpus)
        return snapshot if keep or (came | np.isnan(sampling.times)).all() else of_groups(snapshot, came)

    def _came(self, rows: Sequence[Parts], began: float) -> npt.NDArray[np.bool_]:
        """Which groups were asked for at that time of the loop, or later.

        A row for each row, a column for each of COLUMN_NAMES.
        """
        bits = [[0, 0] for _ in rows]
        for both, parts in zip(bits, rows, strict=True):
            for part in parts:
                if self._asked[part.snapshot] >= began:
                    both[part.overlay] |= part.groups
        columns = np.arange(len(GROUP_NAMES))
        came = np.array(bits, np.int64).reshape(-1, 2, 1) >> columns & 1
        return came.astype(np.bool_).reshape(-1, len(COLUMN_NAMES))

    def previous(self) -> Picture:
        """Of each domain on the board, every group as it came the time before; `develop` makes a snapshot of it."""
        return [(row.domain, _laid_over(row.previous, row.overlay_before)) for row in self.rows.values()]

    def develop(self, picture: Picture, time: float, host_cpus: int | None, offset: float | None = None) -> Snapshot:
        """What `previous` gave, as a snapshot with the time given; every status is fresh.

        `offset`: as of `snapshot`.
        """
        layout, values = self._merger.merge([domain for domain, _ in picture], [parts for _, parts in picture])
        return Snapshot(layout, values, time, _sampling([parts for _, parts in picture], offset), host_cpus)


def _parts(rows: Sequence[Row]) -> list[Parts]:
    return [_laid_over(row.parts, row.overlay) for row in rows]


def _laid_over(parts: Parts, overlay: Part | None) -> Parts:
    return parts if overlay is None else (*parts, overlay)


def _set_status(status: npt.NDArray[np.uint8], rows: Sequence[Row], young: npt.NDArray[np.bool_], asked: int) -> None:
    """How each row stands; `young`: which of its groups are young enough, `asked`: which should be (bits)."""
    wanted = np.array([asked >> bit & 1 for bit in range(len(GROUP_NAMES))], np.bool_)
    status[(~young & wanted).any(axis=1)] = Status.STALE
    for number, row in enumerate(rows):
        if row.gone or row.blocked or row.partial:
            status[number] = _status(row)


def _status(row: Row) -> Status:
    if row.gone:
        return Status.GONE
    return Status.BLOCKED if row.blocked else Status.PARTIAL


def _not_less(row: Row, part: Part) -> int:
    """The groups of a reply that lacks some that have no fewer keys in it than are known already."""
    there = _keys_by_group(part.snapshot.layout.records[part.position].shape)
    chosen = 0
    for known in row.parts:
        before = _keys_by_group(known.snapshot.layout.records[known.position].shape)
        for group in range(len(GROUP_NAMES)):
            if part.groups & known.groups & 1 << group and before.get(group, set()) <= there.get(group, set()):
                chosen |= 1 << group
    never_seen = part.groups & ~sum(known.groups for known in row.parts)
    return chosen | never_seen & sum(1 << group for group in there)


def _keys_by_group(shape: Shape) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for key, group in zip(shape.keys, shape.groups, strict=True):
        found.setdefault(group, set()).add(key)
    return found


def _sampling(rows: Sequence[Sequence[Part]], offset: float | None) -> Sampling:
    """When, by a clock with that offset, and from where each group of each row came; every status fresh."""
    times = np.full((len(rows), len(COLUMN_NAMES)), np.nan)
    uncertainty = np.zeros_like(times)
    sources = np.zeros(times.shape, np.uint8)
    names: dict[str, int] = {}
    pieces: dict[tuple[int, bool], tuple[Snapshot, list[int]]] = {}
    for number, parts in enumerate(rows):
        for part in parts:
            identity = id(part.snapshot), part.overlay
            if identity not in pieces:
                pieces[identity] = part.snapshot, []
            pieces[identity][1].extend((number, part.position, part.groups))
    columns = np.arange(len(GROUP_NAMES))
    for (_, overlay), (snapshot, places) in pieces.items():
        here, there, groups = np.array(places, np.int64).reshape(-1, 3).T
        row_of, column = np.nonzero(groups[:, np.newaxis] >> columns & 1)
        to, origin, sampling = (here[row_of], column + OVERLAID * overlay), (there[row_of], column), snapshot.sampling
        times[to] = sampling.times[origin] + sampling.set_by(offset)
        uncertainty[to] = sampling.uncertainty[origin]
        sources[to] = names.setdefault(sampling.source_names[0], len(names))
    return Sampling(np.zeros(len(rows), np.uint8), times, sources, tuple(names) or ("",), uncertainty, offset)
