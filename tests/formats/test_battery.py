"""One battery for every format: real replies, simulated hosts with faults, any snapshot there can be, hostile texts.

What can be read back is equal; of the others an independent reader (`readers`) finds every value in its place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings

from captures import CAPTURES, capture
from domstats.collector.collector import Collector
from domstats.collector.plan import make_plan
from domstats.collector.reach import Reach
from domstats.errors import LimitExceeded
from domstats.formats.options import Options
from domstats.formats.registry import FORMATS
from domstats.formats.text import HOSTILE
from domstats.model.domain import Domain
from domstats.model.flags import NO_FILTERS
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from fast_time import run_fast
from readers import CHECKS, check_same
from scripted import Scripted, events
from strategies import snapshots

FAULTS = events(
    "5; hang test-2",
    "5; stop test-3",
    "8; busy test-4",
    "10; hostile test-5",
    "10; nameless web-1",
    "12; undefine mail-1",
    "14; pause db-1",
    "16; migrate mail-2",
    "18; detach web-2; device = 'disk'; number = 0",
    "20; attach web-3; device = 'nic'",
)
TEXTS = [
    "",
    " leading and trailing ",
    "\"'`$(reboot)",
    "two\nlines\r\n\tand a tab\r",
    "</domain>]]><!-- &amp; %s {0}",
    '"}',
    '\\n \\" \\x41',
    '=1+1,";',
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31m\x7f\x00\x01\x1f",
    "\u202eevil\u2066\u2069\u200e\u061c\u2028\u2029",
    "\ufffe\uffff\U0010ffff\u0085",
    b"\xff\xfe\xed\xa0\x80 lone".decode("utf-8", "surrogateescape"),
    "日本語 ü 🐧",
    "base64:QUJD",
]
LONG = "l\u00f6ng \x1b<" * (4 * 1024 * 1024 // 8)
UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"


def hostile_host(texts: Sequence[str]) -> Snapshot:
    """A domain for each text, which is its name, a device's name, a path, a key if it fits, and a value of it."""
    records = []
    for number, text in enumerate(texts):
        domain = Domain(text, f"{number:08}{UUID[8:]}", number or None)
        params = [
            TypedParameter("state.state", ParamType.INT, 1),
            TypedParameter("block.count", ParamType.UINT, 1),
            TypedParameter("block.0.name", ParamType.STRING, text),
            TypedParameter("block.0.path", ParamType.STRING, text),
            TypedParameter("block.0.rd.bytes", ParamType.ULLONG, 2**64 - 1),
            TypedParameter("net.0.name", ParamType.STRING, text),
            TypedParameter("net.0.rx.bytes", ParamType.ULLONG, 7),
            TypedParameter("unheard.of", ParamType.STRING, text),
        ]
        if len(text) < 60:
            params.append(TypedParameter(text, ParamType.LLONG, -1))
            params.append(TypedParameter(f"vm.{text}.sum", ParamType.ULLONG, 1))
        records.append((domain, params))
    return Snapshot.of_params(records, time=1_700_000_000.25, source="sim:///?" + texts[-1][:100])


def encode(name: str, snapshot: Snapshot, options: Options | None = None) -> bytes:
    return FORMATS[name].encode(snapshot, options or Options())


def test_every_format_is_checked() -> None:
    assert set(CHECKS) == set(FORMATS)


@pytest.mark.parametrize("reply", CAPTURES)
@pytest.mark.parametrize("name", FORMATS)
def test_real_replies(name: str, reply: str) -> None:
    snapshot = ReplyDecoder().decode(capture(reply), time=1_700_000_000.25, source="qemu:///system")
    CHECKS[name](snapshot, encode(name, snapshot))


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> list[Snapshot]:
    """What a collector says of a host on which all goes wrong."""
    found: list[Snapshot] = []

    async def work() -> None:
        host = Scripted(tmp_path_factory.mktemp("faulty"), FAULTS)
        reach = Reach(host.source, width=4, sees_processes=False)
        collector = Collector(reach, make_plan(0, {}), 5.0, NO_FILTERS, lambda _: True)
        await collector.start()
        async for snapshot in collector:
            found.append(snapshot)
            if snapshot.time - found[0].time > 60:
                break
        await collector.aclose()

    run_fast(work())
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_a_host_with_faults(name: str, faulty: list[Snapshot]) -> None:
    statuses = {record.status for snapshot in faulty for record in snapshot}
    assert statuses >= {Status.FRESH, Status.BLOCKED, Status.STALE, Status.GONE}
    for snapshot in (each for each in faulty if each.problems):
        CHECKS[name](snapshot, encode(name, snapshot))


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=40)
@given(snapshot=snapshots())
def test_any_snapshot(name: str, snapshot: Snapshot) -> None:
    try:
        encoded = encode(name, snapshot)
    except LimitExceeded:
        assert name == "reply"  # which has limits that strategies do not keep
        return
    CHECKS[name](snapshot, encoded)


@pytest.mark.parametrize("name", FORMATS)
def test_hostile_texts(name: str) -> None:
    snapshot = hostile_host(TEXTS)
    CHECKS[name](snapshot, encode(name, snapshot))


@pytest.mark.parametrize("name", FORMATS)
def test_a_name_of_four_mebibytes(name: str) -> None:
    snapshot = hostile_host([LONG])
    try:
        encoded = encode(name, snapshot)
    except LimitExceeded:
        assert name == "reply"
        return
    CHECKS[name](snapshot, encoded)


TEXTUAL = [name for name, form in FORMATS.items() if not form.binary]


def check_terminal(name: str, snapshot: Snapshot) -> None:
    """Nothing of it would be obeyed by a terminal."""
    encoded = encode(name, snapshot, Options(width=80)).decode()
    assert set(re.findall(f"[{HOSTILE}]", encoded)) <= {"\n"}


@pytest.mark.parametrize("name", TEXTUAL)
def test_hostile_texts_on_a_terminal(name: str) -> None:
    check_terminal(name, hostile_host(TEXTS))


@pytest.mark.parametrize("name", TEXTUAL)
@settings(max_examples=30)
@given(snapshot=snapshots())
def test_any_snapshot_on_a_terminal(name: str, snapshot: Snapshot) -> None:
    check_terminal(name, snapshot)


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.readable])
def test_what_was_read_is_written_alike(name: str) -> None:
    snapshot = ReplyDecoder().decode(capture(CAPTURES[0]), time=1_700_000_000.25, source="qemu:///system")
    encoded = encode(name, snapshot)
    again = FORMATS[name].decode(encoded)
    assert encode(name, again) == encoded
    check_same(snapshot, again, exactly=name != "reply")
