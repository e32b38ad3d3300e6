"""The whole service as its users run it: `domstats serve` as a process of its own, and what asks it over HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from command import end, start

PATIENCE = 60.0
"""Seconds after which what does not come fails its test."""
BETWEEN = 0.1
"""Seconds from one question to the next where something is waited for that nobody tells of."""


@dataclass(slots=True)
class Service:
    """A service, and a client of it."""

    process: Process
    url: str
    client: aiohttp.ClientSession
    said: list[str] = field(default_factory=list)
    """What it has said, line by line."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    async def get(self, path: str) -> bytes:
        """A body; the answer must be 200."""
        async with self.client.get(self.url + path) as answer:
            body = await answer.read()
            assert answer.status == 200, body
            return body

    async def scrape(self) -> tuple[str, float]:
        """The metrics, and the seconds they took."""
        began = time.monotonic()
        text = (await self.get("/metrics")).decode()
        return text, time.monotonic() - began

    async def statuses(self) -> dict[str, str]:
        """The status of each domain, by its name."""
        document = json.loads(await self.get("/v1/stats?group=state"))
        return {domain["name"]: domain["status"] for domain in document["domains"]}

    async def until(self, good: Callable[[dict[str, str]], Any]) -> dict[str, str]:
        """The statuses, once they are good."""
        async with asyncio.timeout(PATIENCE):
            while not good(found := await self.statuses()):  # noqa: ASYNC110  it is another process
                await asyncio.sleep(BETWEEN)
        return found


def all_fresh(statuses: dict[str, str]) -> bool:
    """Whether there is somebody, and all is well with everybody."""
    return bool(statuses) and set(statuses.values()) == {"fresh"}


@asynccontextmanager
async def service(uri: str, *options: str, ready: bool = True) -> AsyncIterator[Service]:
    """`domstats serve` of that host, at a free port, for as long as the block lasts; it must end well.

    `ready`: whether to wait until every guest has been asked once.
    """
    process = await start("serve", "-c", uri, "--listen", "127.0.0.1:0", *options)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line = (await process.stderr.readline()).decode()
        assert line.startswith("domstats: listening at http://"), line
        timeout = aiohttp.ClientTimeout(PATIENCE)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as client:
            each = Service(process, line.split()[-1], client)
            reading = asyncio.create_task(_listen(each))
            if ready:
                async with asyncio.timeout(PATIENCE):
                    while not any("are served" in line for line in each.said):  # noqa: ASYNC110  it is said there
                        await asyncio.sleep(BETWEEN)
            yield each
        process.terminate()
        await reading
        ended = await end(process)
        assert (ended.code, ended.out) == (0, b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _listen(each: Service) -> None:
    assert each.process.stderr is not None
    async for line in each.process.stderr:
        each.said.append(line.decode().rstrip("\n"))
