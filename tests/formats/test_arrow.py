"""arrow: tables read back by pyarrow, polars, pandas and DuckDB, and compared with the records."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given

import frames
from captures import FLAT, POLL1, POLL2, capture
from command import domstats
from domstats import errors
from domstats.formats import arrow
from domstats.formats.options import Options
from domstats.formats.registry import FORMATS
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.version import __version__
from domstats.wire.bulk.decoder import ReplyDecoder
from frames import HEADS, PREFIXES, TABLES, check_flat, check_whole, same, stuck_host, with_statuses
from strategies import snapshots

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
OTHER_UUID = "0d9f8a56-0000-4000-8000-00000000abcd"
TIME = 1_700_000_000.25
MOMENT = datetime(2023, 11, 14, 22, 13, 20, 250_000, UTC)
INT, UINT, LLONG, ULLONG, DOUBLE, BOOLEAN, STRING = ParamType


def host() -> Snapshot:
    """Two guests, one of them off, with every wire type."""
    on = [
        TypedParameter("state.state", INT, 1),
        TypedParameter("cpu.time", ULLONG, 2**64 - 1),
        TypedParameter("vcpu.current", UINT, 2),
        TypedParameter("vcpu.0.time", ULLONG, 2**63),
        TypedParameter("vcpu.0.blocking.cur", BOOLEAN, True),
        TypedParameter("vcpu.2.time", ULLONG, 7),
        TypedParameter("block.0.name", STRING, "vda"),
        TypedParameter("block.0.threshold", LLONG, -(2**63)),
        TypedParameter("vm.load", DOUBLE, 0.5),
    ]
    off = [TypedParameter("state.state", INT, -5)]
    guests = [(Domain("web-ü", UUID, 3), on), (Domain("off", OTHER_UUID, None), off)]
    return Snapshot.of_params(guests, time=TIME, source="qemu:///system")


def of_values(*values: tuple[ParamType, Any]) -> Snapshot:
    """A guest for each value of the key `key`."""
    return Snapshot.of_params(
        (Domain(f"vm{number}", f"{number:08}{UUID[8:]}", number), [TypedParameter("key", kind, value)])
        for number, (kind, value) in enumerate(values)
    )


class TestWhatIsThere:
    def test_the_domain_table(self) -> None:
        table = host().to_arrow("domain")
        assert [(field.name, str(field.type)) for field in table.schema] == [
            ("domain", "string"),
            ("uuid", "string"),
            ("id", "int32"),
            ("status", "string"),
            ("age", "double"),
            ("sampled", "timestamp[us, tz=UTC]"),
            ("state.state", "int32"),
            ("cpu.time", "uint64"),
            ("vcpu.current", "uint32"),
            ("vm.load", "double"),
        ]
        assert [list(row.values()) for row in table.to_pylist()] == [
            ["web-ü", UUID, 3, "fresh", 0.0, MOMENT, 1, 2**64 - 1, 2, 0.5],
            ["off", OTHER_UUID, None, "fresh", 0.0, MOMENT, -5, None, None, None],
        ]

    def test_a_table_of_devices(self) -> None:
        head = {"domain": "web-ü", "uuid": UUID, "id": 3}
        how = {"status": "fresh", "age": 0.0, "sampled": MOMENT}
        assert host().to_arrow("vcpu").to_pylist() == [
            {**head, "vcpu": 0, **how, "time": 2**63, "blocking.cur": True},
            {**head, "vcpu": 2, **how, "time": 7, "blocking.cur": None},
        ]
        (disk,) = host().to_arrow("block").to_pylist()
        assert list(disk) == [*HEADS["block"], "threshold"]
        assert disk == {**head, "block": 0, "name": "vda", **how, "threshold": -(2**63)}

    def test_everything_in_one_table(self) -> None:
        whole = host().to_arrow()
        assert whole.schema.names == [*host().to_arrow("domain").schema.names, *PREFIXES]
        on, off = whole.select(list(PREFIXES)).to_pylist()
        how = {"age": 0.0, "sampled": MOMENT}
        assert on["vcpu"] == [
            {"vcpu": 0, **how, "time": 2**63, "blocking.cur": True},
            {"vcpu": 2, **how, "time": 7, "blocking.cur": None},
        ]
        assert on["block"] == [{"block": 0, "name": "vda", **how, "threshold": -(2**63)}]
        assert on["interface"] == on["iothread"] == []
        assert off == {name: [] for name in PREFIXES}

    def test_no_domains(self) -> None:
        nothing = Snapshot.of_params([])
        for name in TABLES:
            assert nothing.to_arrow(name).num_rows == 0
            assert nothing.to_arrow(name).schema.names == [head for head in HEADS[name] if head != "name"]
        assert nothing.to_arrow().to_pylist() == []

    def test_what_is_said_of_a_column(self) -> None:
        fields = host().to_arrow("vcpu").schema
        assert fields.field("time").metadata == {
            b"type": b"ullong",
            b"field": b"vcpu.<id>.time",
            b"unit": b"ns",
            b"kind": b"counter",
            b"since": b"1.2.9",
            b"help": b"CPU time of the vCPU.",
        }
        assert fields.field("age").metadata == {
            b"unit": b"s",
            b"help": b"Time from the sample of the values to the poll.",
        }
        inner = host().to_arrow().schema.field("vcpu").type.value_type
        assert inner.field("time").metadata == fields.field("time").metadata

    def test_what_is_said_of_the_table(self) -> None:
        said = {b"domstats": __version__.encode(), b"time": b"1700000000.25", b"source": b"qemu:///system"}
        assert host().to_arrow("block").schema.metadata == {**said, b"table": b"block"}
        assert host().to_arrow().schema.metadata == {**said, b"table": b""}

    def test_an_unknown_table(self) -> None:
        with pytest.raises(errors.UnknownGroup, match="disks"):
            host().to_arrow("disks")


class TestColumnsOfSeveralTypes:
    @pytest.mark.parametrize(
        ("values", "held", "read"),
        [
            ([(INT, -1), (UINT, 2**32 - 1)], pa.int64(), [-1, 2**32 - 1]),
            ([(UINT, 5), (ULLONG, 2**64 - 1)], pa.uint64(), [5, 2**64 - 1]),
            ([(LLONG, -(2**63)), (UINT, 5), (INT, -3)], pa.int64(), [-(2**63), 5, -3]),
            ([(INT, -1), (ULLONG, 2**64 - 1)], pa.utf8(), ["-1", "18446744073709551615"]),
            ([(BOOLEAN, True), (ULLONG, 7), (BOOLEAN, False)], pa.utf8(), ["true", "7", "false"]),
            ([(DOUBLE, 0.1), (STRING, "x"), (LLONG, -2)], pa.utf8(), ["0.1", "x", "-2"]),
        ],
    )
    def test_they_lose_nothing(self, values: list[tuple[ParamType, Any]], held: Any, read: list[Any]) -> None:
        column = of_values(*values).to_arrow("domain")
        assert column.schema.field("key").type == held
        assert column["key"].to_pylist() == read
        labels = ",".join(kind.label for kind in sorted({kind for kind, _ in values}))
        assert column.schema.field("key").metadata == {b"type": labels.encode()}


class TestNames:
    def test_text_that_is_not_utf_8_keeps_its_bytes(self) -> None:
        params = [TypedParameter("a\udcff", STRING, "b\udcfe"), TypedParameter("x", STRING, "base64:YQ==")]
        table = Snapshot.of_params([(Domain("c\udcfd", UUID, 1), params)]).to_arrow("domain")
        (row,) = table.to_pylist()
        assert row["domain"] == "base64:Y/0="
        assert row["base64:Yf8="] == "base64:Yv4="
        assert row["x"] == "base64:YmFzZTY0OllRPT0="

    def test_a_key_named_as_what_is_said_of_rows(self) -> None:
        params = [TypedParameter(key, INT, number) for number, key in enumerate(["age", "uuid", "age_", "vcpu"])]
        snapshot = Snapshot.of_params([(Domain("vm", UUID, 1), params)])
        (row,) = snapshot.to_arrow("domain").to_pylist()
        assert (row["age"], row["age_"], row["uuid_"], row["age__"], row["vcpu"]) == (0.0, 0, 1, 2, 3)
        (row,) = snapshot.to_arrow().to_pylist()
        assert (row["vcpu"], row["vcpu_"]) == (3, [])


def check(snapshot: Snapshot) -> None:
    """Every table holds what the records hold, and nothing else."""
    for table in TABLES:
        check_flat(snapshot, table, snapshot.to_arrow(table))
    check_whole(snapshot, snapshot.to_arrow())


@given(snapshots())
def test_everything_can_be_read_back(snapshot: Snapshot) -> None:
    check(snapshot)


@pytest.mark.parametrize("name", FLAT)
def test_real_hosts_can_be_read_back(name: str) -> None:
    check(ReplyDecoder().decode(capture(name), time=TIME))


def test_a_host_with_a_guest_that_hangs(tmp_path: Path) -> None:
    snapshot = stuck_host(tmp_path)
    table = snapshot.to_arrow("vcpu").to_pylist()
    assert {row["age"] > 30.0 for row in table if row["status"] == "blocked"} == {True}
    assert {row["age"] < 5.0 for row in table if row["status"] == "fresh"} == {True}
    assert {row["domain"] for row in table if row["status"] == "blocked"} == {"build-1"}
    check(snapshot)


def test_every_status() -> None:
    snapshot = of_values(*((INT, number) for number in range(len(Status))))
    table = with_statuses(snapshot, list(Status), [0.0, 1.5, 2.0, 3.0, 4.0]).to_arrow("domain")
    assert table["status"].to_pylist() == ["fresh", "partial", "blocked", "stale", "gone"]
    assert table["age"].to_pylist() == [0.0, 1.5, 2.0, 3.0, 4.0]


def test_a_later_poll_changes_nothing_in_the_tables_of_an_earlier_one() -> None:
    decoder = ReplyDecoder()
    before = decoder.decode(capture(POLL1), time=TIME)
    tables = [before.to_arrow(table) for table in TABLES]
    written = [table.to_pylist() for table in tables]
    now = decoder.decode(capture(POLL2), time=TIME + 15.0)
    assert now.layout is before.layout
    later = [now.to_arrow(table).to_pylist() for table in TABLES]
    assert [table.to_pylist() for table in tables] == written
    assert later[1] != written[1]


class TestReaders:
    """Programs that know Arrow's C stream, and nothing of domstats."""

    def test_polars(self) -> None:
        cpus = pl.DataFrame(host().table("vcpu"))
        assert cpus.schema["time"] == pl.UInt64
        assert cpus["time"].to_list() == [2**63, 7]
        assert cpus["blocking.cur"].to_list() == [True, None]
        whole = pl.DataFrame(host())
        assert whole["cpu.time"].to_list() == [2**64 - 1, None]
        assert whole["vcpu"].list.len().to_list() == [2, 0]

    def test_pandas(self) -> None:
        cpus = pd.DataFrame.from_arrow(host().table("vcpu"))
        assert cpus["time"].tolist() == [2**63, 7]
        assert len(pd.DataFrame.from_arrow(host())) == 2

    def test_duckdb(self) -> None:
        block, everything = host().table("block"), host()
        assert duckdb.sql("select domain, block, name, threshold from block").fetchall() == [
            ("web-ü", 0, "vda", -(2**63))
        ]
        vcpus = duckdb.sql('select domain, unnest(vcpu, recursive := true) from everything order by "vcpu"')
        assert [row[-2] for row in vcpus.fetchall()] == [2**63, 7]
        assert len(everything) == len(block) + 1

    def test_pyarrow(self) -> None:
        assert pa.table(host().table("vcpu")).equals(host().to_arrow("vcpu"), check_metadata=True)
        assert pa.table(host()).equals(host().to_arrow(), check_metadata=True)

    def test_a_schema_that_is_asked_for(self) -> None:
        wanted = host().to_arrow("vcpu").schema
        at = wanted.get_field_index("id")
        wanted = wanted.set(at, wanted.field(at).with_type(pa.int64()))
        ids = pa.table(host().table("vcpu"), schema=wanted)["id"]
        assert (ids.type, ids.to_pylist()) == (pa.int64(), [3, 3])

    @pytest.mark.parametrize("table", TABLES)
    def test_real_guests_in_polars_and_duckdb(self, table: str) -> None:
        devices = ReplyDecoder().decode(capture(POLL1), time=TIME).table(table)
        columns, rows = frames.expected(devices.poll, table)  # type: ignore[arg-type]  # a snapshot is a poll
        assert len({name for _, name in columns}) == len(columns)
        assert same([list(row) for row in pl.DataFrame(devices).rows()], rows)
        read = duckdb.sql("from devices").fetchall()
        assert [list(row) for row in read] == rows


class TestStream:
    def test_it_is_the_table(self) -> None:
        for table in ("", *TABLES):
            encoded = arrow.encode(host(), Options(table=table))
            assert pa.ipc.open_stream(encoded).read_all().equals(host().to_arrow(table or None), check_metadata=True)

    def test_polars_reads_it(self) -> None:
        encoded = arrow.encode(host(), Options(table="vcpu"))
        assert pl.read_ipc_stream(encoded).equals(pl.DataFrame(host().table("vcpu")))

    def test_columns_and_rows_that_are_asked_for(self) -> None:
        options = Options(table="vcpu", columns=["time", "domain"], sort="-time", top=1)
        assert pa.ipc.open_stream(arrow.encode(host(), options)).read_all().to_pylist() == [
            {"time": 7, "domain": "web-ü"}
        ]
        options = Options(columns=["block", "uuid"], sort="domain")
        read = pa.ipc.open_stream(arrow.encode(host(), options)).read_all().to_pylist()
        assert [list(row) for row in read] == [["block", "uuid"], ["block", "uuid"]]
        assert [row["uuid"] for row in read] == [OTHER_UUID, UUID]

    @pytest.mark.parametrize(
        "options", [Options(table="vcpu", columns=["tim"]), Options(sort="tim"), Options(sort="vcpu")]
    )
    def test_unknown_columns(self, options: Options) -> None:
        with pytest.raises(errors.UnknownField):
            arrow.encode(host(), options)

    def test_an_unknown_table(self) -> None:
        with pytest.raises(errors.UnknownGroup):
            arrow.encode(host(), Options(table="disks"))


WITHOUT_PYARROW = """
import sys
sys.modules["pyarrow"] = None
import domstats
from domstats.formats.registry import FORMATS
with domstats.connect("sim:///?domains=3&time=1800000000") as host:
    snapshot = host.stats()
for form in FORMATS.values():
    try:
        print(form.name, len(form.encode(snapshot)) > 0)
    except domstats.errors.MissingExtra as error:
        print(form.name, isinstance(error, ImportError), error.package, error.extra, error)
for give in (snapshot.to_arrow, snapshot.table("block").to_arrow, snapshot.__arrow_c_stream__):
    try:
        give()
    except domstats.errors.MissingExtra:
        print("missing")
"""
MISSING = "this needs pyarrow, which is not installed: pip install 'domstats[arrow]'"


class TestWithoutPyarrow:
    def test_the_other_formats_work_and_these_say_what_is_missing(self) -> None:
        command = [sys.executable, "-c", WITHOUT_PYARROW]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        others = [f"{name} True" for name in FORMATS if name not in ("arrow", "parquet")]
        those = [f"{name} True pyarrow arrow {MISSING}" for name in ("arrow", "parquet")]
        assert sorted(done.stdout.splitlines()) == sorted([*others, *those, "missing", "missing", "missing"])

    async def test_the_command_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['pyarrow'] = None\n", encoding="utf-8")
        path = ":".join([str(tmp_path), *sys.path])
        ended = await domstats("get", "-c", "sim:///?domains=3", "-f", "parquet", PYTHONPATH=path)
        assert (ended.code, ended.out, ended.message) == (2, b"", MISSING)

    def test_nothing_else_loads_it(self) -> None:
        code = (
            "import sys, domstats; from domstats.formats.registry import FORMATS\n"
            "with domstats.connect('sim:///?domains=3') as host: snapshot = host.stats()\n"
            "[form.encode(snapshot) for form in FORMATS.values() if form.name not in ('arrow', 'parquet')]\n"
            "print('pyarrow' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout == "False\n"


async def test_the_command_writes_a_stream() -> None:
    ended = await domstats("get", "-c", "sim:///?domains=3&time=1800000000", "-f", "arrow")
    assert (ended.code, ended.err) == (0, "")
    assert pa.ipc.open_stream(ended.out).read_all().num_rows == 3
