"""table: a line a vCPU, interface, disk or I/O thread of every domain."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captures import POLL1, POLL2, capture
from domstats.errors import UnknownColumn
from domstats.formats import table
from domstats.formats.named import COLUMNS
from domstats.formats.options import Options
from domstats.formats.table.cells import bytes_text
from domstats.formats.text import HOSTILE, width
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter, Value
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from strategies import hosts

UUID = "-0000-4000-8000-000000000000"
DEVICES = [name for name in COLUMNS if name != "domain"]
MS = 10**6


def snapshot_of(host: dict[str, dict[str, Value]], time: float = 100.0) -> Snapshot:
    types = {str: ParamType.STRING, int: ParamType.ULLONG}
    return Snapshot.of_params(
        [
            (
                Domain(name, f"{number:08x}{UUID}", number),
                [TypedParameter(key, types[type(value)], value) for key, value in params.items()],
            )
            for number, (name, params) in enumerate(host.items(), start=1)
        ],
        time=time,
    )


def shown(snapshot: Snapshot, name: str, **options: Any) -> list[list[str]]:
    """The headings and cells of a table."""
    text = table.encode(snapshot, Options(table=name, **options)).decode()
    return [re.split(" {2,}", line.strip()) for line in text.splitlines()]


def disks(seconds: int, capacity: int = 10 * 1024**3) -> dict[str, Value]:
    """Two disks: one busy, and one with nothing but a name."""
    return {
        "block.0.name": "vda",
        "block.0.rd.reqs": seconds * 200,
        "block.0.rd.bytes": seconds * 200 * 4096,
        "block.0.rd.times": seconds * 200 * 3 * MS,
        "block.0.wr.reqs": seconds * 5,
        "block.0.wr.bytes": seconds * 5 * 512,
        "block.0.wr.times": seconds * 5 * MS // 4,
        "block.0.allocation": 3 * 1024**2,
        "block.0.capacity": capacity,
        "block.1.name": "sda",
    }


def test_disks() -> None:
    now, before = snapshot_of({"vm": disks(20)}), snapshot_of({"vm": disks(10)}, time=90.0)
    assert shown(now, "block", before=before) == [
        ["domain", "disk", "read/s", "write/s", "reads/s", "writes/s", "rd time", "wr time", "allocation", "capacity",
         "status", "age"],
        ["vm", "vda", "800.0KiB", "2.5KiB", "200", "5.0", "3.0ms", "250.0us", "3.0MiB", "10.0GiB", "fresh", "0s"],
        ["vm", "sda", *["-"] * 8, "fresh", "0s"],
    ]  # fmt: skip


def test_without_an_earlier_snapshot_counters_are_totals() -> None:
    headings, first, _ = shown(snapshot_of({"vm": disks(10)}), "block")
    assert headings == ["domain", "disk", "read", "write", "reads", "writes", "allocation", "capacity", "status", "age"]
    assert first == ["vm", "vda", "7.8MiB", "25.0KiB", "2000", "50", "3.0MiB", "10.0GiB", "fresh", "0s"]


def test_images_below_a_disk_have_its_name_and_their_number() -> None:
    chain: dict[str, Value] = {}
    for number, (name, index) in enumerate([("vda", 1), ("vda", 3), ("vda", 4), ("vdb", 2)]):
        chain |= {f"block.{number}.name": name, f"block.{number}.backingIndex": index}
    rows = shown(snapshot_of({"a": chain, "b": chain}), "block", columns=["disk"])
    assert rows == [["disk"], *[["vda"], ["vda[3]"], ["vda[4]"], ["vdb"]] * 2]


def test_interfaces() -> None:
    def nic(seconds: int) -> dict[str, Value]:
        counts = {"rx.bytes": 2048, "tx.bytes": 10, "rx.pkts": 3, "tx.pkts": 1500, "rx.drop": 1, "tx.drop": 0,
                  "rx.errs": 0, "tx.errs": 2}  # fmt: skip
        return {"net.2.name": "vnet5"} | {f"net.2.{key}": seconds * each for key, each in counts.items()}

    now, before = snapshot_of({"vm": nic(20)}), snapshot_of({"vm": nic(10)}, time=90.0)
    headings, row = shown(now, "interface", before=before)
    assert headings == ["domain", "interface", *(f"{way} {what}/s".replace(" bytes", "") for what in
                        ("bytes", "pkts", "drop", "errs") for way in ("rx", "tx")), "status", "age"]  # fmt: skip
    assert row == ["vm", "vnet5", "2.0KiB", "10B", "3.0", "1.5k", "1.0", "0", "0", "2.0", "fresh", "0s"]


def test_vcpus() -> None:
    def vcpus(seconds: int) -> dict[str, Value]:
        return {
            "vcpu.0.state": 1, "vcpu.0.time": seconds * 500 * MS, "vcpu.0.delay": seconds * 20 * MS,
            "vcpu.0.wait": seconds * 10 * MS, "vcpu.2.state": 0,
        }  # fmt: skip

    now, before = snapshot_of({"vm": vcpus(20)}), snapshot_of({"vm": vcpus(10)}, time=90.0)
    assert shown(now, "vcpu", before=before) == [
        ["domain", "vcpu", "state", "cpu %", "steal %", "wait %", "status", "age"],
        ["vm", "0", "running", "50.0", "2.0", "1.0", "fresh", "0s"],
        ["vm", "2", "offline", "-", "-", "-", "fresh", "0s"],
    ]


def test_iothreads() -> None:
    threads: dict[str, Value] = {}
    for number in (10, 2):
        threads |= {f"iothread.{number}.poll-max-ns": 32768, f"iothread.{number}.poll-grow": number}
    assert shown(snapshot_of({"vm": threads}), "iothread") == [
        ["domain", "iothread", "poll max", "grow", "shrink", "weight", "status", "age"],
        ["vm", "2", "32.8us", "2", "-", "-", "fresh", "0s"],
        ["vm", "10", "32.8us", "10", "-", "-", "fresh", "0s"],
    ]


def test_every_key_of_a_device_is_a_column() -> None:
    snapshot = snapshot_of({"vm": disks(1) | {"block.0.news": 7, "block.1.threshold": 2048}})
    assert shown(snapshot, "block", columns=["id", "uuid", "device", "name", "news", "threshold", "rd.times"]) == [
        ["id", "uuid", "device", "name", "news", "threshold", "rd.times"],
        ["1", f"00000001{UUID}", "0", "vda", "7", "-", "600.0ms"],
        ["1", f"00000001{UUID}", "1", "sda", "-", "2.0KiB", "-"],
    ]
    table.check_keys(snapshot, Options(table="block", columns=["news", "fl.times"], sort="-news"))
    for name, said in (("rd.byts", r"rd\.bytes"), ("quux", "there are domain, disk")):
        with pytest.raises(UnknownColumn, match=said):
            table.check_keys(snapshot, Options(table="block", columns=[name]))


def test_by_default_in_the_order_of_names_and_numbers() -> None:
    vcpus: dict[str, Value] = {f"vcpu.{number}.time": 1 for number in (11, 2, 0)}
    rows = shown(snapshot_of({"b": vcpus, "a": vcpus}), "vcpu", columns=["domain", "vcpu"])[1:]
    assert rows == [[name, number] for name in "ab" for number in ("0", "2", "11")]


def test_order_and_top() -> None:
    host = {"a": disks(1, capacity=1), "b": disks(3, capacity=5), "c": disks(2, capacity=3)}
    snapshot = snapshot_of(host)

    def names(**options: Any) -> str:
        return "".join(row[0] for row in shown(snapshot, "block", **options)[1:])

    assert names(sort="capacity") == "bcaabc"
    assert names(sort="-capacity", top=4) == "acba"
    assert names(sort="rd.times", top=2, columns=["domain"]) == "bc"
    assert names(top=2) == "bc", "those that have read the most"
    assert names(top=2, columns=["domain"]) == "aa"


def test_devices_of_a_domain_that_is_not_fresh() -> None:
    snapshot = snapshot_of({"a": disks(1), "b": disks(1)})
    statuses = np.array([Status.FRESH, Status.BLOCKED], np.uint8)
    times = np.repeat([[100.0], [70.0]], snapshot.sampling.times.shape[1], axis=1)
    snapshot = snapshot.with_sampling(replace(snapshot.sampling, status=statuses, times=times))
    rows = shown(snapshot, "block", width=60)
    assert rows[0][-2:] == ["status", "age"], "not left out"
    assert [row[-2:] for row in rows[1:]] == [["fresh", "0s"]] * 2 + [["BLOCKED", "30s"]] * 2


@pytest.mark.parametrize("name", DEVICES)
def test_no_devices(name: str) -> None:
    assert len(shown(snapshot_of({"vm": {"cpu.time": 1}}), name)) == 1
    assert table.encode(Snapshot.of_params([]), Options(table=name)) == b""


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_real_host_fits_a_terminal(name: str, columns: int) -> None:
    decoder = ReplyDecoder()
    before = decoder.decode(capture(POLL1), time=1000.0)
    now = decoder.decode(capture(POLL2), time=1015.0)
    lines = table.encode(now, Options(table=name, before=before, width=columns)).decode().splitlines()
    assert len(lines) == len(now.table(name)) + 1
    assert max(map(width, lines)) <= columns


def test_the_disks_of_a_real_host() -> None:
    snapshot = ReplyDecoder().decode(capture(POLL1), time=1000.0)
    rows = shown(snapshot, "block", columns=["domain", "disk", "capacity", "physical", "rd.reqs"])[1:]
    found = {(name, disk): figures for name, disk, *figures in rows}
    assert len(found) == len(rows) == len(snapshot.table("block"))
    for record in snapshot:
        for number in range(record["block.count"]):
            disk = f"block.{number}"
            expected = [bytes_text(record[f"{disk}.{key}"]) for key in ("capacity", "physical")]
            reads = record.get(f"{disk}.rd.reqs")
            assert found[record.domain.name, record[f"{disk}.name"]] == [
                *expected,
                "-" if reads is None else f"{reads}",
            ]


@given(hosts, hosts, st.sampled_from(DEVICES), st.one_of(st.none(), st.integers(1, 120)))
def test_any_host(now: Any, before: Any, name: str, columns: int | None) -> None:
    snapshot, earlier = Snapshot.of_params(now, time=1.0), Snapshot.of_params(before)
    options = Options(table=name, before=earlier, width=columns)
    text = table.encode(snapshot, options).decode()
    assert text.count("\n") == (len(snapshot.table(name)) + 1 if now else 0)
    assert set(re.findall(f"[{HOSTILE}]", text)) <= {"\n"}
