"""`domstats watch`: prints once an interval, or what happens, until somebody ends it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from command import domstats, end, on_terminal, start, without_colors
from domstats.cli import main, watch
from scripted import events

SIM = "sim:///?domains=5&time=1800000000"
FAST = ("--interval", "0.1")
HEADING = re.compile(r"^\d\d:\d\d:\d\d  5 domains: 5 fresh; asking all takes \d+\.\d\d s$")


def scripted(folder: Path, *lines: str) -> str:
    (folder / "script.toml").write_text(events(*lines), encoding="utf-8")
    return f"sim:///?domains=5&script={folder / 'script.toml'}"


async def test_a_table_each_interval() -> None:
    ended = await domstats("watch", "-c", SIM, "--count", "3", *FAST)
    assert (ended.code, ended.err) == (0, "")
    blocks = ended.out.decode().split("\n\n")
    assert blocks.pop() == ""
    assert len(blocks) == 3
    for block in blocks:
        heading, *rows = block.split("\n")
        assert HEADING.match(heading)
        assert rows[0].split()[:3] == ["name", "state", "cpu"]
        assert [row.split()[0] for row in rows[1:]] == ["build-1", "mail-1", "test-1", "test-2", "web-1"]
        assert all(row.split()[-2] == "fresh" for row in rows[1:])


@pytest.mark.parametrize(("form", "lines"), [("json", 1), ("ndjson", 5), ("tree", 1)])
async def test_the_other_formats(form: str, lines: int) -> None:
    ended = await domstats("watch", "-c", SIM, "-f", form, "--count", "2", *FAST)
    assert (ended.code, ended.err) == (0, "")
    printed = ended.out.decode().splitlines()
    assert len(printed) == 2 * lines
    assert all(json.loads(line) for line in printed)


async def test_raw_is_what_get_prints() -> None:
    watched = await domstats("watch", "-c", SIM, "-f", "raw", "--count", "1", *FAST)
    assert watched.out == (await domstats("get", "-c", SIM, "-f", "raw")).out


async def test_time_may_pass_faster_there() -> None:
    host = "sim:///?domains=2&speed=200"
    watched = await domstats("watch", "-c", host, "-f", "raw", "--count", "3", *FAST)
    assert watched.out.count(b"cpu.time=") == 3 * (await domstats("get", "-c", host)).out.count(b"cpu.time=")


@pytest.mark.parametrize("form", ["raw", "prometheus", "openmetrics"])
def test_old_counters_are_not_repeated(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watch, "DEADLINE", 1.0)
    uri = scripted(tmp_path, "0.5; hang build-1")
    assert main(["watch", "-c", uri, "-f", form, "--count", "30", *FAST, "build-1"]) == 0
    printed = capfd.readouterr().out
    first, *_, last = printed.split(printed.splitlines()[0])[1:]
    counter = "  block.0.rd.bytes=" if form == "raw" else '\ndomstats_block_rd_bytes_total{domain="build-1"'
    state = "  state.state=" if form == "raw" else '\ndomstats_domain_state{domain="build-1"'
    assert counter in first
    assert counter not in last
    assert state in last


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (["test-*"], ["test-1", "test-2"]),
        (["web-1", "build-?"], ["build-1", "web-1"]),
        (["--domain", "web-1", "nope"], ["web-1"]),
    ],
)
async def test_some_domains(which: Sequence[str], expected: list[str]) -> None:
    ended = await domstats("watch", "-c", SIM, "-f", "ndjson", "--state", "--count", "1", *FAST, *which)
    assert (ended.code, ended.err) == (0, "")
    assert sorted(json.loads(line)["name"] for line in ended.out.splitlines()) == expected


async def test_a_domain_that_is_not_there_yet(tmp_path: Path) -> None:
    uri = scripted(tmp_path, "0.5; define; name = 'late'")
    ended = await domstats("watch", "-c", uri, "-f", "ndjson", "--state", "--count", "12", *FAST, "late")
    assert ended.code == 0
    assert ended.message == "no such domain yet"
    assert b'"name":"late"' in ended.out


async def test_what_happens(tmp_path: Path) -> None:
    uri = scripted(
        tmp_path,
        "1.0; pause build-1",
        '1.5; rename test-1; to = "new\\u001b[2J"',
        "2.0; stop test-2",
        "2.5; undefine web-1",
    )
    ended = await domstats("watch", "-c", uri, "--changes", "--count", "4", *FAST)
    assert (ended.code, ended.err) == (0, "")
    lines = [line.split("  ") for line in ended.out.decode().splitlines()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", line[0]) for line in lines)
    assert [line[1:] for line in lines] == [
        ["build-1", "state", "running -> paused"],
        ["new\\x1b[2J", "name", "test-1 -> new\\x1b[2J"],
        ["test-2", "state", "running -> shutoff"],
        ["web-1", "gone", "shutoff"],
    ]


async def test_as_many_changes_as_are_asked_for(tmp_path: Path) -> None:
    uri = scripted(tmp_path, "1.0; pause build-1", "1.0; stop test-2", "1.0; undefine web-1")
    ended = await domstats("watch", "-c", uri, "--changes", "--count", "2", *FAST)
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.out.splitlines()) == 2


async def test_what_happens_as_json(tmp_path: Path) -> None:
    uri = scripted(tmp_path, "1.0; hang build-1", "3.0; answer build-1")
    process = await start("watch", "-c", uri, "--changes", "-f", "ndjson", *FAST)
    assert process.stdout is not None
    async with asyncio.timeout(30):
        lines = [json.loads(await process.stdout.readline()) for _ in range(2)]
    process.send_signal(signal.SIGINT)
    assert (await end(process)).code == 0
    assert [(line["name"], line["what"], line["before"], line["after"]) for line in lines] == [
        ("build-1", "status", "fresh", "blocked"),
        ("build-1", "status", "blocked", "fresh"),
    ]
    assert set(lines[0]) == {"time", "name", "uuid", "id", "what", "before", "after"}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_it_ends_when_it_is_told(how: signal.Signals) -> None:
    process = await start("watch", "-c", SIM, *FAST)
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(how)
    ended = await end(process)
    assert (ended.code, ended.err) == (0, "")


async def test_a_closed_pipe() -> None:
    reader, writer = os.pipe()
    process = await start("watch", "-c", SIM, *FAST, stdout=writer)
    os.close(writer)
    await asyncio.to_thread(os.read, reader, 10)
    os.close(reader)
    ended = await end(process)
    assert (ended.code, ended.err) == (141, "")


def pages(shown: str) -> list[list[str]]:
    """The lines of each page that a terminal was sent, and nothing that was sent before the first."""
    before, *found = without_colors(shown).split("\x1b[H\x1b[2J")
    assert before == ""
    return [page.split("\n") for page in found]


async def test_on_a_terminal_it_fits_the_screen() -> None:
    ended, shown = await on_terminal("watch", "-c", "sim:///?domains=40", "--count", "2", *FAST, lines=12, TERM="xterm")
    assert (ended.code, ended.err) == (0, "")
    assert len(pages(shown)) == 2
    for lines in pages(shown):
        assert len(lines) == 12
        assert lines[-1] == "... and 31 more"
        assert max(map(len, lines)) <= 80


async def test_a_heading_that_is_wider_than_the_screen() -> None:
    args = ("watch", "-c", "sim:///?domains=40", "--count", "1", *FAST, "--columns", "name")
    ended, shown = await on_terminal(*args, lines=12, columns=40)
    assert ended.code == 0
    (lines,) = pages(shown)
    assert 40 < len(lines[0]) <= 80
    assert len(lines) == 11, "the first is two lines"


async def test_the_first_rows_of_an_order_fit_the_screen() -> None:
    args = ("--columns", "name,total", "--sort", "total", "--top", "20")
    ended, shown = await on_terminal("watch", "-c", "sim:///?domains=40", "--count", "1", *FAST, *args, lines=12)
    everything = await domstats("get", "-c", "sim:///?domains=40", "--columns", "name,total", "--sort", "total")
    assert ended.code == 0
    (lines,) = pages(shown)
    assert [line.split() for line in lines[1:11]] == [
        line.split() for line in everything.out.decode().splitlines()[:10]
    ]
    assert lines[-1] == "... and 11 more"


async def test_rows_that_are_wider_than_the_screen() -> None:
    columns = "name,uuid,state,state.state,status,age,total,mem,vcpus,id"
    ended, shown = await on_terminal(
        "watch", "-c", "sim:///?domains=40", "--count", "1", *FAST, "--columns", columns, lines=12
    )
    assert ended.code == 0
    (lines,) = pages(shown)
    assert all(80 < len(line) <= 160 for line in lines[1:-1])
    assert len(lines) == 1 + 5 + 1, "five rows of two lines, between the first line and the last"
    assert lines[-1] == "... and 36 more"


async def test_columns_and_their_order() -> None:
    ended = await domstats("watch", "-c", SIM, "--columns", "id,name", "--sort", "id", "--count", "1", *FAST)
    assert (ended.code, ended.err) == (0, "")
    heading, *rows = ended.out.decode().split("\n")[1:-2]
    assert heading.split() == ["id", "name"]
    *ids, off = [row.split()[0] for row in rows]
    assert list(map(int, ids)) == sorted(map(int, ids), reverse=True)
    assert (len(ids), off) == (4, "-")


async def test_a_line_a_device() -> None:
    ended = await domstats("watch", "-c", SIM, "--table", "block", "--top", "3", "--count", "1", *FAST)
    assert (ended.code, ended.err) == (0, "")
    heading, *rows = ended.out.decode().split("\n")[1:-2]
    assert heading.split()[:2] == ["domain", "disk"]
    assert len(rows) == 3


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--changes", "-f", "json"], "ndjson"),
        (["--interval", "0"], "--interval"),
        (["--interval", "inf"], "--interval"),
        (["--count", "0"], "--count"),
        (["--group", "nope"], "'nope'"),
        (["-c", "foo:///"], "foo:///"),
        (["--columns", "name,stael"], "'stael'; do you mean steal"),
        (["--columns", "name,vcpu.curent"], "'vcpu.curent'; do you mean vcpu.current"),
        (["-f", "json", "--top", "3"], "not for json"),
        (["--changes", "--sort", "cpu"], "no columns"),
        (["--changes", "--group", "cpu"], "leave --group out"),
        (["--changes", "--vcpu"], "leave --group out"),
    ],
)
async def test_wrong_use(args: list[str], words: str) -> None:
    ended = await domstats("watch", *(args if "-c" in args else ["-c", SIM, *args]))
    assert (ended.code, ended.out) == (2, b"")
    assert words in ended.err


async def test_no_daemon(tmp_path: Path) -> None:
    ended = await domstats("watch", "-c", f"qemu+unix:///system?socket={tmp_path / 'nothing'}")
    assert (ended.code, ended.out) == (4, b"")
