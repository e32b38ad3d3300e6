"""What happened to domains between two snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from domstats.model.changes import What, changes
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot

RUNNING, PAUSED, SHUTOFF = 1, 3, 5
VM = Domain("vm", "00000000-0000-0000-0000-000000000001", 7)
OTHER = Domain("other", "00000000-0000-0000-0000-000000000002", 8)

Row = tuple[Domain, int | None, Status]


def snapshot(time: float, rows: Sequence[Row]) -> Snapshot:
    states = [[] if state is None else [TypedParameter("state.state", ParamType.INT, state)] for _, state, _ in rows]
    made = Snapshot.of_params(
        ((domain, params) for (domain, _, _), params in zip(rows, states, strict=True)), time=time
    )
    return made.with_sampling(replace(made.sampling, status=np.array([status for *_, status in rows], np.uint8)))


ON: Row = (VM, RUNNING, Status.FRESH)
BESIDE: Row = (OTHER, RUNNING, Status.FRESH)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ([ON], [ON], []),
        ([BESIDE], [BESIDE, ON], [("vm", What.APPEARED, None, "running")]),
        ([], [(VM, None, Status.STALE)], [("vm", What.APPEARED, None, None)]),
        ([ON, BESIDE], [BESIDE], [("vm", What.GONE, "running", None)]),
        ([ON], [(VM, RUNNING, Status.GONE)], [("vm", What.GONE, "running", None)]),
        ([(VM, RUNNING, Status.GONE)], [], []),
        ([(VM, RUNNING, Status.GONE)], [ON], [("vm", What.APPEARED, None, "running")]),
        ([ON], [(VM, PAUSED, Status.FRESH)], [("vm", What.STATE, "running", "paused")]),
        ([ON], [(VM, RUNNING, Status.BLOCKED)], [("vm", What.STATUS, "fresh", "blocked")]),
        ([ON], [(replace(VM, name="new"), RUNNING, Status.FRESH)], [("new", What.NAME, "vm", "new")]),
        ([ON], [(replace(VM, id=9), RUNNING, Status.FRESH)], [("vm", What.RESTARTED, "7", "9")]),
        ([ON], [(replace(VM, id=None), SHUTOFF, Status.FRESH)], [("vm", What.STATE, "running", "shutoff")]),
        (
            [ON, BESIDE],
            [(VM, PAUSED, Status.PARTIAL)],
            [
                ("other", What.GONE, "running", None),
                ("vm", What.STATE, "running", "paused"),
                ("vm", What.STATUS, "fresh", "partial"),
            ],
        ),
    ],
)
def test_each_kind(before: list[Row], now: list[Row], expected: list[tuple[str, What, str | None, str | None]]) -> None:
    found = list(changes(snapshot(10.0, before), snapshot(12.0, now)))
    assert [(each.domain.name, each.what, each.before, each.after) for each in found] == expected
    assert {each.time for each in found} <= {12.0}
