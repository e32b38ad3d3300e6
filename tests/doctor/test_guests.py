"""What is said of guests: who does not answer, and who does not tell of its memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from domstats.doctor.findings import Finding, Verdict
from domstats.doctor.guests import OLD, look_at_guests
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot

NOW = 1_800_000_000
RUNNING, PAUSED, SHUTOFF = 1, 3, 5


def guest(number: int, state: int = RUNNING, updated: int | None = NOW) -> tuple[Domain, list[TypedParameter]]:
    """A guest that last told of its memory at that time; None for one without a balloon."""
    identity = None if state == SHUTOFF else number
    params = [TypedParameter("state.state", ParamType.INT, state)]
    if updated is not None:
        params.append(TypedParameter("balloon.last-update", ParamType.ULLONG, updated))
    return Domain(f"vm{number}", f"00000000-0000-0000-0000-{number:012}", identity), params


def found(guests: Sequence[tuple[Domain, list[TypedParameter]]], *statuses: Status) -> list[Finding]:
    snapshot = Snapshot.of_params(guests, time=float(NOW))
    if statuses:
        sampling = replace(snapshot.sampling, status=np.array(statuses, np.uint8))
        snapshot = snapshot.with_sampling(sampling)
    return look_at_guests(snapshot)


def test_all_is_well() -> None:
    findings = found([guest(1), guest(2, PAUSED, 0), guest(3, SHUTOFF, None)])
    assert [each.verdict for each in findings] == [Verdict.OK] * 3
    assert [each.text for each in findings] == [
        "2 on, 1 off",
        "all of them",
        "all that answer tell how they use their memory",
    ]


@pytest.mark.parametrize("guests", [[], [guest(1, SHUTOFF, None)]])
def test_nobody_is_on(guests: list[tuple[Domain, list[TypedParameter]]]) -> None:
    (finding,) = found(guests)
    assert finding.text == f"0 on, {len(guests)} off"


@pytest.mark.parametrize(
    ("status", "check"), [(Status.BLOCKED, "stuck"), (Status.STALE, "late"), (Status.PARTIAL, "busy")]
)
def test_who_does_not_answer(status: Status, check: str) -> None:
    findings = found([guest(1), guest(2), guest(3)], Status.FRESH, status, status)
    (trouble,) = (each for each in findings if each.verdict is Verdict.MISSING)
    assert (trouble.check, trouble.domains) == (check, ("vm2", "vm3"))
    assert trouble.text.startswith("2 guests ")
    assert trouble.advice
    assert not any(each.check == "answering" for each in findings)


def test_a_balloon_without_a_period() -> None:
    *_, balloon = found([guest(1, updated=0), guest(2), guest(3, updated=0), guest(4, PAUSED, 0)])
    assert (balloon.verdict, balloon.domains) == (Verdict.MISSING, ("vm1", "vm3"))
    assert balloon.text == "2 of 3 running guests without memory statistics of their own"
    assert balloon.advice.startswith("virsh dommemstat NAME --period 10 --live")


def test_a_balloon_that_has_gone_silent() -> None:
    *_, balloon = found([guest(1, updated=NOW - int(OLD) - 1), guest(2, updated=NOW - int(OLD))])
    assert (balloon.verdict, balloon.domains) == (Verdict.WARN, ("vm1",))
    assert balloon.text == "memory statistics of 1 guest are more than 10 minutes old"


def test_no_balloon() -> None:
    *_, balloon = found([guest(1, updated=None)])
    assert (balloon.verdict, balloon.domains) == (Verdict.WARN, ("vm1",))
    assert balloon.text.startswith("1 of 1 running guest without a virtio balloon")


def test_nothing_is_said_of_the_balloon_of_one_that_is_stuck() -> None:
    assert not any(each.check == "balloon" for each in found([guest(1, updated=0)], Status.BLOCKED))
