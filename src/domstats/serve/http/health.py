"""/healthz and /readyz: whether the server lives, and whether what it serves is worth having."""

from __future__ import annotations

from aiohttp import web

from domstats.collector.collector import Collector
from domstats.serve.http.guard import json_answer, refusal
from domstats.serve.http.latest import Latest


class Health:
    """How the server is."""

    def __init__(self, collector: Collector, latest: Latest, gone_seconds: float) -> None:
        """`gone_seconds`: how long the host may not answer."""
        self._collector, self._latest, self._gone_seconds = collector, latest, gone_seconds

    async def alive(self, _request: web.Request) -> web.StreamResponse:
        """It answers, so it is."""
        return json_answer({"status": "ok"})

    async def ready(self, _request: web.Request) -> web.StreamResponse:
        """Whether all guests have been asked once, and the host still answers."""
        if not self._collector.swept:
            heard, asked = self._collector.progress
            return refusal(503, f"the guests are being asked for the first time: {heard} of {asked} have answered")
        silence = self._latest.silence
        if silence > self._gone_seconds:
            return refusal(503, f"the host has not answered for {silence:.0f} s: {self._collector.trouble}")
        return json_answer({"status": "ready", "domains": self._latest.numbered.host["domains"]})
