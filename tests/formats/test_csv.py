"""csv: read back by Python's csv module, DuckDB and pandas, and compared with the records."""

from __future__ import annotations

import csv as csv_module
import io
import re
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captures import FLAT, POLL1, capture
from command import domstats
from domstats import errors
from domstats.formats import csv
from domstats.formats.options import Options
from domstats.formats.text import HOSTILE, escape
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter, Value
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from frames import TABLES, cell, check_csv, expected, read_csv, stuck_host, with_statuses
from strategies import hosts, snapshots

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
OTHER_UUID = "0d9f8a56-0000-4000-8000-00000000abcd"
TIME = 1_700_000_000.25
WHEN = "2023-11-14T22:13:20.250000+00:00"
INT, UINT, LLONG, ULLONG, DOUBLE, BOOLEAN, STRING = ParamType


def host() -> Snapshot:
    on = [
        TypedParameter("state.state", INT, 1),
        TypedParameter("cpu.time", ULLONG, 2**64 - 1),
        TypedParameter("vm.x", DOUBLE, 0.5),
        TypedParameter("vm.flag", BOOLEAN, True),
        TypedParameter("vcpu.0.time", ULLONG, 5),
        TypedParameter("vcpu.1.time", ULLONG, 9),
        TypedParameter("block.0.name", STRING, ""),
        TypedParameter("block.0.path", STRING, 'a "b", c'),
    ]
    guests = [(Domain("web, 1", UUID, 3), on), (Domain("off", OTHER_UUID, None), [])]
    return Snapshot.of_params(guests, time=TIME)


def of_values(*values: tuple[ParamType, Value]) -> Snapshot:
    """A guest for each value of the key `key`, with the names a, b, c."""
    return Snapshot.of_params(
        (Domain("abcdefgh"[number], f"{number:08}{UUID[8:]}", number), [TypedParameter("key", kind, value)])
        for number, (kind, value) in enumerate(values)
    )


def test_a_value_a_line() -> None:
    head, on = "domain,uuid,id,status,age,sampled,key,type,value", f'"web, 1",{UUID},3,fresh,0.0,{WHEN}'
    assert csv.encode(host()).decode().splitlines() == [
        head,
        f"{on},state.state,int,1",
        f"{on},cpu.time,ullong,18446744073709551615",
        f"{on},vm.x,double,0.5",
        f"{on},vm.flag,boolean,true",
        f"{on},vcpu.0.time,ullong,5",
        f"{on},vcpu.1.time,ullong,9",
        f'{on},block.0.name,string,""',
        f'{on},block.0.path,string,"a ""b"", c"',
        f"off,{OTHER_UUID},,fresh,,,,,",
    ]


def test_a_table() -> None:
    assert csv.encode(host(), Options(table="domain")).decode() == (
        "domain,uuid,id,status,age,sampled,state.state,cpu.time,vm.x,vm.flag\n"
        f'"web, 1",{UUID},3,fresh,0.0,{WHEN},1,18446744073709551615,0.5,true\n'
        f"off,{OTHER_UUID},,fresh,,,,,,\n"
    )
    assert csv.encode(host(), Options(table="block")).decode() == (
        f'domain,uuid,id,block,name,status,age,sampled,path\n"web, 1",{UUID},3,0,"",fresh,0.0,{WHEN},"a ""b"", c"\n'
    )


def test_no_domains() -> None:
    nothing = Snapshot.of_params([])
    assert csv.encode(nothing) == b"domain,uuid,id,status,age,sampled,key,type,value\n"
    assert csv.encode(nothing, Options(table="iothread")) == b"domain,uuid,id,iothread,status,age,sampled\n"


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        (LLONG, -(2**63), "-9223372036854775808"),
        (DOUBLE, 1.0, "1.0"),
        (DOUBLE, -0.0, "-0.0"),
        (DOUBLE, float("nan"), "nan"),
        (DOUBLE, float("-inf"), "-inf"),
        (BOOLEAN, False, "false"),
        (STRING, "", '""'),
        (STRING, " x ", " x "),
        (STRING, "=1+1", "=1+1"),
        (STRING, 'a"b', '"a""b"'),
        (STRING, "a\r\nb\x1b[31m", r"a\x0d\x0ab\x1b[31m"),
        (STRING, "a\udcffb", r"a\xffb"),
        (STRING, "\u202ex", r"\xe2\x80\xaex"),
    ],
)
def test_values(kind: ParamType, value: Value, written: str) -> None:
    assert csv.encode(of_values((kind, value))).decode().splitlines()[1].endswith(f",key,{kind.label},{written}")
    assert (
        csv.encode(of_values((kind, value)), Options(table="domain", columns=["key"])).decode() == f"key\n{written}\n"
    )


def test_a_column_of_several_types() -> None:
    snapshot = of_values((BOOLEAN, True), (ULLONG, 1), (DOUBLE, 1.0), (STRING, "1"), (INT, -1))
    assert csv.encode(snapshot, Options(table="domain", columns=["key"])) == b"key\ntrue\n1\n1.0\n1\n-1\n"


def test_duplicate_keys_are_all_there() -> None:
    params = [TypedParameter("a", INT, 1), TypedParameter("a", STRING, "two")]
    encoded = csv.encode(Snapshot.of_params([(Domain("vm", UUID, 1), params)]))
    assert [row[-3:] for row in read_csv(encoded)[1:]] == [["a", "int", "1"], ["a", "string", "two"]]


def test_statuses_and_ages() -> None:
    snapshot = with_statuses(of_values(*[(INT, 1)] * 5), list(Status), [0.0, 1.5, 2.123456789, 3.0, 4.0])
    for table in ("", "domain"):
        columns = Options(table=table, columns=["status", "age"])
        assert read_csv(csv.encode(snapshot, columns))[1:] == [
            ["fresh", "0.0"], ["partial", "1.5"], ["blocked", "2.123457"], ["stale", "3.0"], ["gone", "4.0"],
        ]  # fmt: skip


def test_a_row_of_one_column_is_never_an_empty_line() -> None:
    """Readers skip those, and the next row would be in its place."""
    for options, values in (
        (Options(table="domain", columns=["cpu.time"]), [str(2**64 - 1), ""]),
        (Options(table="domain", columns=["cpu.time"], sort="-cpu.time"), [str(2**64 - 1), ""]),
        (Options(columns=["value"], top=9), ["1", str(2**64 - 1), "0.5", "true", "5", "9", "", 'a "b", c', ""]),
    ):
        encoded = csv.encode(host(), options)
        assert read_csv(encoded)[1:] == [[value] for value in values]
        assert len(pd.read_csv(io.BytesIO(encoded), dtype=str, keep_default_na=False)) == len(values)
        by_python = io.StringIO()
        csv_module.writer(by_python, lineterminator="\n").writerows([options.columns, *([value] for value in values)])
        assert encoded.decode() == by_python.getvalue()
    both = csv.encode(host(), Options(table="domain", columns=["cpu.time", "vm.x"]))
    assert both.decode().splitlines()[-1] == ","


class TestColumnsAndRows:
    def test_columns_are_chosen_and_ordered(self) -> None:
        options = Options(table="vcpu", columns=["time", "domain", "vcpu"])
        assert read_csv(csv.encode(host(), options)) == [
            ["time", "domain", "vcpu"],
            ["5", "web, 1", "0"],
            ["9", "web, 1", "1"],
        ]
        assert read_csv(csv.encode(host(), Options(columns=["value"], top=2))) == [["value"], ["1"], [str(2**64 - 1)]]

    @pytest.mark.parametrize(
        ("sort", "order"),
        [
            ("domain", "abcdef"),
            ("-domain", "fedcba"),
            ("key", "dbaefc"),
            ("-key", "abdfec"),
        ],
    )
    def test_sorted(self, sort: str, order: str) -> None:
        """Numbers descending, texts after them and ascending, what is missing or no number last."""
        snapshot = of_values((INT, 1), (INT, 5), (DOUBLE, float("nan")), (LLONG, 7), (STRING, "x"), (STRING, "y"))
        found = read_csv(csv.encode(snapshot, Options(table="domain", sort=sort, columns=["domain"])))
        assert "".join(row[0] for row in found[1:]) == order

    def test_large_counters_are_compared_exactly(self) -> None:
        snapshot = of_values((ULLONG, 2**63), (ULLONG, 2**63 + 1), (ULLONG, 2**64 - 1))
        for options in (Options(table="domain", sort="key"), Options(sort="value")):
            assert [row[0] for row in read_csv(csv.encode(snapshot, options))[1:]] == ["c", "b", "a"]

    def test_rows_without_a_value_are_last(self) -> None:
        for sort in ("cpu.time", "-cpu.time"):
            found = read_csv(csv.encode(host(), Options(table="domain", sort=sort)))
            assert [row[0] for row in found[1:]] == ["web, 1", "off"]

    @pytest.mark.parametrize("top", [0, 1, 2, 100])
    def test_the_first_rows(self, top: int) -> None:
        whole = read_csv(csv.encode(host(), Options(table="vcpu", sort="time")))
        assert read_csv(csv.encode(host(), Options(table="vcpu", sort="time", top=top))) == whole[: 1 + top]

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            (Options(table="disks"), errors.UnknownGroup),
            (Options(table="vcpu", columns=["tim"]), errors.UnknownField),
            (Options(columns=["cpu.time"]), errors.UnknownField),
            (Options(table="vcpu", sort="tim"), errors.UnknownField),
            (Options(sort="tim"), errors.UnknownField),
        ],
    )
    def test_what_does_not_exist(self, options: Options, error: type[Exception]) -> None:
        with pytest.raises(error):
            csv.encode(host(), options)


def check(snapshot: Snapshot) -> None:
    """Tables and long form hold what the records hold, and nothing else."""
    for table in TABLES:
        columns, rows = expected(snapshot, table)
        age = columns.index(([], "age"))
        head, *found = read_csv(csv.encode(snapshot, Options(table=table)))
        assert [name.rstrip("_") for name in head] == [escape(name).rstrip("_") for _, name in columns]
        for row in rows:
            row[age] = None if row[age] is None else round(row[age], 6)
        assert found == [[cell(value) for value in row] for row in rows]
    check_csv(snapshot, csv.encode(snapshot))


@given(snapshots())
def test_everything_can_be_read_back(snapshot: Snapshot) -> None:
    check(snapshot)


@pytest.mark.parametrize("name", FLAT)
def test_real_hosts_can_be_read_back(name: str) -> None:
    check(ReplyDecoder().decode(capture(name), time=TIME))


def test_a_host_with_a_guest_that_hangs_and_hostile_names(tmp_path: Path) -> None:
    snapshot = stuck_host(tmp_path)
    assert [record.domain.name for record in snapshot.problems] == ["build-1"]
    assert any(re.search(f'[{HOSTILE},"]', record.domain.name) for record in snapshot)
    check(snapshot)


@given(hosts, st.sampled_from(["", *TABLES]))
def test_nothing_reaches_a_terminal_and_rows_are_lines(host: Any, table: str) -> None:
    encoded = csv.encode(Snapshot.of_params(host), Options(table=table)).decode()
    assert set(re.findall(f"[{HOSTILE}]", encoded)) == {"\n"}
    assert encoded.count("\n") == len(read_csv(encoded.encode()))


def test_duckdb_reads_the_long_form(tmp_path: Path) -> None:
    file = tmp_path / "everything.csv"
    snapshot = ReplyDecoder().decode(capture(POLL1), time=TIME)
    file.write_bytes(csv.encode(snapshot))
    duckdb.sql(f"create temp table long as from read_csv('{file}', all_varchar = true)")
    ((counted,),) = duckdb.sql("select count(*) from long").fetchall()
    ((highest,),) = duckdb.sql("select max(value::ubigint) from long where key = 'cpu.time'").fetchall()
    values, valid = snapshot.column("cpu.time")
    assert (counted, highest) == (snapshot.layout.size, int(values[valid].max()))


async def test_the_command_writes_it() -> None:
    ended = await domstats("get", "-c", "sim:///?domains=3&time=1800000000", "-f", "csv")
    assert (ended.code, ended.err) == (0, "")
    assert read_csv(ended.out)[0] == list(csv.LONG)
