"""The fast event loop of the tests: time passes at once, in order, and files are served before it goes on."""

from __future__ import annotations

import asyncio
import socket
import time

from fast_time import clock, run_fast


def test_an_hour_passes_at_once_and_in_order() -> None:
    async def work() -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []

        async def wait(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append((name, asyncio.get_running_loop().time()))

        await asyncio.gather(wait("hour", 3600.0), wait("minute", 60.0))
        return seen

    began = time.monotonic()
    seen = run_fast(work())
    assert [(name, round(at)) for name, at in seen] == [("minute", 60), ("hour", 3600)]
    assert time.monotonic() - began < 5.0


def test_what_is_on_a_socket_comes_before_any_time_passes() -> None:
    async def work() -> float:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        theirs.send(b"x")
        async with asyncio.timeout(1.0):
            assert await reader.read(1) == b"x"
        writer.close()
        await writer.wait_closed()
        theirs.close()
        return clock()

    assert run_fast(work()) == 1_800_000_000.0
