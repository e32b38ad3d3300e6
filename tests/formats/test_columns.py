"""columns: what the columns of the tables for people are called, and what must be asked for them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.catalog.fields import FIELDS
from domstats.errors import UnknownColumn, UnknownGroup
from domstats.formats.columns import check, column_field, needs, plain_key, unknown
from domstats.formats.named import COLUMNS, DOMAIN_GROUPS
from domstats.formats.options import Options
from domstats.model.domain import Domain
from domstats.model.flags import StatsGroup
from domstats.model.names import resolve
from domstats.model.params import ParamType, TypedParameter
from domstats.model.snapshot import Snapshot
from domstats.model.tables import TABLES
from strategies import texts

STATE, CPU, BALLOON, VCPU = StatsGroup.STATE, StatsGroup.CPU, StatsGroup.BALLOON, StatsGroup.VCPU
NET, BLOCK, PERF, IOTHREAD = StatsGroup.INTERFACE, StatsGroup.BLOCK, StatsGroup.PERF, StatsGroup.IOTHREAD
RATES = CPU | VCPU | BLOCK | NET


def test_every_table_has_columns_for_people() -> None:
    assert {name: f"{columns.prefix}." if columns.prefix else "" for name, columns in COLUMNS.items()} == TABLES


@pytest.mark.parametrize("table", COLUMNS)
def test_every_word_means_one_column(table: str) -> None:
    words = [each.name for each in COLUMNS[table].named]
    assert len(set(words)) == len(words)
    assert not COLUMNS[table].busiest or COLUMNS[table].busiest in words
    for word in words:
        assert COLUMNS[table].find(word.upper()) is COLUMNS[table].find(word)


@pytest.mark.parametrize("table", COLUMNS)
def test_every_word_has_a_meaning(table: str) -> None:
    for each in COLUMNS[table].named:
        assert bool(each.help) != bool(each.key)
        assert each.help or column_field(COLUMNS[table], each.key), each.name


@pytest.mark.parametrize(
    ("options", "groups", "rates"),
    [
        (Options(), DOMAIN_GROUPS, RATES),
        (Options(table="domain", top=3), RATES | STATE | BALLOON, RATES),
        (Options(columns=["name", "state"]), STATE, 0),
        (Options(columns=["name", "age", "uuid"]), STATE, 0),
        (Options(columns=["name", "mem"]), BALLOON, 0),
        (Options(columns=["name"], sort="-steal"), VCPU, VCPU),
        (Options(columns=["name", "vcpus"], sort="cpu"), VCPU | CPU, CPU),
        (Options(columns=["vcpu.current", "balloon.rss", "net.0.rx.pkts"]), VCPU | BALLOON | NET, NET),
        (Options(columns=["block[vda].capacity"]), BLOCK, 0),
        (Options(columns=["block[a.b]c].wr.bytes"]), BLOCK, BLOCK),
        (Options(columns=["cpu.online"]), VCPU, 0),
        (Options(columns=["cpu.0.time", "cpu.0.state"]), VCPU, VCPU),
        (Options(columns=["cpu.time"]), CPU, CPU),
        (Options(columns=["perf.cmt"], sort="perf.cache_misses"), PERF, PERF),
        (Options(columns=["block.0.news"]), BLOCK, 0),
        (Options(columns=["name", "cpu", "news.of.libvirt"]), 0, CPU),
        (Options(table="vcpu"), VCPU, VCPU),
        (Options(table="vcpu", columns=["domain", "status"]), VCPU, 0),
        (Options(table="block", columns=["disk", "capacity"]), BLOCK, 0),
        (Options(table="block", columns=["disk", "capacity"], sort="rd.reqs"), BLOCK, BLOCK),
        (Options(table="interface", columns=["domain", "rx"]), NET, NET),
        (Options(table="iothread"), IOTHREAD, 0),
    ],
    ids=str,
)
def test_what_must_be_asked_for(options: Options, groups: int, rates: int) -> None:
    needed = needs(options)
    assert (needed.groups, needed.rates) == (groups, rates)


KEYS = ("block.0.rd.bytes", "block.0.name", "net.0.rx.bytes", "net.0.name", "vcpu.0.time", "vcpu.0.state",
        "vcpu.current")  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["block[vda].rd.bytes", "net[a]b].rx.bytes", "cpu.0.time", "cpu.0.state", "cpu.online", *KEYS],
)
def test_a_key_of_the_same_field_as_another_name(name: str) -> None:
    strings = {"block.0.name": "vda", "net.0.name": "a]b"}
    params = [
        TypedParameter(key, *((ParamType.STRING, strings[key]) if key in strings else (ParamType.INT, 1)))
        for key in KEYS
    ]
    record = Snapshot.of_params([(Domain("vm", "", 1), params)]).layout.records[0]
    found = resolve(record, name)
    slot = record.shape.slots[name] if found is None else found[0]
    assert record.shape.keys[slot] == plain_key(name)


@pytest.mark.parametrize(
    ("options", "column", "near"),
    [
        (Options(columns=["name", "stael"]), "stael", ("steal", "state")),
        (Options(sort="stael"), "stael", ("steal", "state")),
        (Options(sort="-stael"), "stael", ("steal", "state")),
        (Options(columns=["name", ""]), "", ()),
        (Options(sort="-"), "", ()),
        (Options(columns=["quux"]), "quux", ()),
        (Options(table="block", columns=["capacitee"]), "capacitee", ("capacity",)),
        (Options(table="vcpu", columns=["tiem"]), "tiem", ("time",)),
    ],
    ids=str,
)
def test_a_word_that_is_no_column(options: Options, column: str, near: Sequence[str]) -> None:
    with pytest.raises(UnknownColumn) as caught:
        check(options)
    assert (caught.value.column, caught.value.near) == (column, near)
    words = near or [each.name for each in COLUMNS[options.table or "domain"].named]
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("table", "name", "near"),
    [
        ("", "vcpu.curent", "vcpu.current"),
        ("", "block[vda].capcity", "block.<i>.capacity"),
        ("", "net.12.rx.pkt", "net.<i>.rx.pkts"),
        ("", "ballon.rss", "balloon.rss"),
        ("block", "rd.bytse", "rd.bytes"),
        ("interface", "rx.dropp", "rx.drop"),
    ],
)
def test_a_key_that_was_mistyped(table: str, name: str, near: str) -> None:
    error = unknown(table, name)
    assert error.near[0] == near
    assert f"{name!r}; do you mean {near}" in str(error)


def test_keys_are_for_the_records_to_know() -> None:
    for key in ("news.of.libvirt", "net[x].y", *(field.pattern for field in FIELDS)):
        check(Options(columns=[key], sort=f"-{key}"))
    check(Options(table="block", columns=["news"]))
    check(Options(table="block", columns=["rd.reqs", "allocation", "limits.iov_max", "name"]))
    check(Options(table="iothread", columns=["poll-grow"]))


def test_a_table_that_does_not_exist() -> None:
    for ask in (check, needs):
        with pytest.raises(UnknownGroup):
            ask(Options(table="floppy"))


@given(st.sampled_from(["", *COLUMNS]), st.one_of(texts, st.text("cpu.[]0123", max_size=9)))
def test_any_name(table: str, name: str) -> None:
    assert needs(Options(table=table, columns=[name])).groups < 1 << 11
    assert name == unknown(table, name).column
    with suppress(UnknownColumn):
        check(Options(table=table, columns=[name]))
