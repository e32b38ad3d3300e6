"""Snapshots to reply bodies, byte for byte what libvirt sends for the same content."""

from __future__ import annotations

from domstats.errors import LimitExceeded
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.plan import Plan
from domstats.wire.bulk.template import Template
from domstats.wire.limits import RECORDS_MAX


def encode_reply(snapshot: Snapshot) -> bytes:
    """The body of a reply with all records of the snapshot, in its order.

    Raises LimitExceeded for more than 16,384 records, more than 262,144 parameters in one, or a key over 79 bytes.
    """
    layout = snapshot.layout
    if len(layout) > RECORDS_MAX:
        raise LimitExceeded("records", 0, f"{len(layout)} records, at most {RECORDS_MAX} fit into a reply")
    plan: Plan | None = layout.derived.get(Plan)
    if plan is None:
        plan = layout.derived[Plan] = Plan([Template.of(record) for record in layout.records])
    return plan.write(snapshot.values)
