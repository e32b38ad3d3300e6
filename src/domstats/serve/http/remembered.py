"""/v1/history: the last hour of one domain."""

from __future__ import annotations

from aiohttp import web

from domstats.serve.history.answers import answer, question
from domstats.serve.history.history import History
from domstats.serve.http.guard import refusal


class Remembered:
    """Answers from the history in memory."""

    def __init__(self, history: History | None) -> None:
        """`history`: None where there is none."""
        self._history = history

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The series asked for. Raises UsageError, UnknownDomain."""
        if self._history is None:
            return refusal(404, "no history is kept here: history.bytes is 0")
        body = answer(self._history, question(request.query))
        return web.Response(body=body, content_type="application/json")
