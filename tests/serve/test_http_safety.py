"""Clients that do everything wrong, or want too much: they are told so, and cost nobody else anything."""

from __future__ import annotations

import asyncio
import base64
import json
import resource
import socket
import ssl
import statistics
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

import aiohttp
import pytest

from domstats.errors import ConnectError, UsageError
from domstats.serve.http.connection import HEADER_MAX, LINE_MAX
from domstats.serve.http.options import Address, HttpOptions, address, token_in
from http_serving import HERE, PATIENCE, Serving, http_serving
from scripted import events

SIM = "sim:///?domains=12&time=1800000000"
TOKEN = "correct-horse-battery"


def answer_of(data: bytes) -> tuple[int, Any]:
    """Status and document of the only answer in these bytes."""
    head, _, body = data.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    return int(head.split(b" ", 2)[1]), json.loads(body)


class TestWhatIsNoRequest:
    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (b"garbage\r\n\r\n", 400),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
            (b"GET / HTTP/9.9\r\n\r\n", 400),
            (b"GET  HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"GET /" + b"x" * (LINE_MAX + 100) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * (HEADER_MAX + 100) + b"\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 1000 + b"\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 413),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 100_000, 413),
            (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", 405),
        ],
    )
    async def test_is_refused(self, data: bytes, status: int, caplog: pytest.LogCaptureFixture) -> None:
        async with http_serving(SIM) as serving:
            code, document = answer_of(await serving.raw(data))
            assert code == status
            assert document["error"]
            assert (await serving.get("/healthz")).status == 200
        assert not [record for record in caplog.records if record.exc_info], "nothing of ours went wrong"

    @pytest.mark.parametrize(
        ("host", "status"),
        [
            ("localhost", 200),
            ("LOCALHOST:9177", 200),
            ("127.0.0.1:9177", 200),
            ("[::1]:9177", 200),
            ("192.0.2.7", 200),
            ("mine.example:9177", 200),
            ("evil.example", 400),
            ("localhost.evil.example:9177", 400),
            ("[evil]", 400),
        ],
    )
    async def test_a_name_that_is_not_ours(self, host: str, status: int) -> None:
        async with http_serving(SIM, hosts=("mine.example",)) as serving:
            assert (await serving.get("/v1/stats", Host=host)).status == status

    async def test_whoever_resolves_names_may_take_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = Event()

        def slowly() -> str:
            known.wait(PATIENCE)
            return "Full.Name.example"

        monkeypatch.setattr(socket, "getfqdn", slowly)
        async with http_serving(SIM) as serving:
            assert (await serving.get("/healthz")).status == 200
            assert (await serving.get("/healthz", Host="full.name.example")).status == 400
            known.set()
            async with asyncio.timeout(PATIENCE):
                while (await serving.get("/healthz", Host="full.name.example")).status != 200:
                    pass

    @pytest.mark.parametrize(
        "name",
        ["", "https://mine.example", "mine.example:9177", "mine.example/", "*.example", "*", "[::1]", "a b", "bücher"],
    )
    def test_what_no_client_calls_it(self, name: str) -> None:
        with pytest.raises(UsageError, match="a name without scheme and port"):
            HttpOptions(hosts=("mine.example", name))

    def test_what_it_may_be_called(self) -> None:
        names = ("mine.example", "Mine_2", "xn--bcher-kva.example.", "192.0.2.1", "::1")
        assert HttpOptions(hosts=names).hosts == names


class TestWhoTakesTooLong:
    @pytest.mark.parametrize("beginning", [b"GET /metrics HTTP/1.1\r\nHost: lo", b"G", b"GET / HTTP/1.1\r\nA: b\r\n"])
    async def test_a_request_that_does_not_end(self, beginning: bytes) -> None:
        async with http_serving(SIM, request_seconds=0.2) as serving:
            began = asyncio.get_running_loop().time()
            assert await ended(serving, beginning) == b""
            assert asyncio.get_running_loop().time() - began < 5.0

    async def test_drop_by_drop(self) -> None:
        """Each byte that comes does not begin the time anew."""
        async with http_serving(SIM, request_seconds=0.5) as serving:
            reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
            writer.write(b"GET / HTTP/1.1\r\nX: y")

            async def drip() -> None:
                while True:
                    writer.write(b"y")
                    await asyncio.sleep(0.05)

            task = asyncio.ensure_future(drip())
            await closed(reader)
            task.cancel()
            writer.close()

    async def test_nothing_at_all(self) -> None:
        async with http_serving(SIM, idle_seconds=0.2) as serving:
            assert await ended(serving, b"") == b""
            request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
            assert (await ended(serving, request)).startswith(b"HTTP/1.1 200 OK")

    async def test_a_client_that_reads_nothing(self) -> None:
        async with http_serving("sim:///?domains=500&time=1800000000", unread_seconds=0.2) as serving:
            _, writer = await asyncio.open_connection("127.0.0.1", serving.port, limit=1 << 10)
            for _ in range(8):
                writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                while not serving.server.connections:  # noqa: ASYNC110  nothing tells of it
                    await asyncio.sleep(0.001)
                while serving.server.connections:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
            writer.close()


async def closed(reader: asyncio.StreamReader) -> None:
    """Wait until the server closes the connection."""
    async with asyncio.timeout(PATIENCE):
        with suppress(ConnectionError):
            while await reader.read(1 << 16):
                pass


async def ended(serving: Serving, data: bytes) -> bytes:
    """What comes for the data until the server has had enough."""
    try:
        return await serving.raw(data)
    except ConnectionError:
        return b""


class TestTooMany:
    async def test_the_longest_idle_one_gives_way(self) -> None:
        async with http_serving(SIM, max_connections=3) as serving:
            idle = [await asyncio.open_connection("127.0.0.1", serving.port) for _ in range(3)]
            async with asyncio.timeout(PATIENCE):
                while serving.server.connections < 3:  # noqa: ASYNC110  nothing tells of it
                    await asyncio.sleep(0.001)
            assert (await serving.get("/healthz")).status == 200
            assert serving.server.connections == 3
            await closed(idle[0][0])
            for _, writer in idle:
                writer.close()

    async def test_who_is_busy_stays(self) -> None:
        async with http_serving("sim:///?domains=2", max_connections=1) as serving:
            stream = await serving.client.get(f"{serving.url}/v1/stream")
            code, document = answer_of(await serving.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            assert (code, document) == (503, {"error": "too many clients are here"})
            await stream.content.readuntil(b"\n\n")
            stream.close()

    async def test_a_thousand_idle_connections_slow_down_nobody(self) -> None:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:  # the clients are in the same process, so that twice as many descriptors are taken
            async with http_serving("sim:///?domains=200&time=1800000000", max_connections=2500) as serving:
                assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(limits[0] + 2500, limits[1])
                before = await scrape_time(serving)
                idle = [await asyncio.open_connection("127.0.0.1", serving.port) for _ in range(1000)]
                async with asyncio.timeout(PATIENCE):
                    while serving.server.connections <= 1000:
                        await serving.get("/healthz")
                assert await scrape_time(serving) < 3 * before + 0.01
                for _, writer in idle:
                    writer.close()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def scrape_time(serving: Serving) -> float:
    """Seconds that a scrape takes, the middle of some."""
    now, times = asyncio.get_running_loop().time, []
    for _ in range(15):
        began = now()
        answer = await serving.get("/metrics")
        times.append(now() - began)
        assert answer.status == 200
    return statistics.median(times)


async def test_guests_that_hang_hold_up_no_scrape(tmp_path: Path) -> None:
    script = tmp_path / "script.toml"
    script.write_text(events(*(f"2; hang test-{number}" for number in range(1, 6))))
    plan = dict.fromkeys(("state", "cpu", "balloon", "vcpu", "block", "interface"), 1.0)
    async with http_serving(f"sim:///?domains=50&script={script}", plan=plan) as serving:
        before = await scrape_time(serving)
        async with asyncio.timeout(PATIENCE):
            while sum(record.status.label == "blocked" for record in serving.collector.latest) < 5:
                await serving.next()
        assert await scrape_time(serving) < 3 * before + 0.01
        body = (await serving.get("/metrics")).body.decode()
        blocked = [line for line in body.splitlines() if 'status="blocked"' in line and line.endswith(" 1")]
        assert len(blocked) == 5


class TestTheToken:
    @pytest.mark.parametrize(
        ("authorization", "status"),
        [
            (None, 401),
            (f"Bearer {TOKEN}", 200),
            (f"bearer {TOKEN}", 200),
            ("Basic " + base64.b64encode(f"me:{TOKEN}".encode()).decode(), 200),
            ("Basic " + base64.b64encode(f":{TOKEN}".encode()).decode(), 200),
            ("Basic " + base64.b64encode(TOKEN.encode()).decode(), 401),
            ("Basic !!!", 401),
            ("Basic \xff\xfe", 401),
            (f"Bearer {TOKEN}x", 401),
            (f"Bearer {TOKEN[:-1]}", 401),
            ("Bearer ", 401),
            (TOKEN, 401),
            (f"Digest {TOKEN}", 401),
        ],
    )
    async def test_who_knows_it(self, authorization: str | None, status: int) -> None:
        async with http_serving(SIM, token=TOKEN) as serving:
            headers = {} if authorization is None else {"Authorization": authorization}
            for path in ("/", "/metrics", "/v1/stats", "/v1/stats/web-1", "/page/index.html", "/v1/fields"):
                answer = await serving.get(path, **headers)
                assert answer.status == status
                if status == 401:
                    assert answer.headers["WWW-Authenticate"] == 'Basic realm="domstats"'
                    assert "error" in answer.json
            assert (await serving.get("/healthz")).status == 200
            assert (await serving.get("/readyz")).status == 200
            assert (await serving.get("/v1/stream", **headers, method="HEAD")).status == status

    def test_what_is_one(self, tmp_path: Path) -> None:
        file = tmp_path / "token"
        file.write_text(f"  {TOKEN}\n")
        assert token_in(file) == TOKEN
        file.write_text("pässword-of-some-length")
        with pytest.raises(UsageError, match="it is not ASCII"):
            token_in(file)
        for bad in (f"{TOKEN}\n{TOKEN}\n", "correct horse battery", f"{TOKEN}\t{TOKEN}", f"{TOKEN}\0"):
            file.write_text(bad)
            with pytest.raises(UsageError, match="token: a token is one line without spaces"):
                token_in(file)
        with pytest.raises(UsageError, match="No such file"):
            token_in(tmp_path / "none")
        for bad in ("", "short", "päss" * 8):
            with pytest.raises(UsageError, match="a token is at least 16 ASCII characters"):
                HttpOptions(token=bad)


@asynccontextmanager
async def certified(folder: Path, *, request_seconds: float = 0.5) -> AsyncIterator[tuple[Serving, ssl.SSLContext]]:
    """A server with a certificate of its own, and who believes it."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    subject = ("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate))
    await asyncio.to_thread(subprocess.run, [*command.split(), *subject], check=True, capture_output=True)
    async with http_serving(SIM, certificate=certificate, key=key, request_seconds=request_seconds) as serving:
        yield serving, ssl.create_default_context(cafile=str(certificate))


class TestTls:
    async def test_it_is_spoken(self, tmp_path: Path) -> None:
        async with certified(tmp_path) as (serving, context):
            assert serving.url.startswith("https://127.0.0.1:")
            async with serving.client.get(f"{serving.url}/healthz", ssl=context) as answer:
                assert answer.status == 200
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await serving.client.get(f"{serving.url}/healthz")
            assert await ended(serving, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""

    async def test_a_handshake_that_does_not_end(self, tmp_path: Path) -> None:
        async with certified(tmp_path) as (serving, _):
            assert await ended(serving, b"\x16\x03\x01") == b""

    async def test_an_end_that_is_cut_short_leaves_nobody(self, tmp_path: Path) -> None:
        """With handshakes that do not end it takes longer than it gets."""
        async with certified(tmp_path, request_seconds=PATIENCE) as (serving, context):
            server = serving.server
            async with serving.client.get(f"{serving.url}/v1/stream", ssl=context) as stream:
                await stream.content.readuntil(b"\n\n")
                _, stalled = await asyncio.open_connection("127.0.0.1", serving.port)
                stalled.write(b"\x16\x03\x01")
                await asyncio.sleep(0.1)
                stopping = asyncio.create_task(server.stop())
                await asyncio.sleep(0.1)
                stopping.cancel()
                await asyncio.wait([stopping])
                async with asyncio.timeout(PATIENCE):
                    with pytest.raises(aiohttp.ClientError):
                        await stream.read()
                    while server.work._all or server.connections:  # noqa: ASYNC110  nothing tells of it
                        await asyncio.sleep(0.01)
                    assert not any(each._setting_up for each in server._accepting)
            stalled.close()

    async def test_a_certificate_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "certificate.pem").write_text("nothing")
        for name in ("certificate.pem", "none.pem"):
            with pytest.raises(UsageError, match="cannot use the certificate"):
                async with http_serving(SIM, certificate=tmp_path / name):
                    pass


class TestWhereItListens:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("127.0.0.1:9177", Address("127.0.0.1", 9177)),
            ("[::1]:0", Address("::1", 0)),
            ("localhost:80", Address("localhost", 80)),
        ],
    )
    def test_an_address(self, text: str, expected: Address) -> None:
        assert address(text) == expected
        assert str(expected) == text
        assert expected.is_loopback

    @pytest.mark.parametrize(
        "text", ["", "9177", ":9177", "::1:9177", "[::1]", "host:", "host:x", "host:65536", "host:-1", "host:٣", "[]:1"]
    )
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(UsageError, match="an address is HOST:PORT"):
            address(text)

    def test_loopback_unless_told_otherwise(self) -> None:
        assert all(each.is_loopback for each in HttpOptions().listen)
        assert not address("0.0.0.0:1").is_loopback
        assert not address("host.example:1").is_loopback

    async def test_where_somebody_listens(self) -> None:
        async with http_serving(SIM) as serving:
            with pytest.raises(ConnectError, match=f"cannot listen at 127.0.0.1:{serving.port}: "):
                async with http_serving(SIM, listen=serving.server.addresses and tuple(serving.server.addresses)):
                    pass

    async def test_several_addresses(self) -> None:
        async with http_serving(SIM, listen=(*HERE, *HERE)) as serving:
            assert len(serving.server.urls) == 2
            for url in serving.server.urls:
                async with serving.client.get(f"{url}/healthz") as answer:
                    assert answer.status == 200

    async def test_nowhere(self) -> None:
        with pytest.raises(UsageError, match="there is no address to listen at"):
            async with http_serving("sim:///?domains=1", listen=()):
                pass

    @pytest.mark.parametrize(
        "options",
        [{"key": Path("key")}, {"max_connections": 0}, {"idle_seconds": 0}, {"gone_seconds": -1.0}],
    )
    def test_options_that_make_no_sense(self, options: dict[str, Any]) -> None:
        with pytest.raises(UsageError):
            HttpOptions(**options)


async def test_who_listens_to_all_is_told_so(caplog: pytest.LogCaptureFixture) -> None:
    async with http_serving(SIM, listen=(Address("0.0.0.0", 0),)):
        assert "there is no token" in caplog.text
    caplog.clear()
    async with http_serving(SIM, listen=(Address("0.0.0.0", 0),), token=TOKEN):
        assert caplog.text == ""
