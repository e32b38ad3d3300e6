"""The guests as their host tells of them: who does not answer, and whose balloon has no statistics."""

from __future__ import annotations

from collections.abc import Sequence

from domstats.doctor.findings import Finding, Part, Verdict, plural
from domstats.model.record import Record
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot

OLD = 600.0
"""Seconds after which a guest's own figures are of no use; usual periods are 5 and 10 s."""
_PERIOD = "virsh dommemstat NAME --period 10 --live, and the guest needs its virtio balloon driver"
_TROUBLES = (
    (
        "stuck",
        Status.BLOCKED,
        Verdict.MISSING,
        "whose QEMU does not answer",
        "virsh domcontrol NAME says since when; does its storage answer?",
    ),
    (
        "late",
        Status.STALE,
        Verdict.MISSING,
        "not heard in time",
        "a longer --deadline; is the daemon busy?",
    ),
    (
        "busy",
        Status.PARTIAL,
        Verdict.MISSING,
        "held by another job, or that libvirt failed to ask",
        "virsh domjobinfo NAME; ask again later",
    ),
)
"""What each status that is not fresh means: check, status, verdict, text, advice."""


def is_on(record: Record) -> bool:
    """Whether the domain runs, or is paused."""
    return record.domain.id is not None


def look_at_guests(snapshot: Snapshot) -> list[Finding]:
    """Everything that a poll says of its guests."""
    active = [record for record in snapshot if is_on(record)]
    off = len(snapshot) - len(active)
    return [
        Finding(Part.GUESTS, "guests", Verdict.OK, f"{len(active):,} on, {off:,} off"),
        *(answering(active) if active else ()),
        *balloons([record for record in active if record.get("state") == "running"], snapshot.time),
    ]


def answering(active: Sequence[Record]) -> list[Finding]:
    """Who of the guests that are on did not answer, and why; that all do, if they do."""
    found: list[Finding] = []
    for check, status, verdict, what, advice in _TROUBLES:
        names = _names([record for record in active if record.status is status])
        if names:
            found.append(Finding(Part.GUESTS, check, verdict, f"{plural(len(names))} {what}", advice, names))
    return found or [Finding(Part.GUESTS, "answering", Verdict.OK, "all of them")]


def balloons(running: Sequence[Record], now: float) -> list[Finding]:
    """Which of the running guests do not tell how they use their memory.

    `now`: when they were asked, in seconds since the epoch. A guest that is stuck has a finding already.
    """
    asked = [record for record in running if record.status is Status.FRESH]
    if not asked:
        return []
    without = _names([record for record in asked if "balloon.last-update" not in record])
    silent = [record for record in asked if "balloon.last-update" in record and not _updated(record)]
    old = [record for record in asked if _updated(record) and now - _updated(record) > OLD]
    found: list[Finding] = []
    if silent:
        text = f"{len(silent):,} of {plural(len(asked), 'running guest')} without memory statistics of their own"
        found.append(Finding(Part.GUESTS, "balloon", Verdict.MISSING, text, _PERIOD, _names(silent)))
    if old:
        text = f"memory statistics of {plural(len(old))} are more than {OLD / 60:.0f} minutes old"
        found.append(Finding(Part.GUESTS, "balloon", Verdict.WARN, text, _PERIOD, _names(old)))
    if without:
        text = f"{len(without):,} of {plural(len(asked), 'running guest')} without a virtio balloon to tell of memory"
        found.append(Finding(Part.GUESTS, "balloon", Verdict.WARN, text, "<memballoon model='virtio'/>", without))
    return found or [Finding(Part.GUESTS, "balloon", Verdict.OK, "all that answer tell how they use their memory")]


def _updated(record: Record) -> int:
    """When the guest last told, in seconds since the epoch; 0 for never."""
    value = record.get("balloon.last-update")
    return value if isinstance(value, int) else 0


def _names(records: Sequence[Record]) -> tuple[str, ...]:
    return tuple(record.domain.name for record in records)
