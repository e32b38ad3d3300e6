"""`domstats convert`: files of every readable format, and what people take for one."""

from __future__ import annotations

import gzip
import json
import lzma
import os
from pathlib import Path

import pyarrow as pa
import pytest

from captures import DATA, POLL1, POLL2, capture
from command import domstats as command
from domstats.formats.registry import FORMATS
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder

SMALL = "libvirt-12.8-12-guests-poll1"
READABLE = [name for name, form in FORMATS.items() if form.readable]


@pytest.fixture
def snapshot_file(tmp_path: Path) -> Path:
    path = tmp_path / "poll.xdr"
    path.write_bytes(capture(SMALL))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def snapshot_of(key: str) -> Snapshot:
    domain = Domain("vm", "6695eb01-f6a4-8304-79aa-97f2502e193f", 7)
    return Snapshot.of_params([(domain, [TypedParameter(key, ParamType.ULLONG, 1)])], time=1.0)


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


async def test_rates_of_two_files_in_the_wrong_order(snapshot_file: Path, tmp_path: Path) -> None:
    later = tmp_path / "later.xdr"
    later.write_bytes(capture(SMALL))
    ended = await command("convert", str(snapshot_file), "--before", str(later))
    assert (ended.code, ended.out) == (2, b"")
    assert "is the later one of the two" in ended.err


async def test_rates_are_for_a_table(snapshot_file: Path) -> None:
    assert await convert(snapshot_file, "--before", snapshot_file) == await convert(
        snapshot_file, "--before", snapshot_file, "-f", "table"
    )
    for form in FORMATS.keys() - {"table"}:
        ended = await command("convert", str(snapshot_file), "--before", str(snapshot_file), "-f", form)
        assert (ended.code, ended.out) == (2, b"")
        assert f"--before is for the rates of the format table, not for {form}" in ended.err


@pytest.mark.parametrize("label", [("--labels", "nova"), ("--label", "team=https://example.org/inventory:team")])
async def test_no_file_has_labels(label: tuple[str, str], snapshot_file: Path) -> None:
    ended = await command("convert", str(snapshot_file), "-f", "prometheus", *label)
    assert (ended.code, ended.out) == (2, b"")
    assert "--labels and --label are made of the domains' definitions" in ended.err
    assert "--label" not in (await command("convert", "--help")).out.decode()


@pytest.mark.parametrize("indent", [None, 1])
async def test_json_laid_out_anew(indent: int | None, snapshot_file: Path) -> None:
    written = await convert(snapshot_file, "-f", "json")
    anew = json.dumps(json.loads(written), sort_keys=True, indent=indent).encode()
    assert len(json.loads(await convert("-", "-f", "json", given=b"\n " + anew))["domains"]) == 12


async def test_ndjson_laid_out_anew(snapshot_file: Path) -> None:
    lines = (await convert(snapshot_file, "-f", "ndjson")).splitlines()
    anew = [json.dumps(json.loads(line), sort_keys=True).encode() for line in lines]
    for given in (b"\n".join(anew), b"\n".join([*anew, b"", b""])):
        assert len((await convert("-", "-f", "ndjson", given=given)).splitlines()) == 12


@pytest.mark.parametrize("data", [b"", b"\n"])
async def test_an_empty_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    ended = await command("convert", str(path))
    assert (ended.code, ended.out) == (1, b"")
    assert f"{path} is empty; --from ndjson takes that for no domains" in ended.message
    assert await convert(path, "--from", "ndjson") == b""
    assert b'"domains":[]' in await convert(path, "--from", "ndjson", "-f", "json")


async def test_a_device_number_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(FORMATS["json"].encode(snapshot_of("vcpu.4294967296.time")))
    table = pa.ipc.open_stream(await convert(path, "-f", "arrow")).read_all()
    assert table["vcpu.4294967296.time"].to_pylist() == [1]
    assert table["vcpu"].to_pylist() == [[]]


async def test_a_key_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for form in ("json", "ndjson", "xml"):
        path.write_bytes(FORMATS[form].encode(snapshot_of(".".join("x" * 2001))))
        ended = await command("convert", str(path), "-f", "tree")
        assert (ended.code, ended.out) == (1, b"")
        assert "a key over" in ended.message


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
