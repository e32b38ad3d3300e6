"""One client of the HTTP server: how long it may take, and what it is told when what it sends is no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from domstats.serve.http.access import Access
from domstats.serve.http.guard import dress, refusal
from domstats.serve.http.options import HttpOptions
from domstats.serve.http.tally import Tally

SERVER_ERROR = HTTPStatus.INTERNAL_SERVER_ERROR
LINE_MAX = 8190
"""Bytes of a request's first line."""
HEADER_MAX, HEADERS_MAX = 8190, 64
"""Bytes of a header, and how many there may be."""
_WHY = b'{"error":"too many clients are here"}\n'
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Connection: close\r\nRetry-After: 5\r\n\r\n%b" % (len(_WHY), _WHY)
)
_LINGERING = 1.0
"""Seconds to wait for a body that nobody reads."""


class Connection(RequestHandler):
    """aiohttp's, which looks after itself."""

    __slots__ = ("_asked", "_began", "_came", "_idle_since", "_left", "_options", "_went")

    def __init__(
        self,
        server: web.Server,
        options: HttpOptions,
        tally: Tally,
        came: Callable[[Connection], bool],
        went: Callable[[Connection], None],
    ) -> None:
        """`tally`: counts what is answered. `came`: called when it is there, whether there is room for it; `went`: when
        it is lost.
        """
        loop = asyncio.get_running_loop()
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=options.idle_seconds,
            max_line_size=LINE_MAX,
            max_field_size=HEADER_MAX,
            max_headers=HEADERS_MAX,
            lingering_time=_LINGERING,
            access_log_class=cast(type[Access], lambda *_: Access(tally)),
        )
        self._options, self._came, self._went = options, came, went
        self._began: float | None = None
        """When a request began to come that is not all there yet."""
        self._idle_since = loop.time()
        self._asked = False
        self._left: tuple[int, float] = (0, loop.time())
        """How many bytes the client had not taken, and since when it is that many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        super().connection_made(transport)
        if not self._came(self):
            cast(asyncio.Transport, transport).write(_BUSY)
            self.force_close()

    def data_received(self, data: bytes) -> None:
        """Something has come."""
        if self._began is None:
            self._began = self._loop.time()
        super().data_received(data)
        if self._messages or self._request_in_progress:  # what comes meanwhile waits
            self._began = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client has gone."""
        self._went(self)
        super().connection_lost(exc)

    def used(self) -> None:
        """A request has just come."""
        self._idle_since = self._loop.time()
        self._asked = True

    @property
    def is_new(self) -> bool:
        """Whether no request has come yet."""
        return not self._asked

    @property
    def idle_since(self) -> float | None:
        """When the last request came, on the loop's clock; None while it is being answered."""
        transport: Any = self.transport
        busy = self._request_in_progress or self._messages or (transport and transport.get_write_buffer_size())
        return None if busy else self._idle_since

    def look_after(self, now: float) -> None:
        """End the connection if the client takes too long."""
        slow = self._began is not None and now - self._began > self._options.request_seconds
        if slow or self._reads_nothing(now):
            self.abort()

    def abort(self) -> None:
        """End the connection, whatever is under way."""
        transport = self.transport
        if transport is not None:
            transport.abort()

    def _reads_nothing(self, now: float) -> bool:
        transport: Any = self.transport
        size = 0 if transport is None else transport.get_write_buffer_size()
        if size != self._left[0] or not size:
            self._left = (size, now)
        return now - self._left[1] > self._options.unread_seconds

    def handle_error(
        self, request: Any, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The answer to what is no HTTP, or too large, or was answered by a defect."""
        if status >= SERVER_ERROR and not isinstance(exc, ConnectionError):  # a client that goes is no defect
            self.log_exception("a request for %s could not be answered", request.path, exc_info=exc)
        self._close = True
        text = "a defect of domstats; its log says more" if status >= SERVER_ERROR else f"not a request: {message}"
        answer = refusal(status, text.splitlines()[0].rstrip(":"))
        dress(answer)
        return answer
