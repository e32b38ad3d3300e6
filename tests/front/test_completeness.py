"""collect.completeness: which records lack what needed the monitor."""

from __future__ import annotations

import pytest

from domstats.collector.completeness import JOB_WAIT, Completeness
from domstats.model.domain import Domain
from domstats.model.flags import NO_FILTERS, DomainFilter
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot

NOWAIT, BACKING = DomainFilter.NOWAIT, DomainFilter.BACKING
FRESH, PARTIAL = Status.FRESH, Status.PARTIAL
ON = Domain("on", "6695eb01-f6a4-8304-79aa-97f2502e193f", 3)
OFF = Domain("off", "0d9f8a56-0000-4000-8000-00000000abcd", None)

WITHOUT_MONITOR = ("state.state", "balloon.maximum", "block.count", "block.0.name")
WHOLE = (*WITHOUT_MONITOR, "balloon.rss", "block.0.rd.reqs")


def snapshot(*records: tuple[Domain, tuple[str, ...]]) -> Snapshot:
    return Snapshot.of_params(
        (domain, [TypedParameter(key, ParamType.ULLONG, 1) for key in keys]) for domain, keys in records
    )


def judge(
    judging: Completeness, keys: tuple[str, ...], flags: DomainFilter = NOWAIT, seconds: float = 0.1, groups: int = 0
) -> int:
    (status,) = judging.judge(snapshot((ON, keys)), groups, flags, seconds).tolist()
    return int(status)


@pytest.mark.parametrize(
    ("flags", "seconds", "status"),
    [
        (NO_FILTERS, 0.1, FRESH),
        (NO_FILTERS, JOB_WAIT - 0.1, FRESH),
        (NO_FILTERS, JOB_WAIT, PARTIAL),
        (NOWAIT, 0.1, PARTIAL),
        (NOWAIT | BACKING, 0.1, PARTIAL),
    ],
)
def test_when_something_may_be_missing(flags: DomainFilter, seconds: float, status: Status) -> None:
    assert judge(Completeness(), WITHOUT_MONITOR, flags, seconds) == status


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        (WHOLE, FRESH),
        (("state.state",), FRESH),
        ((), FRESH),
        (("balloon.maximum",), PARTIAL),
        (("balloon.maximum", "balloon.rss"), FRESH),
        (("block.count",), FRESH),
        (("block.0.name",), PARTIAL),
        (("block.0.name", "block.1.name", "block.1.rd.reqs"), FRESH),
    ],
)
def test_of_a_domain_seen_for_the_first_time(keys: tuple[str, ...], status: Status) -> None:
    assert judge(Completeness(), keys) == status


def test_a_domain_that_is_off_is_complete_and_each_is_judged_alone() -> None:
    polled = snapshot((OFF, WITHOUT_MONITOR), (ON, WITHOUT_MONITOR))
    assert Completeness().judge(polled, 0, NOWAIT, 0.1).tolist() == [FRESH, PARTIAL]


def test_a_complete_record_is_what_the_next_is_measured_by() -> None:
    judging = Completeness()
    assert judge(judging, (*WHOLE, "cpu.time"), NO_FILTERS) == FRESH
    assert judge(judging, WHOLE) == PARTIAL
    assert judge(judging, WHOLE) == PARTIAL  # a partial one is no measure
    assert judge(judging, (*WHOLE, "cpu.time", "vcpu.current")) == FRESH
    assert judge(judging, (*WHOLE, "cpu.time")) == PARTIAL
    assert judge(judging, WHOLE, NO_FILTERS) == FRESH  # the guest has lost a device
    assert judge(judging, WHOLE) == FRESH


def test_other_questions_have_other_measures() -> None:
    judging = Completeness()
    assert judge(judging, (*WHOLE, "cpu.time"), NO_FILTERS) == FRESH
    assert judge(judging, WHOLE, NOWAIT | BACKING) == FRESH
    assert judge(judging, WHOLE, NOWAIT, groups=1) == FRESH
    assert judge(judging, WHOLE, NOWAIT | DomainFilter.RUNNING) == PARTIAL


def test_what_is_remembered_has_a_limit() -> None:
    judging = Completeness()
    judge(judging, (*WHOLE, "cpu.time"), NO_FILTERS)
    for groups in range(1, 16):
        judge(judging, WHOLE, NO_FILTERS, groups=groups)
    assert judge(judging, WHOLE) == PARTIAL
    judge(judging, WHOLE, NO_FILTERS, groups=16)
    assert judge(judging, WHOLE) == FRESH
