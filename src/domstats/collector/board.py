"""What is known of each domain now: the newest part of each kind, kept until a newer one comes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domstats.catalog.groups import GROUP_NAMES, GROUPS
from domstats.model.domain import Domain
from domstats.model.merge import ALL_GROUPS, Merger, Part
from domstats.model.sampling import Sampling, Status
from domstats.model.snapshot import Snapshot

FREE = sum(1 << group.bit for group in GROUPS if not group.needs_monitor)
"""Bits of the groups libvirt fills without asking a guest."""
MONITOR = ALL_GROUPS & ~FREE
"""Bits of those it asks the guest's monitor or waits for its job to fill, and of what a newer libvirt may bring."""


@dataclass
class Row:
    """One domain."""

    domain: Domain
    free: Part
    """From the last call for all domains."""
    monitor: Part | None = None
    """From the last reply that had it."""
    partial: bool = False
    """The last reply lacked what the monitor gives."""
    blocked: bool = False
    gone: bool = False

    def parts(self) -> tuple[Part, ...]:
        """Who the domain is comes from the call for all, so that stands first."""
        return (self.free,) if self.monitor is None else (self.free, self.monitor)


class Board:
    """The rows of a host, in the order the domains were first seen."""

    def __init__(self, merger: Merger | None = None) -> None:
        """`merger`: one that has made such snapshots before, and knows their layouts."""
        self.rows: dict[str, Row] = {}
        """By UUID."""
        self._merger = merger or Merger()

    def see_all(self, snapshot: Snapshot, groups: int) -> list[str]:
        """A reply to the call for all domains: who is there, with the groups (bits) of it that were asked for.

        The UUIDs of those that are gone or have been started anew.
        """
        before, self.rows = self.rows, {}
        ended: list[str] = []
        seen = {domain.uuid: position for position, domain in enumerate(snapshot.domains)}
        for uuid, row in before.items():
            if uuid not in seen:
                row.gone = True
            if uuid not in seen or snapshot.domains[seen[uuid]].id != row.domain.id:
                ended.append(uuid)
            self.rows[uuid] = row
        for domain, position in zip(snapshot.domains, range(len(snapshot)), strict=True):
            part = Part(snapshot, position, groups)
            known = self.rows.get(domain.uuid)
            if known is None or domain.uuid in ended:  # of another run of the guest nothing is left to show
                self.rows[domain.uuid] = Row(domain, part)
            else:
                known.domain, known.free, known.gone = domain, part, False
        return ended

    def see(self, snapshot: Snapshot, status: npt.NDArray[np.uint8]) -> list[str]:
        """A reply with the groups that need the monitor. The UUIDs of the domains that answered in full."""
        full: list[str] = []
        for position, domain in enumerate(snapshot.domains):
            row = self.rows.get(domain.uuid)
            if row is None or row.domain.id != domain.id:
                continue  # it has gone, or been started anew, since it was asked
            row.partial = bool(status[position] == Status.PARTIAL)
            if not row.partial:
                full.append(domain.uuid)
                row.blocked = False
            if not row.partial or row.monitor is None:
                row.monitor = Part(snapshot, position, MONITOR)
        return full

    def block(self, uuids: Iterable[str]) -> None:
        """These guests, and no others, do not answer."""
        blocked = set(uuids)
        for uuid, row in self.rows.items():
            row.blocked = uuid in blocked

    def snapshot(self, time: float, asked: int, fresh_for: float, host_cpus: int | None) -> Snapshot:
        """All that is known, as of `time` (seconds since the epoch).

        `asked`: the groups (bits) that should be there; a record with one older than `fresh_for` seconds is stale.
        Domains that are gone are in it for the last time.
        """
        rows = list(self.rows.values())
        layout, values = self._merger.merge([row.parts() for row in rows])
        sampling = _sampling(rows)
        old = ~(time - sampling.times <= fresh_for)  # a time that is not known is old, too
        wanted = np.array([asked >> bit & 1 for bit in range(len(GROUP_NAMES))], np.bool_)
        stale = set(np.flatnonzero((old & wanted).any(axis=1)).tolist())
        status = [_status(row, number in stale) for number, row in enumerate(rows)]
        sampling.status[:] = status
        self.rows = {uuid: row for uuid, row in self.rows.items() if not row.gone}
        return Snapshot(layout, values, time, sampling, host_cpus)


def _status(row: Row, stale: bool) -> Status:
    if row.gone:
        return Status.GONE
    if row.blocked:
        return Status.BLOCKED
    if row.partial:
        return Status.PARTIAL
    return Status.STALE if stale else Status.FRESH


def _sampling(rows: Sequence[Row]) -> Sampling:
    """When and from where each group of each row came; every status fresh."""
    times = np.full((len(rows), len(GROUP_NAMES)), np.nan)
    uncertainty = np.zeros_like(times)
    sources = np.zeros(times.shape, np.uint8)
    names: dict[str, int] = {}
    columns = np.arange(len(GROUP_NAMES))
    for number, row in enumerate(rows):
        for part in row.parts():
            here = part.groups >> columns & 1 == 1
            sampling = part.snapshot.sampling
            times[number, here] = sampling.times[part.position, here]
            uncertainty[number, here] = sampling.uncertainty[part.position, here]
            sources[number, here] = names.setdefault(sampling.source_names[0], len(names))
    return Sampling(np.zeros(len(rows), np.uint8), times, sources, tuple(names) or ("",), uncertainty)
