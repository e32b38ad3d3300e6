"""What is done when an answer has been sent: it is counted, and the log tells of it."""

from __future__ import annotations

import logging

from aiohttp.abc import AbstractAccessLogger
from aiohttp.web import BaseRequest, Request, RequestKey, StreamResponse

from domstats.serve.http.tally import KINDS, OTHER, Tally

KIND = RequestKey("kind", str)
"""Where a request keeps what is asked for, once that is known; one that cannot be read never comes so far."""

_log = logging.getLogger("domstats.access")


class Access(AbstractAccessLogger):
    """aiohttp's place for what is to be done when an answer has been sent."""

    __slots__ = ("_tally",)

    def __init__(self, tally: Tally) -> None:
        super().__init__(_log, "")
        self._tally = tally

    def log(self, request: BaseRequest, response: StreamResponse, time: float) -> None:
        """Count it, and tell of it."""
        size = 0 if request.method == "HEAD" else response.content_length or 0
        tell(self._tally, request, response.status, size, time)


def tell(tally: Tally, request: BaseRequest, status: int, size: int, time: float) -> None:
    """Count an answer, and have the log tell of it. `size`: bytes of its body; `time`: seconds that it took."""
    tally.add(request.get(KIND, OTHER), status, size)
    asked = f"{request.method} {request.path_qs}"
    _log.info('%s "%s" %d %d bytes %.3f s', request.remote, asked, status, size, time)


def kind_of(request: Request) -> str:
    """What is asked for."""
    resource = request.match_info.route.resource
    return OTHER if resource is None else KINDS.get(resource.canonical, OTHER)
