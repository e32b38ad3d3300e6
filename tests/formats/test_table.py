"""table: figures, columns, and what becomes of hostile names."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captures import POLL1, POLL2, capture
from domstats.formats import table
from domstats.formats.options import Options
from domstats.formats.table.cells import age_text, bytes_text
from domstats.formats.text import HOSTILE, width
from domstats.model.domain import Domain
from domstats.model.flags import StatsGroup
from domstats.model.params import ParamType, TypedParameter, Value
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from strategies import domains, hosts, texts

HEADINGS = [
    "name", "state", "cpu %", "steal %", "mem used", "mem total", "mem from",
    "read/s", "write/s", "rx/s", "tx/s", "status", "age",
]  # fmt: skip
RATES = ["cpu %", "steal %", "read/s", "write/s", "rx/s", "tx/s"]
UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
MIB = 1024  # in KiB, the unit of the balloon group


def cells(snapshot: Snapshot, before: Snapshot | None = None) -> list[dict[str, str]]:
    """The lines after the headings, by heading."""
    encoded = table.encode(snapshot, Options(before=before)).decode()
    headings, *lines = (re.split(" {2,}", line) for line in encoded.splitlines())
    assert headings == [heading for heading in HEADINGS if before is not None or heading not in RATES]
    return [dict(zip(headings, line, strict=True)) for line in lines]


def of(time: float = 100.0, domain: Domain | None = None, **values: Value) -> Snapshot:
    """A snapshot of one domain; in keys, `__` stands for a dot and `_` for a hyphen."""
    params = [
        TypedParameter(key.replace("__", ".").replace("_", "-"), ParamType.ULLONG, value)
        for key, value in values.items()
    ]
    return Snapshot.of_params([(domain or Domain("vm", UUID, 1), params)], time=time)


def test_nothing() -> None:
    assert table.encode(Snapshot.of_params([])) == b""


def test_a_busy_domain() -> None:
    before = of(
        cpu__time=0, vcpu__0__delay=0, block__0__rd__bytes=0, block__0__wr__bytes=0, net__0__rx__bytes=0,
        net__0__tx__bytes=0,
    )  # fmt: skip
    now = of(
        102.0,
        state__state=1,
        cpu__time=3_000_000_000,
        vcpu__current=2,
        vcpu__0__delay=100_000_000,
        balloon__current=4096 * MIB,
        balloon__available=4000 * MIB,
        balloon__usable=1000 * MIB,
        balloon__rss=3500 * MIB,
        balloon__last_update=99,
        block__0__rd__bytes=2 * 10 * 1024**2,
        block__0__wr__bytes=2 * 512,
        net__0__rx__bytes=2 * 1536,
        net__0__tx__bytes=0,
    )
    assert cells(now, before) == [
        {
            "name": "vm",
            "state": "running",
            "cpu %": "150.0",
            "steal %": "2.5",
            "mem used": "2.9GiB",
            "mem total": "3.9GiB",
            "mem from": "guest",
            "read/s": "10.0MiB",
            "write/s": "512B",
            "rx/s": "1.5KiB",
            "tx/s": "0B",
            "status": "fresh",
            "age": "0s",
        }
    ]


def test_what_is_not_known_is_a_hyphen() -> None:
    (line,) = cells(of(vm__x=1), of(vm__x=1))
    known = {"name": "vm", "status": "fresh", "age": "0s"}
    assert line == dict.fromkeys(HEADINGS, "-") | known


def test_a_record_without_values_has_no_age() -> None:
    assert cells(of())[0]["age"] == "-"


def test_without_an_earlier_snapshot_there_are_no_rates() -> None:
    (line,) = cells(of(cpu__time=5, block__0__rd__bytes=5, net__0__rx__bytes=5, balloon__rss=MIB))
    assert not set(RATES) & line.keys()
    assert line["mem used"] == "1.0MiB"


@pytest.mark.parametrize(
    ("values", "used", "source"),
    [
        ({"balloon__rss": 36 * MIB}, "36.0MiB", "rss"),
        ({"balloon__rss": 36 * MIB, "balloon__last_update": 0}, "36.0MiB", "rss, balloon off"),
        ({"balloon__last_update": 0}, "-", "balloon off"),
        ({"balloon__last_update": 9, "balloon__available": 10 * MIB, "balloon__unused": 3 * MIB}, "7.0MiB", "guest"),
    ],
)
def test_where_the_memory_figure_comes_from(values: dict[str, Any], used: str, source: str) -> None:
    (line,) = cells(of(**values))
    assert (line["mem used"], line["mem from"]) == (used, source)


@pytest.mark.parametrize(
    ("kind", "value", "word"),
    [
        (ParamType.INT, 1, "running"),
        (ParamType.INT, 5, "shutoff"),
        (ParamType.INT, 99, "99"),
        (ParamType.STRING, "\x1b[2J", "-"),
        (ParamType.DOUBLE, float("nan"), "-"),
    ],
)
def test_state(kind: ParamType, value: Value, word: str) -> None:
    snapshot = Snapshot.of_params([(Domain("vm", UUID, 1), [TypedParameter("state.state", kind, value)])])
    assert cells(snapshot)[0]["state"] == word


@pytest.mark.parametrize("status", Status)
def test_only_what_is_not_fresh_is_in_capitals(status: Status) -> None:
    snapshot = of(state__state=1)
    times = np.full_like(snapshot.sampling.times, snapshot.time - 200)
    sampling = replace(snapshot.sampling, status=np.array([status], np.uint8), times=times)
    (line,) = cells(Snapshot(snapshot.layout, snapshot.values, snapshot.time, sampling, None))
    assert line["status"] == (status.label if status is Status.FRESH else status.label.upper())
    assert line["age"] == "3m"


def test_columns_are_aligned_by_what_a_terminal_shows() -> None:
    names = ["b", "가나다", "e\u0301", "a" * 30]
    host = [
        (Domain(name, f"{number:08}{UUID[8:]}", number), [TypedParameter("balloon.rss", ParamType.ULLONG, 9**number)])
        for number, name in enumerate(names)
    ]
    lines = table.encode(Snapshot.of_params(host)).decode().splitlines()
    heading, *rows = lines
    assert [row.split()[0] for row in rows] == ["a" * 30, "b", "e\u0301", "가나다"]
    ends = {width(row[: row.index("iB") + 2]) for row in rows}
    assert ends == {heading.index("mem used") + len("mem used")}
    assert {width(row[: row.index("fresh")]) for row in rows} == {heading.index("status")}
    assert [line for line in lines if line != line.rstrip()] == []


def test_names_are_escaped_and_cut() -> None:
    long, evil = Domain("x" * 300, UUID, 1), Domain("\x1b[2J\n\u202e\udcff", UUID, 1)
    assert cells(of(domain=long))[0]["name"] == "x" * 39 + "…"
    assert cells(of(domain=evil))[0]["name"] == r"\x1b[2J\x0a\xe2\x80\xae\xff"


BUSY = {
    "state__state": 1, "vcpu__current": 1, "balloon__rss": 36 * MIB, "balloon__current": 64 * MIB,
}  # fmt: skip
COUNTERS = ("cpu__time", "vcpu__0__delay", "block__0__rd__bytes", "block__0__wr__bytes", "net__0__rx__bytes",
            "net__0__tx__bytes")  # fmt: skip


def busy(name: str = "x" * 60, status: Status = Status.FRESH) -> tuple[Snapshot, Snapshot]:
    """A domain with figures in every column, and an earlier snapshot of it."""
    domain = Domain(name, UUID, 1)
    before = of(99.0, domain, **BUSY, **dict.fromkeys(COUNTERS, 0))
    now = of(100.0, domain, **BUSY, **dict.fromkeys(COUNTERS, 10**9))
    return now.with_sampling(replace(now.sampling, status=np.array([status], np.uint8))), before


def fitted(columns: int, name: str = "x" * 60, status: Status = Status.FRESH) -> tuple[list[str], list[str]]:
    """Headings and cells on a terminal so wide."""
    now, before = busy(name, status)
    heading, line = table.encode(now, Options(width=columns, before=before)).decode().splitlines()
    assert max(width(heading), width(line)) <= columns
    return re.split(" {2,}", heading), re.split(" {2,}", line)


@pytest.mark.parametrize(
    ("columns", "left_out"),
    [
        (125, set()),
        (124, {"status", "age"}),
        (111, {"status", "age", "mem from"}),
        (104, {"status", "age", "mem from", "steal %"}),
        (95, {"status", "age", "mem from", "steal %", "rx/s", "tx/s"}),
        (75, {"status", "age", "mem from", "steal %", "rx/s", "tx/s", "read/s", "write/s"}),
        (44, {"status", "age", "mem from", "steal %", "rx/s", "tx/s", "read/s", "write/s"}),
    ],
)
def test_a_narrow_terminal(columns: int, left_out: set[str]) -> None:
    headings, _ = fitted(columns)
    assert headings == [heading for heading in HEADINGS if heading not in left_out]


@pytest.mark.parametrize("columns", range(44, 150))
def test_every_line_fits_and_names_take_the_room_left(columns: int) -> None:
    _, (name, *_) = fitted(columns)
    assert len(name) >= min(16, columns - 40) - 1
    assert name.rstrip("…") == "x" * (len(name) - 1)
    assert len(fitted(columns + 1)[1][0]) in (len(name) + 1, 40) or len(fitted(columns + 1)[0]) > len(
        fitted(columns)[0]
    )


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.FRESH])
def test_a_status_that_is_not_fresh_is_never_left_out(status: Status) -> None:
    headings, line = fitted(80, status=status)
    assert headings[-2:] == ["status", "age"]
    assert line[-2] == status.label.upper()


def test_memory_that_is_not_the_guests_is_marked_where_its_source_is_left_out() -> None:
    host = [
        (Domain("a", UUID, 1), {"balloon.rss": 36 * MIB}),
        (
            Domain("b", f"0{UUID[1:]}", 2),
            {"balloon.last-update": 9, "balloon.available": 10 * MIB, "balloon.unused": 3 * MIB},
        ),
        (Domain("c", f"1{UUID[1:]}", 3), {}),
    ]
    snapshot = Snapshot.of_params(
        [(domain, [TypedParameter(key, ParamType.ULLONG, value) for key, value in values.items()])
         for domain, values in host]
    )  # fmt: skip
    assert table.encode(snapshot, Options(width=40)).decode() == (
        "name  state     mem used  mem total\n"
        "a     -      36.0MiB rss          -\n"
        "b     -       7.0MiB        10.0MiB\n"
        "c     -            -              -\n"
    )


@pytest.mark.parametrize(
    ("groups", "headings"),
    [
        (StatsGroup.STATE, {"state"}),
        (StatsGroup.CPU, {"cpu %"}),
        (StatsGroup.VCPU, {"steal %"}),
        (StatsGroup.BALLOON, {"mem used", "mem total", "mem from"}),
        (StatsGroup.BLOCK | StatsGroup.STATE, {"state", "read/s", "write/s"}),
        (StatsGroup.INTERFACE, {"rx/s", "tx/s"}),
        (StatsGroup.PERF, set()),
        (0, set(HEADINGS)),
    ],
)
def test_only_what_was_asked_for_has_columns(groups: int, headings: set[str]) -> None:
    now, before = busy()
    shown = table.encode(now, Options(groups=groups, before=before)).decode().splitlines()[0]
    always = {"name", "status", "age"}
    assert re.split(" {2,}", shown) == [heading for heading in HEADINGS if heading in headings | always]


@given(hosts, hosts)
def test_a_line_a_domain_and_no_control_characters(now: Any, before: Any) -> None:
    snapshot = Snapshot.of_params(now, time=1.0)
    shown = table.encode(snapshot, Options(before=Snapshot.of_params(before))).decode()
    assert shown.count("\n") == (len(snapshot) + 1 if now else 0)
    assert set(re.findall(f"[{HOSTILE}]", shown)) <= {"\n"}


FIGURE_KEYS = [
    "cpu.time", "vcpu.current", "vcpu.0.delay", "balloon.current", "balloon.available", "balloon.usable",
    "balloon.unused", "balloon.rss", "balloon.last-update", "block.0.rd.bytes", "block.1.rd.bytes", "net.0.tx.bytes",
]  # fmt: skip
figures = st.dictionaries(st.sampled_from(FIGURE_KEYS), st.integers(0, 2**64 - 1))


@given(domains, figures, figures)
def test_any_figures(domain: Domain, before: dict[str, int], now: dict[str, int]) -> None:
    earlier, later = (
        Snapshot.of_params(
            [(domain, [TypedParameter(key, ParamType.ULLONG, value) for key, value in values.items()])], time=time
        )
        for time, values in ((1.0, before), (2.0, now))
    )
    (line,) = table.encode(later, Options(before=earlier)).decode().splitlines()[1:]
    assert "nan" not in line.removeprefix(domain.name).lower()


@given(texts)
def test_any_name(name: str) -> None:
    lines = table.encode(of(domain=Domain(name, UUID, 1))).decode().splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("-")


def test_a_real_host() -> None:
    decoder = ReplyDecoder()
    before = decoder.decode(capture(POLL1), time=1000.0)
    lines = cells(decoder.decode(capture(POLL2), time=1015.0), before)
    assert len(lines) == 1024
    assert {line["status"] for line in lines} == {"fresh"}
    on = [line for line in lines if line["state"] in ("running", "paused")]
    assert len(on) > 1000
    assert all(re.fullmatch(r"\d+\.\d", line["cpu %"]) for line in on)
    assert all(re.fullmatch(r"\d+\.\dMiB", line["mem used"]) for line in on)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0B"),
        (0.4, "0B"),
        (999.4, "999B"),
        (999.5, "1.0KiB"),
        (1024, "1.0KiB"),
        (999.4 * 1024, "999.4KiB"),
        (1023 * 1024, "1.0MiB"),
        (64 * 1024**2, "64.0MiB"),
        (1.5 * 1024**4, "1.5TiB"),
        (2.0**64, "16.0EiB"),
        (2.0**74, "16384.0EiB"),
    ],
)
def test_bytes(value: float, text: str) -> None:
    assert bytes_text(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.9, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h"),
        (86399, "23h"),
        (86400 * 40, "40d"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    assert age_text(seconds) == text
