"""Columns and tables against the records they are made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from captures import CAPTURES, capture
from domstats.errors import MixedTypes, UnknownField, UnknownGroup
from domstats.model.columns import COLUMNS_MAX, DTYPES
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.snapshot import Snapshot
from domstats.model.tables import TABLES, device_key
from domstats.wire.bulk.decoder import ReplyDecoder
from strategies import hosts

P, T = TypedParameter, ParamType


def host(*records: list[TypedParameter]) -> Snapshot:
    return Snapshot.of_params(
        (Domain(f"vm{number}", f"00000000-0000-0000-0000-{number:012}", number), params)
        for number, params in enumerate(records)
    )


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (T.INT, -5),
        (T.UINT, 2**32 - 1),
        (T.LLONG, -(2**63)),
        (T.ULLONG, 2**64 - 1),
        (T.DOUBLE, 0.25),
        (T.BOOLEAN, True),
        (T.STRING, "text"),
    ],
)
def test_a_column_has_its_wire_types_dtype(kind: ParamType, value: object) -> None:
    values, valid = host([P("x", kind, value)], [P("y", kind, value)]).column("x")  # type: ignore[arg-type]
    assert values.dtype == DTYPES[kind]
    assert values[0] == value
    assert not values[1]
    assert valid.tolist() == [True, False]


def test_mixed_types_are_named() -> None:
    with pytest.raises(MixedTypes, match="column 'x' mixes the types int, string") as caught:
        host([P("x", T.INT, 1)], [P("x", T.STRING, "1")]).column("x")
    assert caught.value.types == ("int", "string")


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(UnknownField, match="no value 'nothing' in any domain"):
        host([P("x", T.INT, 1)]).column("nothing")


def test_a_column_by_device_name_and_by_the_proposals_key() -> None:
    snapshot = host(
        [P("block.0.name", T.STRING, "vda"), P("block.0.rd.bytes", T.ULLONG, 1), P("vcpu.current", T.UINT, 4)],
        [P("block.0.name", T.STRING, "sda"), P("block.1.name", T.STRING, "vda"), P("block.1.rd.bytes", T.ULLONG, 2)],
    )
    values, valid = snapshot.column("block[vda].rd.bytes")
    assert values.tolist() == [1, 2]
    assert valid.all()
    assert snapshot.column("cpu.online")[0].tolist() == [4, 0]


def test_a_column_costs_nothing_where_there_is_nothing() -> None:
    with pytest.raises(UnknownField):
        host().column("x")
    assert len(host().table("block")) == 0
    assert len(host([]).table("domain")) == 1


@pytest.mark.parametrize("name", CAPTURES)
def test_columns_of_a_real_host_hold_what_its_records_hold(name: str) -> None:
    snapshot = ReplyDecoder().decode(capture(name))
    for key in (
        "vcpu.0.l1d_flush.sum",
        "state.state",
        "cpu.time",
        "vcpu.1.time",
        "block.1.path",
        "vcpu.0.guest_mode.cur",
        "balloon.rss",
    ):
        if not any(key in record for record in snapshot):
            with pytest.raises(UnknownField):
                snapshot.column(key)
            continue
        values, valid = snapshot.column(key)
        assert [value if there else None for value, there in zip(values.tolist(), valid.tolist(), strict=True)] == [
            record.get(key) for record in snapshot
        ]


@given(hosts)
def test_tables_hold_every_value_once(content: list[tuple[Domain, list[TypedParameter]]]) -> None:
    snapshot = Snapshot.of_params(content)
    found: list[tuple[int, str, str]] = []
    for name in TABLES:
        table = snapshot.table(name)
        assert len(table.record) == len(table.device) == len(table)
        for column in table:
            try:
                values, valid = table[column]
            except MixedTypes:
                gather = table.gather(column)
                found += [(int(gather.records[row]), name, column) for row in np.flatnonzero(gather.valid)]
                continue
            for row in np.flatnonzero(valid):
                record = snapshot.records[int(table.record[row])]
                prefix = TABLES[name]
                wanted = [
                    record[key]
                    for key in record
                    if device_key(key) == (name, int(table.device[row]) if prefix else 0, column)
                ]
                value = values[row].item() if values.dtype != object else values[row]
                assert repr(value) in map(repr, wanted)
                found.append((int(table.record[row]), name, column))
    held = {(position, *device_key(key)) for position, record in enumerate(snapshot) for key in record}
    assert len(found) == len(held)


def test_a_table_has_a_row_a_device() -> None:
    snapshot = host(
        [P("vcpu.current", T.UINT, 2), P("vcpu.0.time", T.ULLONG, 5), P("vcpu.3.time", T.ULLONG, 6)],
        [],
        [P("vcpu.0.time", T.ULLONG, 7), P("vcpu.0.wait", T.ULLONG, 8), P("net.0.name", T.STRING, "vnet0")],
    )
    table = snapshot.table("vcpu")
    assert len(table) == 3
    assert table.record.tolist() == [0, 0, 2]
    assert table.device.tolist() == [0, 3, 0]
    assert table.columns == ("time", "wait")
    assert table["time"][0].tolist() == [5, 6, 7]
    assert table["wait"][1].tolist() == [False, False, True]
    assert snapshot.table("interface")["name"][0].tolist() == ["vnet0"]
    assert snapshot.table("domain").record.tolist() == [0, 1, 2]
    assert snapshot.table("domain")["vcpu.current"][0].tolist() == [2, 0, 0]
    assert "rd.bytes" not in table
    with pytest.raises(UnknownField, match=r"no value 'rd.bytes' in table 'vcpu'"):
        table["rd.bytes"]
    with pytest.raises(UnknownGroup):
        snapshot.table("disks")


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("block.0.rd.bytes", ("block", 0, "rd.bytes")),
        ("net.12.name", ("interface", 12, "name")),
        ("iothread.1.poll-max-ns", ("iothread", 1, "poll-max-ns")),
        ("vcpu.4294967295.time", ("vcpu", 4294967295, "time")),
        ("vcpu.4294967296.time", ("domain", 0, "vcpu.4294967296.time")),
        ("block.count", ("domain", 0, "block.count")),
        ("block.0", ("domain", 0, "block.0")),
        ("block.²x.y", ("domain", 0, "block.²x.y")),
        ("vcpu." + "9" * 5000 + ".time", ("domain", 0, "vcpu." + "9" * 5000 + ".time")),
        ("", ("domain", 0, "")),
    ],
)
def test_which_table_a_key_belongs_to(key: str, place: tuple[str, int, str]) -> None:
    assert device_key(key) == place


def test_of_a_layout_so_many_columns_are_kept() -> None:
    """It may live for weeks, and be asked for any name."""
    snapshot = host([P(f"x.{at}", T.INT, at) for at in range(COLUMNS_MAX + 9)])
    for at in range(COLUMNS_MAX + 9):
        assert snapshot.column(f"x.{at}")[0].tolist() == [at]
    assert len(snapshot.layout.derived["columns"]) == 9
    assert snapshot.column("x.0")[0].tolist() == [0]
