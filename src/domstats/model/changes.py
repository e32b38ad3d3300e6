"""What happened to domains between two snapshots: who came and went, and whose state, status or name is another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from domstats.catalog.enums import state_name
from domstats.model.domain import Domain
from domstats.model.record import Record
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot


class What(StrEnum):
    """The kinds of change."""

    APPEARED = "appeared"
    GONE = "gone"
    NAME = "name"
    STATE = "state"
    RESTARTED = "restarted"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to a domain."""

    time: float
    """That of the later snapshot, in seconds since the epoch: it happened before that."""
    domain: Domain
    what: What
    before: str | None
    """The name, state, id or status it had."""
    after: str | None
    """And has now; for one that appeared, its state."""


def changes(before: Snapshot, now: Snapshot) -> Iterator[Change]:
    """The changes, domain by domain in the order of the snapshots; those who are gone come first."""
    earlier = {record.domain.uuid: record for record in before}
    later = {record.domain.uuid: record for record in now}
    for uuid, record in earlier.items():
        if record.status is not Status.GONE and (uuid not in later or later[uuid].status is Status.GONE):
            yield Change(now.time, record.domain, What.GONE, _state(record), None)
    for uuid, record in later.items():
        known = earlier.get(uuid)
        if record.status is Status.GONE:
            continue
        if known is None or known.status is Status.GONE:
            yield Change(now.time, record.domain, What.APPEARED, None, _state(record))
        else:
            yield from _of_one(known, record, now.time)


def _of_one(before: Record, now: Record, time: float) -> Iterator[Change]:
    pairs: list[tuple[What, str | None, str | None]] = [
        (What.NAME, before.domain.name, now.domain.name),
        (What.STATE, _state(before), _state(now)),
        (What.STATUS, before.status.label, now.status.label),
    ]
    if before.domain.id is not None and now.domain.id is not None:
        pairs.append((What.RESTARTED, str(before.domain.id), str(now.domain.id)))
    for what, was, is_now in pairs:
        if was != is_now:
            yield Change(time, now.domain, what, was, is_now)


def _state(record: Record) -> str | None:
    """The state's name, or None where it is not known."""
    state = record.get("state.state")
    return state_name(state) if isinstance(state, int) else None
