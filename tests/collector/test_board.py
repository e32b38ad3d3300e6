"""The board: what is shown of a domain while replies come, fail to come, and domains come and go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from domstats.catalog.groups import GROUP_NAMES
from domstats.collector.board import FREE, MONITOR, Board
from domstats.model.description import Description
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.bulk.encoder import encode_reply

P, T = TypedParameter, ParamType
ASKED = 0b11  # state and cpu


def vm(number: int, id: int | None = None, name: str = "") -> Domain:  # noqa: A002
    return Domain(name or f"vm{number}", f"00000000-0000-0000-0000-{number:012}", number if id is None else id)


DECODER = ReplyDecoder()


def states(time: float, *domains: Domain) -> Snapshot:
    return polled(time, {each: [P("state.state", T.INT, 1)] for each in domains})


def times(time: float, *domains: Domain) -> Snapshot:
    # A decoder tells what was asked of a domain by the number of values.
    params = [P("cpu.time", T.ULLONG, int(time)), P("cpu.user", T.ULLONG, 0)]
    return polled(time, dict.fromkeys(domains, params))


def polled(time: float, content: dict[Domain, list[TypedParameter]]) -> Snapshot:
    """As a source gives it: what did not change has the layout it had before."""
    return DECODER.decode(encode_reply(Snapshot.of_params(content.items())), time=time, source="test:")


def statuses(board: Board, time: float, fresh_for: float = 5.0) -> dict[str, str]:
    return {each.domain.name: each.status.label for each in shown(board, time, fresh_for)}


def shown(board: Board, time: float, fresh_for: float = 5.0) -> Snapshot:
    return board.snapshot(time, ASKED, np.full(len(GROUP_NAMES), fresh_for), 4)


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
    snapshot = shown(board, 11.0, 5.0)
    assert dict(snapshot["vm1"].items()) == {"state.state": 1, "cpu.time": 10, "cpu.user": 0}
    assert snapshot["vm1"].ages == {"state": 1.0, "cpu": 1.0}
    assert snapshot["vm1"].sources == {"state": "test:", "cpu": "test:"}
    assert (snapshot.time, snapshot.host_cpus, snapshot.problems) == (11.0, 4, [])


def test_old_groups_make_a_record_stale_and_stay(board: Board) -> None:
    board.see_all(states(20.0, vm(1), vm(2)), FREE)
    see(board, times(20.0, vm(2)))
    snapshot = shown(board, 21.0, 5.0)
    assert [record.status.label for record in snapshot] == ["stale", "fresh"]
    assert snapshot["vm1"]["cpu.time"] == 10
    assert snapshot["vm1"].ages == {"state": 1.0, "cpu": 11.0}
    assert snapshot["vm1"].age == 11.0


def test_what_is_of_a_later_time_is_old(board: Board) -> None:
    assert statuses(board, 9.0) == {"vm1": "fresh", "vm2": "fresh"}
    assert statuses(board, 8.9) == {"vm1": "stale", "vm2": "stale"}
    board.see_all(states(7.0, vm(1), vm(2)), FREE)
    see(board, times(7.0, vm(2)))
    assert statuses(board, 7.0) == {"vm1": "stale", "vm2": "fresh"}


def test_a_domain_that_never_answered_is_there(board: Board) -> None:
    board.see_all(states(20.0, vm(1), vm(2), vm(3)), FREE)
    assert dict(shown(board, 20.0, 60.0)["vm3"].items()) == {"state.state": 1}
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
    assert "cpu.time" not in shown(board, 12.0, 5.0)["vm1"]


def test_a_new_name_is_shown(board: Board) -> None:
    board.see_all(states(12.0, vm(1, name="renamed"), vm(2)), FREE)
    snapshot = shown(board, 12.0, 5.0)
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
    snapshot = shown(board, 12.0, 5.0)
    assert snapshot["vm1"].status is Status.PARTIAL
    assert snapshot["vm1"]["cpu.time"] == 10
    assert snapshot["vm1"].ages["cpu"] == 2.0


def test_of_a_partial_reply_what_is_no_less_than_before_is_taken(board: Board) -> None:
    def reply(time: float, *keys: str) -> Snapshot:
        params = [P(key, T.ULLONG, int(time)) for key in keys]
        return Snapshot.of_params([(vm(1), params)], time=time, source="test:")

    see(board, reply(12.0, "cpu.time", "cpu.user", "balloon.current", "balloon.rss"))
    see(board, reply(13.0, "cpu.time", "cpu.user", "balloon.current", "vcpu.current"), Status.PARTIAL)
    record = shown(board, 13.0, 60.0)["vm1"]
    assert dict(record.items()) == {
        "state.state": 1,
        "cpu.time": 13,
        "cpu.user": 13,
        "balloon.current": 12,
        "balloon.rss": 12,
        "vcpu.current": 13,
    }
    assert record.status is Status.PARTIAL
    assert (record.ages["cpu"], record.ages["balloon"], record.ages["vcpu"]) == (0.0, 1.0, 0.0)


def test_the_sample_before_of_each_group(board: Board) -> None:
    see(board, times(14.0, vm(1)))
    board.see_all(states(16.0, vm(1), vm(2)), FREE)
    now = shown(board, 16.0, 60.0)
    before = board.develop(board.previous(), 16.0, 4)
    assert now["vm1"].ages == {"state": 0.0, "cpu": 2.0}
    assert before["vm1"].ages == {"state": 6.0, "cpu": 6.0}
    assert before["vm2"].ages == {"state": 6.0}, "its cpu group has come once"
    assert now.layout.records[0] is before.layout.records[0]
    assert now.rates(before)["vm1"]["cpu.time"] == 1.0
    see(board, times(18.0, vm(1)))
    assert now["vm1"]["cpu.time"] == 14, "a snapshot does not change"


class TestTheClockIsSet:
    """By an hour back, between two polls."""

    BEFORE, SINCE = 7200.0, 3600.0
    """How far ahead it is."""

    @pytest.fixture
    def board(self) -> Board:
        board = Board()
        board.see_all(self.sampled(states(10_000.0, vm(1)), self.BEFORE), FREE)
        see(board, self.sampled(times(10_000.0, vm(1)), self.BEFORE))
        return board

    @staticmethod
    def sampled(snapshot: Snapshot, offset: float) -> Snapshot:
        return snapshot.with_sampling(replace(snapshot.sampling, offset=offset))

    def test_what_is_known_is_told_as_the_clock_is_now(self, board: Board) -> None:
        see(board, self.sampled(times(6405.0, vm(1)), self.SINCE))
        fresh_for = np.full(len(GROUP_NAMES), 15.0)
        snapshot = board.snapshot(6410.0, ASKED, fresh_for, 4, self.SINCE)
        assert snapshot["vm1"].ages == {"state": 10.0, "cpu": 5.0}
        assert not snapshot.problems
        before = board.develop(board.previous(), snapshot.time, 4, self.SINCE)
        assert before["vm1"].ages == {"cpu": 10.0}
        answer = board.answer(6410.0, ASKED, 0.0, 4, self.SINCE, keep=True)
        assert answer["vm1"].ages == {"state": 10.0, "cpu": 5.0}

    def test_whether_a_group_has_been_sampled_since(self, board: Board) -> None:
        row = board.rows[vm(1).uuid]
        for since, sampled in ((6400.0, True), (6401.0, False)):
            assert row.sampled_since(ASKED, np.full(len(GROUP_NAMES), since), self.SINCE) is sampled

    @pytest.mark.parametrize(("time", "shown"), [(6401.0, 1), (6403.0, 2)])
    def test_what_the_kernel_said_last_is_overtaken_by_what_is_later(
        self, board: Board, time: float, shown: int
    ) -> None:
        for when in (10_001.0, 10_002.0):
            kernel = polled(when, {vm(1): [P("cpu.time", T.ULLONG, 1)]})
            board.lay_over(self.sampled(kernel, self.BEFORE), ASKED)
        board.lift()
        libvirt = polled(time, {vm(1): [P("cpu.time", T.ULLONG, 2), P("cpu.user", T.ULLONG, 0)]})
        see(board, self.sampled(libvirt, self.SINCE))
        assert board.answer(6410.0, ASKED, 0.0, 4, self.SINCE, keep=True)["vm1"]["cpu.time"] == shown


def test_only_who_is_wanted_has_a_row() -> None:
    board = Board(lambda domain: domain.name != "vm2")
    board.see_all(states(10.0, vm(1), vm(2)), FREE)
    see(board, times(10.0, vm(1), vm(2)))
    assert statuses(board, 10.0) == {"vm1": "fresh"}
    board.see_all(states(11.0, vm(1, name="vm2")), FREE)
    assert statuses(board, 11.0) == {"vm1": "gone"}


def test_what_a_definition_says_stays_with_its_domain(board: Board) -> None:
    board.describe(vm(1).uuid, Description(title="one"))
    board.describe("nobody", Description())
    first = shown(board, 11.0, 60.0)
    assert first["vm1"].domain.info == Description(title="one")
    assert first["vm2"].domain.info is None
    board.see_all(states(12.0, vm(1, name="renamed"), vm(2)), FREE)
    second = shown(board, 12.0, 60.0)
    assert second["renamed"].domain.info == Description(title="one")
    assert second["vm2"].layout is first["vm2"].layout
    board.see_all(states(13.0, vm(1, id=9), vm(2)), FREE)
    assert shown(board, 13.0, 60.0)["vm1"].domain.info is None, "another run may have other devices"


def test_a_guest_that_libvirt_has_an_error_for(board: Board) -> None:
    board.fail([vm(1).uuid, "nobody"])
    assert statuses(board, 11.0) == {"vm1": "partial", "vm2": "fresh"}
    see(board, times(12.0, vm(1)))
    assert statuses(board, 12.0)["vm1"] == "fresh"


def test_those_that_are_gone_can_be_left_out(board: Board) -> None:
    board.see_all(states(12.0, vm(2)), FREE)
    assert len(board.answer(12.0, ASKED, 0.0, 4, keep=True)) == 1
    assert list(board.rows) == [vm(2).uuid]
