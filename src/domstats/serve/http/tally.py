"""What has been answered: how many requests of each kind, with which status, and how many bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

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
