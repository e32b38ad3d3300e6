"""/v1/history: what the last hour was like for one domain."""

from __future__ import annotations

from aiohttp import web

from domstats.serve.history.answers import Question, answer, split_names
from domstats.serve.history.history import History
from domstats.serve.history.rings import SECONDS
from domstats.serve.http.guard import json_answer
from domstats.serve.http.query import Query

_PARAMETERS = ("domain", "fields", "seconds")


class Remembered:
    """Answers with series of a history."""

    def __init__(self, history: History) -> None:
        self._history = history

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The series asked for. Raises UnknownDomain, UsageError."""
        query = Query(request, _PARAMETERS)
        names = tuple(name for text in query.texts("fields") for name in split_names(text))
        seconds = query.seconds("seconds", 0.0)
        asked = Question(query.text("domain"), names, SECONDS if seconds is None else seconds)
        return json_answer(answer(self._history, asked))
