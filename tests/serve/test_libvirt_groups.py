"""Which groups a host has, for calls that insist on them; and what a server that is stopped leaves behind."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

import domstats
from domstats.errors import StatsUnsupported
from domstats.model.flags import NO_FILTERS
from domstats.serve.libvirt.bulk import SupportedGroups
from domstats.serve.libvirt.server import LibvirtServer
from domstats.serve.sockets import listen
from domstats.sources.sim.source import SimSource

URI = "sim:///?domains=5"
UNKNOWN = 1 << 20


class Host(SimSource):
    """A simulated host that takes a moment to be connected to, and counts its connections."""

    opened = 0

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
