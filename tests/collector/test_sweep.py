"""Sweeps and lanes, with sources whose answers the test decides: no daemon, no waiting but for what is the subject."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from domstats.collector.lanes import HungCall, Lanes
from domstats.collector.sweep import Answer, Asking, Slice, Sweep
from domstats.errors import (
    ConnectionLost,
    DomstatsError,
    NoSocket,
    RemoteError,
    ReplyTooLarge,
    StatsUnsupported,
)
from domstats.model.domain import Domain
from domstats.model.snapshot import Snapshot
from fast_time import in_fast_time

DOMAINS = [Domain(f"vm{number}", f"00000000-0000-0000-0000-{number:012}", number) for number in range(8)]
TOO_LARGE = ReplyTooLarge(39, 7, "Unable to encode message payload")


class Connection:
    """A source as far as sweeps know it."""

    def __init__(self) -> None:
        self.received, self.lost, self.closed = 0, False, False

    async def aclose(self) -> None:
        self.closed = True


class Host:
    """Domains that answer, or do not; and what a sweep told of it."""

    def __init__(self, width: int = 2, max_hung: int = 6) -> None:
        self.lanes = Lanes(self.open, width, max_hung, self.ended_late)  # type: ignore[arg-type]
        self.opened: list[Connection] = []
        self.refuses = False
        """Whether no connection can be opened."""
        self.calls: list[list[str]] = []
        self.running = self.most_running = 0
        self.stuck: set[str] = set()
        self.held: set[str] = set()
        """Those on whose job a call hangs, which NOWAIT passes by."""
        self.stopped: set[str] = set()
        """Those that are seen not to be able to answer."""
        self.named = True
        """Whether control info names those that are stuck."""
        self.errors: dict[str, DomstatsError] = {}
        self.too_large = 100
        self.trusted: set[str] = set()
        self.answers: list[str] = []
        self.reduced: list[str] = []
        """Those that were asked with NOWAIT."""
        self.failed: list[str] = []
        self.hung: list[list[str]] = []
        self.slow: list[int] = []
        """How many were asked together in each call that was given up with nobody to blame."""
        self.late: list[list[str]] = []
        self.begun: list[float] = []
        self._release = asyncio.Event()

    async def open(self) -> Connection:
        if self.refuses:
            raise NoSocket("nobody listens")
        self.opened.append(Connection())
        return self.opened[-1]

    async def ask(self, _source: object, chosen: Slice) -> Snapshot:
        names = [domain.name for domain in chosen.domains]
        self.calls.append(names)
        self.begun.append(asyncio.get_running_loop().time())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(0)
            if self.errors.keys() & set(names):
                raise next(self.errors[name] for name in names if name in self.errors)
            if len(names) > self.too_large:
                raise TOO_LARGE
            for name in names:
                if name in self.stuck and not (chosen.nowait and name in self.held):
                    self.held.add(name)
                    await self._release.wait()
        finally:
            self.running -= 1
        return Snapshot.of_params((domain, []) for domain in chosen.domains)

    async def occupied(self, domains: Sequence[Domain], _seconds: float) -> list[Domain]:
        return [domain for domain in domains if domain.name in self.held and self.named]

    async def able(self, domains: Sequence[Domain], _seconds: float) -> list[Domain]:
        return [domain for domain in domains if domain.name not in self.stopped]

    def recover(self) -> None:
        self.stuck.clear()
        self.held.clear()
        self._release.set()

    def answered(self, answer: Answer) -> None:
        into = self.reduced if answer.slice.nowait else self.answers
        into += [domain.name for domain in answer.snapshot.domains]

    def ended_late(self, call: HungCall) -> None:
        self.late.append([domain.name for domain in call.suspects])

    async def sweep(
        self, *slices: Sequence[int], seconds: float = 30.0, spread: float = 0.0, looks: Sequence[int] = ()
    ) -> list[str]:
        """Names of the domains that were lost."""
        asking = Asking(
            self.ask,
            self.occupied,
            self.answered,
            lambda domains, _: self.failed.extend(domain.name for domain in domains),
            self.able,
            lambda call: self.hung.append([domain.name for domain in call.suspects]),
            self.slow.append,
            lambda domain: domain.name in self.trusted,
        )
        each = Sweep(self.lanes, asking)
        parts = [Slice([DOMAINS[number] for number in part]) for part in slices]
        first = [Slice([DOMAINS[number]], nowait=True) for number in looks]
        await each.run(parts, seconds, spread=spread, looks=first)
        return sorted(domain.name for domain in each.lost)


@pytest.fixture
def host() -> Host:
    return Host()


def names(*numbers: int) -> list[str]:
    return [f"vm{number}" for number in numbers]


@in_fast_time
async def test_slices_go_over_several_connections(host: Host) -> None:
    assert await host.sweep([0, 1], [2, 3], [4, 5], [6, 7]) == []
    assert sorted(host.answers) == names(*range(8))
    assert len(host.opened) == host.most_running == 2
    await host.sweep([0, 1], [2, 3])
    assert len(host.opened) == 2, "connections are used again"
    await host.lanes.close()
    assert all(each.closed for each in host.opened)


@in_fast_time
async def test_they_begin_evenly_over_a_time(host: Host) -> None:
    assert await host.sweep([0, 1], [2, 3], [4, 5], [6, 7], spread=12.0) == []
    assert [round(begun) for begun in host.begun] == [3, 6, 9, 12]


@in_fast_time
async def test_looks_at_the_stuck_move_nobody_elses_time(host: Host) -> None:
    assert await host.sweep([0, 1], [2, 3], spread=12.0, looks=[5, 6, 7]) == []
    assert [round(begun) for begun in host.begun] == [0, 0, 0, 6, 12]
    assert host.reduced == names(5, 6, 7)


@in_fast_time
async def test_a_stuck_guest_costs_the_others_of_its_slice_nothing(host: Host) -> None:
    host.stuck = {"vm1"}
    assert await host.sweep([0, 1, 2], [3, 4]) == []
    assert sorted(host.answers) == names(0, 2, 3, 4)
    assert host.hung == [["vm1"]]
    assert host.reduced == ["vm1"], "it gives what needs no answer of its own"
    assert len(host.lanes.hung) == 1
    assert asyncio.get_running_loop().time() < 2.0
    host.recover()
    await asyncio.wait([call.task for call in host.lanes.hung])
    await asyncio.sleep(0)
    assert host.late == [["vm1"]]
    assert host.lanes.hung == []
    assert "vm1" not in host.answers, "what comes late is not used"


@in_fast_time
async def test_each_further_stuck_guest_hangs_one_more_call(host: Host) -> None:
    host.stuck = {"vm0", "vm2", "vm3"}
    assert await host.sweep([0, 1, 2, 3, 4]) == []
    assert sorted(host.answers) == names(1, 4)
    assert sorted(host.hung) == [["vm0"], ["vm2"], ["vm3"]]
    assert sorted(host.reduced) == names(0, 2, 3)
    await host.lanes.close()


@in_fast_time
async def test_who_is_seen_to_be_stopped_is_not_asked(host: Host) -> None:
    host.stuck = host.stopped = {"vm1", "vm3"}
    assert await host.sweep([0, 1, 2], [3]) == []
    assert sorted(host.answers) == names(0, 2)
    assert host.calls == [["vm0", "vm2"]]
    assert host.hung == []


@in_fast_time
async def test_hung_calls_are_never_too_many() -> None:
    host = Host(width=4, max_hung=3)
    host.stuck = set(names(*range(6)))
    host.trusted = {"vm7"}
    lost = await host.sweep(*([number] for number in range(8)))
    assert len(host.hung) <= 3
    assert host.most_running <= 3
    assert set(lost) | {name for call in host.hung for name in call} >= host.stuck
    await host.lanes.close()


@in_fast_time
async def test_with_the_count_spent_only_those_known_to_answer_are_asked() -> None:
    host = Host(width=1, max_hung=2)
    host.stuck, host.trusted = {"vm0"}, {"vm2"}
    assert await host.sweep([0], [1, 2]) == ["vm1"]
    assert host.answers == ["vm2"]
    assert host.calls == [["vm0"], ["vm0"], ["vm2"]]
    await host.lanes.close()


@in_fast_time
async def test_where_one_may_hang_those_are_asked_of_whom_nothing_is_known() -> None:
    host = Host(max_hung=1)
    assert await host.sweep([0, 1], [2, 3]) == []
    assert sorted(host.answers) == names(0, 1, 2, 3)
    host.stuck = {"vm2"}
    await host.sweep([2], [0])
    assert host.hung == [["vm2"]]
    await host.lanes.close()


@in_fast_time
async def test_with_as_many_hung_as_may_be_nobody_is_asked() -> None:
    host = Host(width=1, max_hung=2)
    host.stuck, host.trusted = {"vm0", "vm1"}, {"vm1", "vm2"}
    assert await host.sweep([0], [1], [2]) == ["vm1", "vm2"]
    assert len(host.lanes.hung) == 2
    assert asyncio.get_running_loop().time() < 5.0, "nobody waits for a place that does not come"
    await host.lanes.close()


@in_fast_time
async def test_where_nobody_is_named_the_slice_is_halved(host: Host) -> None:
    host.named, host.stuck = False, {"vm2"}
    assert await host.sweep([0, 1, 2, 3]) == []
    assert sorted(host.answers) == names(0, 1, 3)
    assert host.hung == [[], [], ["vm2"]]
    assert host.slow == [4, 2], "who hangs alone says nothing of the others"
    await host.lanes.close()


@in_fast_time
async def test_a_reply_too_large_is_asked_for_in_halves(host: Host) -> None:
    host.too_large = 2
    assert await host.sweep([0, 1, 2, 3, 4]) == []
    assert sorted(host.answers) == names(0, 1, 2, 3, 4)
    host.too_large = 0
    assert await host.sweep([0, 1]) == names(0, 1)


@in_fast_time
async def test_a_lost_connection_loses_its_slice_only(host: Host) -> None:
    host.errors["vm0"] = ConnectionLost("the daemon closed the connection")
    assert await host.sweep([0, 1], [2, 3]) == names(0, 1)
    assert host.answers == names(2, 3)


@in_fast_time
async def test_a_host_that_cannot_be_reached_loses_all(host: Host) -> None:
    host.refuses = True
    assert await host.sweep([0, 1], [2, 3]) == names(0, 1, 2, 3)
    host.refuses = False
    assert await host.sweep([0, 1], [2, 3]) == []


@in_fast_time
async def test_a_connection_that_is_lost_is_not_used_again(host: Host) -> None:
    await host.sweep([0], [1])
    for each in host.opened:
        each.lost = True
    await host.sweep([0], [1])
    assert len(host.opened) == 4
    assert [each.closed for each in host.opened] == [True, True, False, False]


@in_fast_time
async def test_the_deadline_ends_the_sweep() -> None:
    host = Host(width=1, max_hung=20)
    host.named, host.stuck = False, set(names(*range(5)))
    lost = await host.sweep([0], [1], [2], [3], [4], seconds=2.0)
    assert asyncio.get_running_loop().time() == pytest.approx(2.0)
    assert lost == names(2, 3, 4)
    assert host.hung == [["vm0"], ["vm1"], ["vm2"]]
    await host.lanes.close()
    assert all(each.closed for each in host.opened)
    assert host.lanes.hung == []


@in_fast_time
async def test_a_short_deadline_leaves_time_to_look(host: Host) -> None:
    host.stuck = {"vm1"}
    assert await host.sweep([0, 1, 2], seconds=1.0) == []
    assert sorted(host.answers) == names(0, 2)


@in_fast_time
async def test_an_error_of_the_question_ends_the_sweep(host: Host) -> None:
    host.errors |= {name: StatsUnsupported(74, 10, "no such group") for name in names(0, 2)}
    with pytest.raises(StatsUnsupported, match="no such group"):
        await host.sweep([0], [2], [1])


@in_fast_time
async def test_an_error_of_a_guest_is_its_own(host: Host) -> None:
    host.errors["vm2"] = RemoteError(1, 10, "internal error: cannot read the dirty rate")
    assert await host.sweep([0, 1, 2, 3], [4]) == []
    assert sorted(host.answers) == names(0, 1, 3, 4)
    assert host.failed == ["vm2"]


@in_fast_time
async def test_an_error_of_every_guest_is_the_questions(host: Host) -> None:
    host.errors |= {name: RemoteError(1, 10, "internal error: everything") for name in names(*range(8))}
    with pytest.raises(RemoteError, match="everything"):
        await host.sweep([0, 1, 2, 3], [4, 5, 6, 7])
    assert sorted(host.failed) == names(*range(8))
