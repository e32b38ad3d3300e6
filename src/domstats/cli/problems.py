"""What is said of a record that is not complete: why, and what of it is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domstats.collector.completeness import half_groups
from domstats.model.sampling import Status

if TYPE_CHECKING:
    from domstats.model.record import Record


def explain(record: Record) -> str:
    """A line about a record that is not fresh."""
    what = f"domain {record.domain.name!r} is {record.status.label}"
    shown = "no values are shown"
    if record.age is not None:
        shown = f"shown are {', '.join(record.ages)}, up to {record.age:.1f} s old"
    if record.status is Status.PARTIAL:
        groups = half_groups(record.layout.shape)
        missing = f"incomplete: {', '.join(groups)}" if groups else "values it had before are missing"
        return f"{what}: another job holds the guest, or libvirt failed to ask it; {missing}"
    if record.status is Status.BLOCKED:
        return f"{what}: its QEMU does not answer; {shown}"
    return f"{what}: not obtained in time; {shown}" if record.status is Status.STALE else what
