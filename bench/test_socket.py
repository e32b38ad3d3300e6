"""The libvirt socket: virsh beside libvirtd on the same real guests, the largest host, and many clients at once.

The server is the command, in a process of its own. What a sweep behind it costs is measured in the same run.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from domstats.errors import ReplyTooLarge
from domstats.model.flags import StatsGroup
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.procedures import Procedure
from hypervisor import Hypervisor
from serving import Caller

LARGEST = 16_384
"""Domains that a reply may hold."""
SOME = StatsGroup.STATE | StatsGroup.CPU | StatsGroup.BALLOON | StatsGroup.INTERFACE
CLIENTS, QUESTIONS = 100, 50
PATIENCE = 120.0
POLLS = 3


@contextmanager
def served(uri: str, path: Path) -> Iterator[None]:
    """`domstats serve` over that host; it has asked all guests once."""
    command = [sys.executable, "-m", "domstats", "serve", "-c", uri, "--libvirt-socket", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        while "are served" not in (said := process.stderr.readline()):
            assert said, "it has ended"
        yield
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def test_virsh_domstats(benchmark: Any, host: Hypervisor) -> None:
    """All groups of all guests, by virsh in turn through us and from libvirtd, since the machine's pace changes."""
    path = host.run_directory / f"served-{os.getpid()}"
    uri = f"qemu+unix:///system?socket=/run/{path.name}"

    def ask(where: str) -> tuple[float, int]:
        began = time.monotonic()
        text = host.virsh("domstats", uri=where, deadline=PATIENCE)
        return time.monotonic() - began, text.count("=")

    with served(host.uri, path):
        pairs = benchmark.pedantic(lambda: [(ask(uri), ask("qemu:///system")) for _ in range(POLLS)], rounds=1)
    assert {ours[1] for ours, _ in pairs} == {theirs[1] for _, theirs in pairs}
    ours, theirs = (min(pair[side][0] for pair in pairs) for side in (0, 1))
    benchmark.extra_info |= {"ours": ours, "libvirtd": theirs, "sweep": sweep(host), "guests": len(host.names())}


def sweep(host: Hypervisor) -> float:
    """Seconds that asking all guests takes, which stands behind each of the replies."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "domstats", "get", "-c", host.uri, "-f", "raw"], check=True, stdout=-3)
    return time.monotonic() - began


@asynccontextmanager
async def callers(path: Path, number: int) -> AsyncIterator[list[Caller]]:
    """So many clients."""
    found = [await Caller.connect(path) for _ in range(number)]
    try:
        yield found
    finally:
        for caller in found:
            caller.close()


async def asks(caller: Caller, groups: int = 0) -> tuple[float, memoryview]:
    """Seconds that the reply with these groups of all domains takes, or with everything, and the reply."""
    now = asyncio.get_running_loop().time
    began = now()
    async with asyncio.timeout(PATIENCE):
        body = await caller.call(Procedure.CONNECT_GET_ALL_DOMAIN_STATS, [], groups, 0)
    return now() - began, body


def test_largest_host(benchmark: Any, tmp_path: Path) -> None:
    """One reply with some groups of 16,384 guests; with all it is too large, and that is said at once."""

    async def measure(path: Path) -> tuple[float, float]:
        now = asyncio.get_running_loop().time
        async with callers(path, 1) as (caller,):
            await asks(caller, SOME)
            took, body = await asks(caller, SOME)
            assert len(ReplyDecoder().decode(body)) == LARGEST
            with pytest.raises(ReplyTooLarge):
                await asks(caller)
            began = now()
            with pytest.raises(ReplyTooLarge):
                await asks(caller)
            return took, now() - began

    with served(f"sim:///?domains={LARGEST}&time=1800000000", tmp_path / "sock"):
        took, refused = benchmark.pedantic(lambda: asyncio.run(measure(tmp_path / "sock")), rounds=1)
    benchmark.extra_info |= {"reply": took, "refused": refused}


def test_many_clients(benchmark: Any, tmp_path: Path) -> None:
    """100 clients at once, with and without another 20 that ask for everything and do not read."""

    async def measure(path: Path) -> tuple[float, float]:
        async with callers(path, CLIENTS) as many:
            alone = await questions(many)
            async with callers(path, 20) as slow:
                for caller in slow:
                    caller.machine.call(Procedure.CONNECT_GET_ALL_DOMAIN_STATS, b"\0" * 12)
                    caller.writer.write(caller.machine.data_to_send())
                    await caller.reader.readexactly(1)  # what has come shows that the rest waits
                return alone, await questions(many)

    async def questions(many: list[Caller]) -> float:
        """The p99 of the seconds that a small question takes when all ask at once, over and over."""

        async def one(caller: Caller) -> list[float]:
            found = []
            for _ in range(QUESTIONS):
                began = time.monotonic()
                await caller.call(Procedure.CONNECT_NUM_OF_DOMAINS)
                found.append(time.monotonic() - began)
            return found

        times = sorted(chain.from_iterable(await asyncio.gather(*map(one, many))))
        return times[len(times) * 99 // 100]

    with served("sim:///?domains=1000&time=1800000000", tmp_path / "sock"):
        alone, beside = benchmark.pedantic(lambda: asyncio.run(measure(tmp_path / "sock")), rounds=1)
    benchmark.extra_info |= {"alone": alone, "beside_slow": beside}
