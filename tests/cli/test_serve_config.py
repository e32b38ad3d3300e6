"""`domstats serve --config`: with the command as a process of its own, as systemd runs it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent

import aiohttp
import pytest

from command import Ended, domstats, end, start

HOST = '[host]\nuri = "sim:///?domains=5&time=1800000000"\n'
HTTP = '[http]\nlisten = ["127.0.0.1:0"]\n'
PATIENCE = 60.0


@dataclass(slots=True)
class Systemd:
    """What hears what a service says of itself."""

    folder: Path
    told: list[str] = field(default_factory=list)
    sock: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))

    def __post_init__(self) -> None:
        self.sock.bind(f"{self.folder}/notify")
        self.sock.setblocking(False)

    async def until(self, line: str) -> list[str]:
        """Wait for a line that begins so, and give all that were told from the last wait on."""
        loop, told = asyncio.get_running_loop(), list[str]()
        async with asyncio.timeout(PATIENCE):
            while not any(each.startswith(line) for each in told):
                told += (await loop.sock_recv(self.sock, 4096)).decode().splitlines()
        self.told += told
        return told


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@asynccontextmanager
async def started(folder: Path, text: str, *options: str, **environment: str) -> AsyncIterator[tuple[Process, Systemd]]:
    """The command with that configuration, once it says it is ready."""
    (folder / "domstats.toml").write_text(text)
    systemd = Systemd(folder)
    config = str(folder / "domstats.toml")
    process = await start("serve", "--config", config, *options, NOTIFY_SOCKET=f"{folder}/notify", **environment)
    try:
        await systemd.until("READY=1")
        yield process, systemd
    finally:
        systemd.sock.close()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line(process: Process, wanted: str) -> str:
    """The next line on stderr with that in it."""
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        while wanted not in (text := (await process.stderr.readline()).decode()):
            assert text, f"it ended without {wanted!r}"
    return text


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        return answer.status, await answer.text()


async def ended(process: Process, number: signal.Signals) -> Ended:
    process.send_signal(number)
    return await end(process)


async def test_a_life(tmp_path: Path) -> None:
    async with started(tmp_path, HOST + HTTP, WATCHDOG_USEC="600000") as (process, systemd):
        url = (await line(process, "listening at")).split()[-1]
        assert (await get(f"{url}/healthz"))[0] == 200
        await systemd.until("WATCHDOG=1")
        await systemd.until("WATCHDOG=1")
        assert "STATUS=5 domains of sim:///?domains=5&time=1800000000" in systemd.told
        done = await ended(process, signal.SIGTERM)
        assert (done.code, done.out) == (0, b"")
        await systemd.until("STOPPING=1")


async def test_reload(tmp_path: Path) -> None:
    path = tmp_path / "domstats.toml"
    async with started(tmp_path, HOST + HTTP) as (process, systemd):
        url = (await line(process, "listening at")).split()[-1]
        path.write_text(HOST.replace("=5", "=8") + HTTP + "[log]\njson = true\n")
        process.send_signal(signal.SIGHUP)
        await systemd.until("STATUS=5")
        told = await systemd.until("READY=1")
        assert told[0] == "RELOADING=1"
        assert re.fullmatch("MONOTONIC_USEC=[0-9]+", told[1])
        said = json.loads(await line(process, "read anew"))
        assert (said["level"], said["logger"]) == ("info", "domstats.serve.process")
        assert 'domstats_domains{status="fresh"} 8\n' in (await get(f"{url}/metrics"))[1]

        path.write_text(HOST + "[http]\nlisten = 5\n")
        process.send_signal(signal.SIGHUP)
        said = json.loads(await line(process, "nothing is changed"))
        assert said["message"] == f"nothing is changed: {path}: $.http.listen: expected a list, got a whole number"
        async with asyncio.timeout(PATIENCE):  # the figures are those of a snapshot, and the next one comes
            while 'domstats_reloads_total{result="failed"} 1\n' not in (await get(f"{url}/metrics"))[1]:
                pass
        assert (await ended(process, signal.SIGINT)).code == 0


async def test_options_come_before_the_file(tmp_path: Path) -> None:
    async with started(tmp_path, HOST + HTTP, "-c", "sim:///?domains=3", "-v") as (process, _):
        url = (await line(process, "listening at")).split()[-1]
        process.send_signal(signal.SIGHUP)
        await line(process, "read anew")
        assert 'domstats_domains{status="fresh"} 3\n' in (await get(f"{url}/metrics"))[1]
        assert 'GET /metrics" 200' in await line(process, "GET")
        assert (await ended(process, signal.SIGTERM)).code == 0


PASSING = """
import os, sys
descriptors = [int(each) for each in sys.argv[1].split(",")]
for number, descriptor in enumerate(descriptors):
    os.dup2(descriptor, 3 + number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, "-m", "domstats", *sys.argv[2:]])
"""


async def test_sockets_that_systemd_passes(tmp_path: Path) -> None:
    (tmp_path / "domstats.toml").write_text(HOST + "[http]\n")
    with socket.create_server(("127.0.0.1", 0)) as http, socket.socket(socket.AF_UNIX) as libvirt:
        libvirt.bind(f"{tmp_path}/sock")
        libvirt.listen()
        here = (socket.fromfd(each.fileno(), each.family, each.type) for each in (http, libvirt))
        passed = [each.detach() for each in here]
        process = await start_passing(tmp_path, passed)
        port = http.getsockname()[1]
        status, text = await get(f"http://127.0.0.1:{port}/metrics")
        assert status == 200
        assert "domstats_libvirt_socket_connections 0\n" in text
        reader, writer = await asyncio.open_unix_connection(f"{tmp_path}/sock")
        writer.close()
        assert reader is not None
        process.terminate()
        assert (await end(process)).code == 0
    assert (tmp_path / "sock").exists()


async def test_options_for_http_where_systemd_passes_its_socket(tmp_path: Path) -> None:
    (tmp_path / "domstats.toml").write_text(HOST)
    token = tmp_path / "token"
    token.write_text("correct-horse-battery\n")
    with socket.create_server(("127.0.0.1", 0)) as http:
        passed = [socket.fromfd(http.fileno(), http.family, http.type).detach()]
        process = await start_passing(tmp_path, passed, "--token-file", str(token))
        assert (await get(f"http://127.0.0.1:{http.getsockname()[1]}/metrics"))[0] == 401
        assert (await ended(process, signal.SIGTERM)).code == 0
    refused = await domstats("serve", "--config", f"{tmp_path}/domstats.toml", "--token-file", str(token))
    assert refused.code == 2
    assert "give --listen HOST:PORT, too" in refused.err


async def start_passing(folder: Path, descriptors: list[int], *options: str) -> Process:
    """The command with these descriptors from 3 on."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "LISTEN_FDS": str(len(descriptors)),
        "LISTEN_FDNAMES": "http:libvirt",
    }
    arguments = (",".join(map(str, descriptors)), "serve", "--config", f"{folder}/domstats.toml", *options)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PASSING, *arguments, pass_fds=descriptors, env=environment, stderr=asyncio.subprocess.PIPE
    )
    for descriptor in descriptors:
        os.close(descriptor)
    return process


async def test_check(tmp_path: Path) -> None:
    path = tmp_path / "domstats.toml"
    path.write_text(HOST + '[http]\n[libvirt_socket]\npath = "sock"\n')
    done = await domstats("serve", "--config", str(path), "--check")
    assert (done.code, done.err) == (0, "")
    lines = dict(each.split(None, 1) for each in done.out.decode().splitlines())
    assert lines["http"] == "127.0.0.1:9177"
    assert lines["libvirt"] == f"socket  {tmp_path}/sock, mode 0660"
    assert names_in(tmp_path) == ["domstats.toml"]


async def test_the_documentation_shows_what_is_printed(tmp_path: Path) -> None:
    (tmp_path / "domstats.toml").write_text("[http]\nlissten = []\n")
    done = await domstats("serve", "--config", f"{tmp_path}/domstats.toml", "--check")
    page = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")
    assert indent(done.err.replace(f"{tmp_path}/", ""), "    ") in page


async def test_max_age_asks_for_no_socket() -> None:
    done = await domstats("serve", "-c", "sim:///", "--listen", "127.0.0.1:0", "--max-age", "5", "--check")
    assert (done.code, done.err) == (0, "")
    assert b"libvirt socket" not in done.out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[http]\nlissten = 1", "$.http.lissten: there is no such option; do you mean listen?"),
        ("[http", "is not TOML"),
        ("[host]", "there is nothing to serve"),
        ('[libvirt_socket]\npath = "none/sock"', "$.libvirt_socket.path: cannot listen at"),
        ("[http]\n[libvirt_socket]", "there is no $.libvirt_socket.path, and systemd passes no socket"),
    ],
)
@pytest.mark.parametrize("check", [(), ("--check",)])
async def test_what_is_wrong(tmp_path: Path, text: str, message: str, check: tuple[str, ...]) -> None:
    (tmp_path / "domstats.toml").write_text(text)
    done = await domstats("serve", "--config", str(tmp_path / "domstats.toml"), *check)
    assert (done.code, done.out) == (2, b"")
    assert message in done.err
