"""/v1/history: what the last hour was like for one domain."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from domstats.serve.history.answers import Question, encode, find, split_names
from domstats.serve.history.history import History
from domstats.serve.history.rings import SECONDS
from domstats.serve.http.latest import Latest
from domstats.serve.http.metrics import GZIP_LEAST, compressed
from domstats.serve.http.negotiation import takes_gzip
from domstats.serve.http.query import Query
from domstats.serve.http.sending import send
from domstats.serve.http.workers import Renderings

_PARAMETERS = ("domain", "fields", "seconds")


class Remembered:
    """Answers with series of a history."""

    def __init__(self, history: History, latest: Latest, renderings: Renderings) -> None:
        self._history, self._latest, self._renderings = history, latest, renderings

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The series asked for. Raises UnknownDomain, UsageError, Overloaded."""
        query = Query(request, _PARAMETERS)
        names = tuple(name for text in query.texts("fields") for name in split_names(text))
        seconds = query.seconds("seconds", 0.0)
        asked = Question(query.text("domain"), names, SECONDS if seconds is None else seconds)
        found, number = find(self._history, asked), self._latest.numbered.number
        body = await self._renderings.get(number, asked, partial(encode, found))
        headers = {"Content-Type": "application/json", "Vary": "Accept-Encoding"}
        if takes_gzip(request.headers.get("Accept-Encoding", "")) and len(body) >= GZIP_LEAST:
            headers["Content-Encoding"] = "gzip"
            body = await self._renderings.get(number, (asked, "gzip"), lambda: compressed(body))
        return await send(request, body, headers)
