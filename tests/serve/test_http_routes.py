"""What each path of the HTTP server answers, over a host that stands still: the same as the formats say."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

import domstats
from domstats.catalog.lookup import find_fields
from domstats.formats.registry import FORMATS
from domstats.serve.http.files import INDEX, read_files
from domstats.serve.http.stats import CONTENT_TYPES
from domstats.sources.sim.source import SimSource
from fault_server import FaultServer
from http_serving import PATIENCE, Serving, http_serving
from scripted import events

SIM = "sim:///?domains=12&time=1800000000"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest_asyncio.fixture
async def serving() -> AsyncIterator[Serving]:
    async with http_serving(SIM) as each:
        yield each


PATHS = ("/", "/metrics", "/v1/stats", "/v1/stats/web-1", "/v1/fields", "/healthz", "/readyz", "/page/index.html")


class TestEveryPath:
    @pytest.mark.parametrize("path", PATHS)
    async def test_get_and_head(self, serving: Serving, path: str) -> None:
        answer = await serving.get(path)
        assert answer.status == 200
        assert int(answer.headers["Content-Length"]) == len(answer.body) > 0
        head = await serving.get(path, method="HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Content-Type"] == answer.headers["Content-Type"]

    @pytest.mark.parametrize("path", [*PATHS, "/v1/stream", "/nothing"])
    async def test_nothing_can_be_written(self, serving: Serving, path: str) -> None:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
            answer = await serving.get(path, method=method)
            assert answer.status == 405
            assert answer.headers["Allow"] == "GET, HEAD"
            assert answer.json == {"error": "only GET and HEAD are answered"}

    @pytest.mark.parametrize("path", [*PATHS, "/nothing", "/v1/stats?x=1", "/v1/stats/none"])
    async def test_a_browser_is_told_what_it_may_do(self, serving: Serving, path: str) -> None:
        headers = (await serving.get(path)).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Server"] == "domstats"

    @pytest.mark.parametrize(
        ("path", "status", "error"),
        [
            ("/nothing", 404, "Not Found"),
            ("/page/nothing.js", 404, "the page has no such file"),
            ("/v1/stats/nobody", 404, "no domain 'nobody'; /v1/stats lists the domains"),
            ("/v1/fields?pattern=zzzz", 404, "no field fits 'zzzz'"),
            ("/v1/fields?x=1", 400, "no parameter 'x'; there are pattern"),
            ("/v1/stats?formt=xml", 400, "no parameter 'formt'"),
            ("/v1/stats?format=yaml", 400, "no format 'yaml'; there are table, raw, json"),
            ("/v1/stats?format=json&format=xml", 400, "format is given 2 times"),
            ("/v1/stats?group=cpus", 400, "no statistics group 'cpus'"),
            ("/v1/stats?state=on", 400, "no state 'on'; known are"),
            ("/v1/stats?domain=", 400, "domain is empty"),
            ("/v1/stats?group=cpu&group=", 400, "group is empty"),
            ("/v1/stats?key=,", 400, "key is empty"),
            ("/v1/stats?state=", 400, "state is empty"),
            ("/v1/stats/web-1?group=", 400, "group is empty"),
            ("/metrics?field=%20", 400, "field is empty"),
            ("/v1/stats?columns=cpu", 400, "are for the formats table, csv, arrow, parquet, not for json"),
            ("/v1/stats?format=table&columns=cpus", 400, "no column 'cpus'; do you mean"),
            ("/v1/stats?format=csv&table=block&columns=zzz", 400, "no value 'zzz' in table 'block'"),
            ("/v1/stats?format=csv&table=block&columns=rd.byts", 400, "'block'; do you mean rd.bytes or wr.bytes"),
            ("/v1/stats?format=csv&table=domain&columns=cpu", 400, "'domain'; words such as cpu, device names"),
            (
                "/v1/stats?format=csv&table=domain&columns=name",
                400,
                "and before them domain, uuid, id, status",
            ),
            ("/v1/stats?key=nope", 400, "no key 'nope'; /v1/fields lists them"),
            ("/v1/stats?key=cpu.tme", 400, "no key 'cpu.tme'; do you mean cpu.time?"),
            ("/v1/stats?key=vcpu.<id>.time", 400, "no key 'vcpu.<id>.time'"),
            ("/v1/stats/web-1?key=cpu.time,nope", 400, "no key 'nope'"),
            ("/v1/stats?key=block[vda].rd.bytes", 400, "write a pattern: block.*.rd.bytes"),
            ("/v1/stats?format=table&top=0", 400, "top is a number from 1 on, not '0'"),
            ("/v1/stats?max_age=nan", 400, "max_age is a number from 0 on, not 'nan'"),
            ("/v1/stats/web-1?domain=web-2", 400, "no parameter 'domain'"),
            ("/metrics?max_series=-1", 400, "max_series is a number from 0 on"),
            ("/metrics?max_series=" + "9" * 1000, 400, "max_series is a number"),
            ("/metrics?field=zzz", 400, "no field fits 'zzz'; /v1/fields lists them"),
            ("/metrics?labels=zzz", 400, "no labels 'zzz'; there are nova, kubevirt"),
            ("/metrics?label=zzz", 400, "a label is written as NAME=NAMESPACE:PATH"),
            ("/metrics?state=zzz", 400, "no state 'zzz'"),
            ("/metrics?hypervisor=maybe", 400, "hypervisor is 1 or 0, not 'maybe'"),
            ("/metrics?domain=" + "x" * 2000, 400, "the value of domain is longer than"),
            ("/metrics?" + "&".join(["domain=a"] * 300), 400, "a request has at most"),
            ("/v1/stream?rate=0", 400, "rate is a number from 0.1 on, not '0'"),
            ("/v1/stream?rate=inf", 400, "rate is a number"),
            ("/v1/stream?columns=cpus", 400, "no column 'cpus'"),
            ("/v1/stream?columns=" + ",".join(f"a.{number}" for number in range(99)), 400, "at most 64 columns"),
        ],
    )
    async def test_what_makes_no_sense(self, serving: Serving, path: str, status: int, error: str) -> None:
        answer = await serving.get(path)
        assert answer.status == status
        assert error in answer.json["error"]


class TestMetrics:
    @pytest.mark.parametrize(
        ("accept", "content_type"),
        [
            (None, PLAIN),
            ("*/*", PLAIN),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", PLAIN),
            (PROMETHEUS_3, OPENMETRICS),
            ("application/openmetrics-text", OPENMETRICS),
            ("application/openmetrics-text; version=0.0.1", PLAIN),
            ("application/openmetrics-text;q=0.1, text/*;q=0.2", PLAIN),
            ("application/openmetrics-text;q=0, */*", PLAIN),
            ("text/plain;q=0.5, application/*;q=0.7", OPENMETRICS),
            ("image/png", PLAIN),
            ("application/openmetrics-text, */*", OPENMETRICS),
            (";;;,q=,=;q=1e9, application/openmetrics-text;q=x", PLAIN),
        ],
    )
    async def test_the_text_that_is_wanted(self, serving: Serving, accept: str | None, content_type: str) -> None:
        answer = await serving.get("/metrics", **({} if accept is None else {"Accept": accept}))
        assert answer.headers["Content-Type"] == content_type
        assert answer.body.endswith(b"# EOF\n") == (content_type == OPENMETRICS)

    @pytest.mark.parametrize(
        ("encoding", "zipped"),
        [
            ("gzip", True),
            ("gzip, deflate, br", True),
            ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
            ("*", True),
            ("gzip;q=0", False),
            ("gzip;q=0, *", False),
            ("identity, gzip;q=0.5", False),
            ("identity", False),
            ("", False),
        ],
    )
    async def test_compressed_for_who_takes_it(self, serving: Serving, encoding: str, *, zipped: bool) -> None:
        plain = await serving.get("/metrics?group=cpu")
        answer = await serving.get("/metrics?group=cpu", Accept_Encoding=encoding)
        assert ("Content-Encoding" in answer.headers) == zipped
        assert answer.headers["Vary"] == "Accept, Accept-Encoding"
        assert (gzip.decompress(answer.body) if zipped else answer.body) == plain.body

    async def test_promtool_is_content(self, serving: Serving, promtool: Callable[..., str]) -> None:
        assert promtool("check", "metrics", given=(await serving.get("/metrics")).body) == ""

    async def test_filters(self, serving: Serving) -> None:
        def names(body: bytes) -> set[str]:
            return set(re.findall(r'[{,]domain="([^"]*)"', body.decode()))

        everybody = {domain.name for domain in serving.collector.latest.domains}
        assert names((await serving.get("/metrics")).body) == everybody
        assert names((await serving.get("/metrics?domain=web-*&domain=test-1")).body) == {
            name for name in everybody if name.startswith("web-") or name == "test-1"
        }
        running = {each.domain.name for each in serving.collector.latest if each["state.state"] == 1}
        assert names((await serving.get("/metrics?state=running")).body) == running != everybody
        block = (await serving.get("/metrics?group=block")).body
        assert b"domstats_block_rd_bytes_total" in block
        assert b"domstats_cpu_time_seconds_total" not in block
        one = (await serving.get("/metrics?field=block.*.rd.bytes")).body
        assert b"domstats_block_rd_bytes_total" in one
        assert b"domstats_block_wr_bytes_total" not in one

    async def test_any_number_of_scrapers_cost_one_rendering(self, serving: Serving) -> None:
        before = serving.server.rendered
        for _ in range(20):
            await serving.get("/metrics", Accept_Encoding="gzip")
        assert serving.server.rendered == before + 2  # the text, and the same compressed
        await serving.next()
        await serving.get("/metrics")
        assert serving.server.rendered == before + 3

    async def test_what_is_too_old_is_left_out(self, serving: Serving) -> None:
        assert b"domstats_cpu_time_seconds_total{" in (await serving.get("/metrics?max_age=0")).body
        async with http_serving("sim:///?domains=12", max_age=1e-6) as other:
            body = (await other.get("/metrics")).body
            assert b"domstats_cpu_time_seconds_total{" not in body
            assert b"domstats_domain_sample_age_seconds{" in body
            assert b"domstats_cpu_time_seconds_total{" in (await other.get("/metrics?max_age=1000")).body


class TestStats:
    @pytest.mark.parametrize("form", [name for name in FORMATS if name not in ("table", "prometheus", "openmetrics")])
    async def test_every_format(self, serving: Serving, form: str) -> None:
        answer = await serving.get(f"/v1/stats?format={form}")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == CONTENT_TYPES[form]
        assert answer.body == FORMATS[form].encode(serving.collector.latest)

    async def test_the_format_is_json(self, serving: Serving) -> None:
        snapshot = domstats.from_json((await serving.get("/v1/stats")).body)
        assert [dict(record) for record in snapshot] == [dict(record) for record in serving.collector.latest]

    async def test_a_table(self, serving: Serving) -> None:
        answer = await serving.get("/v1/stats?format=table&columns=name,vcpus&sort=-name&top=3")
        lines = answer.body.decode().splitlines()
        assert lines[0].split() == ["name", "vcpus"]
        names = sorted((domain.name for domain in serving.collector.latest.domains), reverse=True)
        assert [line.split()[0] for line in lines[1:]] == names[:3]

    @pytest.mark.parametrize("form", ["prometheus", "openmetrics"])
    async def test_metrics(self, serving: Serving, form: str) -> None:
        answer = await serving.get(f"/v1/stats?format={form}&domain=test-1")
        assert answer.headers["Content-Type"] == CONTENT_TYPES[form]
        assert b'domstats_cpu_time_seconds_total{domain="test-1"' in answer.body
        assert b'domain="web-1"' not in answer.body

    async def test_filters(self, serving: Serving) -> None:
        latest = serving.collector.latest

        async def found(query: str) -> dict[str, dict[str, object]]:
            document = (await serving.get(f"/v1/stats?{query}")).json
            return {each["name"]: each["stats"] for each in document["domains"]}

        whole = {record.domain.name: dict(record) for record in latest}
        assert await found("domain=web-*") == {name: each for name, each in whole.items() if name.startswith("web-")}
        uuid = latest["test-1"].domain.uuid
        assert await found(f"domain={uuid.upper()}") == {"test-1": whole["test-1"]}
        assert await found("domain=nobody") == {}
        assert await found("key=vcpu.4000.time") == {name: {} for name in whole}  # no vCPU now, but it could be
        assert any((await found("key=block.[0-9].rd.bytes")).values())
        cpu = await found("group=cpu,net")
        assert cpu == {
            name: {key: value for key, value in each.items() if key.startswith(("cpu.", "net."))}
            for name, each in whole.items()
        }
        keys = await found("key=block.*.name&key=vcpu.current&state=running,paused")
        assert keys == {
            record.domain.name: {
                key: value
                for key, value in record.items()
                if key == "vcpu.current" or (key.startswith("block.") and key.endswith(".name"))
            }
            for record in latest
            if record["state.state"] in (1, 3)
        }

    async def test_one_domain(self, serving: Serving) -> None:
        record = serving.collector.latest["web-1"]
        for name in ("web-1", record.domain.uuid, record.domain.uuid.upper(), "%77eb-1"):
            (one,) = (await serving.get(f"/v1/stats/{name}")).json["domains"]
            assert one["uuid"] == record.domain.uuid
            assert one["stats"] == dict(record)
        raw = await serving.get("/v1/stats/web-1?format=raw&group=state")
        assert raw.body.decode().splitlines() == [
            "Domain: 'web-1'",
            *(f"  {key}={value}" for key, value in record.items() if key.startswith("state.")),
            "",
        ]

    async def test_who_has_it_already(self, serving: Serving) -> None:
        first = await serving.get("/v1/stats?group=cpu", Accept_Encoding="gzip")
        plain = await serving.get("/v1/stats?group=cpu")
        tags = {first.headers["ETag"], plain.headers["ETag"]}
        assert len(tags) == 2
        for tag in (*tags, '"other", ' + first.headers["ETag"], "*"):
            again = await serving.get("/v1/stats?group=cpu", If_None_Match=tag)
            assert (again.status, again.body) == (304, b"")
        assert (await serving.get("/v1/stats?group=block", If_None_Match=first.headers["ETag"])).status == 200
        await serving.next()
        later = await serving.get("/v1/stats?group=cpu", If_None_Match=first.headers["ETag"])
        assert later.status == 200
        assert later.headers["ETag"] not in tags


async def test_fields(serving: Serving) -> None:
    assert (await serving.get("/v1/fields")).body == msgspec.json.encode(find_fields("")) + b"\n"
    assert json.loads((await serving.get("/v1/fields?pattern=vcpu.3.time")).body)[0]["pattern"] == "vcpu.<id>.time"


class TestThePage:
    async def test_its_files(self, serving: Serving) -> None:
        files = read_files()
        assert INDEX in files
        for name, file in files.items():
            answer = await serving.get(f"/page/{name}")
            assert answer.body == file.body
            assert answer.headers["Content-Type"] == f"{file.content_type}; charset=utf-8"
            again = await serving.get(f"/page/{name}", If_None_Match=answer.headers["ETag"])
            assert (again.status, again.body) == (304, b"")
        assert (await serving.get("/")).body == files[INDEX].body

    @pytest.mark.parametrize(
        "path",
        [
            "/page/..%2fserver.py",
            "/page/%2e%2e/server.py",
            "/page/../server.py",
            "/page/%2fetc%2fpasswd",
            "/page//etc/passwd",
            "/page/index.html%00.js",
            "/page/index.html/",
            "/..%2f..%2fetc/passwd",
        ],
    )
    async def test_no_path_leads_to_another_file(self, serving: Serving, path: str) -> None:
        answer = await serving.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert answer.split(b" ", 2)[1] in (b"404", b"400")
        assert b"root:" not in answer
        assert b"import" not in answer

    def test_without_its_files(self, tmp_path: Path) -> None:
        files = read_files(tmp_path / "nothing")
        assert list(files) == [INDEX]
        assert b"/metrics" in files[INDEX].body


class TestHealth:
    async def test_before_the_first_sweep(self, tmp_path: Path) -> None:
        script = tmp_path / "script.toml"
        script.write_text(events("0; hang test-1"))  # it is waited for
        async with http_serving(f"sim:///?domains=12&script={script}", swept=False) as serving:
            answer = await serving.get("/readyz")
            assert answer.status == 503
            assert "asked for the first time" in answer.json["error"]
            assert (await serving.get("/healthz")).json == {"status": "ok"}
            await serving.swept()
            assert (await serving.get("/readyz")).json == {"status": "ready", "domains": 12}

    async def test_a_host_that_goes_and_comes_back(self, tmp_path: Path) -> None:
        async with (
            FaultServer(tmp_path / "sock", source=SimSource("sim:///?domains=12")) as host,
            http_serving(host.uri, gone_seconds=0.5) as serving,
        ):
            assert (await serving.get("/readyz")).status == 200
            await host.stop()
            async with asyncio.timeout(PATIENCE):
                while (answer := await serving.get("/readyz")).status == 200:
                    pass
            assert answer.status == 503
            assert "the host has not answered for" in answer.json["error"]
            for path in ("/healthz", "/metrics", "/v1/stats"):
                assert (await serving.get(path)).status == 200
            await host.start()
            async with asyncio.timeout(PATIENCE):
                while (await serving.get("/readyz")).status != 200:
                    pass
