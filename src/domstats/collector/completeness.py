"""Telling complete records from partial ones: libvirt leaves out what it could not get and does not say so."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from domstats.model.flags import DomainFilter
from domstats.model.layout import RecordLayout, Shape
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.model.tables import device_key

JOB_WAIT = 30.0
"""Seconds libvirt's qemu driver waits for a domain's job before it leaves out what needs it. A reply that took less,
to a call without NOWAIT, is complete."""

DOMAINS_MAX = 32_768
"""Domains of which something is remembered, where nobody says who is gone: twice what one reply can hold. With one more
all are forgotten, and those that are there learnt anew."""
_QUESTIONS_MAX = 16

_Question = tuple[int, DomainFilter]
_Last = tuple[int | None, Shape]
"""The id of a domain's last complete record, and its shape."""


class Completeness:
    """Judges the records of one host's polls; remembers the keys of each domain's last complete record."""

    def __init__(self) -> None:
        self._complete: dict[_Question, dict[str, _Last]] = {}

    def judge(self, snapshot: Snapshot, groups: int, flags: DomainFilter, seconds: float) -> npt.NDArray[np.uint8]:
        """A Status for each record of a reply that took this many seconds: fresh or partial."""
        question = (groups, flags & DomainFilter.BACKING)
        last = self._complete.setdefault(question, {})
        records = snapshot.layout.records
        if DomainFilter.NOWAIT not in flags and seconds < JOB_WAIT:
            partial = [False] * len(records)
        else:
            partial = [not _is_complete(record, last.get(record.domain.uuid)) for record in records]
        for record, flawed in zip(records, partial, strict=True):
            if not flawed:
                last[record.domain.uuid] = (record.domain.id, record.shape)
        if len(self._complete) > _QUESTIONS_MAX or len(last) > DOMAINS_MAX:
            self._complete.clear()
        return np.where(partial, np.uint8(Status.PARTIAL), np.uint8(Status.FRESH))

    def keep_only(self, uuids: set[str]) -> None:
        """There are these domains, and no others."""
        for last in self._complete.values():
            for uuid in last.keys() - uuids:
                del last[uuid]


def _is_complete(record: RecordLayout, last: _Last | None) -> bool:
    domain, shape = record.domain, record.shape
    if domain.id is None:
        return True
    if last is None or last[0] != domain.id:
        return not half_groups(shape)
    return shape is last[1] or _only_devices_left(last[1], shape)


def _only_devices_left(before: Shape, now: Shape) -> bool:
    """Whether all keys that are missing belong to devices of which nothing is there: detached, not left out."""
    missing = before.slots.keys() - now.slots.keys()
    devices = {device_key(key)[:2] for key in missing}
    there = {device_key(key)[:2] for key in now.slots} | {("domain", 0)}
    return not devices & there


def half_groups(shape: Shape) -> list[str]:
    """The groups of which only the part is there that needs no answer of the guest's monitor."""
    found: list[str] | None = shape.derived.get("half_groups")
    if found is None:
        slots = shape.slots
        disks = {key.rpartition(".")[0] for key in slots if key.startswith("block.") and key.endswith(".name")}
        half = {
            "balloon": "balloon.maximum" in slots and "balloon.rss" not in slots,
            "block": bool(disks) and not any(f"{disk}.rd.reqs" in slots for disk in disks),
        }
        found = shape.derived["half_groups"] = [group for group, lacking in half.items() if lacking]
    return found
