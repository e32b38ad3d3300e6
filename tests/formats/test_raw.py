"""raw: virsh's own text is the measure, of real hosts and of what hardly a host would send."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from captures import DATA, POLL1, capture
from domstats.catalog.lookup import field_of
from domstats.formats import raw
from domstats.formats.options import Options
from domstats.formats.text import HOSTILE
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter, Value
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.bulk.encoder import encode_reply
from fake_daemon import FakeDaemon
from strategies import hosts

ON_TERMINAL = Options(width=80)
NEGATIVE_NAN = struct.unpack("=d", struct.pack("=Q", 0xFFF8 << 48))[0]
BROKEN = b"\xff\xe9 x".decode("utf-8", "surrogateescape")
UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"

VALUES: list[tuple[ParamType, Value, bytes]] = [
    (ParamType.INT, -(2**31), b"-2147483648"),
    (ParamType.UINT, 2**32 - 1, b"4294967295"),
    (ParamType.LLONG, -(2**63), b"-9223372036854775808"),
    (ParamType.ULLONG, 2**64 - 1, b"18446744073709551615"),
    (ParamType.DOUBLE, 0.0, b"0.000000"),
    (ParamType.DOUBLE, -0.0, b"-0.000000"),
    (ParamType.DOUBLE, 123456789.123456789, b"123456789.123457"),
    (ParamType.DOUBLE, 0.0000015, b"0.000002"),
    (ParamType.DOUBLE, 1e22, b"10000000000000000000000.000000"),
    (ParamType.DOUBLE, float("inf"), b"inf"),
    (ParamType.DOUBLE, float("-inf"), b"-inf"),
    (ParamType.DOUBLE, float("nan"), b"nan"),
    (ParamType.DOUBLE, NEGATIVE_NAN, b"-nan"),
    (ParamType.BOOLEAN, True, b"yes"),
    (ParamType.BOOLEAN, False, b"no"),
    (ParamType.STRING, "", b""),
    (ParamType.STRING, "/a b/ü가.img", "/a b/ü가.img".encode()),
    (ParamType.STRING, "\x1b[31m\n\t\x9b\u202e%s%%", "\x1b[31m\n\t\x9b\u202e%s%%".encode()),
    (ParamType.STRING, BROKEN, b"\xff\xe9 x"),
]


def strange_host() -> Snapshot:
    """Every kind of value, a duplicate key, hostile names, and a record without values."""
    params = [TypedParameter("%d same\x1bkey\udcff", kind, value) for kind, value, _ in VALUES]
    return Snapshot.of_params(
        [
            (Domain("n\n\x1b'%s ü\udcff", UUID, 3), params),
            (Domain("nothing", UUID.replace("6", "7"), None), []),
        ]
    )


def of_text(text: bytes) -> Snapshot:
    """The snapshot that virsh printed, with the catalogue's types."""
    records = []
    for number, block in enumerate(text.decode().removesuffix("\n\n").split("\n\n")):
        head, *lines = block.split("\n")
        domain = Domain(head.removeprefix("Domain: '").removesuffix("'"), f"{number:08}{UUID[8:]}", number)
        records.append((domain, [of_line(line) for line in lines]))
    return Snapshot.of_params(records)


def of_line(line: str) -> TypedParameter:
    key, _, text = line.strip().partition("=")
    field = field_of(key)
    assert field is not None
    if text in ("yes", "no"):
        return TypedParameter(key, ParamType.BOOLEAN, text == "yes")
    kind = ParamType[field.types[0].upper()]
    return TypedParameter(key, kind, text if kind == ParamType.STRING else int(text))


@pytest.mark.parametrize(("kind", "value", "text"), VALUES)
def test_values(kind: ParamType, value: Value, text: bytes) -> None:
    snapshot = Snapshot.of_params([(Domain("vm", UUID, 1), [TypedParameter("key", kind, value)])])
    assert raw.encode(snapshot) == b"Domain: 'vm'\n  key=" + text + b"\n\n"


def test_nothing() -> None:
    assert raw.encode(Snapshot.of_params([])) == b""


def test_the_text_virsh_printed() -> None:
    text = (DATA / "virsh-domstats.txt").read_bytes()
    snapshot = of_text(text)
    assert len(snapshot) == 4
    assert raw.encode(snapshot) == text


async def test_virsh_prints_the_same_of_the_strangest_reply(tmp_path: Path) -> None:
    assert await virsh_text(tmp_path, encode_reply(strange_host())) == raw.encode(strange_host())


@pytest.mark.parametrize("name", ["libvirt-12.8-12-guests-backing", POLL1])
async def test_virsh_prints_the_same_of_a_captured_reply(tmp_path: Path, name: str) -> None:
    assert await virsh_text(tmp_path, capture(name)) == raw.encode(ReplyDecoder().decode(capture(name)))


async def virsh_text(directory: Path, body: bytes) -> bytes:
    """What the real virsh prints of this reply."""
    if shutil.which("virsh") is None:
        pytest.skip("virsh is not installed")
    async with FakeDaemon(directory / "socket", bulk=body) as daemon:
        virsh = await asyncio.create_subprocess_exec(
            *("virsh", "-r", "-c", daemon.uri, "domstats"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"LC_ALL": "C"},
        )
        text, _ = await asyncio.wait_for(virsh.communicate(), 60)
    assert virsh.returncode == 0
    return text


@given(hosts)
def test_a_terminal_gets_no_control_characters(host: Any) -> None:
    snapshot = Snapshot.of_params(host)
    shown = raw.encode(snapshot, ON_TERMINAL).decode()
    assert re.findall(f"[{HOSTILE}]", shown.replace("\n", "")) == []
    assert shown.count("\n") == sum(2 + len(record.params) for record in snapshot)


def test_on_a_terminal_hostile_text_is_shown_as_what_it_is() -> None:
    snapshot = Snapshot.of_params(
        [(Domain("\x1b]0;pwned\x07\udcff", UUID, 1), [TypedParameter("a\nb", ParamType.STRING, "\u202e\x9bü가")])]
    )
    expected = "Domain: '\\x1b]0;pwned\\x07\\xff'\n  a\\x0ab=\\xe2\\x80\\xae\\xc2\\x9bü가\n\n"
    assert raw.encode(snapshot, ON_TERMINAL).decode() == expected
    assert b"\x1b]0;pwned\x07\xff" in raw.encode(snapshot)


def test_texts_end_before_a_nul_as_they_do_in_c() -> None:
    snapshot = Snapshot.of_params([(Domain("a\0b", UUID, 1), [TypedParameter("k\0l", ParamType.STRING, "v\0w")])])
    assert raw.encode(snapshot) == b"Domain: 'a'\n  k=v\n\n"
