"""Sweeps and lanes, with sources whose answers the test decides: no daemon, no waiting but for what is the subject."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from domstats.collector import sweep as sweep_module
from domstats.collector.lanes import HungCall, Lanes
from domstats.collector.sweep import Answer, Asking, Sweep
from domstats.errors import ConnectionLost, DomstatsError, ReplyTooLarge
from domstats.model.domain import Domain
from domstats.model.snapshot import Snapshot

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

    def __init__(self, monkeypatch: pytest.MonkeyPatch, width: int = 2, max_hung: int = 6) -> None:
        monkeypatch.setattr(sweep_module, "LATE", 0.01)
        monkeypatch.setattr(sweep_module, "LOOK_AGAIN", 0.005)
        self.lanes = Lanes(self.open, width, max_hung, self.ended_late)  # type: ignore[arg-type]
        self.opened: list[Connection] = []
        self.calls: list[list[str]] = []
        self.running = self.most_running = 0
        self.stuck: set[str] = set()
        self.named = True
        """Whether control info names those that are stuck."""
        self.errors: dict[str, DomstatsError] = {}
        self.too_large = 100
        self.trusted: set[str] = set()
        self.answers: list[str] = []
        self.hung: list[list[str]] = []
        self.late: list[list[str]] = []
        self._release = asyncio.Event()

    async def open(self) -> Connection:
        self.opened.append(Connection())
        return self.opened[-1]

    async def ask(self, _source: object, domains: Sequence[Domain]) -> Snapshot:
        names = [domain.name for domain in domains]
        self.calls.append(names)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(0)
            for name in names:
                if name in self.errors:
                    raise self.errors[name]
            if len(names) > self.too_large:
                raise TOO_LARGE
            while self.stuck & set(names):
                await self._release.wait()
        finally:
            self.running -= 1
        return Snapshot.of_params((domain, []) for domain in domains)

    async def occupied(self, domains: Sequence[Domain], _seconds: float) -> list[Domain]:
        first = [domain for domain in domains if domain.name in self.stuck and self.named]
        return first[:1]  # libvirt comes to the next one only when the first answers

    def recover(self) -> None:
        self.stuck.clear()
        self._release.set()

    def answered(self, answer: Answer) -> None:
        self.answers += [domain.name for domain in answer.snapshot.domains]

    def ended_late(self, call: HungCall) -> None:
        self.late.append([domain.name for domain in call.suspects])

    async def sweep(self, *slices: Sequence[int], seconds: float = 5.0) -> list[str]:
        """Names of the domains that were lost."""
        asking = Asking(
            self.ask,
            self.occupied,
            self.answered,
            lambda call: self.hung.append([domain.name for domain in call.suspects]),
            lambda domain: domain.name in self.trusted,
        )
        each = Sweep(self.lanes, asking)
        await each.run([[DOMAINS[number] for number in part] for part in slices], seconds)
        return sorted(domain.name for domain in each.lost)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(monkeypatch)


def names(*numbers: int) -> list[str]:
    return [f"vm{number}" for number in numbers]


async def test_slices_go_over_several_connections(host: Host) -> None:
    assert await host.sweep([0, 1], [2, 3], [4, 5], [6, 7]) == []
    assert sorted(host.answers) == names(*range(8))
    assert len(host.opened) == host.most_running == 2
    await host.sweep([0, 1], [2, 3])
    assert len(host.opened) == 2, "connections are used again"
    await host.lanes.close()
    assert all(each.closed for each in host.opened)


async def test_a_stuck_guest_costs_the_others_of_its_slice_nothing(host: Host) -> None:
    host.stuck = {"vm1"}
    assert await host.sweep([0, 1, 2], [3, 4]) == []
    assert sorted(host.answers) == names(0, 2, 3, 4)
    assert host.hung == [["vm1"]]
    assert len(host.lanes.hung) == 1
    host.recover()
    await asyncio.wait([call.task for call in host.lanes.hung])
    await asyncio.sleep(0)
    assert host.late == [["vm1"]]
    assert host.lanes.hung == []
    assert "vm1" not in host.answers, "what comes late is not used"


async def test_each_further_stuck_guest_hangs_one_more_call(host: Host) -> None:
    host.stuck = {"vm0", "vm2", "vm3"}
    assert await host.sweep([0, 1, 2, 3, 4]) == []
    assert sorted(host.answers) == names(1, 4)
    assert sorted(host.hung) == [["vm0"], ["vm2"], ["vm3"]]
    await host.lanes.close()


async def test_hung_calls_are_never_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, width=4, max_hung=3)
    host.stuck = set(names(*range(6)))
    host.trusted = {"vm7"}
    lost = await host.sweep(*([number] for number in range(8)), seconds=0.5)
    assert len(host.hung) <= 3
    assert host.most_running <= 3
    assert set(lost) | {name for call in host.hung for name in call} >= host.stuck
    await host.lanes.close()


async def test_with_the_count_spent_only_those_known_to_answer_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, width=1, max_hung=2)
    host.stuck, host.trusted = {"vm0"}, {"vm2"}
    assert await host.sweep([0], [1, 2]) == ["vm1"]
    assert host.answers == ["vm2"]
    assert host.calls == [["vm0"], ["vm2"]]
    await host.lanes.close()


async def test_where_nobody_is_named_the_slice_is_halved(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "SHARE", 0.001)
    host.named, host.stuck = False, {"vm2"}
    assert await host.sweep([0, 1, 2, 3]) == []
    assert sorted(host.answers) == names(0, 1, 3)
    assert host.hung[-1] == ["vm2"]
    await host.lanes.close()


async def test_a_reply_too_large_is_asked_for_in_halves(host: Host) -> None:
    host.too_large = 2
    assert await host.sweep([0, 1, 2, 3, 4]) == []
    assert sorted(host.answers) == names(0, 1, 2, 3, 4)
    host.too_large = 0
    assert await host.sweep([0, 1]) == names(0, 1)


async def test_a_lost_connection_loses_its_slice_only(host: Host) -> None:
    host.errors["vm0"] = ConnectionLost("the daemon closed the connection")
    assert await host.sweep([0, 1], [2, 3]) == names(0, 1)
    assert host.answers == names(2, 3)


async def test_a_connection_that_is_lost_is_not_used_again(host: Host) -> None:
    await host.sweep([0], [1])
    for each in host.opened:
        each.lost = True
    await host.sweep([0], [1])
    assert len(host.opened) == 4
    assert [each.closed for each in host.opened] == [True, True, False, False]


async def test_the_deadline_ends_the_sweep(host: Host) -> None:
    host.named, host.stuck = False, {"vm0", "vm1"}
    assert set(await host.sweep([0], [1], [2], seconds=0.05)) >= {"vm2"} - set(host.answers)
    assert len(host.lanes.hung) == 2
    await host.lanes.close()
    assert all(each.closed for each in host.opened)
    assert host.lanes.hung == []


async def test_an_error_of_libvirts_ends_the_sweep(host: Host) -> None:
    host.errors["vm0"] = DomstatsError("unsupported")
    with pytest.raises(DomstatsError, match="unsupported"):
        await host.sweep([0], [1])
