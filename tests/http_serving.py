"""An HTTP server of ours in the test's own process, and a client that asks it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

import domstats
from domstats.collector.collector import Collector
from domstats.serve.history.fields import DEFAULT_FIELDS
from domstats.serve.history.following import Following, history_of
from domstats.serve.history.history import BYTES
from domstats.serve.http import http_server
from domstats.serve.http.options import Address, HttpOptions
from domstats.serve.http.server import HttpServer

PATIENCE = 60.0
"""Seconds after which what does not end fails its test."""
HERE = (Address("127.0.0.1", 0),)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request got."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which must be a JSON document and say so."""
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Serving:
    """A server, what is behind it, and a client of it."""

    collector: Collector
    server: HttpServer
    client: aiohttp.ClientSession

    @property
    def url(self) -> str:
        """Where it is."""
        return self.server.urls[0]

    @property
    def port(self) -> int:
        """Its port."""
        return self.server.addresses[0].port

    async def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        """What a request gets; `headers`: with _ for -."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.request(method, self.url + path, headers=given, allow_redirects=False) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def raw(self, data: bytes) -> bytes:
        """All that comes for these bytes, until the server closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(PATIENCE):
                return await reader.read()
        finally:
            writer.close()

    async def swept(self) -> None:
        """Wait until every guest has been asked once."""
        async for _ in self.collector:
            if self.collector.swept:
                return

    async def next(self) -> None:
        """Wait for the next snapshot."""
        before = self.collector.latest
        async for snapshot in self.collector:
            if snapshot is not before:
                return


@asynccontextmanager
async def http_serving(
    uri: str,
    *,
    max_age: float | None = None,
    swept: bool = True,
    plan: dict[str, float] | None = None,
    history_bytes: int = BYTES,
    history_fields: Sequence[str] = DEFAULT_FIELDS,
    **options: Any,
) -> AsyncIterator[Serving]:
    """A server over that host, for as long as the block lasts.

    `plan`: periods of the groups that are collected; all, as usual, when None. `history_bytes`: 0 for no history.
    `options`: of HttpOptions.
    """
    async with AsyncExitStack() as stack:
        collector = await stack.enter_async_context(domstats.collect(uri, plan, plan=plan))
        history = history_of(collector, history_fields, history_bytes=history_bytes) if history_bytes else None
        if history is not None:
            following = Following(history, collector)
            await following.start()
            stack.push_async_callback(following.stop)
        server = http_server(collector, HttpOptions(**({"listen": HERE} | options)), max_age, history=history)
        await server.start()
        try:
            async with aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Accept-Encoding"]) as client:
                serving = Serving(collector, server, client)
                if swept:
                    await serving.swept()
                yield serving
        finally:
            await server.stop()


@dataclass(slots=True)
class Mirror:
    """What a reader of a stream knows, by what it was told."""

    number: int = -1
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    """The kinds of the events that came."""
    host: dict[str, Any] = field(default_factory=dict)

    def take(self, event: bytes) -> None:
        """An event's text, with the empty line behind it."""
        assert event.endswith(b"\n\n")
        lines = dict(line.split(": ", 1) for line in event.decode().removesuffix("\n\n").split("\n"))
        assert set(lines) == {"event", "id", "data"}
        data = json.loads(lines["data"])
        assert str(data["sequence"]) == lines["id"]
        self.events.append(lines["event"])
        self.number, self.host = data["sequence"], data["host"]
        if lines["event"] == "full":
            self.rows = {entry["uuid"]: entry for entry in data["domains"]}
            return
        for uuid in data["gone"]:
            del self.rows[uuid]
        for entry in data["domains"]:
            row = self.rows.setdefault(entry["uuid"], {"values": {}})
            values = row["values"] | entry.pop("values", {})
            row |= entry
            row["values"] = {key: text for key, text in values.items() if text is not None}

    def without_ages(self) -> dict[str, dict[str, Any]]:
        """The rows; ages are not told each time."""
        return {uuid: {key: value for key, value in row.items() if key != "age"} for uuid, row in self.rows.items()}


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The events of a stream, as they come."""
    async with asyncio.timeout(PATIENCE):
        while True:
            yield await answer.content.readuntil(b"\n\n")
