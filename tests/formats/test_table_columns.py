"""table: columns that are asked for, by name or by key, the order and number of rows, and colors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captures import POLL1, POLL2, capture
from command import without_colors
from domstats.catalog.groups import GROUP_NAMES
from domstats.errors import UnknownColumn, UnknownGroup
from domstats.formats import table
from domstats.formats.named import COLUMNS
from domstats.formats.options import Options
from domstats.formats.table.cells import count_text, time_text
from domstats.formats.text import HOSTILE, width
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter, Value
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from strategies import hosts

Params = dict[str, Value]
UUID = "-0000-4000-8000-000000000000"
_TYPES: dict[type, ParamType] = {
    str: ParamType.STRING, bool: ParamType.BOOLEAN, int: ParamType.ULLONG, float: ParamType.DOUBLE,
}  # fmt: skip


def snapshot_of(host: dict[str, Params], time: float = 100.0, **types: ParamType) -> Snapshot:
    """A snapshot of domains by name; their ids and UUIDs are counted."""
    return Snapshot.of_params(
        [
            (
                Domain(name, f"{number:08x}{UUID}", number),
                [TypedParameter(key, types.get(key, _TYPES[type(value)]), value) for key, value in params.items()],
            )
            for number, (name, params) in enumerate(host.items(), start=1)
        ],
        time=time,
    )


def shown(snapshot: Snapshot, *columns: str, **options: Any) -> list[list[str]]:
    """The headings and cells of these columns, as they are sorted."""
    text = table.encode(snapshot, Options(columns=columns, **options)).decode()
    return [re.split(" {2,}", line.strip()) for line in text.splitlines()]


def column(snapshot: Snapshot, name: str, **options: Any) -> list[str]:
    """The heading and the cells of one column."""
    return [line[0] for line in shown(snapshot, name, **options)]


class TestNamedColumns:
    def test_in_the_order_asked_for(self) -> None:
        snapshot = snapshot_of({"vm": {"state.state": 1, "state.reason": 1, "vcpu.current": 3}})
        names = ["vcpus", "id", "name", "uuid", "reason", "state", "name", "status", "age"]
        headings, cells = shown(snapshot, *names)
        assert headings == names
        assert cells == ["3", "1", "vm", f"00000001{UUID}", "booted", "running", "vm", "fresh", "0s"]

    def test_what_is_not_known_is_a_hyphen(self) -> None:
        names = [each.name for each in COLUMNS["domain"].named]
        bare = Snapshot.of_params([(Domain("vm", UUID, None), [])])
        _, cells = shown(bare, *names)
        known = {"name": "vm", "uuid": UUID, "status": "fresh"}
        assert dict(zip(names, cells, strict=True)) == dict.fromkeys(names, "-") | known

    def test_figures_that_are_shown_when_asked_for(self) -> None:
        def poll(seconds: int) -> Snapshot:
            values = {"vcpu.current": 2, "vcpu.0.time": seconds * 10**9, "cpu.time": seconds * 10**9,
                      "block.0.rd.reqs": seconds * 1234, "block.0.wr.reqs": 0}  # fmt: skip
            found = snapshot_of({"vm": dict(values)}, time=float(seconds))
            return Snapshot(found.layout, found.values, found.time, found.sampling, 8)

        headings, cells = shown(poll(20), "cpu-guest", "cpu-host", "reads", "writes", before=poll(10))
        assert headings == ["guest %", "host %", "reads/s", "writes/s"]
        assert cells == ["50.0", "12.5", "1.2k", "0"]

    def test_rss_is_marked_unless_its_column_is_there(self) -> None:
        snapshot = snapshot_of({"vm": {"balloon.rss": 1024}})
        assert shown(snapshot, "name", "mem")[1] == ["vm", "1.0MiB rss"]
        assert shown(snapshot, "mem", "from")[1] == ["1.0MiB", "rss"]


KEY_COLUMNS: list[tuple[str, Value, str]] = [
    ("vcpu.current", 4, "4"),
    ("balloon.available", 1536, "1.5MiB"),
    ("block.0.capacity", 10 * 1024**3, "10.0GiB"),
    ("perf.mbmt", 2048, "2.0KiB/s"),
    ("dirtyrate.megabytes_per_second", 3, "3.0MiB/s"),
    ("cpu.time", 90 * 60 * 10**9, "1.5h"),
    ("dirtyrate.calc_period", 5, "5s"),
    ("balloon.last-update", 1_800_000_000, "1800000000"),
    ("net.0.rx.pkts", 2**64 - 1, "18446744073709551615"),
    ("state.state", 3, "paused"),
    ("state.state", 99, "99"),
    ("vcpu.7.state", 2, "blocked"),
    ("dirtyrate.calc_status", 2, "measured"),
    ("vcpu.0.halted", True, "yes"),
    ("block.0.path", "/images/a\x1b[2J", r"/images/a\x1b[2J"),
    ("block.0.timed_group.0.rd_latency_avg", 1_500_000, "1.5ms"),
    ("block.0.timed_group.0.rd_queue_depth_avg", 2.5, "2.5"),
    ("news.of.libvirt", 12_345_678, "12345678"),
    ("news.of.libvirt", -1.5, "-1.5"),
    ("news.of.libvirt", float("nan"), "nan"),
    ("news.of.libvirt", "some", "some"),
]


class TestKeys:
    @pytest.mark.parametrize(("key", "value", "cell"), KEY_COLUMNS)
    def test_a_key_in_the_catalogues_unit(self, key: str, value: Value, cell: str) -> None:
        snapshot = snapshot_of({"vm": {key: value}, "without": {}})
        assert column(snapshot, key) == [key, cell, "-"]

    @pytest.mark.parametrize(
        ("name", "cell"),
        [
            ("block[vda].capacity", "2.0KiB"),
            ("cpu.online", "2"),
            ("cpu.0.time", "1.5s"),
            ("cpu.0.state", "running"),
        ],
    )
    def test_other_names_of_a_record(self, name: str, cell: str) -> None:
        values: Params = {"block.3.name": "vda", "block.3.capacity": 2048, "vcpu.current": 2,
                          "vcpu.0.time": 1_500_000_000, "vcpu.0.state": 1}  # fmt: skip
        assert column(snapshot_of({"vm": values, "without": {}}), name) == [name, cell, "-"]

    @pytest.mark.parametrize(
        ("key", "step", "cell"),
        [
            ("net.0.rx.pkts", 25_000, "2.5k"),
            ("net.0.rx.errs", 5, "0.5"),
            ("net.0.rx.drop", 0, "0"),
            ("block.0.wr.bytes", 10 * 1536, "1.5KiB"),
            ("block.0.wr.times", 20_000_000, "2.0ms"),
            ("vcpu.0.exits.sum", 10_000_000, "1.0M"),
        ],
    )
    def test_counters_are_rates_where_there_is_an_earlier_snapshot(self, key: str, step: int, cell: str) -> None:
        past = 2**63
        before, now = (snapshot_of({"vm": {key: past + more}}, time) for time, more in ((90.0, 0), (100.0, step)))
        assert column(now, key, before=before) == [f"{key}/s", cell]
        assert column(now, key)[0] == key

    def test_what_is_no_counter_stays_what_it_is(self) -> None:
        before, now = (snapshot_of({"vm": {"block.0.capacity": 1024, "x.y": 5}}, time) for time in (90.0, 100.0))
        assert shown(now, "block.0.capacity", "x.y", before=before) == [["block.0.capacity", "x.y"], ["1.0KiB", "5"]]

    def test_several_wire_types(self) -> None:
        snapshot = snapshot_of({"a": {"x.y": 7}, "b": {"x.y": "seven"}, "c": {"x.y": True}, "d": {"x.y": 2.5}, "e": {}})
        assert column(snapshot, "x.y") == ["x.y", "7", "seven", "yes", "2.5", "-"]

    def test_hostile_keys(self) -> None:
        key = "x.\x1b[2J\u202e"
        assert column(snapshot_of({"vm": {key: 1}}), key) == [r"x.\x1b[2J\xe2\x80\xae", "1"]

    def test_a_key_nobody_has(self) -> None:
        snapshot = snapshot_of({"vm": {"news.a": 1}})
        assert column(snapshot, "news.b") == ["news.b", "-"]
        for options in (Options(columns=["name", "news.b"]), Options(sort="-news.b")):
            with pytest.raises(UnknownColumn, match=r"news\.b"):
                table.check_keys(snapshot, options)
        table.check_keys(snapshot, Options(columns=["name", "news.a", "perf.cmt"], sort="-news.a"))
        table.check_keys(Snapshot.of_params([]), Options(columns=["news.b"]))

    def test_a_word_that_is_no_column(self) -> None:
        for snapshot in (snapshot_of({"vm": {}}), Snapshot.of_params([])):
            with pytest.raises(UnknownColumn, match="steal"):
                table.encode(snapshot, Options(columns=["stael"]))
            with pytest.raises(UnknownGroup, match="floppy"):
                table.encode(snapshot, Options(table="floppy"))


HOST: dict[str, Params] = {
    "d": {"x.n": 5, "x.t": "b", "x.m": 1},
    "b": {"x.n": 2**64 - 1, "x.t": "a", "x.m": "one"},
    "e": {},
    "a": {"x.n": 2**64 - 2, "x.t": "c", "x.m": 3},
    "f": {"x.f": float("nan")},
    "c": {"x.n": 5, "x.t": "b", "x.m": "a"},
    "g": {"x.f": 0.5},
}


class TestOrder:
    @pytest.mark.parametrize(
        ("sort", "names"),
        [
            ("", "abcdefg"),
            ("name", "abcdefg"),
            ("-name", "gfedcba"),
            ("x.n", "bacdefg"),
            ("-x.n", "cdabefg"),
            ("x.t", "bcdaefg"),
            ("-x.t", "acdbefg"),
            ("x.m", "adcbefg"),
            ("x.f", "gabcdef"),
            ("-x.f", "gabcdef"),
            ("id", "gcfaebd"),
            ("-id", "dbeafcg"),
            ("cpu", "abcdefg"),
        ],
    )
    def test_rows(self, sort: str, names: str) -> None:
        assert "".join(column(snapshot_of(HOST), "name", sort=sort)[1:]) == names

    @pytest.mark.parametrize("top", [1, 3, 7, 100])
    def test_the_first_rows(self, top: int) -> None:
        assert column(snapshot_of(HOST), "name", sort="-x.n", top=top)[1:] == list("cdabefg")[:top]

    def test_records_that_are_worst_come_first(self) -> None:
        snapshot = snapshot_of({status.label: {"state.state": 1} for status in Status})
        sampling = replace(snapshot.sampling, status=np.array(Status, np.uint8))
        words = column(snapshot.with_sampling(sampling), "status", sort="status")[1:]
        assert words == ["GONE", "STALE", "BLOCKED", "PARTIAL", "fresh"]

    def test_the_oldest_come_first(self) -> None:
        snapshot = snapshot_of({name: {"cpu.time": 1} for name in "abc"})
        times = np.full_like(snapshot.sampling.times, np.nan)
        times[:, GROUP_NAMES.index("cpu")] = (99.0, 40.0, 70.0)
        snapshot = snapshot.with_sampling(replace(snapshot.sampling, times=times))
        assert shown(snapshot, "name", "age", sort="age")[1:] == [["b", "1m"], ["c", "30s"], ["a", "1s"]]

    def busy(self) -> tuple[Snapshot, Snapshot]:
        """Three domains, of which b is busier than c and c than a; and an earlier snapshot."""
        now = {"a": 1, "b": 3, "c": 2}
        hosts = ({name: {"cpu.time": times * each * 10**9} for name, each in now.items()} for times in (0, 1))
        before, after = (snapshot_of(host, time) for host, time in zip(hosts, (90.0, 100.0), strict=True))
        return before, after

    def test_by_default_the_top_is_the_busiest(self) -> None:
        before, now = self.busy()
        lines = table.encode(now, Options(before=before, top=2)).decode().splitlines()
        assert [line.split()[0] for line in lines] == ["name", "b", "c"]
        for cpu in ("cpu", "CPU"):
            assert [line[0] for line in shown(now, "name", cpu, before=before, top=2)] == ["name", "b", "c"]

    def test_by_default_the_top_is_by_name_where_nobody_knows_who_is_busy(self) -> None:
        before, now = self.busy()
        assert column(now, "name", top=2, before=before)[1:] == ["a", "b"]
        lines = table.encode(now, Options(top=2)).decode().splitlines()
        assert [line.split()[0] for line in lines] == ["name", "a", "b"]

    @given(hosts, st.sampled_from(["cpu.time", "vcpu.0.time", "block.0.name", "net.0.name"]), st.booleans())
    def test_any_host(self, host: Any, key: str, turned: bool) -> None:
        snapshot = Snapshot.of_params(host)
        sort = f"-{key}" if turned else key
        lines = table.encode(snapshot, Options(columns=["uuid"], sort=sort)).decode().split()
        assert sorted(lines[1:]) == sorted(domain.uuid for domain in snapshot.domains)


class TestOnATerminal:
    @pytest.mark.parametrize("columns", [30, 60, 80, 200])
    def test_all_columns_asked_for_are_there(self, columns: int) -> None:
        names = ["name", "state", "status", "age", "from", "block.0.path", "total"]
        snapshot = snapshot_of({"n" * 60: {"state.state": 1, "block.0.path": "/" + "p" * 60, "balloon.current": 1}})
        heading, row = table.encode(snapshot, Options(columns=names, width=columns)).decode().splitlines()
        assert len(re.split(" {2,}", row)) == len(re.split(" {2,}", heading)) == len(names)
        assert max(len(heading), len(row)) <= max(columns, 4 + 7 + 6 + 3 + 8 + 4 + 9 + 6 * 2)

    def test_the_longest_text_is_cut_first(self) -> None:
        snapshot = snapshot_of({"n" * 20: {"block.0.path": "p" * 40, "block.0.name": "vda"}})
        cells = shown(snapshot, "name", "block.0.path", "block.0.name", width=60)[1]
        assert cells == ["n" * 20, "p" * 23 + "…", "vda"]
        cells = shown(snapshot, "name", "block.0.path", "block.0.name", width=40)[1]
        assert cells == ["n" * 11 + "…", "p" * 11 + "…", "vda"]

    def test_colors(self) -> None:
        snapshot = snapshot_of({
            "a": {"state.state": 1}, "b": {"state.state": 3}, "c": {"state.state": 6}, "d": {"state.state": 99},
        })  # fmt: skip
        statuses = np.array([Status.FRESH, Status.PARTIAL, Status.BLOCKED, Status.STALE], np.uint8)
        snapshot = snapshot.with_sampling(replace(snapshot.sampling, status=statuses))
        text = table.encode(snapshot, Options(columns=["name", "state", "status"], color=True)).decode()
        assert text.splitlines() == [
            "\x1b[1mname\x1b[m  \x1b[1mstate\x1b[m    \x1b[1mstatus\x1b[m",
            "a     \x1b[32mrunning\x1b[m  fresh",
            "b     \x1b[33mpaused\x1b[m   \x1b[33mPARTIAL\x1b[m",
            "c     \x1b[31mcrashed\x1b[m  \x1b[31mBLOCKED\x1b[m",
            "d     99       \x1b[33mSTALE\x1b[m",
        ]

    @pytest.mark.parametrize(("percent", "style"), [(9.9, ""), (10.0, "33"), (29.9, "33"), (30.0, "31")])
    def test_a_guest_that_is_kept_waiting_has_a_color(self, percent: float, style: str) -> None:
        values = {"vcpu.current": 1, "vcpu.0.delay": 0}
        before = snapshot_of({"vm": dict(values)}, 90.0)
        now = snapshot_of({"vm": values | {"vcpu.0.delay": int(percent * 10**8)}}, 100.0)
        cell = table.encode(now, Options(columns=["steal"], color=True, before=before)).decode().split("\n")[1]
        assert cell.strip() == (f"\x1b[{style}m{percent}\x1b[m" if style else f"{percent}")

    def test_what_a_guest_is_called_has_no_color(self) -> None:
        names = ["running", "crashed", "BLOCKED", "\x1b[31mred\x1b[m"]
        snapshot = snapshot_of({name: {"block.0.path": name} for name in names})
        text = table.encode(snapshot, Options(columns=["name", "block.0.path"], color=True)).decode()
        assert set(re.findall("\x1b[^m]*m", text)) == {"\x1b[1m", "\x1b[m"}, "of the headings"
        assert r"\x1b[31mred\x1b[m" in text

    @given(hosts, hosts, st.integers(1, 120))
    def test_colors_take_no_room(self, now: Any, before: Any, columns: int) -> None:
        snapshot, earlier = Snapshot.of_params(now, time=1.0), Snapshot.of_params(before)
        options = Options(before=earlier, width=columns)
        colored = table.encode(snapshot, replace(options, color=True)).decode()
        plain = table.encode(snapshot, options).decode()
        assert without_colors(colored) == plain
        assert set(re.findall(f"[{HOSTILE}]", plain)) <= {"\n"}


HOSTILE_NAMES: Sequence[str] = (
    "\x1b[2J\x1b]0;title\x07", "\u202egnp.exe", "nul\0nul", "\udcff\udc80", "a\nb\tc\r", "\x9b31m", "x" * (4 << 20),
    "\u0301" * (4 << 20), "e\u0301" * 60, "가" * 60, "\U0001f600" * 60, "", " ", "-",
)  # fmt: skip


@pytest.mark.parametrize("columns", [40, 80, 200, None])
def test_hostile_names_keep_the_table_aligned(columns: int | None) -> None:
    host: dict[str, Params] = {
        name: {"block.0.path": name, "balloon.rss": 9**number, "block.0.name": "vda"}
        for number, name in enumerate(HOSTILE_NAMES)
    }
    names = ["name", "block[vda].path", "balloon.rss", "status"]
    options = Options(columns=names, width=columns, color=True)
    heading, *rows = without_colors(table.encode(snapshot_of(host), options).decode()).splitlines()
    assert len(rows) == len(HOSTILE_NAMES)
    assert not re.search(f"[{HOSTILE}\ud800-\udfff]", heading + "".join(rows))
    assert {width(row.removesuffix("fresh")) for row in rows} == {width(heading.removesuffix("status"))}
    assert max(map(len, rows)) < 300, "whatever takes no room is cut, too"


def test_what_is_shown_of_a_real_host() -> None:
    decoder = ReplyDecoder()
    before = decoder.decode(capture(POLL1), time=1000.0)
    now = decoder.decode(capture(POLL2), time=1015.0)
    headings, *rows = shown(now, "name", "vcpu.current", "block[vda].capacity", "cpu.time", sort="cpu", top=20,
                            before=before)  # fmt: skip
    assert headings == ["name", "vcpu.current", "block[vda].capacity", "cpu.time/s"]
    rates = now.rates(before)
    busiest = sorted((rates[domain.uuid].get("cpu.time") or 0.0 for domain in now.domains if domain.id), reverse=True)
    assert [row[3] for row in rows] == list(map(time_text, busiest[:20]))
    for name, vcpus, capacity, _ in rows:
        assert vcpus == str(now[name]["vcpu.current"])
        assert (capacity == "64.0MiB") == (now[name].get("block[vda].capacity") == 64 << 20)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.04, "0.0"), (0.5, "0.5"), (99.94, "99.9"), (99.95, "100"), (999.4, "999"), (999.5, "1.0k"),
        (999_500, "1.0M"), (1.5e9, "1.5G"), (2.0**64, "18.4E"), (2.0**80, "1208925.8E"),
    ],
)  # fmt: skip
def test_counts(value: float, text: str) -> None:
    assert count_text(value) == text


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"), (0.4, "0ns"), (999.4, "999ns"), (999.6, "1.0us"), (999_940, "999.9us"), (999_960, "1.0ms"),
        (1.5e9, "1.5s"), (59.96e9, "1.0m"), (3600e9, "1.0h"), (86400e9 * 400, "400.0d"),
    ],
)  # fmt: skip
def test_times(nanoseconds: float, text: str) -> None:
    assert time_text(nanoseconds) == text
