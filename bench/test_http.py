"""Scrapes of a server over 1,000 simulated guests: alone, fifty at a time, and what they cost the server's processor.

The server is a process of its own; its collector goes on meanwhile, and a snapshot comes every 2 s.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

GUESTS = 1000
SCRAPERS, TURNS = 50, 6
PATIENCE = 120.0
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """Where it listens, and which process it is."""

    port: int
    pid: int

    @property
    def cpu(self) -> float:
        """Seconds of processor time it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def get(self, path: str, encoding: str = "gzip") -> tuple[int, bytes]:
        """The status and the body of an answer, on a connection of its own."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        client.request("GET", path, headers={"Accept-Encoding": encoding})
        answer = client.getresponse()
        body = answer.read()
        client.close()
        return answer.status, body

    def wait_for_a_snapshot(self) -> None:
        """Until there is a new one."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        client.request("GET", "/v1/stream?columns=vcpus")
        answer = client.getresponse()
        while not answer.readline().startswith(b"event: change"):
            pass
        client.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that has asked every guest once."""
    command = (sys.executable, "-m", "domstats", "serve", "-c", f"sim:///?domains={GUESTS}", "--listen", "127.0.0.1:0")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = Server(int(process.stderr.readline().rpartition(":")[2]), process.pid)
        ends = time.monotonic() + PATIENCE
        while found.get("/readyz")[0] != http.client.OK and time.monotonic() < ends:
            pass
        assert len(json.loads(found.get("/v1/stats?group=state", "identity")[1])["domains"]) == GUESTS
        yield found
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


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
    before = server.cpu
    times = benchmark.pedantic(lambda: asyncio.run(scrapes(server.port)), rounds=1)
    cpu = server.cpu - before
    benchmark.extra_info |= {
        "p50": times[len(times) // 2],
        "p99": times[int(len(times) * 0.99)],
        "cpu_a_scrape": cpu / len(times),
    }


async def scrapes(port: int) -> list[float]:
    """Seconds of each scrape, ascending."""

    async def scraper() -> list[float]:
        times = []
        for _ in range(TURNS):
            began = time.perf_counter()
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
            writer.write(
                b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
            )
            answer = await reader.read()
            times.append(time.perf_counter() - began)
            writer.close()
            assert answer.startswith(b"HTTP/1.1 200 OK")
        return times

    found = await asyncio.gather(*(scraper() for _ in range(SCRAPERS)))
    return sorted(time for times in found for time in times)
