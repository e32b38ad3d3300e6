"""aio.Host.describe: in parallel, in time, and with nobody waited for who does not answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import domstats
from domstats import aio
from domstats.errors import UsageError
from domstats.model.snapshot import Snapshot
from domstats.sources.libvirt.source import LibvirtSource
from domstats.sources.sim.source import SimSource
from domstats.wire.procedures import Procedure
from fast_time import clock, in_fast_time
from fault_server import FaultServer
from faults import Cut, Delay, Fail, Fault, Hang

SIM = "sim:///?domains=20&time=1800000000"
DESCRIBING = Procedure.DOMAIN_GET_XML_DESC
DEADLINE = 5.0


def titles(snapshot: Snapshot) -> dict[str, str]:
    return {domain.name: domain.info.title for domain in snapshot.domains if domain.info is not None}


async def described(folder: Path, *faults: Fault, deadline: float = 30.0) -> tuple[dict[str, str], float]:
    """What became known of 20 guests, and how long that took."""
    source = SimSource("sim:///?domains=20", clock)
    async with FaultServer(folder / "sock", faults=list(faults), source=source, remembers=False) as server:
        host = aio.Host(await LibvirtSource.open(server.uri, {}, deadline=DEADLINE, clock=clock))
        async with host:
            snapshot = await host.stats(groups="state")
            assert titles(snapshot) == {}
            began = asyncio.get_running_loop().time()
            found = await host.describe(snapshot, deadline=deadline)
            took = asyncio.get_running_loop().time() - began
            assert [record["state.state"] for record in found] == [record["state.state"] for record in snapshot]
            return titles(found), took


async def test_of_a_simulated_host() -> None:
    async with aio.connect(SIM) as host:
        snapshot = await host.stats()
        found = await host.describe(snapshot)
        assert len(titles(found)) == 20
        assert titles(found)["web-1"] == "Web 1"
        assert found.values is snapshot.values
        assert titles(snapshot) == {}


def test_of_the_blocking_front() -> None:
    with domstats.connect(SIM) as host:
        assert len(titles(host.describe(host.stats()))) == 20


@pytest.mark.parametrize("deadline", [0.0, -1.0, float("nan"), float("inf")])
async def test_a_deadline_that_is_none(deadline: float) -> None:
    async with aio.connect(SIM) as host:
        with pytest.raises(UsageError):
            await host.describe(await host.stats(), deadline=deadline)


@in_fast_time
async def test_everybody(tmp_path: Path) -> None:
    found, took = await described(tmp_path)
    assert len(found) == 20
    assert took < 1


@in_fast_time
async def test_one_that_is_not_answered_is_waited_for_no_longer_than_2_s(tmp_path: Path) -> None:
    found, took = await described(tmp_path, Fault(DESCRIBING, Hang(), turn=3))
    assert len(found) == 19
    assert took == pytest.approx(2.0, abs=0.1)


@in_fast_time
async def test_what_comes_in_time_is_there(tmp_path: Path) -> None:
    found, took = await described(tmp_path, Fault(DESCRIBING, Delay(1.0)), deadline=2.5)
    assert 4 <= len(found) < 20
    assert took == pytest.approx(2.5, abs=0.1)


@in_fast_time
async def test_an_error_costs_one(tmp_path: Path) -> None:
    found, _ = await described(tmp_path, Fault(DESCRIBING, Fail(), turn=3), Fault(DESCRIBING, Fail(42), turn=5))
    assert len(found) == 18


@in_fast_time
async def test_a_connection_that_is_lost_ends_its_lane(tmp_path: Path) -> None:
    found, took = await described(tmp_path, Fault(DESCRIBING, Cut(), turn=2))
    assert len(found) == 19
    assert took < 1
