"""Snapshots to reply bodies, byte for byte what libvirt sends for the same content."""

from __future__ import annotations

import weakref

from domstats.errors import LimitExceeded
from domstats.model.layout import Layout
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.plan import Plan
from domstats.wire.bulk.template import WORD, Template
from domstats.wire.limits import RECORDS_MAX


def encode_reply(snapshot: Snapshot, longest: int | None = None) -> bytes:
    """The body of a reply with all records of the snapshot, in its order.

    `longest`: bytes that it may have; that it would have more is found before it is put together. Raises LimitExceeded
    for more, for more than 16,384 records, more than 262,144 parameters in one, or a key over 79 bytes.
    """
    layout = snapshot.layout
    if len(layout) > RECORDS_MAX:
        raise LimitExceeded("records", 0, f"{len(layout)} records, at most {RECORDS_MAX} fit into a reply")
    plan: Plan | None = layout.derived.get(Plan)
    if plan is None:
        plan = layout.derived[Plan] = Plan(_templates(layout, longest))
    elif longest is not None and plan.words * WORD > longest:
        raise _too_long(longest)
    return plan.write(snapshot.values)


class ReplyEncoder:
    """Encodes one snapshot of a host after another; of what their replies are put together with, the last is kept.

    A layout may live on for seconds in who still reads it, and its plan takes 12 MB for 1,024 guests.
    """

    def __init__(self) -> None:
        self._layout: weakref.ref[Layout] | None = None
        """The one last encoded."""

    def encode(self, snapshot: Snapshot, longest: int | None = None) -> bytes:
        """See `encode_reply`."""
        before = None if self._layout is None else self._layout()
        if before is not None and before is not snapshot.layout:
            before.derived.pop(Plan, None)
        self._layout = weakref.ref(snapshot.layout)
        return encode_reply(snapshot, longest)


def _templates(layout: Layout, longest: int | None) -> list[Template]:
    templates: list[Template] = []
    size = WORD  # the number of records
    for record in layout.records:
        template = Template.of(record)
        size += template.size
        if longest is not None and size > longest:
            raise _too_long(longest)
        templates.append(template)
    return templates


def _too_long(longest: int) -> LimitExceeded:
    return LimitExceeded("body", 0, f"the records have more than {longest} bytes")
