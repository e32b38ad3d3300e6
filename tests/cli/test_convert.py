"""`domstats convert`: files of every readable format, and what people take for one."""

from __future__ import annotations

import gzip
import lzma
import os
from pathlib import Path

import pytest

from captures import DATA, POLL1, POLL2, capture
from command import domstats as command
from domstats.formats.registry import FORMATS
from domstats.wire.bulk.decoder import ReplyDecoder

SMALL = "libvirt-12.8-12-guests-poll1"
READABLE = [name for name, form in FORMATS.items() if form.readable]


@pytest.fixture
def snapshot_file(tmp_path: Path) -> Path:
    path = tmp_path / "poll.xdr"
    path.write_bytes(capture(SMALL))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


async def convert(*args: str | Path, given: bytes = b"") -> bytes:
    ended = await command("convert", *map(str, args), given=given)
    assert (ended.code, ended.err) == (0, "")
    return ended.out


async def test_a_captured_reply(snapshot_file: Path) -> None:
    expected = ReplyDecoder().decode(capture(SMALL), time=1_700_000_000.0, source=str(snapshot_file))
    for name in ("raw", "json", "tree", "ndjson", "table", "reply"):
        assert await convert(snapshot_file, "-f", name) == FORMATS[name].encode(expected)


@pytest.mark.parametrize("name", READABLE)
async def test_there_and_back(snapshot_file: Path, tmp_path: Path, name: str) -> None:
    raw, json = await convert(snapshot_file), await convert(snapshot_file, "-f", "json")
    path = tmp_path / "file"
    path.write_bytes(await convert(snapshot_file, "-f", name))
    assert await convert(path) == raw
    assert await convert(path, "--from", name) == raw
    if name != "reply":
        assert await convert(path, "-f", "json") == json
    assert await convert("-", given=path.read_bytes()) == raw


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
async def test_compressed_files(snapshot_file: Path, tmp_path: Path, compress: object) -> None:
    path = tmp_path / "file"
    path.write_bytes(compress(capture(SMALL)))  # type: ignore[operator]
    assert await convert(path) == await convert(snapshot_file)
    path.write_bytes(path.read_bytes()[:-20])
    ended = await command("convert", str(path))
    assert (ended.code, ended.out) == (1, b"")
    assert ended.message.startswith(("not gzip", "not xz"))


async def test_rates_of_two_files() -> None:
    before, now = (DATA / f"{name}.xdr.xz" for name in (POLL1, POLL2))
    assert b"cpu %" in (await convert(now, "--before", before, "-f", "table")).splitlines()[0]
    assert b"cpu %" not in (await convert(now, "-f", "table")).splitlines()[0]


@pytest.mark.parametrize("text", ["what is this?", "Domain: 'web-1'\n  state.state=1\n\n", "\0" * 5])
async def test_no_such_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "what\x1b[2Jever.txt"
    path.write_text(text)
    ended = await command("convert", str(path))
    assert (ended.code, ended.out) == (1, b"")
    assert ended.message.startswith("not json, ndjson")
    assert "looks like none of them" in ended.message
    assert "\x1b" not in ended.err


async def test_a_document_with_a_fault(tmp_path: Path, snapshot_file: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes((await convert(snapshot_file, "-f", "json")).replace(b"fresh", b"stolen", 1))
    ended = await command("convert", str(path))
    assert (ended.code, ended.out) == (1, b"")
    assert ended.message == "not json as domstats writes it: there is no status 'stolen', at $.domains[0]"


async def test_a_table_of_a_file(snapshot_file: Path) -> None:
    lines = (
        await convert(snapshot_file, "--top", "2", "--columns", "name,vcpu.current", "--sort", "-name")
    ).splitlines()
    assert [line.split()[0] for line in lines] == [b"name", b"sweb-\xc3\xbc-9", b"sweb-\xc3\xbc-6"]


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["/no/such/file"],
        ["/"],
        ["--from", "table", "/dev/null"],
        ["--top", "3", "-f", "json", "FILE"],
        ["--columns", "nmae", "FILE"],
        ["--columns", "no.such", "FILE"],
    ],
)
async def test_wrong_use(args: list[str], snapshot_file: Path) -> None:
    ended = await command("convert", *(str(snapshot_file) if arg == "FILE" else arg for arg in args))
    assert (ended.code, ended.out) == (2, b"")


async def test_nothing_binary_for_a_terminal(snapshot_file: Path) -> None:
    screen, terminal = os.openpty()
    ended = await command("convert", str(snapshot_file), "-f", "reply", stdout=terminal)
    os.close(terminal)
    os.close(screen)
    assert ended.code == 2
    assert "reply is binary" in ended.err
