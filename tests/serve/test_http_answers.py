"""What answers are rendered, kept and sent, whatever clients wish for: bounded, and no defect."""

from __future__ import annotations

import asyncio
import fnmatch
import re
from typing import Any

import aiohttp
import pytest

from domstats.errors import UsageError
from domstats.serve.http import sending, workers
from domstats.serve.http.options import HttpOptions
from domstats.serve.http.query import GLOB_MAX
from domstats.serve.http.workers import WAITING_MAX
from http_serving import PATIENCE, Serving, http_serving

SIM = "sim:///?domains=12&time=1800000000"


class TestPatterns:
    @pytest.mark.parametrize(
        "path",
        ["/metrics?domain={}", "/metrics?field={}", "/v1/stats?domain={}", "/v1/stats?key={}", "/v1/fields?pattern={}"],
    )
    async def test_long_ones_are_refused(self, path: str) -> None:
        async with http_serving(SIM) as serving:
            assert (await serving.get(path.format("*" * GLOB_MAX))).status == 200
            answer = await serving.get(path.format("*" * (GLOB_MAX + 1)))
            assert answer.status == 400
            assert b"at most 256 characters" in answer.body

    async def test_nothing_keeps_them(self) -> None:
        """What the process keeps of patterns for ever does not grow by those of clients."""
        async with http_serving(SIM) as serving:
            before = fnmatch._compile_pattern.cache_info()  # type: ignore[attr-defined]  # it is fnmatch's own
            for path in (
                "/metrics?domain=*x1",
                "/metrics?field=*.rd.byte?",
                "/v1/stats?domain=*x2",
                "/v1/stats?key=*x3",
                "/v1/fields?pattern=*.wr.byte?",
            ):
                assert (await serving.get(path)).status == 200
            assert fnmatch._compile_pattern.cache_info() == before  # type: ignore[attr-defined]


class TestWhatIsRendered:
    async def test_many_different_wishes_at_once(self) -> None:
        """What cannot be made soon is refused, and nothing is held up for ever."""
        async with http_serving("sim:///?domains=100&time=1800000000") as serving:
            paths = [f"/v1/stats?key=vcpu.{number}.*" for number in range(WAITING_MAX + 40)]
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

                async def ask(path: str) -> int:
                    async with client.get(serving.url + path) as answer:
                        await answer.read()
                        return answer.status

                statuses = await asyncio.gather(*map(ask, paths))
            assert set(statuses) <= {200, 503}
            assert statuses.count(200) >= WAITING_MAX
            assert (await serving.get(paths[-1])).status == 200

    async def test_only_some_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(workers, "BYTES_KEPT", 1000)
        worker = workers.Worker("test")
        renderings = workers.Renderings(worker)
        for number in range(5):
            body = await renderings.get(1, number, lambda: bytes(400))
            assert len(body) == 400
        assert renderings.made == 5
        await renderings.get(1, 4, lambda: b"")
        assert renderings.made == 5
        await renderings.get(1, 0, lambda: bytes(400))
        assert renderings.made == 6
        for _ in range(2):
            with pytest.raises(UsageError):
                await renderings.get(1, "bad", lambda: bytes(HttpOptions(max_connections=0).max_connections))
        assert renderings.made == 8
        worker.close()

    async def test_many_small_ones(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(workers, "KEPT_MAX", 3)
        worker = workers.Worker("test")
        renderings = workers.Renderings(worker)
        for number in range(4):
            await renderings.get(1, number, lambda: b"")
        await renderings.get(1, 1, lambda: b"")
        assert renderings.made == 4
        await renderings.get(1, 0, lambda: b"")
        await renderings.get(1, 1, lambda: b"")
        assert renderings.made == 5
        await renderings.get(1, 2, lambda: b"")
        assert renderings.made == 6
        worker.close()

    async def test_what_is_kept_is_not_looked_through(self) -> None:
        """What one more costs does not grow with how many there are."""
        worker = workers.Worker("test")
        renderings = workers.Renderings(worker)
        looked = 0

        class Body(bytes):
            def __len__(self) -> int:
                nonlocal looked
                looked += 1
                return super().__len__()

        for number in range(100):
            await renderings.get(1, number, lambda: Body(b"text"))
        assert looked == 100
        worker.close()

    async def test_an_earlier_snapshot_costs_the_latest_nothing(self) -> None:
        worker = workers.Worker("test")
        renderings = workers.Renderings(worker)
        assert await renderings.get(1, "a", lambda: b"1") == b"1"
        assert await renderings.get(2, "a", lambda: b"2") == b"2"
        assert await renderings.get(1, "a", lambda: b"1") == b"1"
        assert renderings.made == 3
        assert await renderings.get(2, "a", lambda: b"3") == b"2"
        worker.close()

    async def test_a_client_that_goes_or_is_left_is_no_defect(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(sending, "SENDING_MAX", 0.1)
        async with http_serving("sim:///?domains=1000&time=1800000000") as serving:
            reader, writer = await asyncio.open_connection("127.0.0.1", serving.port, limit=1 << 10)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                while serving.server.connections:  # noqa: ASYNC110  nothing tells of it
                    await asyncio.sleep(0.001)
            writer.close()
        assert "could not be answered" not in caplog.text

    async def test_a_slow_client_keeps_little(self) -> None:
        async with http_serving("sim:///?domains=500&time=1800000000") as serving:
            whole = len((await serving.get("/metrics")).body)
            reader, writer = await asyncio.open_connection("127.0.0.1", serving.port, limit=1 << 10)
            for _ in range(4):
                writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                while not slow(serving):  # noqa: ASYNC110  nothing tells of it
                    await asyncio.sleep(0.001)
            assert slow(serving)[0].transport.get_write_buffer_size() < whole / 4
            length = re.search(rb"Content-Length: (\d+)", await reader.readuntil(b"\r\n\r\n"))
            assert length is not None
            async with asyncio.timeout(PATIENCE):
                body = await reader.readexactly(int(length[1]))
            assert abs(len(body) - whole) < whole / 100, "but for the figures of the service itself"
            assert body.endswith(b"\n")
            writer.close()


def slow(serving: Serving) -> list[Any]:
    """The connections with something that has not been read."""
    return [each for each in serving.server._connections if each.transport and each.transport.get_write_buffer_size()]
