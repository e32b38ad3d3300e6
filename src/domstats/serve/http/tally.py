"""What has been answered: how many requests of each kind, with which status, and how many bytes; and the access log."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping

from aiohttp.abc import AbstractAccessLogger
from aiohttp.web import BaseRequest, Request, StreamResponse

KINDS: Mapping[str, str] = {
    "/": "page",
    "/page/{name}": "page",
    "/metrics": "metrics",
    "/v1/stats": "stats",
    "/v1/stats/{domain}": "stats",
    "/v1/fields": "fields",
    "/v1/stream": "stream",
    "/v1/history": "history",
    "/healthz": "health",
    "/readyz": "health",
}
"""By the paths of the routes."""
OTHER = "other"

_log = logging.getLogger("domstats.access")


class Tally:
    """All the answers of one server."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        """By kind (see KINDS, and OTHER) and status code."""
        self.bytes = 0
        """Of their bodies."""

    def add(self, kind: str, status: int, size: int) -> None:
        """An answer has been sent."""
        self.requests[kind, str(status)] += 1
        self.bytes += size


class Access(AbstractAccessLogger):
    """aiohttp's place for what is to be done when an answer has been sent."""

    __slots__ = ("_tally",)

    def __init__(self, tally: Tally) -> None:
        super().__init__(_log, "")
        self._tally = tally

    def log(self, request: BaseRequest, response: StreamResponse, time: float) -> None:
        """Count it, and tell of it."""
        size = response.body_length if response.prepared else 0
        self._tally.add(kind_of(request), response.status, size)
        asked = f"{request.method} {request.path_qs}"
        _log.info('%s "%s" %d %d bytes %.3f s', request.remote, asked, response.status, size, time)


def kind_of(request: BaseRequest) -> str:
    """What is asked for."""
    if not isinstance(request, Request):
        return OTHER
    resource = request.match_info.route.resource
    return OTHER if resource is None else KINDS.get(resource.canonical, OTHER)
