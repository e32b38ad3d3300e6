"""What is said of a record that is not complete: why, and what of it is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domstats.model.sampling import Status

if TYPE_CHECKING:
    from domstats.model.record import Record


def explain(record: Record) -> str:
    """A line about a record that is not fresh."""
    what = f"domain {record.domain.name!r} is {record.status.label}"
    old = f"its values are up to {record.age:.1f} s old"
    if record.status is Status.PARTIAL:
        groups = incomplete_groups(record)
        missing = f"incomplete: {', '.join(groups)}" if groups else "values it had before are missing"
        return f"{what}: another job holds the guest; {missing}"
    if record.status is Status.BLOCKED:
        return f"{what}: its QEMU does not answer; {old}"
    return f"{what}: not obtained; {old}" if record.status is Status.STALE else what


def incomplete_groups(record: Record) -> list[str]:
    """The groups of which only the part is there that needs no answer of the guest's monitor."""
    slots = record.layout.shape.slots
    disks = [key.removesuffix("name") for key in slots if key.startswith("block.") and key.endswith(".name")]
    incomplete = {
        "balloon": "balloon.maximum" in slots and "balloon.rss" not in slots,
        "block": bool(disks) and not any(f"{disk}rd.reqs" in slots for disk in disks),
    }
    return [group for group, lacking in incomplete.items() if lacking]
