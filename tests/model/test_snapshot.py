"""Snapshots and records: what is put in comes out."""

from __future__ import annotations

import copy
import math
import pickle
import tracemalloc
import uuid
from dataclasses import replace

import pytest
from hypothesis import given

from captures import POLL1, POLL2, capture
from domstats.errors import UnknownDomain, UnknownField
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from strategies import hosts

WEB = Domain("web", "00000000-0000-0000-0000-000000000001", 7)
OFF = Domain("off", "00000000-0000-0000-0000-000000000002", None)
P = TypedParameter
T = ParamType

WEB_PARAMS = [
    P("state.state", T.INT, 3),
    P("cpu.time", T.ULLONG, 2**64 - 1),
    P("vcpu.current", T.UINT, 2**32 - 1),
    P("vcpu.0.state", T.INT, 1),
    P("vcpu.0.time", T.ULLONG, 10001231231),
    P("vcpu.0.halted", T.BOOLEAN, True),
    P("net.0.name", T.STRING, "vnet[0]"),
    P("net.0.rx.bytes", T.ULLONG, 5),
    P("block.count", T.UINT, 3),
    P("block.0.name", T.STRING, "vda"),
    P("block.0.rd.bytes", T.ULLONG, 1),
    P("block.1.name", T.STRING, "vda"),
    P("block.1.path", T.STRING, "/backing"),
    P("block.2.name", T.STRING, "vdb"),
    P("block.2.rd.bytes", T.ULLONG, 3),
    P("dirtyrate.megabytes_per_second", T.LLONG, -(2**63)),
    P("block.2.timed_group.0.rd_queue_depth_avg", T.DOUBLE, 0.5),
    P("future.thing", T.ULLONG, 9),
]


@pytest.fixture
def snapshot() -> Snapshot:
    return Snapshot.of_params(
        [(WEB, WEB_PARAMS), (OFF, [P("state.state", T.INT, 5)])], time=1000.0, source="test:", host_cpus=8
    )


@pytest.mark.parametrize("param", WEB_PARAMS, ids=lambda param: param.name)
def test_every_type_comes_out_as_it_went_in(snapshot: Snapshot, param: TypedParameter) -> None:
    value = snapshot["web"][param.name]
    assert value == param.value
    assert type(value) is type(param.value)
    assert snapshot["web"].type_of(param.name) is param.type


@given(hosts)
def test_any_record_comes_out_as_it_went_in(content: list[tuple[Domain, list[TypedParameter]]]) -> None:
    snapshot = Snapshot.of_params(content)
    assert [record.domain for record in snapshot] == [domain for domain, _ in content]
    for record, (_, params) in zip(snapshot, content, strict=True):
        assert [repr(param) for param in record.params] == [repr(param) for param in params]
        last = {param.name: param.value for param in params}
        assert repr(dict(record.items())) == repr(last)
        assert list(record) == record.keys() == list(last)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (T.INT, 2**31),
        (T.INT, -(2**31) - 1),
        (T.UINT, -1),
        (T.UINT, 2**32),
        (T.LLONG, 2**63),
        (T.ULLONG, 2**64),
        (T.ULLONG, -1),
        (T.BOOLEAN, 2),
    ],
)
def test_an_integer_that_does_not_fit_is_refused(kind: ParamType, value: int) -> None:
    with pytest.raises(OverflowError, match=f"x={value} does not fit type {kind.label}"):
        Snapshot.of_params([(WEB, [P("x", kind, value)])])


def test_devices_by_name(snapshot: Snapshot) -> None:
    web = snapshot["web"]
    assert web["block[vda].rd.bytes"] == 1
    assert web["block[vdb].rd.bytes"] == 3
    assert web["net[vnet[0]].rx.bytes"] == 5
    assert web.get("block[vda].path") is None, "the topmost vda has no path"
    for wrong in (
        "block[vdc].rd.bytes",
        "block[vda.rd.bytes",
        "block[].rd.bytes",
        "[vda]",
        "block[vda]",
        "cpu[0].time",
    ):
        with pytest.raises(UnknownField):
            web[wrong]


def test_the_proposals_keys(snapshot: Snapshot) -> None:
    web = snapshot["web"]
    assert web["state"] == "paused"
    assert web["cpu.0.state"] == "running"
    assert web["cpu.0.time"] == 10001231231
    assert web["cpu.online"] == 2**32 - 1
    assert snapshot["off"]["state"] == "shutoff"
    assert not {"state", "cpu.online", "cpu.0.time"} & set(web)
    assert "state" in web
    assert "cpu.1.time" not in web
    assert 5 not in web
    assert web.get(None) is None  # type: ignore[arg-type]
    with pytest.raises(UnknownField, match=r"no value 'cpu.1.time' in domain 'web'"):
        web["cpu.1.time"]


def test_a_real_key_wins_over_the_proposals(snapshot: Snapshot) -> None:
    real = Snapshot.of_params([(WEB, [P("state", T.STRING, "mine"), P("state.state", T.INT, 1)])])
    assert real["web"]["state"] == "mine"


def test_missing_is_missing(snapshot: Snapshot) -> None:
    off = snapshot["off"]
    assert off.get("cpu.time") is None
    assert off.get("cpu.time", 5) == 5
    assert "cpu.time" not in off
    with pytest.raises(KeyError):
        off["cpu.time"]


def test_the_tree(snapshot: Snapshot) -> None:
    tree = snapshot["web"].tree()
    assert tree["vcpu"][0]["time"] == 10001231231
    assert tree["vcpu"]["current"] == 2**32 - 1
    assert tree["block"][2]["rd"]["bytes"] == 3
    assert tree["state"] == {"state": 3}


@pytest.mark.parametrize(
    "names",
    [["a", "a.b"], ["a.b", "a"], ["a", "a..b"], ["a..b", "a"], ["a..b", "a", "a."], ["", "."], ["a.00", "a.0", "a.²"]],
)
def test_the_tree_loses_no_value(names: list[str]) -> None:
    params = [P(name, T.INT, number) for number, name in enumerate(names)]
    found: list[int] = []
    todo = [Snapshot.of_params([(WEB, params)])["web"].tree()]
    while todo:
        for value in todo.pop().values():
            (todo if isinstance(value, dict) else found).append(value)  # type: ignore[attr-defined]
    assert sorted(found) == list(range(len(names)))


def test_looking_up_domains(snapshot: Snapshot) -> None:
    assert len(snapshot) == 2
    assert snapshot[7].domain == snapshot[uuid.UUID(WEB.uuid)].domain == snapshot[WEB.uuid.upper()].domain == WEB
    assert "web" in snapshot
    assert 7 in snapshot
    assert "nobody" not in snapshot
    assert [] not in snapshot
    assert snapshot.domains == [WEB, OFF]
    assert snapshot.records[1].domain == OFF
    assert snapshot.records[-1].domain == OFF
    assert [record.domain for record in snapshot.records[:1]] == [WEB]
    with pytest.raises(IndexError):
        snapshot.records[2]
    with pytest.raises(UnknownDomain):
        snapshot[8]


def test_it_cannot_be_changed(snapshot: Snapshot) -> None:
    with pytest.raises(ValueError, match="read-only"):
        snapshot.values[0] = 1


def test_status_and_ages(snapshot: Snapshot) -> None:
    web = snapshot["web"]
    assert web.status is Status.FRESH
    assert web.age == 0.0
    assert web.ages == dict.fromkeys(["state", "cpu", "vcpu", "interface", "block", "dirtyrate", "other"], 0.0)
    assert web.sources["cpu"] == "test:"
    times = snapshot.sampling.times.copy()
    times[0, 1] = 990.0
    times[0, 3] = math.nan
    status = snapshot.sampling.status.copy()
    status[0] = Status.BLOCKED
    older = Snapshot(
        snapshot.layout, snapshot.values, 1000.0, replace(snapshot.sampling, status=status, times=times), 8
    )
    assert older["web"].ages["cpu"] == 10.0
    assert "vcpu" not in older["web"].ages
    assert older["web"].age == 10.0
    assert [record.domain.name for record in older.problems] == ["web"]
    assert older.problems[0].status.label == "blocked"


def test_a_snapshot_of_the_same_layout_takes_at_most_10_bytes_a_value() -> None:
    decoder, later = ReplyDecoder(), capture(POLL2)
    first = decoder.decode(capture(POLL1))
    tracemalloc.start()
    second = decoder.decode(later)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert second.layout is first.layout
    assert taken <= 10 * first.layout.size


def test_captured_names_and_values() -> None:
    snapshot = ReplyDecoder().decode(capture(POLL1))
    record = snapshot["web-ü-0"]
    assert record["cpu.haltpoll.fail.time"] == 1313
    assert record["vcpu.0.guest_mode.cur"] is False
    assert record["state"] == "running"


def test_snapshots_travel_between_processes(snapshot: Snapshot) -> None:
    for there in (pickle.loads(pickle.dumps(snapshot)), copy.deepcopy(snapshot)):
        assert [record.params for record in there] == [record.params for record in snapshot]
        assert there["web"].status is Status.FRESH
        assert there.layout.records[0].shape is snapshot.layout.records[0].shape


def test_a_record_is_a_mapping(snapshot: Snapshot) -> None:
    web = snapshot["web"]
    assert dict(web) == dict(web.items()) == dict(zip(web.keys(), web.values(), strict=True))
    assert Snapshot.of_params([(OFF, [])])["off"]
