"""The whole service on a real host, with what goes wrong there: /metrics answers in the same time."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import signal
import socket
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager

import pytest

from hypervisor import Hypervisor, own
from service import PATIENCE, Service, all_fresh, service

STUCK = [f"vm{number:04}" for number in range(30)]
SCRAPES = 15
IDLE = 1000
SLOW = 20
SMALL = 4096
"""Bytes that a client which does not read has room for."""
GUESTS = 6


@pytest.fixture(scope="module")
def spare(hypervisor: Hypervisor) -> Iterator[Hypervisor]:
    """One of its own, whose daemon can be killed."""
    spare = own("served")
    spare.start()
    spare.add_plain(GUESTS)
    yield spare
    spare.stop()


async def scrape_time(served: Service) -> float:
    """Seconds that a scrape takes, the middle of some."""
    return statistics.median([(await served.scrape())[1] for _ in range(SCRAPES)])


def named(text: str, status: str) -> set[str]:
    """The domains that have this status, by the metrics."""
    lines = re.findall(r"^domstats_domain_status\{(.*)\} 1$", text, re.MULTILINE)
    found = [dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', line)) for line in lines]
    return {each["domain"] for each in found if each["status"] == status}


@asynccontextmanager
async def undisturbed(uri: str) -> AsyncIterator[tuple[Service, float]]:
    """A service of guests that are all well, and the seconds that a scrape takes then."""
    async with service(uri) as served:
        await served.until(all_fresh)
        yield served, await scrape_time(served)


def same_time(now: float, before: float) -> bool:
    return now < 3 * before + 0.01


async def test_thirty_guests_stopped(hypervisor: Hypervisor) -> None:
    async with undisturbed(hypervisor.uri) as (served, before):
        everybody = set(await served.statuses())
        with ExitStack() as stack:
            for name in STUCK:
                hypervisor.stop_guest(name)
                stack.callback(hypervisor.continue_guest, name)
            assert same_time(await scrape_time(served), before)
            found = await served.until(lambda each: set(STUCK) <= {name for name in each if each[name] == "blocked"})
            assert {found[name] for name in everybody - set(STUCK)} == {"fresh"}
            assert same_time(await scrape_time(served), before)
            text, _ = await served.scrape()
            assert named(text, "blocked") == set(STUCK)
            assert named(text, "fresh") == everybody - set(STUCK)
        await served.until(all_fresh)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_libvirtd_ends_and_comes_back(spare: Hypervisor, how: signal.Signals) -> None:
    async with undisturbed(spare.uri) as (served, before):
        began = time.monotonic()
        restart = asyncio.create_task(asyncio.to_thread(spare.restart_daemon, how))
        times = []
        while not restart.done():
            text, seconds = await served.scrape()
            times.append(seconds)
            assert len(named(text, "fresh") | named(text, "stale")) == GUESTS, "what was known stays"
        await restart
        assert len(times) > SCRAPES
        assert same_time(statistics.median(times), before)
        async with asyncio.timeout(PATIENCE):
            while await oldest(served) > time.monotonic() - began:  # noqa: ASYNC110  another process asks
                await asyncio.sleep(0.1)
        assert all_fresh(await served.statuses())
        assert any("is lost" in line for line in served.said)


async def oldest(served: Service) -> float:
    """Seconds since the guest was asked that was asked longest ago."""
    document = json.loads(await served.get("/v1/stats"))
    return max(domain["age"] for domain in document["domains"])


async def test_clients_that_read_slowly(hypervisor: Hypervisor) -> None:
    async with undisturbed(hypervisor.uri) as (served, before):
        with ExitStack() as stack:
            for _ in range(SLOW):
                client = stack.enter_context(socket.socket())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
                client.connect(("127.0.0.1", served.port))
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 4)
            assert same_time(await scrape_time(served), before)


async def test_a_thousand_idle_connections(hypervisor: Hypervisor) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with undisturbed(hypervisor.uri) as (served, before):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[0] + 2 * IDLE, limits[1]), limits[1]))
            with ExitStack() as stack:
                for _ in range(IDLE):
                    stack.enter_context(socket.create_connection(("127.0.0.1", served.port), PATIENCE))
                assert same_time(await scrape_time(served), before)
                assert all_fresh(await served.statuses())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
