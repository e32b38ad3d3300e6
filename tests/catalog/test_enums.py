"""Words for libvirt's numbers, against a transcript of its enumerations and of virsh's words."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from domstats.catalog import enums

TRANSCRIPT = Path(__file__).with_name("enums.csv")
STATES = ("Nostate", "Running", "Blocked", "Paused", "Shutdown", "Shutoff", "Crashed", "PMSuspended")


def reasons_of(state: int) -> Callable[[int], str]:
    return lambda reason: enums.reason_name(state, reason)


NAMES: dict[str, Callable[[int], str]] = {
    "virDomainState": enums.state_name,
    "virVcpuState": enums.vcpu_state_name,
    "virDomainDirtyRateStatus": enums.dirtyrate_status_name,
    "virDomainEventType": enums.lifecycle_event_name,
    "virDomainControlState": enums.control_state_name,
    **{f"virDomain{state}Reason": reasons_of(number) for number, state in enumerate(STATES)},
}


def transcript() -> dict[str, list[str]]:
    with TRANSCRIPT.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    words: dict[str, list[str]] = {}
    for row in rows:
        known = words.setdefault(row["enum"], [])
        assert int(row["number"]) == len(known), row["constant"]
        known.append(row["word"])
    return words


@pytest.mark.parametrize(("enum", "words"), transcript().items())
def test_words(enum: str, words: list[str]) -> None:
    name = NAMES[enum]
    assert [name(number) for number in range(len(words))] == words
    assert name(len(words)) == str(len(words)), "a word libvirt does not have"


def test_every_enumeration_is_checked() -> None:
    assert set(transcript()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("number", [-1, -(2**31), 99, 2**31 - 1])
def test_unknown_numbers_stay_numbers(name: Callable[[int], str], number: int) -> None:
    assert name(number) == str(number)


@pytest.mark.parametrize("state", [-1, 8, 2**31 - 1])
def test_reason_of_an_unknown_state(state: int) -> None:
    assert enums.reason_name(state, 1) == "1"


def test_a_paused_domain() -> None:
    assert (enums.state_name(3), enums.reason_name(3, 1)) == ("paused", "user")
