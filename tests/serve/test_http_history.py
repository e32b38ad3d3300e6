"""/v1/history over HTTP: what a simulated host was like."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from domstats.errors import UnknownColumn, UsageError
from domstats.serve.http.metrics import GZIP_LEAST
from http_serving import Serving, http_serving

SIM = "sim:///?domains=30"
PLAN = {"state": 0.2, "interface": 0.2, "balloon": 1.0, "block": 1.0}
"""The groups that are collected, and their periods."""


@pytest_asyncio.fixture
async def serving() -> AsyncIterator[Serving]:
    async with http_serving(SIM, plan=PLAN, history_fields=("mem", "rx", "block.<i>.rd.bytes")) as each:
        for _ in range(8):
            await each.next()
        yield each


async def test_what_was_sampled_is_told(serving: Serving) -> None:
    both = {"balloon.rss", "net.0.rx.bytes"}
    domain = next(record.domain for record in serving.collector.latest if both <= set(record))
    answer = await serving.get(f"/v1/history?domain={domain.uuid}&fields=rx,mem,nothing&seconds=60")
    assert answer.status == 200
    assert answer.json["domain"] == domain.uuid
    assert answer.json["all"][:2] == ["mem", "rx"]
    assert list(answer.json["fields"]) == ["rx", "mem"]
    assert serving.server.history is not None
    for name, told in answer.json["fields"].items():
        points = serving.server.history.series(domain.uuid, [name])[name]
        assert len(told["times"]) == len(told["values"]) > 0
        assert told["times"] == pytest.approx(points.times.tolist()[: len(told["times"])], abs=0.001)


async def test_a_name_and_fields_given_twice(serving: Serving) -> None:
    name = serving.collector.latest.domains[0].name
    both = await serving.get(f"/v1/history?domain={name}&fields=mem&fields=rx")
    every = await serving.get(f"/v1/history?domain={name}")
    assert list(both.json["fields"]) == [each for each in ("mem", "rx") if each in both.json["all"]]
    assert list(every.json["fields"]) == every.json["all"]


async def test_what_many_ask_is_written_once_and_beside(serving: Serving) -> None:
    path = "/v1/history?domain=build-1&seconds=3600"
    while len((await serving.get(path)).body) < 2 * GZIP_LEAST:
        await serving.next()
    before = serving.server.rendered
    plain, *others = await asyncio.gather(
        serving.get(path), *(serving.get(path, Accept_Encoding="gzip") for _ in range(20))
    )
    assert {each.headers.get("Content-Encoding") for each in others} == {"gzip"}
    assert json.loads(gzip.decompress(others[0].body))["all"] == plain.json["all"]
    assert "Content-Encoding" not in plain.headers
    assert serving.server.rendered - before <= 4, "of up to two snapshots, each as it is and compressed"


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("", 400, "domain is missing"),
        ("domain=", 400, "domain is empty"),
        ("domain=nobody", 404, "no domain 'nobody'"),
        ("domain=web-1&seconds=0", 400, "seconds is a number over 0, up to 3600"),
        ("domain=web-1&seconds=3601", 400, "seconds is a number over 0, up to 3600"),
        ("domain=web-1&seconds=soon", 400, "seconds is a number"),
        ("domain=web-1&colour=red", 400, "no parameter 'colour'"),
        ("domain=web-1&domain=web-2", 400, "given 2 times"),
    ],
)
async def test_what_cannot_be_answered(serving: Serving, query: str, status: int, says: str) -> None:
    answer = await serving.get(f"/v1/history?{query}")
    assert answer.status == status
    assert says in answer.json["error"]


async def test_without_a_history_there_is_no_such_path() -> None:
    async with http_serving(SIM, swept=False, history_bytes=0) as serving:
        assert serving.server.history is None
        answer = await serving.get("/v1/history?domain=web-1")
        assert answer.status == 404
        assert "error" in answer.json


async def test_what_makes_no_sense_is_said_at_once() -> None:
    with pytest.raises(UnknownColumn):
        async with http_serving(SIM, swept=False, history_fields=("steall",)):
            pass
    with pytest.raises(UsageError, match="history_bytes"):
        async with http_serving(SIM, swept=False, history_bytes=1):
            pass
