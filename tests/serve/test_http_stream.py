"""The stream: what a reader knows by the changes it was told is what a full snapshot says, whatever happens."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from domstats.collector.collector import Collector
from domstats.collector.plan import make_plan
from domstats.collector.reach import Reach
from domstats.formats.named import COLUMNS
from domstats.model.domain import Domain
from domstats.model.flags import NO_FILTERS
from domstats.model.params import ParamType, TypedParameter
from domstats.model.snapshot import Snapshot
from domstats.serve.http import channel as channels
from domstats.serve.http.channel import KEPT, Channel
from domstats.serve.http.latest import Latest
from domstats.serve.http.rows import ColumnReader, KeyReader
from domstats.serve.http.stream import CHANNELS_MAX
from domstats.sources.sim.source import SimSource
from fast_time import clock, in_fast_time
from http_serving import PATIENCE, Mirror, Serving, events, http_serving
from scripted import Scripted
from scripted import events as script

T = TypeVar("T")
FAST = {"state": 0.1, "interface": 0.1, "cpu": 0.2, "block": 0.2}
"""Periods of a host that publishes ten snapshots a second."""
COLUMNS_SHOWN = tuple(each.name for each in COLUMNS["domain"].named if each.name not in ("age", "name"))


class Inline:
    """Works at once: in fast time another thread would be left behind."""

    def __init__(self) -> None:
        self.done = 0

    async def run(self, work: Callable[[], T]) -> T:
        self.done += 1
        return work()


@asynccontextmanager
async def streaming(
    folder: Path, happens: str, columns: tuple[str, ...], source: SimSource | None = None
) -> AsyncIterator[tuple[Channel, Collector]]:
    """A channel of a host whose guests live by the script, or of that source, in fast time."""
    reach = Reach(source or Scripted(folder, happens).source, width=4, sees_processes=False)
    collector = Collector(reach, make_plan(0, {}), 5.0, NO_FILTERS, lambda _: True)
    await collector.start()
    latest = Latest(collector)
    reader = ColumnReader(columns) if columns else KeyReader()
    made = Channel(reader, latest, Inline())  # type: ignore[arg-type]
    tasks = [asyncio.ensure_future(latest.follow()), asyncio.ensure_future(made.follow())]
    try:
        yield made, collector
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await collector.aclose()


async def told(channel: Channel, mirror: Mirror) -> None:
    """Tell the mirror the next thing."""
    number, event = await channel.after(mirror.number if mirror.events else None)
    mirror.take(event)
    assert mirror.number == number


HAPPENS = script(
    "10.1; hang test-1",
    "15.1; hostile test-3",
    "16.1; attach test-4; device = 'disk'",
    "21.1; define; name = 'new-1'",
    "25.1; rename test-5; to = 'other-5'",
    "31.1; undefine web-1",
    "41.1; answer test-1",
    "50.1; undefine new-1",
    "51.1; stop test-2",
    "70.1; define; name = 'new-2'",
    "71.1; start new-2",
)


class TestChannel:
    @pytest.mark.parametrize("columns", [(), COLUMNS_SHOWN, ("net.0.rx.bytes", "vcpu.current", "block[vda].capacity")])
    def test_changes_lead_to_what_there_is(self, tmp_path: Path, columns: tuple[str, ...]) -> None:
        self.follow(tmp_path, columns)

    @staticmethod
    @in_fast_time
    async def follow(folder: Path, columns: tuple[str, ...]) -> None:
        async with streaming(folder, HAPPENS, columns) as (channel, _):
            quick, slow, slower = Mirror(), Mirror(), Mirror()
            statuses, seen = set(), set()
            for turn in range(60):
                await told(channel, quick)
                whole = Mirror()
                await told(channel, whole)
                assert quick.without_ages() == whole.without_ages()
                statuses |= {row["status"] for row in quick.rows.values()}
                seen |= {row["name"] for row in quick.rows.values()}
                if turn % 7 == 6:
                    await told(channel, slow)
                    assert slow.without_ages() == whole.without_ages()
                if turn % 25 == 24:
                    await told(channel, slower)
                    assert slower.without_ages() == whole.without_ages()
            assert quick.events == ["full"] + ["change"] * 59
            assert slow.events == ["full"] + ["change"] * 7
            assert {"fresh", "blocked"} <= statuses
            assert {"new-1", "new-2", "web-1", "test-5", "other-5"} <= seen
            assert "web-1" not in {row["name"] for row in quick.rows.values()}

    @in_fast_time
    async def test_ages_are_told_every_few_seconds(self, tmp_path: Path) -> None:
        async with streaming(tmp_path, script("5.1; hang test-*"), ("state",)) as (channel, _):
            mirror = Mirror()
            for _ in range(30):
                await told(channel, mirror)
                whole = Mirror()
                await told(channel, whole)
                for uuid, row in whole.rows.items():
                    assert row["age"] - 6.0 <= mirror.rows[uuid]["age"] <= row["age"] + 16.0
            assert max(row["age"] for row in mirror.rows.values()) > 30.0

    @in_fast_time
    async def test_ages_when_the_clock_is_set_back(self, tmp_path: Path) -> None:
        back = 0.0
        source = SimSource("sim:///?domains=20", lambda: clock() - back)
        async with streaming(tmp_path, "", ("state",), source) as (channel, collector):
            mirror = Mirror()
            while not collector.swept:
                await told(channel, mirror)
            assert all(row["age"] >= 0.0 for row in mirror.rows.values())
            before, back = collector.latest.time, 3600.0
            while collector.latest.time >= before:
                await told(channel, mirror)
            await told(channel, mirror)
            assert {row["age"] for row in mirror.rows.values()} == {None}, "nobody knows how old they are"
            while {row["status"] for row in mirror.rows.values()} != {"fresh"}:
                await told(channel, mirror)
            for row in mirror.rows.values():
                row["age"] = "untold"
            began = collector.latest.time
            while collector.latest.time < began + 3 * channels.AGES:
                await told(channel, mirror)
            assert all(0.0 <= row["age"] <= 30.0 for row in mirror.rows.values())

    @in_fast_time
    async def test_the_name_of_the_host(self, tmp_path: Path) -> None:
        for uri, name in (("sim:///?domains=1", None), ("qemu:///system", socket.gethostname())):
            source, mirror = SimSource("sim:///?domains=1", clock), Mirror()
            source.uri = uri
            async with streaming(tmp_path, "", ("state",), source) as (channel, _):
                await told(channel, mirror)
            assert mirror.host.get("hostname") == name

    @in_fast_time
    async def test_who_has_missed_too_much_gets_everything(self, tmp_path: Path) -> None:
        async with streaming(tmp_path, "", ("cpu", "rx")) as (channel, _):
            mirror, other = Mirror(), Mirror()
            await told(channel, mirror)
            other.number, other.events = mirror.number, ["full"]
            for _ in range(KEPT):
                await told(channel, mirror)
            await told(channel, other)  # of these, all are kept
            assert other.events == ["full", "change"]
            lost = Mirror(number=mirror.number - KEPT - 1, events=["full"])
            await told(channel, lost)
            assert lost.events == ["full", "full"]
            ahead = Mirror(number=mirror.number + 1000, events=["full"])
            await told(channel, ahead)
            assert ahead.events == ["full", "full"]

    @in_fast_time
    async def test_what_was_missed_on_a_busy_machine_is_a_part_of_the_next_change(self, tmp_path: Path) -> None:
        async with streaming(tmp_path, script("20.1; pause web-3"), ("cpu", "rx", "state")) as (channel, _):
            mirror, late, stranger = Mirror(), Mirror(), Mirror()
            for each in (mirror, late):
                await told(channel, each)
            latest: Any = channel._latest
            latest._numbered = replace(latest._numbered, number=mirror.number + 1)  # which the channel never sees
            await told(channel, mirror)
            assert mirror.number == late.number + 2
            stranger.number, stranger.events = late.number + 1, ["full"]
            while latest.numbered.snapshot.time < 1_800_000_030.0:
                await told(channel, mirror)
            await told(channel, late)
            await told(channel, stranger)
            whole = Mirror()
            await told(channel, whole)
            assert set(mirror.events[1:]) == {"change"}
            assert late.events == ["full", "change"]
            assert stranger.events == ["full", "full"], "nothing is kept that leads from there"
            assert mirror.without_ages() == late.without_ages() == whole.without_ages()

    @in_fast_time
    async def test_readers_share_the_work(self, tmp_path: Path) -> None:
        async with streaming(tmp_path, "", ("cpu", "rx")) as (channel, _):
            mirrors = [Mirror() for _ in range(50)]
            for mirror in mirrors:
                await told(channel, mirror)
            worker: Any = channel._worker
            before = worker.done
            for _ in range(5):
                await asyncio.gather(*(told(channel, mirror) for mirror in mirrors))
            assert worker.done - before == 10  # to see what has changed, and to write it down
            assert len({mirror.number for mirror in mirrors}) == 1

    @in_fast_time
    async def test_one_that_has_gone_and_come_again(self, tmp_path: Path) -> None:
        happens = script("10.1; undefine web-1", "14.1; define; name = 'web-1'")
        async with streaming(tmp_path, happens, ("vcpus",)) as (channel, collector):
            quick, slow = Mirror(), Mirror()
            await told(channel, quick)
            await told(channel, slow)
            while collector.latest.time < 1_800_000_030.0:
                await told(channel, quick)
            await told(channel, slow)
            whole = Mirror()
            await told(channel, whole)
            assert quick.without_ages() == slow.without_ages() == whole.without_ages()

    @in_fast_time
    async def test_what_is_kept_is_text_and_not_an_object_for_each_value(self, tmp_path: Path) -> None:
        async with streaming(tmp_path, script("10.1; define; name = 'new-1'"), ()) as (channel, _):
            mirror = Mirror()
            for _ in range(20):
                await told(channel, mirror)
            kept = channel._changes
            count, values = len(kept), sum(each.domains.count(b'":"') for each in kept)
            assert values > 100 * count > 1000
            gc.collect()
            before = sys.getallocatedblocks()
            kept.clear()
            assert before - sys.getallocatedblocks() < 20 * count

    async def test_changes_that_take_much_room_are_not_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(channels, "_BYTES_KEPT", 0)
        async with http_serving("sim:///?domains=5", plan=FAST) as serving:
            latest = Latest(serving.collector)
            channel = Channel(KeyReader(), latest, Inline())  # type: ignore[arg-type]
            tasks = [asyncio.ensure_future(latest.follow()), asyncio.ensure_future(channel.follow())]
            mirror = Mirror()
            for _ in range(3):
                await told(channel, mirror)
            assert mirror.events == ["full"] * 3
            for task in tasks:
                task.cancel()


def fault(*_: object) -> None:
    raise ZeroDivisionError


def snapshot_of(**values: tuple[ParamType, Any]) -> Snapshot:
    """A domain with these values; `_` stands for a dot."""
    params = [TypedParameter(key.replace("_", "."), kind, value) for key, (kind, value) in values.items()]
    return Snapshot.of_params([(Domain("a", "0" * 8 + "-0000-0000-0000-" + "0" * 12, 1), params)], time=1.0)


class TestValues:
    def test_nothing_is_lost(self) -> None:
        snapshot = snapshot_of(
            a_b=(ParamType.ULLONG, 2**64 - 1),
            a_c=(ParamType.LLONG, -(2**63)),
            a_d=(ParamType.INT, -1),
            a_e=(ParamType.UINT, 2**32 - 1),
            a_f=(ParamType.BOOLEAN, True),
            a_g=(ParamType.DOUBLE, 1e22),
            a_h=(ParamType.DOUBLE, 1e-7),
            a_i=(ParamType.DOUBLE, float("nan")),
            a_j=(ParamType.DOUBLE, float("inf")),
            a_k=(ParamType.STRING, "a<b>\udcff\n☃"),
        )
        reader = KeyReader()
        (row,) = reader.rows(snapshot, snapshot).values()
        assert reader.all(row) == {
            "a.b": "18446744073709551615",
            "a.c": "-9223372036854775808",
            "a.d": "-1",
            "a.e": "4294967295",
            "a.f": "1",
            "a.g": "10000000000000000000000",
            "a.h": "0.0000001",
            "a.k": "a<b>\\xff\n☃",
        }

    def test_what_changes(self) -> None:
        reader = KeyReader()
        before = snapshot_of(a_b=(ParamType.ULLONG, 1), a_c=(ParamType.DOUBLE, 1.0), a_d=(ParamType.STRING, "x"))
        values = before.values.copy()
        values[0], values[1] = 2, np.float64("nan").view(np.uint64)
        now = Snapshot(before.layout, values, 2.0, before.sampling, None)
        (was,), (row,) = reader.rows(before, before).values(), reader.rows(now, now).values()
        assert reader.changed(was, row) == {"a.b": "2", "a.c": None}
        assert reader.changed(was, was) == {}
        other = snapshot_of(a_b=(ParamType.ULLONG, 1), a_d=(ParamType.STRING, "y"), a_e=(ParamType.INT, 5))
        (changed,) = reader.rows(other, other).values()
        assert reader.changed(was, changed) == {"a.c": None, "a.d": "y", "a.e": "5"}

    def test_no_exponents(self, tmp_path: Path) -> None:
        self.columns(tmp_path)

    @staticmethod
    @in_fast_time
    async def columns(folder: Path) -> None:
        async with streaming(folder, "", ("cpu", "steal", "mem", "rx", "reads", "vcpus")) as (channel, _):
            mirror = Mirror()
            for _ in range(20):
                await told(channel, mirror)
            texts = [text for row in mirror.rows.values() for text in row["values"].items()]
            assert {name for name, _ in texts} == {"cpu", "steal", "mem", "rx", "reads", "vcpus"}
            for name, text in texts:
                pattern = r"\d+\.\d" if name in ("cpu", "steal") else r"\d+(\.\d{1,3})?"
                assert re.fullmatch(pattern, text), (name, text)


async def until_told(serving: Serving) -> None:
    """Look, as the service does with each snapshot, for defects."""
    async with asyncio.timeout(PATIENCE):
        while True:
            serving.server.work.check()
            await serving.next()


class TestOverHttp:
    async def test_a_stream(self) -> None:
        async with (
            http_serving("sim:///?domains=12", plan=FAST) as serving,
            serving.client.get(f"{serving.url}/v1/stream?columns=cpu,rx,state&rate=0.1") as answer,
        ):
            assert answer.headers["Content-Type"] == "text/event-stream"
            mirror = Mirror()
            async with aclosing(events(answer)) as coming:  # type: ignore[type-var]
                async for event in coming:
                    mirror.take(event)
                    if len(mirror.events) == 5:
                        break
            assert mirror.events == ["full"] + ["change"] * 4
            assert {row["name"] for row in mirror.rows.values()} == {
                domain.name for domain in serving.collector.latest.domains
            }
            assert mirror.host["uri"] == "sim:///?domains=12"
            assert mirror.host["domains"] == mirror.host["fresh"] == 12

    @pytest.mark.parametrize("ends", ["client", "server"])
    async def test_a_stream_is_counted_and_told_of_once(self, ends: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "domstats.access")
        async with http_serving("sim:///?domains=12", plan=FAST) as serving:
            async with serving.client.get(f"{serving.url}/v1/stream?columns=cpu") as answer:
                event = await anext(events(answer))
                if ends == "server":
                    await serving.server.stop()
            tally = serving.server.tally
            async with asyncio.timeout(PATIENCE):
                while serving.server.streams:  # noqa: ASYNC110  nothing tells of it
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            assert tally.requests == {("stream", "200"): 1}
            assert tally.bytes >= len(event)
            before = tally.bytes
            if ends == "client":
                ok = await serving.get("/healthz")
                await serving.get("/healthz", method="HEAD")
                assert tally.requests["health", "200"] == 2
                assert tally.bytes == before + len(ok.body)
            said = [record.getMessage() for record in caplog.records if record.name == "domstats.access"]
            assert sum('"GET /v1/stream?columns=cpu" 200 ' in each for each in said) == 1

    async def test_who_comes_again(self) -> None:
        async with http_serving("sim:///?domains=12", plan=FAST) as serving:
            mirror = Mirror()
            for _ in range(3):
                given = {"Last-Event-ID": str(mirror.number)} if mirror.events else {}
                async with serving.client.get(f"{serving.url}/v1/stream?rate=0.1", headers=given) as answer:
                    mirror.take(await anext(events(answer)))
            assert mirror.events == ["full", "change", "change"]
            for wrong in ("-1", "x", "9" * 30, "1.5"):
                async with serving.client.get(f"{serving.url}/v1/stream", headers={"Last-Event-ID": wrong}) as answer:
                    assert (await anext(events(answer))).startswith(b"event: full\n")

    async def test_a_slow_reader_costs_nothing_and_loses_nothing(self) -> None:
        async with http_serving("sim:///?domains=200", plan=FAST) as serving:
            reader, writer = await asyncio.open_connection("127.0.0.1", serving.port, limit=1 << 10)
            writer.write(b"GET /v1/stream?rate=0.1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            connection = await self.stalled(serving.server)
            held = connection.transport.get_write_buffer_size()
            for _ in range(10):
                await serving.next()
            assert connection.transport.get_write_buffer_size() == held  # it is what it was: nothing was added
            text = b""
            async with asyncio.timeout(60.0):
                while text.count(b"event: ") < 3:
                    text += await reader.read(1 << 16)
            writer.close()
            assert b"event: full" in text

    @staticmethod
    async def stalled(server: Any) -> Any:
        """The connection of a reader that takes nothing any more."""
        before = -1
        async with asyncio.timeout(60.0):
            while True:
                await asyncio.sleep(0.3)
                (connection,) = server._connections
                size = connection.transport.get_write_buffer_size()
                if size and size == before:
                    return connection
                before = size

    async def test_streams_with_other_columns_are_few(self) -> None:
        async with http_serving("sim:///?domains=2", plan=FAST) as serving:
            urls = [f"{serving.url}/v1/stream?columns=vcpu.{number}.time" for number in range(CHANNELS_MAX)]
            answers = [await serving.client.get(url) for url in urls]
            refused = await serving.get("/v1/stream?columns=cpu")
            assert refused.status == 503
            shared = await serving.client.get(f"{serving.url}/v1/stream?columns=vcpu.1.time")
            assert shared.status == 200
            shared.close()
            answers[0].close()
            async with asyncio.timeout(60.0):
                while serving.server.connections > CHANNELS_MAX:  # noqa: ASYNC110  nothing tells of it
                    await asyncio.sleep(0.001)
            async with asyncio.timeout(60.0):
                while (another := await serving.client.get(f"{serving.url}/v1/stream?columns=cpu")).status != 200:
                    another.close()
            another.close()
            for answer in answers:
                answer.close()

    async def test_streams_leave_room_for_others(self) -> None:
        async with http_serving("sim:///?domains=2", plan=FAST, max_connections=4) as serving:
            url = f"{serving.url}/v1/stream?columns="
            answers = [await serving.client.get(url + columns) for columns in ("cpu,rx", "rx,cpu,rx")]
            begun = [await anext(events(answer)) for answer in answers]
            assert all(b'"columns":["cpu","rx"]' in event for event in begun)
            refused = await serving.get("/v1/stream?columns=cpu")
            assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
            assert (await serving.get("/v1/stream", method="HEAD")).status == 503
            assert (await serving.get("/metrics")).status == 200
            answers[0].close()
            async with asyncio.timeout(PATIENCE):
                while serving.server.streams > 1:  # noqa: ASYNC110  nothing tells of it
                    await asyncio.sleep(0.001)
            again = await serving.client.get(url + "cpu")
            assert again.status == 200
            again.close()
            answers[1].close()

    async def test_the_end_of_the_server_is_the_end_of_the_streams(self) -> None:
        async with http_serving("sim:///?domains=2") as serving:
            answer = await serving.client.get(f"{serving.url}/v1/stream")
            await anext(events(answer))
            began = asyncio.get_running_loop().time()
            await serving.server.stop()
            assert asyncio.get_running_loop().time() - began < 1.0
            assert serving.server.connections == 0
            answer.close()

    async def test_a_defect_while_a_channel_follows_is_told_of(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with http_serving("sim:///?domains=2", plan=FAST) as serving:
            answer = await serving.client.get(f"{serving.url}/v1/stream?columns=cpu")
            await anext(events(answer))
            serving.server.work.check()
            monkeypatch.setattr(ColumnReader, "rows", fault)
            with pytest.raises(ZeroDivisionError):
                await until_told(serving)
            answer.close()
