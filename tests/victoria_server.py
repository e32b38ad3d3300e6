"""A VictoriaMetrics of the suite's own, which has the samples from a port of this machine: itself, or by vmagent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from debian_programs import programs
from prometheus_server import PATIENCE, free_port


@contextlib.asynccontextmanager
async def storing(folder: Path, target: int, *, agent: bool) -> AsyncIterator[Callable[..., Any]]:
    """A store of what is scraped at that port; asks its HTTP API. `agent`: vmagent scrapes, and sends it on."""
    store, vmagent = programs("victoria-metrics", "victoria-metrics", "vmagent")
    job = {"job_name": "domstats", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
    scraped = folder / "scrape.yaml"
    scraped.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}))
    scrapes, port = f"-promscrape.config={scraped}", free_port()
    own = [f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={folder / 'data'}", "-search.latencyOffset=0s"]
    sends = [
        f"-httpListenAddr=127.0.0.1:{free_port()}",
        f"-remoteWrite.url=http://127.0.0.1:{port}/api/v1/write",
        f"-remoteWrite.tmpDataPath={folder / 'sent'}",
    ]

    def ask(path: str, **question: str) -> Any:
        url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(question)}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return json.load(answer)["data"]

    async with contextlib.AsyncExitStack() as stack:
        if agent:
            await stack.enter_async_context(running(folder / "store.log", store, *own))
            await stack.enter_async_context(running(folder / "agent.log", vmagent, scrapes, *sends))
        else:
            await stack.enter_async_context(running(folder / "store.log", store, scrapes, *own))
        yield ask


@contextlib.asynccontextmanager
async def running(log: Path, *command: str | Path) -> AsyncIterator[None]:
    """A program that runs for as long as the block lasts."""
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(*command, stdout=said, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.kill()
        await process.wait()
