"""One host, collected and served: the parts that settings ask for, and how other settings take their place.

With other settings only what they are about begins anew. The new is begun before the old is stopped, at the same
sockets; what cannot be begun leaves everything as it was. The collector goes on with another plan, as far
as plan.can_follow says; else, and with another host, another one takes its place when it has asked every guest once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from domstats.collecting import Collecting, collect
from domstats.collector.collector import Collector
from domstats.errors import DomstatsError
from domstats.formats.metrics.service import Service as Figures
from domstats.serve.figures import figures
from domstats.serve.history.following import Following, history_of, periods
from domstats.serve.http import http_server
from domstats.serve.http.options import Address
from domstats.serve.http.tally import Tally
from domstats.serve.libvirt.server import LibvirtServer
from domstats.serve.life import begin, stop
from domstats.serve.listeners import Listeners
from domstats.serve.settings import HostSettings, HttpSettings, LibvirtSettings, Settings, completed
from domstats.serve.sockets import Listening

if TYPE_CHECKING:  # it needs aiohttp, which is there where it is wanted
    from domstats.serve.http.server import HttpServer

FIRST_SWEEP = 60.0
"""Seconds that a collector which takes another's place may take to ask every guest once."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """What runs."""

    chosen: Settings
    collecting: Collecting
    collector: Collector
    following: Following | None = None
    libvirt: LibvirtServer | None = None
    listening: Listening | None = None
    """What was made for `libvirt` to listen at."""
    http: HttpServer | None = None

    @property
    def parts(self) -> list[HttpServer | LibvirtServer | Following]:
        """In the order in which they are stopped."""
        return [part for part in (self.http, self.libvirt, self.following) if part is not None]


class Service:
    """A Part (see serve.life) that is all of them."""

    def __init__(self, chosen: Settings, listeners: Listeners, started: float) -> None:
        """`started`: when the process began, in seconds since the epoch. Raises UsageError for nothing to serve."""
        self._listeners, self._started = listeners, started
        self._chosen = self._completed(chosen)
        self._running: Running | None = None
        self._there = asyncio.Event()
        self._tally = Tally()
        self._libvirt_calls = 0
        """Those of libvirt servers that are no more."""
        self.reloads = Counter({"ok": 0, "failed": 0})
        """How often other settings came, by how that went."""
        self.seen = asyncio.get_running_loop().time()
        """When the last snapshot came, on the loop's clock."""

    @property
    def collector(self) -> Collector:
        """What collects now."""
        assert self._running is not None
        return self._running.collector

    async def start(self) -> None:
        """Collect and serve from now on. Raises what `domstats.collect` raises, ConnectError, UsageError."""
        async with AsyncExitStack() as undo:
            self._running = await self._begin(self._chosen, None, undo)
            undo.pop_all()
        self._there.set()
        self._tell_where()

    async def stop(self) -> None:
        """End everything, within a few seconds."""
        if self._running is None:  # the start has failed
            self._listeners.close_others()
            return
        for part in self._running.parts:
            await stop(part)
        self._listeners.close_others()
        await stop(_Closing(self._running.collecting))

    async def change(self, chosen: Settings) -> None:
        """Go on with other settings. Raises what `start` raises; then nothing has changed."""
        before = self._running
        assert before is not None
        chosen = self._completed(chosen)
        try:
            async with AsyncExitStack() as undo:
                running = await self._begin(chosen, before, undo)
                if chosen.libvirt is not None and chosen.libvirt.path is not None:
                    self._listeners.permit(chosen.libvirt.path, chosen.libvirt.mode, chosen.libvirt.group)
                undo.pop_all()
        except BaseException:
            self._listeners.close_others(_addresses(before.chosen), _path(before.chosen))
            raise
        replacing = asyncio.ensure_future(self._replace(before, running))
        try:
            await asyncio.shield(replacing)
        except asyncio.CancelledError:  # the service is to end: what has begun to leave leaves first
            await asyncio.wait([replacing])
            raise

    async def until_started(self) -> None:
        """Wait until all that was asked for at first is there."""
        await self._there.wait()

    async def watch(self) -> None:
        """See every snapshot come, until the end; raises what ends collecting by a defect."""
        await self.until_started()
        now, told = asyncio.get_running_loop().time, ""
        while True:
            collector = self.collector
            async for snapshot in collector:
                self.seen = now()
                self._check()
                if told != collector.uri and collector.swept:
                    told = collector.uri
                    _log.info("%s domains of %s are served", f"{len(snapshot):,}", collector.uri)
            if collector is self.collector:
                return

    def _check(self) -> None:
        """Raise what has ended a part's work by a defect: whoever started this starts it anew."""
        for part in self._running.parts if self._running is not None else ():
            part.work.check()

    @property
    def is_alive(self) -> bool:
        """Whether snapshots come as they should."""
        if self._running is None:
            return True
        return asyncio.get_running_loop().time() - self.seen < max(10.0, 5 * self.collector.plan.period)

    def figures(self) -> Figures:
        """What /metrics says of the service."""
        running = self._running
        assert running is not None
        calls = None if running.libvirt is None else self._libvirt_calls + running.libvirt.calls
        history = None if running.following is None else running.following.history.kept()
        made = figures(running.collector, self._started, self.reloads, running.http, self._tally, history)
        clients = None if running.libvirt is None else running.libvirt.clients
        return replace(made, libvirt_clients=clients, libvirt_calls=calls)

    async def _begin(self, chosen: Settings, before: Running | None, undo: AsyncExitStack) -> Running:
        """Begin what is not running yet as it is chosen; `undo`: ends what was begun."""
        libvirt = chosen.libvirt
        mode, group = (0, None) if libvirt is None else (libvirt.mode, libvirt.group)
        await self._listeners.open(_addresses(chosen), _path(chosen), mode, group)
        running = await self._collecting(chosen, before, undo)
        same = before if before is not None and before.collector is running.collector else None
        running = replace(running, following=await self._following(chosen, before, running.collector, undo))
        running = replace(running, listening=self._listeners.made_at(_path(chosen)))
        if same is not None and (same.chosen.libvirt, same.listening) == (chosen.libvirt, running.listening):
            running = replace(running, libvirt=same.libvirt)
        elif libvirt is not None:
            running = replace(running, libvirt=await self._libvirt(libvirt, running.collector, undo))
        if same is not None and _is_served_alike(same, running):
            return replace(running, http=same.http)
        if chosen.http is None:
            return running
        return replace(running, http=await self._http(chosen.http, running, undo))

    async def _collecting(self, chosen: Settings, before: Running | None, undo: AsyncExitStack) -> Running:
        host = chosen.host
        if before is not None and _is_asked_alike(before.chosen.host, host):
            return Running(chosen, before.collecting, before.collector)
        collecting = collect(
            host.uri,
            host.groups or None,
            domains=host.domains or None,
            plan=dict(host.periods),
            share=host.plan.share,
            deadline=host.deadline,
            kernel=host.kernel,
        )
        collector = await undo.enter_async_context(collecting)
        if before is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_SWEEP):
                    async for _ in collector:
                        if collector.swept:
                            break
        return Running(chosen, collecting, collector)

    async def _following(
        self, chosen: Settings, before: Running | None, collector: Collector, undo: AsyncExitStack
    ) -> Following | None:
        """What is remembered goes on, whoever collects."""
        if chosen.history is None:
            return None
        history = None
        if before is not None and before.following is not None and before.chosen.history == chosen.history:
            if before.collector is collector:
                return before.following
            history = before.following.history
        wanted = chosen.history
        if history is None:
            history = history_of(collector, wanted.fields, history_bytes=wanted.bytes)
        following = Following(history, collector)
        await begin(following, undo)
        return following

    async def _libvirt(self, wanted: LibvirtSettings, collector: Collector, undo: AsyncExitStack) -> LibvirtServer:
        server = LibvirtServer(
            collector,
            lambda: self._listeners.libvirt(wanted.path),
            max_age=wanted.max_age,
            max_clients=wanted.max_clients,
        )
        await begin(server, undo)
        return server

    async def _http(self, wanted: HttpSettings, running: Running, undo: AsyncExitStack) -> HttpServer:
        server = http_server(
            running.collector,
            replace(wanted.options, listen=wanted.listen or ()),
            running.chosen.metrics.max_age,
            metrics=running.chosen.metrics,
            history=None if running.following is None else running.following.history,
            sockets=self._listeners.http(wanted.listen or ()),
            tally=self._tally,
            service=self.figures,
        )
        await begin(server, undo)
        return server

    async def _replace(self, before: Running, running: Running) -> None:
        """What has begun takes its place, and what it takes the place of is stopped."""
        self._running, self._chosen = running, running.chosen
        if running.collector is before.collector and running.chosen.host != before.chosen.host:
            running.collector.replan(running.chosen.host.plan, running.chosen.host.deadline)
        if running.following is not None:
            running.following.history.repace(periods(running.collector.plan))
        if before.libvirt is not None and running.libvirt is not before.libvirt:
            self._libvirt_calls += before.libvirt.calls
        for part in before.parts:
            if part not in running.parts:
                await stop(part)
        if running.collecting is not before.collecting:
            await stop(_Closing(before.collecting))
        self._listeners.close_others(_addresses(running.chosen), _path(running.chosen))
        if (_addresses(before.chosen), _path(before.chosen)) != (_addresses(running.chosen), _path(running.chosen)):
            self._tell_where()

    def _completed(self, chosen: Settings) -> Settings:
        return completed(chosen, self._listeners.passes_http, self._listeners.passes_libvirt)

    def _tell_where(self) -> None:
        assert self._running is not None
        for url in self._running.http.urls if self._running.http is not None else ():
            _log.info("listening at %s", url)
        path = _path(self._running.chosen)
        if path is not None:
            _log.info("listening at %s for libvirt's clients", path)


class _Closing:
    """A collector as something to be stopped."""

    def __init__(self, collecting: Collecting) -> None:
        self._collecting = collecting

    async def start(self) -> None:
        """It runs."""

    async def stop(self) -> None:
        """End it."""
        with suppress(DomstatsError):
            await self._collecting.__aexit__(None, None, None)


def _is_asked_alike(before: HostSettings, now: HostSettings) -> bool:
    """Whether the same collector can go on."""
    mine, others = ((each.uri, each.groups, each.domains, each.kernel) for each in (before, now))
    return mine == others and now.plan.can_follow(before.plan)


def _is_served_alike(before: Running, now: Running) -> bool:
    """Whether the same HTTP server can go on."""
    mine, others = ((each.chosen.http, each.chosen.metrics, each.following) for each in (before, now))
    return mine == others


def _addresses(chosen: Settings) -> tuple[Address, ...]:
    return () if chosen.http is None else chosen.http.listen or ()


def _path(chosen: Settings) -> Path | None:
    return None if chosen.libvirt is None else chosen.libvirt.path
