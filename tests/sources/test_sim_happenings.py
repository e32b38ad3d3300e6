"""A scripted host tells of what happens while it happens, and its descriptions follow."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from domstats.errors import UnknownDomain
from domstats.model.description import DeviceKind
from domstats.sources import DomainEvent
from domstats.sources.sim.hostile import NAMES
from domstats.sources.sim.source import SimSource
from fast_time import EPOCH, clock, run_fast
from scripted import LONG, Scripted, device_names, events


def test_events_are_told_as_they_happen(tmp_path: Path) -> None:
    async def work() -> None:
        script = events(
            "0; pause test-1",
            "10; define; name = 'new'",
            "20; start new",
            "30; attach new; device = 'disk'",
            "30; hang new",
            "40; rename test-1; to = 'other'",
            "50; stop new",
            "60; undefine new",
            "70; resume other",
        )
        host = Scripted(tmp_path, script)
        heard: list[tuple[float, str, bool, bool, bool]] = []
        others: list[DomainEvent] = []

        def hear(event: DomainEvent) -> None:
            on = event.domain.id is not None
            heard.append((clock() - EPOCH, event.domain.name, on, event.lifecycle, event.described))

        await host.source.subscribe(others.append, LONG)
        await host.source.subscribe(hear, LONG)
        connection = await host.source.another(LONG)
        await connection.subscribe(others.append, LONG)
        await asyncio.sleep(65.0)
        await connection.aclose()
        assert len(others) == len(heard) == 6
        await asyncio.sleep(100.0)
        assert len(others) == 6
        assert heard == [
            (10.0, "new", False, True, True),
            (20.0, "new", True, True, True),
            (30.0, "new", True, False, True),
            (40.0, "other", True, True, True),
            (50.0, "new", False, True, False),
            (60.0, "new", False, True, False),
            (70.0, "other", True, True, False),
        ]
        await host.source.aclose()

    run_fast(work())


def test_descriptions_follow(tmp_path: Path) -> None:
    async def work() -> None:
        script = events(
            "10; attach web-3; device = 'disk'",
            "20; rename web-3; to = 'x'",
            "30; stop x",
            "40; hostile x",
            "50; undefine *",
        )
        host = Scripted(tmp_path, script)
        plain = SimSource("sim:///?domains=20", clock)
        domain = await host.find("web-3")
        assert await host.source.describe(domain, LONG) == await plain.describe(domain, LONG)
        for at in (10, 20, 30, 40):
            await asyncio.sleep(10.0)
            description = await host.source.describe(domain, LONG)
            record = (await host.stats())[domain.uuid]
            disks = [each for each in description.devices if each.kind is DeviceKind.DISK]
            nics = [each for each in description.devices if each.kind is DeviceKind.INTERFACE]
            assert [disk.target for disk in disks] == device_names(record, "block.")
            assert [disk.source for disk in disks] == [record[f"block.{number}.path"] for number in range(2)]
            assert [nic.target for nic in nics] == (device_names(record, "net.") if at < 30 else [""])
            assert (description.title == "Web 3") == (at < 40)
        assert description.title in NAMES
        await asyncio.sleep(10.0)
        with pytest.raises(UnknownDomain):
            await host.source.describe(domain, LONG)

    run_fast(work())
