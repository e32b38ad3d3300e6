"""`domstats serve`: serves until it is told to end, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from pathlib import Path

import aiohttp
import pytest

from command import domstats, end, start
from domstats.errors import ConnectError
from domstats.sources.libvirt.source import LibvirtSource

SIM = "sim:///?domains=5&time=1800000000"
PATIENCE = 60.0


async def connected(path: Path) -> LibvirtSource:
    """A client, as soon as there is a server."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await LibvirtSource.open(f"qemu+unix:///system?socket={path}", {}, deadline=5.0)
            except ConnectError:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_until_it_is_told_to_end(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "sock"
    process = await start("serve", "-v", "-c", SIM, "--libvirt-socket", str(path), "--mode", "0640")
    source = await connected(path)
    assert len(await source.domains(5.0)) == 5
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    process.send_signal(number)
    ended = await end(process)
    assert (ended.code, ended.out) == (0, b"")
    assert f"5 domains of {SIM} are served\n" in ended.err
    assert "uid " in ended.err
    assert not path.exists()
    await source.until_lost()
    await source.aclose()


async def test_where_another_server_listens(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    first = await start("serve", "-c", SIM, "--libvirt-socket", str(path))
    source = await connected(path)
    second = await domstats("serve", "-c", SIM, "--libvirt-socket", str(path))
    assert second.code == 1
    assert second.message == f"another server listens at {path}: end it, or choose another path"
    assert len(await source.domains(5.0)) == 5
    await source.aclose()
    first.terminate()
    await end(first)


async def test_http(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("correct-horse-battery\n")
    process = await start("serve", "-c", SIM, "--listen", "127.0.0.1:0", "--token-file", str(file))
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        line = (await process.stderr.readline()).decode()
    assert line.startswith("domstats: listening at http://127.0.0.1:")
    url = line.split()[-1]
    async with aiohttp.ClientSession() as client:
        async with client.get(f"{url}/v1/stats") as answer:
            assert answer.status == 401
        headers = {"Authorization": "Bearer correct-horse-battery"}
        async with client.get(f"{url}/v1/stats", headers=headers) as answer:
            assert len((await answer.json())["domains"]) == 5
    process.terminate()
    ended = await end(process)
    assert (ended.code, ended.out) == (0, b"")


async def test_a_host_without_libvirt(tmp_path: Path) -> None:
    ended = await domstats("serve", "-c", "kernel:///", "--libvirt-socket", str(tmp_path / "sock"))
    assert ended.code == 1
    assert ended.message == "kernel:/// has no libvirt daemon behind it, which libvirt's clients need"
    assert not (tmp_path / "sock").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "there is nothing to serve"),
        (("--libvirt-socket", "sock", "--mode", "rw"), "'rw' is no mode such as 0660"),
        (("--libvirt-socket", "sock", "--mode", "1777"), "is no mode such as 0660"),
        (("--libvirt-socket", "sock", "--max-age", "0"), "--max-age"),
        (("--libvirt-socket", "sock", "--max-age", "nan"), "must be a number of seconds"),
        (("--libvirt-socket", "sock", "--max-clients", "0"), "--max-clients"),
        (("--listen", "127.0.0.1:0", "--mode", "0600"), "or --libvirt-socket PATH"),
        (("--listen", "9177"), "an address is HOST:PORT"),
        (("--listen", "127.0.0.1:0", "--token-file", "/none"), "cannot read the token in /none"),
        (("--listen", "127.0.0.1:0", "--key", "/none"), "a key is nothing without its certificate"),
        (("--libvirt-socket", "sock", "--token-file", "/none"), "are for HTTP"),
    ],
)
async def test_wrong_use(options: tuple[str, ...], message: str) -> None:
    ended = await domstats("serve", "-c", SIM, *options)
    assert ended.code == 2
    assert message in ended.err


async def test_http_without_its_package(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['aiohttp'] = None\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    ended = await domstats("serve", "-c", SIM, "--listen", "127.0.0.1:0", PYTHONPATH=path)
    assert ended.code == 2
    assert ended.message == "this needs aiohttp, which is not installed: pip install 'domstats[http]'"
