"""Which groups a host has, for calls that insist on them; and what a server that is stopped leaves behind."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from weakref import ref

import numpy as np
import pytest

import domstats
from domstats.collector.cost import Cost
from domstats.errors import StatsUnsupported
from domstats.model.flags import NO_FILTERS, DomainFilter
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.serve.freshness import PATIENCE as FRESHNESS_PATIENCE
from domstats.serve.libvirt.bulk import BackingChains, SupportedGroups
from domstats.serve.libvirt.server import LibvirtServer
from domstats.serve.sockets import listen
from domstats.sources.libvirt.source import LibvirtSource
from domstats.sources.sim.source import SimSource
from domstats.wire.bulk.plan import Plan
from fast_time import clock, in_fast_time
from serving import PATIENCE, serving

URI = "sim:///?domains=5"
UNKNOWN = 1 << 20


class Host(SimSource):
    """A simulated host that takes a moment to be connected to, and counts its connections."""

    opened = 0
    cost = Cost()

    async def another(self, deadline: float) -> Any:
        await asyncio.sleep(0.001)
        Host.opened += 1
        return await super().another(deadline)


async def test_they_are_asked_for_over_one_connection_and_keep_no_snapshot() -> None:
    host: Any = Host.open(URI)
    supported = SupportedGroups(host)

    async def refused(bits: int) -> ref[object]:
        snapshot = await host.stats([], 0, NO_FILTERS, 5.0)
        with pytest.raises(StatsUnsupported):
            await supported.check(snapshot, range(len(snapshot)), bits)
        return ref(snapshot)

    kept = await asyncio.gather(*(refused(UNKNOWN << number) for number in range(5)))
    await supported.aclose()
    gc.collect()
    assert Host.opened == 1
    assert [each() for each in kept] == [None] * 5


async def test_what_nobody_could_be_asked_about_is_not_known() -> None:
    host: Any = Host.open(URI)
    supported = SupportedGroups(host)
    snapshot = await host.stats([], 0, NO_FILTERS, PATIENCE)
    blocked = replace(snapshot.sampling, status=np.full(len(snapshot), Status.BLOCKED, np.uint8))
    of_blocked = Snapshot(snapshot.layout, snapshot.values, snapshot.time, blocked, snapshot.host_cpus)
    await supported.check(of_blocked, range(len(snapshot)), UNKNOWN)
    with pytest.raises(StatsUnsupported):
        await supported.check(snapshot, range(len(snapshot)), UNKNOWN)
    await supported.aclose()


async def test_a_daemon_that_has_come_back_is_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    host: Any = Host.open(URI)
    supported = SupportedGroups(host)
    snapshot = await host.stats([], 0, NO_FILTERS, PATIENCE)
    with pytest.raises(StatsUnsupported):
        await supported.check(snapshot, range(len(snapshot)), UNKNOWN)

    async def knows(*_: object) -> Snapshot:
        return cast(Snapshot, snapshot)

    monkeypatch.setattr(SimSource, "stats", knows)
    with pytest.raises(StatsUnsupported):
        await supported.check(snapshot, range(len(snapshot)), UNKNOWN)
    monkeypatch.setattr(Host, "cost", Cost(reconnects=1))
    await supported.check(snapshot, range(len(snapshot)), UNKNOWN)
    await supported.aclose()


class SlowHost:
    """A collector of a host that takes three times as long for the images of disks as a client waits."""

    speed, guests_period, asked = 1.0, 15.0, 0

    def __init__(self) -> None:
        self.clock = clock

    async def ask(self, _groups: int, _flags: DomainFilter) -> Any:
        self.asked += 1
        await asyncio.sleep(3 * FRESHNESS_PATIENCE)
        return SimpleNamespace(time=clock())


@in_fast_time
async def test_images_are_collected_for_as_long_as_they_are_wanted() -> None:
    host: Any = SlowHost()
    chains = BackingChains(host)
    had = []
    for _ in range(20):
        had.append(await chains.snapshot(30.0) is not None)
        await asyncio.sleep(60.0)
    assert had == [False] + [True] * 19
    await asyncio.sleep(600.0)
    asked = host.asked
    await asyncio.sleep(600.0)
    assert host.asked == asked <= 1800 / host.guests_period
    assert chains._latest is None
    await chains.snapshot(30.0)
    await chains.aclose()
    await asyncio.sleep(60.0)
    assert host.asked == asked + 1


async def test_a_server_that_is_stopped_is_let_go_of(tmp_path: Path) -> None:
    async with domstats.collect(URI) as collector:
        server = LibvirtServer(collector, lambda: [listen(tmp_path / "sock", 0o600, None)])
        await server.start()
        await server.stop()
        left = ref(server)
        del server
        await asyncio.sleep(0)
        gc.collect()
        assert left() is None


async def test_replies_of_a_host_that_changes_all_the_time_keep_little(tmp_path: Path) -> None:
    """Whoever still holds snapshots does not hold what replies to their questions were put together with."""
    events = [
        f"[[event]]\nat = {at / 2}\ndo = 'attach'\ndomains = ['build-1']\ndevice = 'nic'\n" for at in range(1, 60)
    ]
    script = tmp_path / "script.toml"
    script.write_text("\n".join(events), encoding="utf-8")
    snapshots = []
    async with (
        serving(f"{URI}&script={script}", tmp_path / "sock", state=0.1) as served,
        asyncio.timeout(PATIENCE),
        aclosing(await LibvirtSource.open(served.uri, {}, deadline=PATIENCE)) as source,
    ):
        while len({id(each.layout) for each in snapshots}) < 4:
            await source.stats([], 0, NO_FILTERS, PATIENCE)
            snapshots.append(served.collector.latest)
            await asyncio.sleep(0.1)
        assert sum(Plan in layout.derived for layout in {each.layout for each in snapshots}) == 1
