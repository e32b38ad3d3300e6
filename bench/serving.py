"""A service of ours as a process of its own, and scrapers of it."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRAPERS = 50
PATIENCE = 120.0
_TICK = os.sysconf("SC_CLK_TCK")
_SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"


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

    @property
    def memory(self) -> float:
        """Bytes it holds that are in no file."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("RssAnon"))) * 1024

    def get(self, path: str, encoding: str = "gzip") -> tuple[int, bytes]:
        """The status and the body of an answer, on a connection of its own."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        client.request("GET", path, headers={"Accept-Encoding": encoding})
        answer = client.getresponse()
        body = answer.read()
        client.close()
        return answer.status, body

    def stats(self, query: str = "group=state") -> Any:
        """The document that answers such a question."""
        return json.loads(self.get(f"/v1/stats?{query}", "identity")[1])

    def host(self) -> dict[str, Any]:
        """What a stream says of the host: what collecting costs, among others."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        client.request("GET", "/v1/stream?columns=vcpus")
        answer = client.getresponse()
        while not (line := answer.readline()).startswith(b"data: "):
            pass
        client.close()
        found: dict[str, Any] = json.loads(line.removeprefix(b"data: "))["host"]
        return found

    def wait_for_a_snapshot(self) -> None:
        """Until there is a new one."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        client.request("GET", "/v1/stream?columns=vcpus")
        answer = client.getresponse()
        while not answer.readline().startswith(b"event: change"):
            pass
        client.close()


@contextmanager
def served(uri: str) -> Iterator[Server]:
    """A server that has asked every guest of that host once."""
    command = (sys.executable, "-m", "domstats", "serve", "-c", uri, "--listen", "127.0.0.1:0")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = Server(int(process.stderr.readline().rpartition(":")[2]), process.pid)
        ends = time.monotonic() + PATIENCE
        while found.get("/readyz")[0] != http.client.OK and time.monotonic() < ends:
            pass
        yield found
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def scrape_by_many(server: Server, turns: int) -> dict[str, float]:
    """Fifty scrapers at a time, each so many times: the middle and the worst of a hundred, and processor time each."""
    asyncio.run(_scrapes(server.port, 1))  # what is rendered for the first time takes longer, once
    before = server.cpu
    times = asyncio.run(_scrapes(server.port, turns))
    cpu = server.cpu - before
    return {"p50": times[len(times) // 2], "p99": times[int(len(times) * 0.99)], "cpu_a_scrape": cpu / len(times)}


async def _scrapes(port: int, turns: int) -> Sequence[float]:
    """Seconds of each scrape, ascending."""

    async def scraper() -> list[float]:
        times = []
        for _ in range(turns):
            began = time.perf_counter()
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
            writer.write(_SCRAPE)
            answer = await reader.read()
            times.append(time.perf_counter() - began)
            writer.close()
            assert answer.startswith(b"HTTP/1.1 200 OK")
        return times

    found = await asyncio.gather(*(scraper() for _ in range(SCRAPERS)))
    return sorted(time for times in found for time in times)
