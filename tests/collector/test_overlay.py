"""The kernel's figures beside libvirt's, in fast time: a simulated host on a daemon, and a kernel with its guests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from domstats import aio
from domstats.collector.collector import Collector
from domstats.collector.overlay import GROUPS
from domstats.collector.plan import make_plan
from domstats.collector.reach import Reach
from domstats.errors import DeadlineExceeded
from domstats.model.domain import Domain
from domstats.model.flags import NO_FILTERS, DomainFilter
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.sources.kernel.source import KernelSource
from domstats.sources.libvirt.source import LibvirtSource
from domstats.sources.sim.source import SimSource
from domstats.wire.procedures import Procedure
from fast_time import clock, in_fast_time
from fault_server import FaultServer
from scripted import Scripted, events

P, T = TypedParameter, ParamType
DEADLINE = 5.0
STUCK = "web-3"
KERNELS = 10**18
"""More than any simulated counter shows; the kernel's begin there."""


class Kernel(KernelSource):
    """The guests of a simulated host that are on, as if they ran here: counters of one second a second."""

    def __init__(self, guests: SimSource) -> None:
        super().__init__("kernel:///", clock)
        self.polls = 0
        self.silent = False
        """Whether it takes longer than anybody waits."""
        self.processes: dict[str, int] = {}
        """Numbers, by UUID, of those that are not as they were."""
        self.ended: set[str] = set()
        self.others: list[Domain] = []
        """Processes of another libvirt's guests."""
        self._guests = guests

    async def stats(self, domains: Sequence[Domain], groups: int, flags: DomainFilter, deadline: float) -> Snapshot:
        assert (list(domains), groups, flags) == ([], GROUPS, NO_FILTERS)
        if self.silent:
            await asyncio.sleep(deadline)
            raise DeadlineExceeded("the kernel's figures", deadline)
        self.polls += 1
        there = [domain for domain in await self._guests.domains(DEADLINE) if domain.id is not None]
        time = asyncio.get_running_loop().time()
        params = [P(key, T.ULLONG, KERNELS + int(time * 10**9)) for key in ("cpu.time", "vcpu.0.time")]
        records = [
            (replace(domain, id=self.processes.get(domain.uuid, 1000 + (domain.id or 0))), params)
            for domain in there
            if domain.uuid not in self.ended
        ]
        records += [(domain, params) for domain in self.others]
        return Snapshot.of_params(records, time=clock(), source="kernel")


@asynccontextmanager
async def collecting(
    folder: Path, script: str = "", periods: Mapping[str, float] | None = None, groups: int = 0
) -> AsyncIterator[tuple[Collector, Kernel, FaultServer]]:
    source = Scripted(folder, script).source
    kernel = Kernel(source)
    async with FaultServer(folder / "sock", source=source) as server:
        libvirt = await LibvirtSource.open(server.uri, {}, deadline=DEADLINE, clock=clock)
        reach = Reach(libvirt, width=4, sees_processes=False, kernel=kernel)
        collector = Collector(reach, make_plan(groups, periods or {}), DEADLINE, NO_FILTERS, lambda _: True)
        await collector.start()
        try:
            yield collector, kernel, server
        finally:
            await collector.aclose()


async def during(collector: Collector, seconds: float) -> list[Snapshot]:
    """All snapshots of so many seconds."""
    seen: list[Snapshot] = []
    ends = asyncio.get_running_loop().time() + seconds
    async for snapshot in collector:
        seen.append(snapshot)
        if asyncio.get_running_loop().time() >= ends:
            break
    return seen


def is_on(snapshot: Snapshot) -> list[str]:
    return [domain.name for domain in snapshot.domains if domain.id is not None]


def in_order(seen: Sequence[Snapshot], key: str) -> bool:
    """Whether of each of two snapshots in a row the later one shows the processor time of no earlier moment."""
    ages = [(snapshot.time, snapshot[key].ages) for snapshot in seen]
    times = [time - of_groups.get("cpu.kernel", of_groups["cpu"]) for time, of_groups in ages]
    return times == sorted(times)


@in_fast_time
async def test_the_kernels_figures_are_there_at_once_and_a_second_old_at_most(tmp_path: Path) -> None:
    async with collecting(tmp_path) as (collector, kernel, _):
        on = is_on(collector.latest)
        assert 0 < len(on) < 20
        assert all(collector.latest[name]["vcpu.0.time"] >= KERNELS for name in on), "though no guest has been asked"
        await during(collector, 30.0)
        polls = kernel.polls
        seen = await during(collector, 100.0)
        assert len(seen) == pytest.approx(100, abs=2)
        assert kernel.polls - polls == pytest.approx(100, abs=2)
        for snapshot in seen:
            for record in snapshot:
                laid_over = record.domain.name in on
                assert ("cpu.kernel" in record.ages) == laid_over == (record.get("cpu.time", 0) >= KERNELS)
                assert record.ages.get("cpu.kernel", 0.0) <= 0.1
                assert record.sources["cpu.kernel"] == "kernel" if laid_over else "cpu.kernel" not in record.sources
                assert record.status is Status.FRESH
        assert max(record.ages["cpu"] for snapshot in seen for record in snapshot if "cpu" in record.ages) > 10.0
        assert collector.cost.kernel_polls == kernel.polls


@pytest.mark.parametrize("after", [20.0, 20.5, 20.9])
@in_fast_time
async def test_there_are_rates_since_before_a_guest_was_there(tmp_path: Path, after: float) -> None:
    script = events(f"{after}; start web-1", f"{after + 20}; stop web-3", f"{after + 25}; start web-3")
    async with collecting(tmp_path, script) as (collector, _, _):
        reasons = set()
        async for snapshot in collector:
            rates = snapshot.rates(collector.previous)
            reasons |= {each.reason("cpu.time") for each in rates if "cpu.time" in each.layout.shape.slots}
            if asyncio.get_running_loop().time() > 80.0:
                break
        assert {"", "no earlier sample"} <= reasons <= {"", "no earlier sample", "source changed"}


def roll_calls(server: FaultServer) -> int:
    return sum(1 for each in server.calls(Procedure.CONNECT_GET_ALL_DOMAIN_STATS) if not each.args[0])


@in_fast_time
async def test_libvirt_is_asked_no_more_often(tmp_path: Path) -> None:
    async with collecting(tmp_path) as (collector, _, server):
        await during(collector, 30.0)
        sweeps, rolls = collector.cost.sweeps, roll_calls(server)
        await during(collector, 300.0)
        assert collector.cost.sweeps - sweeps == pytest.approx(20, abs=2)
        assert roll_calls(server) - rolls == pytest.approx(150, abs=3)


@in_fast_time
async def test_a_guest_that_does_not_answer_is_blocked_and_has_the_kernels_figures(tmp_path: Path) -> None:
    async with collecting(tmp_path, events(f"20; hang {STUCK}")) as (collector, _, _):
        await during(collector, 120.0)
        before = collector.latest
        await during(collector, 10.0)
        now = collector.latest
        record = now[STUCK]
        assert record.status is Status.BLOCKED
        assert record.ages["cpu.kernel"] <= 0.1
        assert record.ages["balloon"] > 90.0
        assert record.age > 90.0
        assert now.rates(before)[STUCK]["cpu.time"] == pytest.approx(10**9, rel=1e-3)
        assert now.rates(collector.previous)[STUCK]["vcpu.0.time"] == pytest.approx(10**9, rel=1e-3)


@in_fast_time
async def test_the_kernel_may_be_asked_at_another_pace(tmp_path: Path) -> None:
    async with collecting(tmp_path, periods={"kernel": 10.0}) as (collector, kernel, _):
        polls = kernel.polls
        seen = await during(collector, 200.0)
        assert kernel.polls - polls == pytest.approx(20, abs=2)
        assert len(seen) == pytest.approx(100, abs=3)


@in_fast_time
async def test_what_is_not_asked_for_is_not_taken_from_the_kernel(tmp_path: Path) -> None:
    async with collecting(tmp_path, groups=0b11) as (collector, _, _):
        await during(collector, 20.0)
        assert any(record.get("cpu.time", 0) >= KERNELS for record in collector.latest)
        assert not any("vcpu.0.time" in record for record in collector.latest)
    async with collecting(tmp_path, groups=0b1) as (collector, kernel, _):
        await during(collector, 20.0)
        assert kernel.polls == 0


@in_fast_time
async def test_where_the_kernel_falls_silent_libvirts_figures_come_back(tmp_path: Path) -> None:
    async with collecting(tmp_path) as (collector, kernel, _):
        await during(collector, 40.0)
        on = is_on(collector.latest)
        kernel.silent = True
        seen = await during(collector, 20.0)
        assert len(seen) >= 9, "it holds up nobody"
        assert all(in_order(seen, name) for name in on), "counters do not step back"
        assert not any("cpu.kernel" in record.ages for record in collector.latest)
        assert all(collector.latest[name]["cpu.time"] < KERNELS for name in on)
        assert collector.latest.rates(seen[0])[on[0]].reason("cpu.time") == "source changed"
        kernel.silent = False
        await during(collector, 10.0)
        assert all(collector.latest[name]["cpu.time"] >= KERNELS for name in on)


@in_fast_time
async def test_a_guest_whose_process_has_ended_has_libvirts_figures_as_soon_as_they_are_later(tmp_path: Path) -> None:
    async with collecting(tmp_path) as (collector, kernel, _):
        await during(collector, 40.0)
        one, other = (collector.latest[name].domain.uuid for name in is_on(collector.latest)[:2])
        kernel.ended = {one}
        seen = await during(collector, 18.0)
        assert in_order(seen, one)
        assert "cpu.kernel" in seen[2][one].ages
        assert "cpu.kernel" not in seen[-1][one].ages
        assert seen[-1][one].get("cpu.time", 0) < KERNELS
        assert "cpu.kernel" in seen[-1][other].ages


@in_fast_time
async def test_another_process_is_never_taken_for_the_one_before(tmp_path: Path) -> None:
    async with collecting(tmp_path) as (collector, kernel, _):
        await during(collector, 40.0)
        uuid = collector.latest[is_on(collector.latest)[0]].domain.uuid
        kernel.processes[uuid] = 9999
        seen = await during(collector, 4.0)
        taken = ["cpu.kernel" in snapshot[uuid].ages for snapshot in seen]
        assert False in taken
        assert taken[-1]
        rates = [now.rates(then)[uuid].get("cpu.time") for then, now in pairwise(seen)]
        assert rates[taken.index(False)] is None


@in_fast_time
async def test_one_question(tmp_path: Path) -> None:
    source = Scripted(tmp_path, events(f"0; hang {STUCK}")).source
    async with FaultServer(tmp_path / "sock", source=source, remembers=False) as server:
        libvirt = await LibvirtSource.open(server.uri, {}, deadline=DEADLINE, clock=clock)
        async with aio.Host(libvirt, Kernel(source)) as host:
            before = await host.stats(deadline=10.0)
            assert before[STUCK].status is Status.BLOCKED
            assert before[STUCK]["cpu.time"] >= KERNELS
            await asyncio.sleep(5.0)
            now = await host.stats(deadline=10.0)
            assert now.rates(before)[STUCK]["cpu.time"] == pytest.approx(10**9, rel=1e-3)
            name = next(name for name in is_on(now) if name != STUCK)
            one = await host.stats(name, "cpu", keep=False)
            assert len(one) == 1
            assert one[name]["cpu.time"] >= KERNELS


@in_fast_time
async def test_nothing_of_a_guest_that_may_be_another_libvirts(tmp_path: Path) -> None:
    async with collecting(tmp_path) as (collector, kernel, _):
        vm = collector.latest[STUCK].domain
        assert collector.latest[STUCK]["cpu.time"] >= KERNELS
        kernel.others = [Domain(STUCK, "1d5a2f6e-97e7-4f3f-8a5c-5b6a2a1f0d01", 4711)]
        async with asyncio.timeout(60.0):
            async for snapshot in collector:
                if "cpu.kernel" not in snapshot[STUCK].ages:
                    break
        assert snapshot[vm.uuid].get("cpu.time", 0) < KERNELS
        assert sum("cpu.kernel" in record.ages for record in snapshot) > 1, "the others keep theirs"
