"""Who asks a service in a soak. Each goes on for ever; an answer that is wrong ends it with an error."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from domstats.model.flags import NO_FILTERS
from domstats.sources.libvirt.source import LibvirtSource

PATIENCE = 60.0
"""Seconds after which what does not come is an error."""
STAYING = 20.0
"""Seconds that a client stays at most."""
QUESTIONS = (
    "/v1/stats?format=json",
    "/v1/stats?format=tree&group=cpu,block",
    "/v1/stats?format=xml&state=running",
    "/v1/stats?format=ndjson&domain=web-*",
    "/v1/stats?format=csv&group=interface",
    "/v1/stats?format=arrow&state=paused,running",
    "/v1/fields",
    "/metrics?group=vcpu",
    "/metrics?domain=db-*&labels=nova",
    "/readyz",
)
RUDE = (
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3,
    b"POST /v1/stats HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
    b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
)
"""Of clients that do not wait for an answer."""
_TASKS, _LINE = b"\ndomstats_tasks ", 40
"""How a line of the metrics begins, and how long it is at most."""


@dataclass
class Clients:
    """All of them, and what they have seen."""

    url: str
    socket: Path
    guests: int
    dice: Random = field(default_factory=lambda: Random(1))
    done: Counter[str] = field(default_factory=Counter)
    """How often what was done."""
    scrapes: list[float] = field(default_factory=list)
    """Seconds of each."""
    tasks: int = 0
    """How many the service said it has, the last time."""

    def all(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """What each of them does, over and over again."""
        return 3 * [self.scrape] + [self.ask] + 6 * [self.stream] + 2 * [self.libvirt] + 2 * [self.be_rude]

    @property
    def _port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def scrape(self) -> None:
        """Scrapes, some on one connection."""
        async with aiohttp.ClientSession() as client:
            for _ in range(self.dice.randint(1, 20)):
                began = time.monotonic()
                encoding = self.dice.choice(["gzip", "gzip", "identity"])
                async with client.get(f"{self.url}/metrics", headers={"Accept-Encoding": encoding}) as answer:
                    body = await answer.read()
                assert answer.status == 200, body[:200]
                named = body.count(b"\ndomstats_domain_sample_status{") or body.count(b"\ndomstats_domain_state{")
                assert named >= self.guests, named
                at = body.index(_TASKS)
                self.tasks = int(body[at : at + _LINE].split()[1])
                self.scrapes.append(time.monotonic() - began)
                self.done["scrapes"] += 1

    async def ask(self) -> None:
        """Everything else there is."""
        async with aiohttp.ClientSession() as client:
            for question in self.dice.sample(QUESTIONS, len(QUESTIONS)):
                async with client.get(self.url + question) as answer:
                    body = await answer.read()
                assert answer.status == 200, (question, body[:200])
                assert body, question
                self.done["other questions"] += 1

    async def stream(self) -> None:
        """Reads for a while, and goes without a word; sometimes comes back to where it was."""
        columns = self.dice.choice(["", "?columns=cpu,rx,state", "?columns=vcpus"])
        ends, last, known = time.monotonic() + self.dice.uniform(1, STAYING), "", set[str]()
        for _ in range(self.dice.randint(1, 3)):
            async with aiohttp.ClientSession(read_bufsize=1 << 24) as client:
                headers = {"Last-Event-ID": last} if last else {}
                async with client.get(f"{self.url}/v1/stream{columns}", headers=headers) as answer:
                    assert answer.status == 200
                    while not last or time.monotonic() < ends:
                        last, known = told(await answer.content.readuntil(b"\n\n"), known)
                        assert len(known) >= self.guests, len(known)
                        self.done["events read"] += 1
            ends += self.dice.uniform(1, 3)

    async def libvirt(self) -> None:
        """Asks for everything over libvirt's protocol, and goes, sometimes before the answer."""
        source = await LibvirtSource.open(f"qemu+unix:///system?socket={self.socket}", {}, deadline=PATIENCE)
        try:
            await source.subscribe(lambda _: None, PATIENCE)
            for _ in range(self.dice.randint(1, 4)):
                domains = await source.domains(PATIENCE)
                assert len(domains) >= self.guests
                seconds = self.dice.choice([PATIENCE, PATIENCE, 0.01])
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        snapshot = await source.stats([], 0, NO_FILTERS, PATIENCE)
                        assert len(snapshot) >= self.guests
                        self.done["libvirt polls"] += 1
        finally:
            await source.aclose()

    async def be_rude(self) -> None:
        """Sends nonsense, half of a request, or nothing; reads slowly, or not at all."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        with suppress(ConnectionError, TimeoutError):
            writer.write(self.dice.choice([b"", *RUDE]))
            await asyncio.sleep(self.dice.uniform(0, 2))
            async with asyncio.timeout(self.dice.choice([0.01, 1.0])):
                await reader.read(1000)
        writer.transport.abort()
        self.done["rude clients"] += 1


def told(event: bytes, known: set[str]) -> tuple[str, set[str]]:
    """An event's number, and the UUIDs of the domains there are after it; checks that it makes sense."""
    lines = dict(line.split(": ", 1) for line in event.decode().strip().split("\n"))
    data = json.loads(lines["data"])
    assert str(data["sequence"]) == lines["id"]
    uuids = {entry["uuid"] for entry in data["domains"]}
    if lines["event"] == "full":
        return lines["id"], uuids
    assert known, "the first event says everything"
    gone = set(data["gone"])
    assert gone <= known
    return lines["id"], (known - gone) | uuids
