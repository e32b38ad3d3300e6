"""/v1/stream: a full snapshot, then what changes, as Server-Sent Events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiohttp import web

from domstats.collector.tasks import Tasks
from domstats.errors import UsageError
from domstats.serve.http.access import tell
from domstats.serve.http.channel import Channel
from domstats.serve.http.guard import refusal
from domstats.serve.http.latest import Latest
from domstats.serve.http.query import Query
from domstats.serve.http.rows import ColumnReader, KeyReader
from domstats.serve.http.sending import write
from domstats.serve.http.tally import Tally
from domstats.serve.http.workers import Worker

RATE = 1.0
"""Seconds between two events when a reader does not say."""
RATE_LEAST = 0.1
CHANNELS_MAX, COLUMNS_MAX = 16, 64
"""How many streams with different columns there may be, and how many columns one may have."""
LINGERING = 60.0
"""Seconds that a channel goes on without readers, for those who come again."""
_LATER = {"Retry-After": "5"}
_NUMBER_MAX = 18
"""Digits of an event's id that is believed."""

_Columns = tuple[str, ...]


class Streams:
    """The channels there are, and their readers."""

    def __init__(self, latest: Latest, worker: Worker, work: Tasks, tally: Tally, readers_max: int) -> None:
        """`work`: what the channels do beside the answers is part of it, so that a defect there is told of.

        `readers_max`: how many there may be at a time. They stay as long as they like, and others want answers, too.
        """
        self._readers_max = readers_max
        self._latest, self._worker, self._work, self._tally = latest, worker, work, tally
        self._channels: dict[_Columns, Channel] = {}
        self._following: dict[_Columns, asyncio.Task[None]] = {}
        self._leaving: dict[_Columns, asyncio.TimerHandle] = {}
        self._readers: set[asyncio.Task[Any]] = set()

    @property
    def channels(self) -> int:
        """How many there are."""
        return len(self._channels)

    @property
    def readers(self) -> int:
        """How many read them."""
        return sum(channel.readers for channel in self._channels.values())

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The events, until the reader goes. Raises UsageError."""
        query = Query(request, ("columns", "rate"))
        rate = query.seconds("rate", RATE_LEAST) or RATE
        columns = tuple(sorted(set(query.words("columns"))))  # in any order they are one channel's
        if len(columns) > COLUMNS_MAX:
            raise UsageError(f"a stream has at most {COLUMNS_MAX} columns")
        if columns not in self._channels and len(self._channels) >= CHANNELS_MAX and not self._make_room():
            return refusal(503, f"there are {CHANNELS_MAX} streams with other columns already", _LATER)
        if self.readers >= self._readers_max:
            return refusal(503, f"{self.readers} clients read streams already", _LATER)
        last = _last_event(request)
        reader = ColumnReader(columns) if columns else KeyReader()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        if request.method == "HEAD":
            return response
        async with self._channel(columns, reader) as channel:
            await response.prepare(request)
            with self._reading():
                await self._send(channel, request, response, last, rate)
        return response

    def close(self) -> None:
        """End all channels, and the answers of their readers."""
        for reader in self._readers:
            reader.cancel()
        for task in self._following.values():
            task.cancel()
        for timer in self._leaving.values():
            timer.cancel()

    async def _send(
        self, channel: Channel, request: web.Request, response: web.StreamResponse, last: int | None, rate: float
    ) -> None:
        """Event by event, as the reader takes them: in the meantime nothing is kept for it."""
        now = asyncio.get_running_loop().time
        began, size = now(), 0
        try:
            while True:
                last, event = await channel.after(last)
                sent = now()
                await write(response, event)
                size += len(event)
                await asyncio.sleep(sent + rate - now())
        finally:  # aiohttp tells only of answers that come to an end of their own
            tell(self._tally, request, response.status, size, now() - began)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """The running task is a reader's."""
        task = asyncio.current_task()
        assert task is not None
        self._readers.add(task)
        try:
            yield
        finally:
            self._readers.discard(task)

    @asynccontextmanager
    async def _channel(self, columns: _Columns, reader: ColumnReader | KeyReader) -> AsyncIterator[Channel]:
        channel = self._channels.get(columns)
        if channel is None:
            channel = self._channels[columns] = Channel(reader, self._latest, self._worker)
            self._following[columns] = self._work.begin(channel.follow())
        if (timer := self._leaving.pop(columns, None)) is not None:
            timer.cancel()
        channel.readers += 1
        try:
            yield channel
        finally:
            channel.readers -= 1
            if not channel.readers:
                loop = asyncio.get_running_loop()
                self._leaving[columns] = loop.call_later(LINGERING, self._drop, columns)

    def _make_room(self) -> bool:
        """End the channel that has been without readers longest; whether there is one."""
        if not self._leaving:
            return False
        columns = min(self._leaving, key=lambda each: self._leaving[each].when())
        self._leaving[columns].cancel()
        self._drop(columns)
        return True

    def _drop(self, columns: _Columns) -> None:
        del self._leaving[columns]
        del self._channels[columns]
        self._following.pop(columns).cancel()


def _last_event(request: web.Request) -> int | None:
    text = request.headers.get("Last-Event-ID", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _NUMBER_MAX else None
