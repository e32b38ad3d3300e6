"""The roll call: what is kept of guests is kept of those that are there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from domstats.collector.board import FREE, Board
from domstats.collector.reach import Reach
from domstats.collector.round import RollCall
from domstats.model.domain import Domain
from domstats.model.flags import NO_FILTERS, DomainFilter
from domstats.model.params import ParamType, TypedParameter
from domstats.model.snapshot import Snapshot
from domstats.sources.sim.source import SimSource

DEADLINE = 5.0
GONE = Domain("gone", "6695eb01-f6a4-8304-79aa-97f2502e193f", 3)


@pytest.fixture
async def reach() -> AsyncIterator[Reach]:
    """Of a host with 20 domains, and what is known of one that has gone."""
    reach = Reach(SimSource.open("sim:///?domains=20"))
    reach.breaker.trip(GONE.uuid, 0.0, held_by_us=True)
    reach.slicer.learn([GONE], 0.1, 4 << 20)
    reach.cost.add_call(0, [GONE], 0.1, 4 << 20)
    params = [TypedParameter("balloon.maximum", ParamType.ULLONG, 1)]
    reach.completeness.judge(Snapshot.of_params([(GONE, params)]), 0, NO_FILTERS, 0.1)
    yield reach
    await reach.close()


def known(reach: Reach) -> list[bool]:
    """By whom the one that has gone is remembered."""
    params = [TypedParameter("balloon.maximum", ParamType.ULLONG, 1)]
    status = reach.completeness.judge(Snapshot.of_params([(GONE, params)]), 0, DomainFilter.NOWAIT, 0.1)
    return [
        GONE.uuid in reach.breaker,
        len(reach.slicer.slices([GONE, Domain("other", "0d9f8a56-0000-4000-8000-00000000abcd", 4)])) == 2,
        GONE.uuid in reach.cost.seconds_by_domain,
        status.tolist() == [0],
    ]


async def test_who_is_not_called_out_is_forgotten(reach: Reach) -> None:
    assert known(reach) == [True] * 4
    board = Board()
    await RollCall(reach, board, FREE, DomainFilter.NOWAIT).ask([], DEADLINE)
    assert known(reach) == [False] * 4
    assert reach.cost.seconds_by_domain.keys() == board.rows.keys()


async def test_a_call_for_some_says_nothing_of_the_others(reach: Reach) -> None:
    await RollCall(reach, Board(), FREE, DomainFilter.RUNNING).ask([], DEADLINE)
    some = (await (await reach.main()).domains(DEADLINE))[:3]
    await RollCall(reach, Board(), FREE, NO_FILTERS).ask(some, DEADLINE)
    assert known(reach) == [True] * 4


async def test_of_those_that_have_no_row_nothing_is_counted(reach: Reach) -> None:
    board = Board(lambda domain: domain.name == "test-1")
    before = reach.cost.seconds
    await RollCall(reach, board, FREE, NO_FILTERS).ask([], DEADLINE)
    assert list(reach.cost.seconds_by_domain) == list(board.rows)
    assert [row.domain.name for row in board.rows.values()] == ["test-1"]
    (spent,) = reach.cost.seconds_by_domain.values()
    assert spent == pytest.approx((reach.cost.seconds - before) / 20)
