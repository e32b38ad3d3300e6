"""Looks at processes of which one keeps its reader waiting."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domstats import aio
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.sources.libvirt import stopped
from domstats.sources.libvirt.stopped import StoppedGuests
from domstats.sources.processes import Processes
from domstats.wire.bulk.encoder import encode_reply
from fake_daemon import DOMAINS, FakeDaemon
from proc_trees import stat

ON = DOMAINS[0]
PATIENCE = 10.0


def guest(proc: Path, number: int, uuid: str, state: str) -> None:
    folder = proc / str(number)
    folder.mkdir()
    (folder / "stat").write_text(stat(number, "qemu", state=state))
    (folder / "cmdline").write_bytes(b"qemu-system-x86_64\0-uuid\0" + uuid.encode() + b"\0")


@asynccontextmanager
async def one_that_hangs(proc: Path) -> AsyncIterator[None]:
    """A process whose command line keeps whoever reads it waiting for as long as the block lasts."""
    guest(proc, 8, DOMAINS[2].uuid, "S")
    (proc / "8/cmdline").unlink()
    os.mkfifo(proc / "8/cmdline")
    try:
        yield
    finally:
        os.close(os.open(proc / "8/cmdline", os.O_RDWR | os.O_NONBLOCK))
        (proc / "8/stat").unlink()


class Counted(Processes):
    """Counts the looks at all of them."""

    looks = 0

    def stopped_guests(self) -> set[str]:
        self.looks += 1
        return super().stopped_guests()


async def test_while_a_look_hangs_nobody_is_known_to_be_stopped(tmp_path: Path) -> None:
    guest(tmp_path, 7, ON.uuid, "T")
    processes = Counted(tmp_path)
    guests = StoppedGuests(processes)
    assert await guests.all(PATIENCE) == await guests.among([ON.uuid], PATIENCE) == {ON.uuid}
    async with one_that_hangs(tmp_path):
        assert await asyncio.gather(guests.all(0.05), guests.among([ON.uuid], 0.05)) == [set(), set()]
        async with asyncio.timeout(1):
            assert await guests.all(PATIENCE) == await guests.among([ON.uuid], PATIENCE) == set()
        assert processes.looks == 2, "no look is begun while one hangs"
    await asyncio.wait_for(guests._worker.do(int), PATIENCE)
    assert await guests.all(PATIENCE) == await guests.among([ON.uuid], PATIENCE) == {ON.uuid}


async def test_one_who_goes_away_leaves_a_look_that_hangs(tmp_path: Path) -> None:
    guests = StoppedGuests(Counted(tmp_path))
    async with one_that_hangs(tmp_path):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await guests.all(PATIENCE)
        async with asyncio.timeout(1):
            assert await guests.all(PATIENCE) == set()


async def test_a_question_ends_in_time_though_a_process_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proc = tmp_path / "proc"
    proc.mkdir()
    guest(proc, 7, ON.uuid, "S")
    monkeypatch.setattr(stopped, "Processes", lambda: Processes(proc))
    params = [TypedParameter("balloon.rss", ParamType.ULLONG, 1)]
    bulk = encode_reply(Snapshot.of_params((domain, params) for domain in DOMAINS))
    async with (
        one_that_hangs(proc),
        FakeDaemon(tmp_path / "sock", bulk=bulk) as daemon,
        aio.connect(daemon.uri) as host,
    ):
        for _ in range(2):
            async with asyncio.timeout(PATIENCE):
                snapshot = await host.stats(deadline=1)
            assert [record.status for record in snapshot] == [Status.FRESH] * len(DOMAINS)
