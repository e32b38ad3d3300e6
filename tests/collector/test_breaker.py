"""The breaker: who is stuck, and when to look again."""

from __future__ import annotations

from domstats.collector.breaker import BACK_OFF, Breaker


def test_looks_come_later_and_later() -> None:
    breaker = Breaker()
    breaker.trip("a", 100.0, held_by_us=False)
    looks = [now / 10 for now in range(1000, 3000) if breaker.due(now / 10)]
    gaps = [later - earlier for earlier, later in zip([100.0, *looks], looks, strict=False)]
    assert [round(gap) for gap in gaps[:7]] == [round(gap) for gap in (*BACK_OFF, BACK_OFF[-1], BACK_OFF[-1])]


def test_tripping_again_changes_nothing_but_who_holds_it() -> None:
    breaker = Breaker()
    breaker.trip("a", 100.0, held_by_us=False)
    breaker.trip("a", 101.5, held_by_us=True)
    assert breaker.due(102.0) == ["a"]
    assert breaker.held_by_us("a")
    breaker.trip("a", 103.0, held_by_us=False)
    assert breaker.held_by_us("a")


def test_a_late_answer_is_a_reason_to_look_at_once() -> None:
    breaker = Breaker()
    breaker.trip("a", 100.0, held_by_us=True)
    breaker.due(102.0)
    breaker.released("a", 102.5)
    assert not breaker.held_by_us("a")
    assert breaker.due(102.5) == ["a"]
    assert "a" in breaker


def test_one_that_answered_is_forgotten() -> None:
    breaker = Breaker()
    breaker.trip("a", 100.0, held_by_us=True)
    breaker.reset("a")
    breaker.reset("nobody")
    breaker.released("a", 101.0)
    assert "a" not in breaker
    assert breaker.due(1000.0) == []


def test_one_whose_process_is_stopped_is_looked_at_when_it_goes_on() -> None:
    breaker = Breaker()
    breaker.stopped({"a"}, 100.0)
    assert "a" in breaker
    for now in range(101, 200):
        breaker.stopped({"a"}, float(now))
        assert breaker.due(float(now)) == [], "it cannot answer"
    breaker.stopped(set(), 200.0)
    assert breaker.due(200.0) == ["a"]


def test_one_that_is_stopped_and_held_by_us_is_looked_at() -> None:
    breaker = Breaker()
    breaker.trip("a", 100.0, held_by_us=True)
    breaker.stopped({"a"}, 100.5)
    assert breaker.due(102.0) == ["a"]
