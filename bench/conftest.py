"""What the benchmarks share: the captured reply, a daemon that serves it, and a real libvirtd with many real guests.

That one is what `python tests/hypervisor.py bench-up N` keeps, or else is made here and ends with the run; 1,000 guests
take seven minutes to make, and 14 GiB. DOMSTATS_BENCH_GUESTS says how many.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from captures import POLL1, POLL2, capture
from domstats.model.domain import Domain
from domstats.model.merge import ALL_GROUPS, Merger, Part
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.bulk.encoder import encode_reply
from domstats.wire.procedures import Procedure
from fake_daemon import FakeDaemon
from hypervisor import BENCH, Hypervisor
from hypervisor_packages import HypervisorError, provide

SYSTEM_PYTHON = "/usr/bin/python3"
GUEST_KIB = 16 << 10
"""What a guest takes of the host's memory."""
GUESTS_MAX = 1000
LIBVIRT_PYTHON = """
import json, sys, time
import libvirt
conn = libvirt.openReadOnly(sys.argv[1])
times = []
for _ in range(12):
    began = time.process_time()
    stats = conn.getAllDomainStats(0, 0)
    del stats
    times.append(time.process_time() - began)
print(json.dumps({"cpu": times, "version": libvirt.getVersion()}))
"""


@pytest.fixture(scope="session")
def bodies() -> tuple[bytes, bytes]:
    """Two captured replies of the same 1,024 guests, 15 s apart."""
    return capture(POLL1), capture(POLL2)


class Replies:
    """What libvirtd would say of some groups of some of the captured guests; made once for each question."""

    def __init__(self, body: bytes) -> None:
        self._snapshot = ReplyDecoder().decode(body)
        self._whole = body
        self._made: dict[tuple[tuple[str, ...], int], bytes] = {}

    def __call__(self, domains: Sequence[Domain], groups: int, _flags: int) -> tuple[bytes]:
        if not domains and not groups:
            return (self._whole,)
        question = (tuple(domain.uuid for domain in domains), groups)
        if question not in self._made:
            places = [self._snapshot.layout.position(uuid) for uuid in question[0]] or range(len(self._snapshot))
            rows = [[Part(self._snapshot, place, groups & ALL_GROUPS)] for place in places]
            layout, values = Merger().merge([self._snapshot.domains[place] for place in places], rows)
            self._made[question] = encode_reply(Snapshot.of_one_poll(layout, values, time=0.0, source=""))
        return (self._made[question],)


@pytest.fixture(scope="session")
def daemon_uri(tmp_path_factory: pytest.TempPathFactory, bodies: tuple[bytes, bytes]) -> Iterator[str]:
    """URI of a daemon that answers bulk calls as the captured host did, in a thread of its own."""
    path = tmp_path_factory.mktemp("daemon") / "sock"
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with FakeDaemon(path, answers={Procedure.CONNECT_GET_ALL_DOMAIN_STATS: Replies(bodies[0])}):
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    yield f"qemu+unix:///system?socket={path}"
    done.set()
    thread.join()


@pytest.fixture
def libvirt_python(daemon_uri: str) -> Callable[[], dict[str, Any]]:
    """Runs libvirt-python's getAllDomainStats against the daemon; its own CPU seconds, a call each."""
    if subprocess.run([SYSTEM_PYTHON, "-c", "import libvirt"], check=False, capture_output=True).returncode:
        pytest.skip("libvirt-python is not installed (Debian: python3-libvirt)")

    def run() -> dict[str, Any]:
        command = [SYSTEM_PYTHON, "-c", LIBVIRT_PYTHON, daemon_uri]
        result: dict[str, Any] = json.loads(
            subprocess.run(command, check=True, capture_output=True, timeout=120).stdout
        )
        return result

    return run


@pytest.fixture(scope="session")
def host() -> Iterator[Hypervisor]:
    """A real libvirtd with many guests."""
    kept = Hypervisor(BENCH)
    if kept.init is not None:
        yield kept
        return
    try:
        provide()
        kept.start()
        kept.add_plain(guests_that_fit())
    except HypervisorError as error:
        pytest.skip(f"no hypervisor: {error}")
    yield kept
    kept.stop()


def guests_that_fit() -> int:
    if chosen := os.environ.get("DOMSTATS_BENCH_GUESTS"):
        return int(chosen)
    with open("/proc/meminfo", encoding="ascii") as lines:  # noqa: PTH123  a file of the kernel's
        available = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    return min(GUESTS_MAX, available // 2 // GUEST_KIB)


@pytest.fixture
def stop(host: Hypervisor) -> Iterator[Callable[[int], list[str]]]:
    """Stops so many guests, spread over all of them; they go on at the end of the test at the latest."""
    stopped: list[str] = []

    def stopping(count: int) -> list[str]:
        names = sorted(host.names())
        for name in names[3 :: max(1, len(names) // count)][:count]:
            host.stop_guest(name)
            stopped.append(name)
        return list(stopped)

    def going_on() -> None:
        while stopped:
            host.continue_guest(stopped.pop())

    stopping.undo = going_on  # type: ignore[attr-defined]
    yield stopping
    going_on()
