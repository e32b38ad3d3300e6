"""host: the blocking front, used from many threads, closed at any time, interrupted, forked."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import domstats
from domstats.errors import BadUri, ConnectionLost, DeadlineExceeded, NoSocket, UnknownDomain, UsageError
from domstats.sources.libvirt.transport import CALLS_MAX
from domstats.wire.procedures import Procedure
from fake_daemon import FakeDaemon

P = Procedure
SIM = "sim:///?domains=20&time=1800000000"
CLOSED = "this host has been closed; connect again"
PATIENCE = 60.0
"""Seconds after which a process that does not end fails its test."""

USES: list[Callable[[domstats.Host], Any]] = [
    lambda host: host.domains(),
    lambda host: host.find("7"),
    lambda host: host.stats(),
    lambda host: host.getAllDomainStats(),
]


@pytest.fixture
def host() -> Iterator[domstats.Host]:
    with domstats.connect(SIM) as host:
        yield host


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[FakeDaemon]:
    async with FakeDaemon(tmp_path / "sock") as daemon:
        yield daemon


class TestAsking:
    def test_domains(self, host: domstats.Host) -> None:
        domains = host.domains()
        assert len(domains) == 20
        for name in (domains[0].name, domains[0].uuid, uuid.UUID(domains[0].uuid), domains[0].id):
            assert name is not None
            assert host.find(name) == domains[0]
        assert host.uri == SIM

    def test_statistics(self, host: domstats.Host) -> None:
        snapshot = host.stats(groups=["state", "cpu"], running=True, deadline=20)
        assert {record["state"] for record in snapshot} == {"running"}
        assert {key.partition(".")[0] for key in snapshot.records[0]} == {"state", "cpu"}
        some = host.stats(snapshot.records[1], filters=domstats.DomainFilter.ACTIVE)
        assert some.domains == [snapshot.domains[1]]
        assert some.problems == []

    def test_as_libvirt_python_does(self, host: domstats.Host) -> None:
        (first, stats), *others = host.getAllDomainStats(domstats.StatsGroup.STATE, domstats.DomainFilter.RUNNING)
        assert stats == {"state.state": 1, "state.reason": 1}
        assert others
        chosen = [others[0][0], first, others[0][0]]
        assert [domain for domain, _ in host.domainListGetStats(chosen)] == chosen
        with pytest.raises(UsageError, match="list of domains is empty"):
            host.domainListGetStats([])

    def test_from_many_threads(self, host: domstats.Host) -> None:
        with ThreadPoolExecutor(8) as pool:
            snapshots = list(pool.map(lambda _: host.stats(), range(32)))
        assert {len(snapshot) for snapshot in snapshots} == {20}


class TestErrors:
    @pytest.mark.parametrize(
        ("uri", "error"),
        [("nonsense", BadUri), ("qemu+unix:///system?socket=/nonexistent", NoSocket), ("sim:///?domains=x", BadUri)],
    )
    def test_connecting(self, uri: str, error: type[Exception]) -> None:
        before = threading.active_count()
        with pytest.raises(error):
            domstats.connect(uri)
        assert threading.active_count() == before

    def test_asking(self, host: domstats.Host) -> None:
        with pytest.raises(UnknownDomain):
            host.find("nope")
        with pytest.raises(UsageError, match="no keyword 'bogus'"):
            host.stats(bogus=True)  # type: ignore[call-arg]
        with pytest.raises(UsageError, match="groups are names, or bits"):
            host.stats(groups=-1)

    @pytest.mark.parametrize("deadline", [0, -1, math.nan, math.inf, "5", None])
    def test_what_is_no_deadline(self, host: domstats.Host, deadline: Any) -> None:
        works: list[Callable[[], object]] = [
            lambda: domstats.connect(SIM, deadline=deadline),
            lambda: host.domains(deadline=deadline),
            lambda: host.find("7", deadline=deadline),
            lambda: host.stats(deadline=deadline),
        ]
        for work in works:
            with pytest.raises(UsageError, match="a deadline is a finite number of seconds over 0"):
                work()

    def test_a_very_long_deadline(self, host: domstats.Host) -> None:
        assert len(host.stats(deadline=1e300)) == 20

    def test_a_thread_that_is_held_up(self, host: domstats.Host, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("domstats.host.GRACE", 0.05)
        gate = threading.Event()
        host._loop.call_soon_threadsafe(gate.wait, PATIENCE)
        try:
            with pytest.raises(DeadlineExceeded, match="held up") as caught:
                host.stats(deadline=0.05)
        finally:
            gate.set()
        assert caught.value.seconds == 0.05
        monkeypatch.undo()
        assert len(host.stats()) == 20


class TestClosing:
    @pytest.mark.parametrize("use", USES)
    def test_use_after_it(self, use: Callable[[domstats.Host], Any]) -> None:
        before = threading.active_count()
        host = domstats.connect(SIM)
        host.close()
        host.close()
        assert threading.active_count() == before
        with pytest.raises(UsageError, match=CLOSED):
            use(host)

    @pytest.mark.parametrize("closing", [1, 5])
    async def test_while_others_wait(self, daemon: FakeDaemon, closing: int) -> None:
        loop = asyncio.get_running_loop()
        daemon.held.add(P.CONNECT_GET_ALL_DOMAIN_STATS)
        with ThreadPoolExecutor(8 + closing) as pool:
            host = await loop.run_in_executor(pool, domstats.connect, daemon.uri)
            waiting = [loop.run_in_executor(pool, host.stats) for _ in range(8)]
            # The others wait for their turn.
            await daemon.until_asked(P.CONNECT_GET_ALL_DOMAIN_STATS, CALLS_MAX)
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*(loop.run_in_executor(pool, host.close) for _ in range(closing)))
                errors = await asyncio.gather(*waiting, return_exceptions=True)
        found = Counter((type(error), str(error)) for error in errors)
        lost, late = (ConnectionLost, "the connection was closed"), (UsageError, CLOSED)
        assert found[lost] >= CALLS_MAX
        assert found[lost] + found[late] == 8  # a thread may not have got as far as asking
        await daemon.until(lambda: all(client.gone for client in daemon.clients))

    def test_while_others_go_on_asking(self) -> None:
        host = domstats.connect(SIM)
        started = threading.Barrier(9)

        def ask() -> str:
            started.wait(PATIENCE)
            while True:
                try:
                    host.stats(groups="state")
                except (ConnectionLost, UsageError) as error:
                    return str(error)

        with ThreadPoolExecutor(8) as pool:
            asking = [pool.submit(ask) for _ in range(8)]
            started.wait(PATIENCE)
            host.close()
            ended = {each.result(PATIENCE) for each in asking}
        assert ended <= {"the connection was closed", CLOSED}

    async def test_the_daemon_is_told(self, daemon: FakeDaemon) -> None:
        await asyncio.to_thread((await asyncio.to_thread(domstats.connect, daemon.uri)).close)
        await daemon.until(lambda: all(client.gone for client in daemon.clients))
        assert len(daemon.calls(P.CONNECT_CLOSE)) == 1


def run(code: str, *args: str) -> str:
    """Run a program whose every warning is an error and that must say nothing on stderr; what it prints."""
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", code, *args]
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


INTERRUPTED = """
import asyncio, gc, signal, sys, threading
from pathlib import Path
import domstats
from domstats.wire.procedures import Procedure
from fake_daemon import FakeDaemon

path, held = sys.argv[1], Procedure[sys.argv[2]]
ready = threading.Event()

async def serve():
    async with FakeDaemon(Path(path), held={held}) as daemon:
        ready.set()
        await daemon.until_asked(held)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        await daemon.until(lambda: all(client.gone for client in daemon.clients))

thread = threading.Thread(target=asyncio.run, args=(serve(),))
thread.start()
ready.wait()
try:
    with domstats.connect(f"qemu+unix:///system?socket={path}") as host:
        print("connected")
        host.stats(["web-1"])
except KeyboardInterrupt:
    print("interrupted", [each.name for each in threading.enumerate() if each.name == "domstats"])
thread.join()
gc.collect()
"""


@pytest.mark.parametrize(
    ("held", "printed"),
    [
        (P.AUTH_LIST, "interrupted []\n"),
        (P.CONNECT_OPEN, "interrupted []\n"),
        (P.DOMAIN_LOOKUP_BY_NAME, "connected\ninterrupted []\n"),
        (P.CONNECT_GET_ALL_DOMAIN_STATS, "connected\ninterrupted []\n"),
    ],
)
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, held: Procedure, printed: str) -> None:
    assert run(INTERRUPTED, str(tmp_path / "sock"), held.name) == printed


FORKED = """
import os
import domstats

with domstats.connect("sim:///") as host:
    child = os.fork()
    if child == 0:
        try:
            with host:
                host.stats()
        except domstats.errors.UsageError as error:
            print(error, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    print(len(host.stats()))
"""


def test_after_a_fork() -> None:
    assert run(FORKED) == "this host was connected before a fork; connect again in the new process\n20\n"
