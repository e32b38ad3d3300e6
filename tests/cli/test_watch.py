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

from command import domstats, end, start
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
    ended = await domstats("watch", "-c", uri, "--changes", "--count", "35", *FAST)
    assert (ended.code, ended.err) == (0, "")
    lines = [line.split("  ") for line in ended.out.decode().splitlines()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", line[0]) for line in lines)
    assert [line[1:] for line in lines] == [
        ["build-1", "state", "running -> paused"],
        ["new\\x1b[2J", "name", "test-1 -> new\\x1b[2J"],
        ["test-2", "state", "running -> shutoff"],
        ["web-1", "gone", "shutoff"],
    ]


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


async def test_on_a_terminal_it_fits_the_screen() -> None:
    screen, terminal = os.openpty()
    ended = await domstats(
        "watch", "-c", "sim:///?domains=40", "--count", "2", *FAST, stdout=terminal, COLUMNS="80", LINES="12"
    )
    os.close(terminal)
    shown = b""
    try:
        while block := os.read(screen, 4096):
            shown += block
    except OSError:  # what Linux says of a terminal nobody writes to any more
        os.close(screen)
    assert (ended.code, ended.err) == (0, "")
    pages = shown.decode().split("\x1b[H\x1b[2J")[1:]
    assert len(pages) == 2
    for page in pages:
        lines = page.split("\r\n")
        assert len(lines) == 12
        assert lines[-1] == "... and 31 more"
        assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--changes", "-f", "json"], "ndjson"),
        (["--interval", "0"], "--interval"),
        (["--interval", "inf"], "--interval"),
        (["--count", "0"], "--count"),
        (["--group", "nope"], "'nope'"),
        (["-c", "foo:///"], "foo:///"),
    ],
)
async def test_wrong_use(args: list[str], words: str) -> None:
    ended = await domstats("watch", *(args if "-c" in args else ["-c", SIM, *args]))
    assert (ended.code, ended.out) == (2, b"")
    assert words in ended.err


async def test_no_daemon(tmp_path: Path) -> None:
    ended = await domstats("watch", "-c", f"qemu+unix:///system?socket={tmp_path / 'nothing'}")
    assert (ended.code, ended.out) == (4, b"")
