"""parquet: files read back by pyarrow, polars and DuckDB."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from pyarrow import parquet as reader

from captures import FLAT, POLL1, capture
from command import domstats
from domstats import errors
from domstats.formats import parquet
from domstats.formats.options import Options
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from frames import TABLES, expected, same, stuck_host
from strategies import snapshots

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
TIME = 1_700_000_000.25


def read(snapshot: Snapshot, options: Options) -> Any:
    """The file as pyarrow reads it."""
    return reader.read_table(io.BytesIO(parquet.encode(snapshot, options)))


def check(snapshot: Snapshot) -> None:
    """Every file holds the table that arrow makes, with what is said of it."""
    for table in ("", *TABLES):
        found, made = read(snapshot, Options(table=table)), snapshot.to_arrow(table or None)
        assert found.schema.names == made.schema.names
        assert same(found.to_pylist(), made.to_pylist())
        assert found.schema.metadata == made.schema.metadata
        for one, other in zip(found.schema, made.schema, strict=True):
            known = dict(one.metadata)
            known.pop(b"PARQUET:field_id", None)
            assert known == other.metadata


@given(snapshots())
def test_everything_can_be_read_back(snapshot: Snapshot) -> None:
    check(snapshot)


@pytest.mark.parametrize("name", FLAT)
def test_real_hosts_can_be_read_back(name: str) -> None:
    check(ReplyDecoder().decode(capture(name), time=TIME))


def test_a_host_with_a_guest_that_hangs(tmp_path: Path) -> None:
    check(stuck_host(tmp_path))


@pytest.mark.parametrize("table", TABLES)
def test_polars_and_duckdb_read_the_tables(table: str, tmp_path: Path) -> None:
    snapshot = ReplyDecoder().decode(capture(POLL1), time=TIME)
    file = tmp_path / "file.parquet"
    file.write_bytes(parquet.encode(snapshot, Options(table=table)))
    _, rows = expected(snapshot, table)
    assert same([list(row) for row in pl.read_parquet(file).rows()], rows)
    assert same([list(row) for row in duckdb.sql(f"from '{file}'").fetchall()], rows)


def test_polars_and_duckdb_read_everything(tmp_path: Path) -> None:
    snapshot = ReplyDecoder().decode(capture(POLL1), time=TIME)
    file = tmp_path / "file.parquet"
    file.write_bytes(parquet.encode(snapshot))
    _, rows = expected(snapshot, "block")
    disks = pl.read_parquet(file).select("domain", "block").explode("block", empty_as_null=False).unnest("block")
    assert [(row[0], *row[3:5]) for row in rows] == disks.select("domain", disks.columns[1], "name").rows()
    read_bytes = disks["rd.bytes"].to_list()
    found = duckdb.sql(f"select unnest(block, recursive := true) from '{file}'").pl()
    assert found["rd.bytes"].to_list() == read_bytes
    assert read_bytes == snapshot.to_arrow("block")["rd.bytes"].to_pylist()


def test_the_largest_counter_survives() -> None:
    params = [
        TypedParameter("cpu.time", ParamType.ULLONG, 2**64 - 1),
        TypedParameter("x", ParamType.DOUBLE, float("nan")),
    ]
    snapshot = Snapshot.of_params([(Domain("vm", UUID, 1), params), (Domain("off", UUID[::-1], None), [])])
    encoded = parquet.encode(snapshot, Options(table="domain", columns=["cpu.time", "x"]))
    assert pl.read_parquet(encoded)["cpu.time"].to_list() == [2**64 - 1, None]
    assert repr(read(snapshot, Options(table="domain"))["x"].to_pylist()) == "[nan, None]"


def test_how_it_is_written() -> None:
    encoded = parquet.encode(ReplyDecoder().decode(capture(POLL1), time=TIME))
    group = reader.ParquetFile(io.BytesIO(encoded)).metadata.row_group(0)
    columns = {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    for path in ("cpu.time", "vcpu.list.element.time", "block.list.element.rd.bytes"):
        assert "DELTA_BINARY_PACKED" in columns[path].encodings
    assert columns["block.list.element.name"].has_dictionary_page
    assert not columns["state.state"].has_dictionary_page


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (Options(table="disks"), errors.UnknownGroup),
        (Options(table="vcpu", columns=["tim"]), errors.UnknownField),
        (Options(columns=["tim"]), errors.UnknownField),
        (Options(sort="tim"), errors.UnknownField),
    ],
)
def test_what_does_not_exist(options: Options, error: type[Exception]) -> None:
    snapshot = Snapshot.of_params([(Domain("vm", UUID, 1), [])])
    with pytest.raises(error):
        parquet.encode(snapshot, options)


async def test_the_command_writes_a_file() -> None:
    ended = await domstats("get", "-c", "sim:///?domains=3&time=1800000000", "-f", "parquet")
    assert (ended.code, ended.err) == (0, "")
    assert pl.read_parquet(ended.out)["status"].to_list() == ["fresh"] * 3
