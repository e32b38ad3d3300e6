"""A Prometheus of the suite's own, which scrapes a port of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from prometheus_packages import Programs

RULES = Path(__file__).parents[1] / "share" / "prometheus" / "domstats-alerts.yaml"
PATIENCE = 60.0
BETWEEN = 0.1


def free_port() -> int:
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        port: int = each.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def scraping(
    programs: Programs, folder: Path, target: int, token: str | None = None
) -> AsyncIterator[Callable[..., Any]]:
    """A Prometheus that scrapes a port, with that token; asks its HTTP API."""
    rules = folder / "rules.yaml"  # at once, and not after minutes
    rules.write_text("\n".join(line for line in RULES.read_text().splitlines() if not line.strip().startswith("for: ")))
    job: dict[str, Any] = {"job_name": "domstats", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
    if token is not None:
        job["authorization"] = {"credentials": token}
    (folder / "prometheus.yaml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
                "rule_files": [str(rules)],
                "scrape_configs": [job],
            }
        )
    )
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            programs.prometheus,
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:

        def ask(path: str, **question: str) -> Any:
            url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(question)}"
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return json.load(answer)["data"]

        yield ask
    finally:
        process.kill()
        await process.wait()


async def until(ask: Callable[..., Any], good: Callable[[Any], bool], path: str, **question: str) -> Any:
    """The answer, once it is good."""
    answer: Any = None
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(OSError):  # it begins to listen a moment after it begins
                answer = await asyncio.to_thread(ask, path, **question)
                if good(answer):
                    return answer
            await asyncio.sleep(BETWEEN)
