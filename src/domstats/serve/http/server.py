"""The HTTP server as a part of a process: it listens, has routes, and looks after its clients."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence

from aiohttp import web
from aiohttp.typedefs import Middleware

from domstats.collector.collector import Collector
from domstats.collector.tasks import Tasks
from domstats.errors import UsageError
from domstats.formats.metrics.options import NO_METRICS_OPTIONS, MetricsOptions
from domstats.formats.metrics.service import Service
from domstats.model.sampling import Seconds
from domstats.serve.accepting import Accepting
from domstats.serve.descriptors import make_room
from domstats.serve.history.history import History
from domstats.serve.http.access import KIND, kind_of
from domstats.serve.http.connection import Connection
from domstats.serve.http.files import Page, read_files
from domstats.serve.http.guard import Guard, Handler, prepare
from domstats.serve.http.health import Health
from domstats.serve.http.history import Remembered
from domstats.serve.http.latest import Latest
from domstats.serve.http.metrics import Metrics
from domstats.serve.http.options import Address, HttpOptions
from domstats.serve.http.stats import Stats, fields
from domstats.serve.http.stream import Streams
from domstats.serve.http.tally import Tally
from domstats.serve.http.tls import tls_context
from domstats.serve.http.workers import Renderings, Worker
from domstats.serve.listeners import listen_tcp

STREAMS_SHARE = 0.5
"""Of the connections there may be, so many may read streams: these are never idle, so they give way to nobody."""
STOPPING = 1.0
"""Seconds that a request may still take to come at the end, and as many its answer."""
_HEARING = 0.01
"""Seconds from one look for requests to the next at the end."""
_LOOKING_AFTER = 1.0
"""Seconds from one look after the clients to the next."""

_log = logging.getLogger(__name__)


class HttpServer:
    """Serves over HTTP what a collector knows. A Part (see serve.life)."""

    def __init__(
        self,
        collector: Collector,
        options: HttpOptions,
        max_age: Seconds | None = None,
        *,
        metrics: MetricsOptions = NO_METRICS_OPTIONS,
        history: History | None = None,
        sockets: Sequence[socket.socket] | None = None,
        tally: Tally | None = None,
        service: Callable[[], Service] | None = None,
    ) -> None:
        """`max_age`: seconds that a value is served for, where the form it is served in has no place for its age; by
        default twice the period of its group. `metrics`: what /metrics shows when a request does not say.
        `history`: one that follows the collector, for /v1/history; without one there is no such path. `sockets`: where
        to listen, instead of at the options' addresses; they are closed at the end. `tally`: counts what is answered.
        `service`: what /metrics says of the process. Raises UsageError.
        """
        if sockets is None and not options.listen:
            raise UsageError("there is no address to listen at")
        self._collector, self._options, self._max_age = collector, options, max_age
        self._metrics, self._service = metrics, service
        self._sockets, self.tally = sockets, tally or Tally()
        self.history = history
        """Of the domains; None where none is kept."""
        self._connections: set[Connection] = set()
        self._accepting: list[Accepting] = []
        self.work = Tasks()
        self._workers: list[Worker] = []
        self._renderings: list[Renderings] = []
        self._runner: web.AppRunner | None = None
        self._streams: Streams | None = None

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    @property
    def streams(self) -> int:
        """How many of them read /v1/stream."""
        return 0 if self._streams is None else self._streams.readers

    @property
    def rendered(self) -> int:
        """How many answers have been rendered, or compressed, so far."""
        return sum(each.made for each in self._renderings)

    @property
    def addresses(self) -> list[Address]:
        """Where it listens."""
        names = [each.sock.getsockname() for each in self._accepting]
        return [Address(name[0], name[1]) for name in names]

    @property
    def urls(self) -> list[str]:
        """The same for a browser."""
        scheme = "https" if self._options.certificate is not None else "http"
        return [f"{scheme}://{address}" for address in self.addresses]

    async def start(self) -> None:
        """Listen from now on. Raises ConnectError, UsageError."""
        certificate = self._options.certificate
        tls = None if certificate is None else tls_context(certificate, self._options.key)
        make_room(self._options.max_connections)
        for each in self._options.listen:
            if self._options.token is None and not each.is_loopback:
                _log.warning("whoever reaches %s can read all statistics: there is no token", each)
        latest, guard = Latest(self._collector), Guard(self._options)
        await guard.learn_own_name()
        app = web.Application(middlewares=[_middleware(guard)])
        app.on_response_prepare.append(prepare)
        for path, handler in self._routes(latest).items():
            app.router.add_get(path, handler)
        self._runner = web.AppRunner(app, shutdown_timeout=STOPPING, handler_cancellation=True)
        await self._runner.setup()
        if self._sockets is None:
            opened = [listening for each in self._options.listen for listening in await listen_tcp(each)]
            self._sockets = [each.sock for each in opened]
        seconds = None if tls is None else self._options.request_seconds
        for sock in self._sockets:
            self._accepting.append(Accepting(sock, self._connection, tls, seconds))
        self.work.begin(latest.follow())
        self.work.begin(self._look_after())

    async def stop(self) -> None:
        """Take no more clients, and close those there are; safe to call twice. Cancelled, it waits for nobody."""
        try:
            await asyncio.gather(*(accepting.stop() for accepting in self._accepting))
            await self._hear_out()
            if self._streams is not None:
                self._streams.close()
            await self.work.stop()
            if self._runner is not None:
                await self._runner.cleanup()
        finally:
            self._let_go()

    def _routes(self, latest: Latest) -> dict[str, Handler]:
        """What answers each path."""
        stream, metrics, documents = self._workers = [Worker("stream"), Worker("metrics"), Worker("stats")]
        readers_max = max(1, int(self._options.max_connections * STREAMS_SHARE))
        streams = self._streams = Streams(latest, stream, self.work, self.tally, readers_max)
        of_metrics, of_stats = self._renderings = [Renderings(metrics), Renderings(documents)]
        scraped = Metrics(self._collector, latest, of_metrics, self._max_age, self._metrics, self._service)
        stats = Stats(self._collector, latest, of_stats, self._max_age)
        health = Health(self._collector, latest, self._options.gone_seconds)
        page = Page(read_files())
        remembered = None if self.history is None else Remembered(self.history, latest, of_stats)
        return ({} if remembered is None else {"/v1/history": remembered.answer}) | {
            "/": page.index,
            "/page/{name}": page.file,
            "/metrics": scraped.answer,
            "/v1/stats": stats.all,
            "/v1/stats/{domain:.+}": stats.one,
            "/v1/fields": fields,
            "/v1/stream": streams.answer,
            "/healthz": health.alive,
            "/readyz": health.ready,
        }

    def _let_go(self) -> None:
        for sock in self._sockets or ():
            sock.close()  # of those that were not reached yet, too
        if self._streams is not None:
            self._streams.close()
        self.work.cancel()
        for connection in list(self._connections):
            connection.abort()
        for worker in self._workers:
            worker.close()

    def _connection(self) -> Connection:
        assert self._runner is not None
        server = self._runner.server
        assert server is not None
        return Connection(server, self._options, self.tally, self._came, self._went)

    async def _hear_out(self) -> None:
        """Wait, for a moment, for what those who have just come want; they are answered."""
        now = asyncio.get_running_loop().time
        ends = now() + STOPPING
        while now() < ends and any(each.is_new for each in self._connections):  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(_HEARING)

    def _came(self, connection: Connection) -> bool:
        """Whether there is room for one more; the one that has been idle longest gives way."""
        if len(self._connections) >= self._options.max_connections:
            idle = [each for each in self._connections if each.idle_since is not None]
            if not idle:
                _log.warning("a client is turned away: there are %d already", len(self._connections))
                return False
            longest = min(idle, key=lambda each: each.idle_since or 0.0)
            self._connections.discard(longest)
            longest.abort()
        self._connections.add(connection)
        return True

    def _went(self, connection: Connection) -> None:
        self._connections.discard(connection)

    async def _look_after(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(_LOOKING_AFTER)
            for connection in list(self._connections):
                connection.look_after(now())


def _middleware(guard: Guard) -> Middleware:
    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if isinstance(request.protocol, Connection):
            request.protocol.used()
        request[KIND] = kind_of(request)
        return await guard.answer(request, handler)

    return guarded
