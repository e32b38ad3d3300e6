"""Slices: their size follows what is learnt, and they stay the same while nothing much changes."""

from __future__ import annotations

import pytest

from domstats.collector.slicing import BYTES, FIRST_SIZE, SECONDS, SIZE_MAX, Slicer, halves
from domstats.model.domain import Domain

DOMAINS = [Domain(f"vm{number}", f"00000000-0000-0000-0000-{number:012}", number) for number in range(300)]


def learnt(seconds_each: float, bytes_each: int) -> Slicer:
    slicer = Slicer()
    for _ in range(40):
        for part in slicer.slices(DOMAINS):
            slicer.learn(part, seconds_each * len(part), bytes_each * len(part))
    return slicer


def test_every_domain_is_in_one_slice_in_its_order() -> None:
    for slicer in (Slicer(), learnt(0.001, 100), learnt(1.0, 100), learnt(0.001, BYTES)):
        assert [domain for part in slicer.slices(DOMAINS) for domain in part] == DOMAINS
    assert Slicer().slices([]) == []


def test_the_first_slices_have_the_size_that_was_measured() -> None:
    assert {len(part) for part in Slicer().slices(DOMAINS[: 2 * FIRST_SIZE])} == {FIRST_SIZE}


@pytest.mark.parametrize(
    ("seconds", "size", "length"),
    [(0.02, 1000, 20), (5.0, 1000, 1), (0.00001, 1000, SIZE_MAX), (0.001, BYTES // 10, 10), (0.001, 10 * BYTES, 1)],
)
def test_the_size_follows_time_and_bytes(seconds: float, size: int, length: int) -> None:
    longest = max(len(part) for part in learnt(seconds, size).slices(DOMAINS))
    assert length / 2 <= longest <= length * 2


def test_small_changes_leave_the_slices_alone() -> None:
    slicer = learnt(SECONDS / 20, 1000)
    before = slicer.slices(DOMAINS)
    for part in before:
        slicer.learn(part, len(part) * SECONDS / 24, 1100 * len(part))
    assert slicer.slices(DOMAINS) == before


def test_what_is_learnt_of_one_guest_is_its_own() -> None:
    slicer = Slicer()
    slicer.learn(DOMAINS[:1], 0.01, BYTES - 1)
    slicer.learn(DOMAINS[1:40], 0.39, 1000)
    assert slicer.slices(DOMAINS[:40])[0] == DOMAINS[:1]
    slicer.forget(DOMAINS[0].uuid)
    assert len(slicer.slices(DOMAINS[:40])[0]) > 1


def test_slices_that_were_given_up_are_halved_once() -> None:
    slicer, domains = Slicer(), [Domain(f"vm{number}", str(number), number) for number in range(64)]
    for _ in range(6):  # side by side
        slicer.too_slow(32)
    assert [len(each) for each in slicer.slices(domains)] == [16] * 4
    slicer.too_slow(7)
    assert {len(each) for each in slicer.slices(domains)} == {2}
    for count in (3, 1):
        slicer.too_slow(count)
        assert {len(each) for each in slicer.slices(domains)} == {1}


def test_halves() -> None:
    assert halves(DOMAINS[:3]) == [DOMAINS[:2], DOMAINS[2:3]]
    assert halves(DOMAINS[:1]) == [DOMAINS[:1]]
    assert halves([]) == []
