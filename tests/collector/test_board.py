"""The board: what is shown of a domain while replies come, fail to come, and domains come and go."""

from __future__ import annotations

import numpy as np
import pytest

from domstats.collector.board import FREE, MONITOR, Board
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot

P, T = TypedParameter, ParamType
ASKED = 0b11  # state and cpu


def vm(number: int, id: int | None = None, name: str = "") -> Domain:  # noqa: A002
    return Domain(name or f"vm{number}", f"00000000-0000-0000-0000-{number:012}", number if id is None else id)


def states(time: float, *domains: Domain) -> Snapshot:
    return Snapshot.of_params(((each, [P("state.state", T.INT, 1)]) for each in domains), time=time, source="test:")


def times(time: float, *domains: Domain) -> Snapshot:
    content = ((each, [P("cpu.time", T.ULLONG, int(time))]) for each in domains)
    return Snapshot.of_params(content, time=time, source="test:")


def statuses(board: Board, time: float, fresh_for: float = 5.0) -> dict[str, str]:
    return {each.domain.name: each.status.label for each in board.snapshot(time, ASKED, fresh_for, 4)}


def see(board: Board, snapshot: Snapshot, status: Status = Status.FRESH) -> list[str]:
    return board.see(snapshot, np.full(len(snapshot), status, np.uint8))


@pytest.fixture
def board() -> Board:
    board = Board()
    board.see_all(states(10.0, vm(1), vm(2)), FREE)
    see(board, times(10.0, vm(1), vm(2)))
    return board


def test_free_and_monitor_groups_are_all_groups() -> None:
    assert FREE & MONITOR == 0
    assert (FREE | MONITOR).bit_count() == 12


def test_a_record_is_made_of_its_parts(board: Board) -> None:
    snapshot = board.snapshot(11.0, ASKED, 5.0, 4)
    assert dict(snapshot["vm1"].items()) == {"state.state": 1, "cpu.time": 10}
    assert snapshot["vm1"].ages == {"state": 1.0, "cpu": 1.0}
    assert snapshot["vm1"].sources == {"state": "test:", "cpu": "test:"}
    assert (snapshot.time, snapshot.host_cpus, snapshot.problems) == (11.0, 4, [])


def test_old_groups_make_a_record_stale_and_stay(board: Board) -> None:
    board.see_all(states(20.0, vm(1), vm(2)), FREE)
    see(board, times(20.0, vm(2)))
    snapshot = board.snapshot(21.0, ASKED, 5.0, None)
    assert [record.status.label for record in snapshot] == ["stale", "fresh"]
    assert snapshot["vm1"]["cpu.time"] == 10
    assert snapshot["vm1"].ages == {"state": 1.0, "cpu": 11.0}
    assert snapshot["vm1"].age == 11.0


def test_a_domain_that_never_answered_is_there(board: Board) -> None:
    board.see_all(states(20.0, vm(1), vm(2), vm(3)), FREE)
    assert dict(board.snapshot(20.0, ASKED, 60.0, None)["vm3"].items()) == {"state.state": 1}
    assert statuses(board, 20.0, 60.0) == {"vm1": "fresh", "vm2": "fresh", "vm3": "stale"}


def test_gone_exactly_once(board: Board) -> None:
    assert board.see_all(states(12.0, vm(2)), FREE) == [vm(1).uuid]
    assert statuses(board, 12.0) == {"vm1": "gone", "vm2": "fresh"}
    assert statuses(board, 12.0) == {"vm2": "fresh"}
    board.see_all(states(13.0, vm(1), vm(2)), FREE)
    assert statuses(board, 13.0) == {"vm2": "fresh", "vm1": "stale"}


def test_a_late_reply_does_not_bring_back_who_is_gone(board: Board) -> None:
    board.see_all(states(12.0, vm(2)), FREE)
    statuses(board, 12.0)
    assert see(board, times(12.0, vm(1), vm(2))) == [vm(2).uuid]
    assert statuses(board, 12.0) == {"vm2": "fresh"}


def test_of_an_earlier_run_nothing_is_left(board: Board) -> None:
    assert board.see_all(states(12.0, vm(1, id=9), vm(2)), FREE) == [vm(1).uuid]
    assert see(board, times(12.0, vm(1))) == [], "the reply is of the run before"
    assert "cpu.time" not in board.snapshot(12.0, ASKED, 5.0, None)["vm1"]


def test_a_new_name_is_shown(board: Board) -> None:
    board.see_all(states(12.0, vm(1, name="renamed"), vm(2)), FREE)
    snapshot = board.snapshot(12.0, ASKED, 5.0, None)
    assert snapshot["renamed"]["cpu.time"] == 10


def test_blocked_until_it_answers_in_full(board: Board) -> None:
    board.block([vm(1).uuid])
    assert statuses(board, 11.0) == {"vm1": "blocked", "vm2": "fresh"}
    assert see(board, Snapshot.of_params([(vm(1), [])], time=12.0), Status.PARTIAL) == []
    assert statuses(board, 12.0)["vm1"] == "blocked", "blocked wins over partial"
    assert see(board, times(13.0, vm(1))) == [vm(1).uuid]
    assert statuses(board, 13.0)["vm1"] == "fresh"


def test_a_partial_reply_does_not_replace_a_full_one(board: Board) -> None:
    see(board, Snapshot.of_params([(vm(1), [])], time=12.0), Status.PARTIAL)
    snapshot = board.snapshot(12.0, ASKED, 5.0, None)
    assert snapshot["vm1"].status is Status.PARTIAL
    assert snapshot["vm1"]["cpu.time"] == 10
    assert snapshot["vm1"].ages["cpu"] == 2.0
