"""Other settings while it runs: only what they are about begins anew, and nobody who asks notices."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import aiohttp
import pytest

from domstats.errors import ConnectError, UsageError
from domstats.serve.config import decode
from domstats.serve.http.options import Address
from domstats.serve.listeners import Listeners, listen_tcp
from domstats.serve.process import serve
from domstats.serve.service import Running, Service
from domstats.serve.settings import Settings, settings
from domstats.serve.sockets import Listening
from serving import Caller

SIM = "sim:///?domains=5"
PATIENCE = 60.0
CLIENTS, RELOADS = 8, 40
STARTED = 1_800_000_000.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A service, and who asks it."""

    service: Service
    folder: Path
    port: int
    client: aiohttp.ClientSession

    @property
    def running(self) -> Running:
        """What runs."""
        running = self.service._running
        assert running is not None
        return running

    async def change(self, text: str) -> None:
        """Have it go on with this configuration."""
        await self.service.change(chosen(text, self.folder, self.port))

    async def get(self, path: str = "/healthz", token: str = "") -> tuple[int, str]:
        """Status and text of an answer, by a connection of its own."""
        headers = {"Connection": "close"} | ({"Authorization": f"Bearer {token}"} if token else {})
        async with self.client.get(f"http://127.0.0.1:{self.port}{path}", headers=headers) as answer:
            return answer.status, await answer.text()

    async def swept(self) -> None:
        """Wait until every guest has been asked once."""
        async for _ in self.service.collector:
            if self.service.collector.swept:
                return


def chosen(text: str, folder: Path, port: int) -> Settings:
    """A configuration of this host, at that port."""
    http = f'\n[http]\nlisten = ["127.0.0.1:{port}"]\n'
    host = "" if "[host]" in text else f'[host]\nuri = "{SIM}"\n'
    return settings(decode((host + text + ("" if "[http]" in text else http)).encode(), folder / "file"), "file")


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def taken_port() -> Iterator[int]:
    """A port that somebody else listens at."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port: int = other.getsockname()[1]
        yield port


@asynccontextmanager
async def served(folder: Path, text: str = "") -> AsyncIterator[Trial]:
    """A service, for as long as the block lasts."""
    port = free_port()
    service = Service(chosen(text, folder, port), Listeners(), STARTED)
    watching = asyncio.create_task(service.watch())
    try:
        await service.start()
        async with aiohttp.ClientSession() as client:
            yield Trial(service, folder, port, client)
    finally:
        await service.stop()
        await asyncio.wait_for(watching, PATIENCE)


async def test_the_same_settings_change_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, '[libvirt_socket]\npath = "sock"') as trial:
        before = trial.running
        await trial.change('[libvirt_socket]\npath = "sock"')
        now = trial.running
        assert now.collector is before.collector
        assert (now.http, now.libvirt, now.following) == (before.http, before.libvirt, before.following)


def planned(plan: str, share: float = 0.2) -> str:
    return f'[host]\nuri = "{SIM}"\nplan = {{ {plan} }}\nshare = {share}\n'


async def test_another_plan(tmp_path: Path) -> None:
    async with served(tmp_path, planned("block = 3")) as trial:
        await trial.swept()
        before = trial.running
        await trial.change(planned("block = 20, state = 1", share=0.5))
        collector = trial.service.collector
        assert collector is before.collector
        assert trial.running.http is before.http
        assert (collector.plan.free.period, collector.plan.share) == (1.0, 0.5)
        async with asyncio.timeout(PATIENCE):
            async for _ in collector:
                if collector.guests_period == 20.0:
                    break
        assert before.following is not None
        assert trial.running.following is before.following
        assert max(before.following.history._room.stores[0].periods) == 20.0


@pytest.mark.parametrize("plan", ["block = 7", "block = 2, cpu = 30"])
async def test_what_takes_another_collector(tmp_path: Path, plan: str) -> None:
    async with served(tmp_path, planned("block = 20, cpu = 30")) as trial:
        before = trial.running
        await trial.change(planned(plan))
        assert trial.service.collector is not before.collector
        assert trial.service.collector.swept
        with pytest.raises(UsageError, match="takes another collector"):
            before.collector.replan(trial.running.chosen.host.plan, 5.0)


async def test_a_defect_of_a_part_ends_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(chosen("", tmp_path, free_port()), Listeners(), STARTED)
    await service.start()
    running = service._running
    assert running is not None
    assert running.following is not None

    def fail(_snapshot: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(running.following.history, "add", fail)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(service.watch(), PATIENCE)
    await service.stop()


async def test_another_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a" * 16)
    text = '[http]\nlisten = ["127.0.0.1:{}"]\ntoken_file = "token"\n[libvirt_socket]\npath = "sock"'
    async with served(tmp_path, '[libvirt_socket]\npath = "sock"') as trial:
        before = trial.running
        assert (await trial.get("/metrics"))[0] == 200
        await trial.change(text.format(trial.port))
        assert (await trial.get("/metrics"))[0] == 401
        status, metrics = await trial.get("/metrics", "a" * 16)
        assert status == 200
        assert 'domstats_http_requests_total{kind="metrics",code="401"} 1\n' in metrics
        assert 'domstats_http_requests_total{kind="metrics",code="200"} 1\n' in metrics
        now = trial.running
        assert now.http is not before.http
        assert (now.collector, now.libvirt, now.following) == (before.collector, before.libvirt, before.following)


async def test_nobody_is_refused_in_the_middle(tmp_path: Path) -> None:
    async with served(tmp_path) as trial:
        going, answers = True, []

        def ask() -> None:
            while going:
                client = HTTPConnection("127.0.0.1", trial.port, timeout=PATIENCE)
                with closing(client):
                    client.request("GET", "/v1/stats?group=cpu")
                    answers.append(client.getresponse().status)

        asking = [asyncio.create_task(asyncio.to_thread(ask)) for _ in range(CLIENTS)]
        for number in range(RELOADS):
            await trial.change(f'[http]\nlisten = ["127.0.0.1:{trial.port}"]\nmax_connections = {100 + number}')
        going = False
        await asyncio.gather(*asking)
        assert len(answers) > RELOADS
        assert set(answers) == {200}


async def test_another_host_takes_its_place_when_it_is_known(tmp_path: Path) -> None:
    async with served(tmp_path, '[libvirt_socket]\npath = "sock"') as trial:
        await trial.swept()
        before = trial.running
        assert before.following is not None
        await trial.change('[host]\nuri = "sim:///?domains=9"\n[libvirt_socket]\npath = "sock"')
        now = trial.running
        assert now.collector is not before.collector
        assert now.collector.swept
        assert now.following is not None
        assert now.following.history is before.following.history
        assert '"domains":9' in (await trial.get("/readyz"))[1].replace(" ", "")
        caller = await Caller.connect(tmp_path / "sock")
        caller.close()
        with suppress(StopAsyncIteration):
            await asyncio.wait_for(anext(aiter(before.collector)), PATIENCE)  # the old one is closed


async def test_the_libvirt_socket(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    async with served(tmp_path) as trial:
        await trial.change('[libvirt_socket]\npath = "sock"')
        inode = path.stat().st_ino
        await trial.change('[libvirt_socket]\npath = "sock"\nmode = "0600"')
        assert (path.stat().st_ino, stat.S_IMODE(path.stat().st_mode)) == (inode, 0o600)
        (await Caller.connect(path)).close()
        await trial.change('[libvirt_socket]\npath = "other"')
        assert not path.exists()
        (await Caller.connect(tmp_path / "other")).close()
        await trial.change("")
        assert names_in(tmp_path) == []
        assert trial.service.figures().libvirt_clients is None


async def test_a_socket_whose_file_is_gone_is_made_anew(tmp_path: Path) -> None:
    path, text = tmp_path / "sock", '[libvirt_socket]\npath = "sock"'
    async with served(tmp_path, text) as trial:
        before = trial.running
        path.unlink()
        await trial.change(text)
        (await Caller.connect(path)).close()
        assert trial.running.collector is before.collector
        now = trial.running.libvirt
        await trial.change(text)
        assert trial.running.libvirt is now
    assert names_in(tmp_path) == []


def passed_at(host: str, port: int) -> Listening:
    """A socket as systemd passes it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return Listening(socket.create_server((host, port), family=family, dualstack_ipv6=host == "::"))


@pytest.mark.parametrize(
    ("host", "listen"), [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "localhost"), ("0.0.0.0", "127.0.0.1")]
)
async def test_what_systemd_passes_already(tmp_path: Path, host: str, listen: str) -> None:
    port = free_port()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"{tmp_path}/sock")
        sock.listen()
        sock.setblocking(False)
        passed = [passed_at(host, port), Listening(sock.dup(), name="libvirt")]
        passed[0].sock.setblocking(False)
        text = f'[http]\nlisten = ["{listen}:{port}"]\n[libvirt_socket]\npath = "sock"'
        service = Service(chosen(text, tmp_path, port), Listeners(passed), STARTED)
        try:
            await service.start()
            async with aiohttp.ClientSession() as client:
                await until_there(client, port)
                (await Caller.connect(tmp_path / "sock")).close()
                await service.change(chosen(text + '\nmode = "0600"', tmp_path, port))
                await until_there(client, port)
                (await Caller.connect(tmp_path / "sock")).close()
        finally:
            await service.stop()
            for each in passed:
                each.sock.close()
    assert names_in(tmp_path) == ["sock"]


async def test_a_name_with_addresses_none_of_which_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    async def found(*_: object, **_named: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in ("203.0.113.1", "203.0.113.2")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    with pytest.raises(ConnectError, match="cannot listen at elsewhere:0: Cannot assign"):
        await listen_tcp(Address("elsewhere", 0))


async def test_an_address_is_widened_and_narrowed(tmp_path: Path) -> None:
    async with served(tmp_path) as trial:
        for host in ("0.0.0.0", "127.0.0.1", "localhost", "127.0.0.1"):
            await trial.change(f'[http]\nlisten = ["{host}:{trial.port}"]')
            assert (await trial.get())[0] == 200
            assert [address.host for address in trial.service._listeners._tcp] == [host]
        for host in ("0.0.0.0", "127.0.0.1"):
            with pytest.raises(ConnectError, match="in use"):
                await listen_tcp(Address(host, trial.port))
        with taken_port() as taken, pytest.raises(ConnectError, match="in use"):
            await trial.change(f'[http]\nlisten = ["127.0.0.1:{trial.port}", "0.0.0.0:{taken}"]')


async def test_the_mode_of_a_socket_is_changed_with_all_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    async with served(tmp_path, '[libvirt_socket]\npath = "sock"\nmode = "0600"') as trial:
        with pytest.raises(ConnectError):
            await trial.change(
                f'[host]\nuri = "qemu+unix:///system?socket={tmp_path}/none"\n'
                '[libvirt_socket]\npath = "sock"\nmode = "0666"'
            )
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        before = trial.running
        with pytest.raises(UsageError, match="no group"):
            await trial.change('[libvirt_socket]\npath = "sock"\nmode = "0666"\ngroup = "no such group"')
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert trial.running is before


async def test_without_descriptors_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port, told = free_port(), list[bool]()
    configuration = ""

    def none_left(*_: object) -> list[socket.socket]:
        raise OSError(errno.EMFILE, "Too many open files")

    def again(_: object) -> None:
        told.append(True)

    serving = asyncio.create_task(
        serve(chosen("", tmp_path, port), lambda: chosen(configuration, tmp_path, port), Listeners(), {}, again)
    )
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as client:
        await until_there(client, port)
        configuration = f'[http]\nlisten = ["127.0.0.1:{port}"]\nmax_connections = 7'
        with monkeypatch.context() as patched:
            patched.setattr(Listeners, "http", none_left)
            os.kill(os.getpid(), signal.SIGHUP)
            metrics = 'domstats_reloads_total{result="failed"} 1\n'
            while metrics not in await until_there(client, port, "/metrics"):
                pass
        assert not told
        os.kill(os.getpid(), signal.SIGHUP)
        while not told:  # noqa: ASYNC110  nothing else tells of it
            await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
        await serving


async def test_a_defect_in_reading_changes_nothing(tmp_path: Path) -> None:
    port, told, broken = free_port(), list[bool](), True

    def read() -> Settings:
        if broken:
            raise ValueError
        return chosen("", tmp_path, port)

    def again(_: object) -> None:
        told.append(True)

    serving = asyncio.create_task(serve(chosen("", tmp_path, port), read, Listeners(), {}, again))
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as client:
        await until_there(client, port)
        os.kill(os.getpid(), signal.SIGHUP)
        while 'domstats_reloads_total{result="failed"} 1\n' not in await until_there(client, port, "/metrics"):
            assert not serving.done()
        broken = False
        os.kill(os.getpid(), signal.SIGHUP)
        while not told:  # noqa: ASYNC110  nothing else tells of it
            await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
        await serving


@pytest.mark.parametrize("host", ["stats..example.org", f"{'a' * 64}.example.org"])
async def test_a_name_that_is_none(host: str) -> None:
    with pytest.raises(ConnectError, match="cannot listen at"):
        await listen_tcp(Address(host, 0))


async def until_there(client: aiohttp.ClientSession, port: int, path: str = "/healthz") -> str:
    """What is answered, as soon as something is."""
    while True:
        with suppress(aiohttp.ClientError):
            async with client.get(f"http://127.0.0.1:{port}{path}") as answer:
                return await answer.text()
        await asyncio.sleep(0.05)


async def test_what_cannot_be_begun_changes_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, '[libvirt_socket]\npath = "sock"') as trial:
        before = trial.running
        with taken_port() as taken, pytest.raises(ConnectError, match="cannot listen at"):
            await trial.change(f'[http]\nlisten = ["127.0.0.1:{free_port()}", "127.0.0.1:{taken}"]')
        with pytest.raises(ConnectError):
            await trial.change(f'[host]\nuri = "qemu+unix:///system?socket={tmp_path}/none"')
        with pytest.raises(UsageError, match="no libvirt daemon behind it"):
            await trial.change('[host]\nuri = "kernel:///"\n[libvirt_socket]\npath = "sock"\n[log]')
        with pytest.raises(UsageError, match="nothing to serve"):
            await trial.change("[http]\nlisten = []")
        assert trial.running is before
        assert (await trial.get())[0] == 200
        (await Caller.connect(tmp_path / "sock")).close()
        assert names_in(tmp_path) == ["sock"]


async def test_no_history(tmp_path: Path) -> None:
    async with served(tmp_path) as trial:
        await trial.change("[history]\nbytes = 0")
        status, text = await trial.get("/v1/history?domain=test-1")
        assert status == 404
        assert "no history is kept (history.bytes = 0)" in text
        assert trial.service.figures().history_bytes is None


async def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    async with served(tmp_path, '[libvirt_socket]\npath = "sock"') as trial:
        port = trial.port
    assert names_in(tmp_path) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_it_is_alive_while_snapshots_come(tmp_path: Path) -> None:
    async with served(tmp_path) as trial:
        assert trial.service.is_alive
        trial.service.seen -= 3600.0
        assert not trial.service.is_alive
        async with asyncio.timeout(PATIENCE):
            async for _ in trial.service.collector:
                if trial.service.is_alive:
                    break


ENDING = """
import asyncio, signal
from domstats.serve.process import end_soon

async def main():
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end_soon, ended)
    print("up", flush=True)
    await ended.wait()
    print("ending", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_the_second_signal_ends_it_at_once(second: signal.Signals) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENDING, stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert await process.stdout.readline() == b"up\n"
        process.terminate()
        assert await process.stdout.readline() == b"ending\n"
        process.send_signal(second)
        assert await process.wait() == -second
