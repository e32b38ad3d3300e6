"""Scrapes of a server over 1,000 simulated guests: alone, fifty at a time, and what they cost the server's processor.

The server is a process of its own; its collector goes on meanwhile, and a snapshot comes every 2 s.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import Any

import pytest

from bench.serving import Server, scrape_by_many, served

GUESTS = 1000
TURNS = 60
"""So many that several snapshots come meanwhile."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that has asked every guest once."""
    with served(f"sim:///?domains={GUESTS}") as found:
        assert len(found.stats()["domains"]) == GUESTS
        yield found


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_http_scrape(benchmark: Any, server: Server, encoding: str) -> None:
    """One after another, on a new connection each; most find it rendered."""
    server.get("/metrics", encoding)
    status, body = benchmark.pedantic(lambda: server.get("/metrics", encoding), rounds=40, warmup_rounds=2)
    assert status == http.client.OK
    assert len(body) > 100 * GUESTS


def test_http_scrape_first(benchmark: Any, server: Server) -> None:
    """The first of a snapshot, for which it is rendered and compressed."""
    answer = benchmark.pedantic(lambda: server.get("/metrics"), setup=server.wait_for_a_snapshot, rounds=5)
    assert answer[0] == http.client.OK


def test_http_scrapers(benchmark: Any, server: Server) -> None:
    """Fifty at a time: how long the slowest of a hundred waits, and processor time a scrape."""
    benchmark.extra_info |= benchmark.pedantic(lambda: scrape_by_many(server, TURNS), rounds=1)
