"""/v1/history: the last hour of one domain."""

from __future__ import annotations

from aiohttp import web

from domstats.serve.history.answers import answer, question
from domstats.serve.history.history import History


class Remembered:
    """Answers from the history in memory."""

    def __init__(self, history: History) -> None:
        self._history = history

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The series asked for. Raises UsageError, UnknownDomain."""
        body = answer(self._history, question(request.query))
        return web.Response(body=body, content_type="application/json")
