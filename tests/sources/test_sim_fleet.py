"""sources.sim.fleet and what it is made of: believable guests, the same for ever, whose counters only grow."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import uuid
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captures import capture
from domstats.catalog.fields import Kind
from domstats.catalog.lookup import kind_of
from domstats.errors import UsageError
from domstats.model.derived import Figures
from domstats.model.flags import DomainFilter
from domstats.model.layout import Layout, Shape
from domstats.model.params import ParamType
from domstats.model.record import Record
from domstats.model.snapshot import Snapshot
from domstats.sources.sim import selection
from domstats.sources.sim.clocks import EPOCH, Clocks
from domstats.sources.sim.fleet import Fleet
from domstats.sources.sim.guests import RUNNING, SHUTOFF
from domstats.sources.sim.uri import TIME_MAX, SimConfig
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.bulk.encoder import encode_reply

NOW = 1_790_000_000.5
EVERYTHING = DomainFilter(0)
GUEST_MEMORY = (
    *("swap_in", "swap_out", "major_fault", "minor_fault", "unused", "available", "usable"),
    *("disk_caches", "hugetlb_pgalloc", "hugetlb_pgfail"),
)
"""What the balloon driver of a guest tells; no guest of the captured replies had one."""

fleet = functools.cache(lambda **given: Fleet(SimConfig(**given)))
times = st.floats(0.0, TIME_MAX) | st.floats(EPOCH - 1e6, EPOCH + 1e8)


def is_off(record: Record) -> bool:
    return record["state.state"] == SHUTOFF


def running(snapshot: Snapshot) -> list[Record]:
    return [record for record in snapshot if record["state.state"] == RUNNING]


def test_a_seed_gives_the_same_guests_and_figures_for_ever() -> None:
    snapshot = fleet().snapshot(NOW)
    text = json.dumps(
        [[*(record.domain.name, record.domain.uuid, record.domain.id), record.items()] for record in snapshot]
    )
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "9ef15c331467a66c471ff358cfe3683839e1262866619a82112529eac8dff467"
    )
    web = snapshot["web-3"]
    assert (web.domain.uuid, web.domain.id) == ("1374f377-b951-4935-a023-b176fb8f7d63", 32)
    assert (web["cpu.time"], web["balloon.unused"]) == (3_590_505_390_000_000, 2_469_424)
    assert (web["block[vda].rd.bytes"], web["net.0.rx.bytes"]) == (4_485_033_079_296, 27_128_689_232_228)


def test_two_fleets_of_one_seed_are_equal_and_of_two_seeds_are_not() -> None:
    one, same, other = (Fleet(SimConfig(seed=seed)) for seed in (5, 5, 6))
    assert one.domains == same.domains
    assert one.snapshot(NOW).values.tolist() == same.snapshot(NOW).values.tolist()
    assert not {domain.uuid for domain in one.domains} & {domain.uuid for domain in other.domains}


def test_a_guest_does_not_depend_on_how_many_there_are() -> None:
    few, many = fleet(domains=30).snapshot(NOW), fleet(domains=1000).snapshot(NOW)
    assert [(record.domain, record.params) for record in few] == [
        (record.domain, record.params) for record in many.records[:30]
    ]


def test_names_uuids_and_ids_are_unique_and_well_formed() -> None:
    domains = fleet(domains=3000).domains
    assert len({domain.name for domain in domains}) == len({domain.uuid for domain in domains}) == 3000
    assert all(re.fullmatch(r"[a-z]+-[1-9][0-9]*", domain.name) for domain in domains)
    assert all(str(uuid.UUID(domain.uuid)) == domain.uuid and uuid.UUID(domain.uuid).version == 4 for domain in domains)
    ids = [domain.id for domain in domains if domain.id is not None]
    assert ids == sorted(set(ids))


def test_guests_are_varied() -> None:
    snapshot = fleet(domains=3000).snapshot(NOW)
    states = Counter(record["state.state"] for record in snapshot)
    assert 240 < states[SHUTOFF] < 360
    assert 50 < states[3] < 140
    on = [record for record in snapshot if not is_off(record)]
    assert {record["vcpu.current"] for record in on} == {1, 2, 4, 8}
    assert {record["block.count"] for record in on} == {1, 2, 3}
    assert {record["net.count"] for record in on} == {0, 1, 2, 3}
    assert {record.get("iothread.count") for record in on} == {None, 1, 2}
    assert len(snapshot.layout.by_shape()) < 40


def captured(name: str) -> Snapshot:
    return ReplyDecoder().decode(capture(name))


def kinds(snapshot: Snapshot) -> dict[tuple[int, ...], Shape]:
    """The shape of each kind of guest: whether it is on, how many vCPUs, disks, interfaces and I/O threads it has."""
    return {
        (
            0 if is_off(record) else 1,
            *(len({part for key in record if (part := match(key))}) for match in MATCHES),
        ): record.layout.shape
        for record in snapshot
    }


MATCHES = [
    lambda key, pattern=pattern: (found := re.match(pattern, key)) and found[0]
    for pattern in (r"vcpu\.\d+\.", r"block\.\d+\.", r"net\.\d+\.", r"iothread\.\d+\.")
]
PLAIN, BACKING = "libvirt-9.0-1024-guests-poll1", "libvirt-9.0-1024-guests-backing"


@pytest.mark.parametrize(("name", "flags"), [(PLAIN, EVERYTHING), (BACKING, DomainFilter.BACKING)])
def test_records_have_the_keys_types_and_order_of_a_real_daemons(name: str, flags: DomainFilter) -> None:
    real = kinds(captured(name))
    compared = 0
    for (on, vcpus, disks, nics, iothreads), shape in real.items():
        if flags and on and not nics:
            continue  # these have no backing images
        images = 2 if flags and on else 1
        simulated = fleet(domains=300, seed=2, vcpus=vcpus or 1, disks=disks // images, nics=nics)
        shapes = {record.layout.shape for record in simulated.snapshot(NOW, simulated.select((), 0, flags))}
        assert (shape if on else without_cpu(shape)) in shapes, (on, vcpus, disks, nics, iothreads)
        compared += 1
    assert compared == (7 if flags else 11)


def without_cpu(shape: Shape) -> Shape:
    """An off guest's, without the processor time that libvirt 9.0 takes from a process that is not the guest's."""
    kept = [slot for slot, key in enumerate(shape.keys) if not key.startswith("cpu.")]
    return Shape.of([shape.keys[slot] for slot in kept], bytes(shape.types[slot] for slot in kept))


def patterns(shape: Shape) -> set[tuple[str, int]]:
    return {(re.sub(r"\.\d+(?=\.)", ".<n>", key), kind) for key, kind in zip(shape.keys, shape.types, strict=True)}


@pytest.mark.parametrize("flags", [EVERYTHING, DomainFilter.BACKING])
def test_no_guest_has_a_key_or_type_that_no_real_guest_has(flags: DomainFilter) -> None:
    real = set().union(*(patterns(shape) for shape, _ in captured(PLAIN).layout.by_shape()))
    simulated = fleet(domains=1000)
    for shape, _ in simulated.snapshot(NOW, simulated.select((), 0, flags)).layout.by_shape():
        extra = patterns(shape) - real
        assert extra in (set(), {(f"balloon.{name}", 4) for name in GUEST_MEMORY})


def test_guest_memory_statistics_stand_where_libvirt_has_them() -> None:
    keys = [key for key in fleet().snapshot(NOW)["web-3"] if key.startswith("balloon.")]
    order = ("current", "maximum", *GUEST_MEMORY[:7], "last-update", *GUEST_MEMORY[7:], "rss")
    assert keys == [f"balloon.{name}" for name in order]


def test_a_guest_without_memory_statistics_says_so_as_libvirt_does() -> None:
    silent = [record for record in running(fleet(domains=100).snapshot(NOW)) if "balloon.unused" not in record]
    assert len(silent) > 10
    for record in silent:
        assert [key for key in record if key.startswith("balloon.")] == [
            f"balloon.{name}" for name in ("current", "maximum", "last-update", "rss")
        ]
        assert record["balloon.last-update"] == 0


def slots_of(layout: Layout, kind: Kind) -> list[int]:
    return [
        int(layout.starts[position]) + slot
        for position, record in enumerate(layout.records)
        for slot, key in enumerate(record.shape.keys)
        if kind_of(key) == kind
    ]


@functools.cache
def slots(kind: Kind) -> list[int]:
    return slots_of(fleet(domains=60).snapshot(NOW).layout, kind)


@given(times, times)
def test_counters_never_go_back_and_settings_never_change(one: float, other: float) -> None:
    earlier, later = (fleet(domains=60).snapshot(now).values for now in sorted((one, other)))
    counters = slots(Kind.COUNTER)
    assert (earlier[counters] <= later[counters]).all()
    for kind in (Kind.INFO, Kind.CONFIG):
        assert (earlier[slots(kind)] == later[slots(kind)]).all()


LIMITS = {ParamType.INT: 2**31, ParamType.UINT: 2**32, ParamType.BOOLEAN: 2}


@given(times)
def test_values_fit_their_wire_types(now: float) -> None:
    snapshot = fleet(domains=60).snapshot(now)
    for position, record in enumerate(snapshot.layout.records):
        types = np.frombuffer(record.shape.types, np.uint8)
        values = snapshot.values[snapshot.layout.starts[position] : snapshot.layout.starts[position + 1]]
        for kind, limit in LIMITS.items():
            assert (values[types == kind] < limit).all()


def test_counters_grow_and_gauges_move() -> None:
    earlier, later = (fleet(domains=60).snapshot(NOW + after) for after in (0.0, 60.0))
    for record in running(later):
        before = earlier[record.domain.uuid]
        for key in ("cpu.time", "cpu.user", "cpu.system", "vcpu.0.exits.sum", "vcpu.0.halt_wait_ns.sum", "balloon.rss"):
            assert record[key] != before[key], key
        if "balloon.unused" in record:
            assert record["balloon.unused"] != before["balloon.unused"]
            assert 0 <= NOW + 60 - record["balloon.last-update"] < 10


def test_vcpus_run_and_wait_by_turns() -> None:
    seen: dict[str, set[tuple[bool, bool]]] = {}
    for second in range(60):
        for record in running(fleet(domains=60).snapshot(NOW + second)):
            now = (record["vcpu.0.guest_mode.cur"], record["vcpu.0.blocking.cur"])
            seen.setdefault(record.domain.name, set()).add(now)
    assert not any((True, True) in states for states in seen.values())
    assert sum((False, True) in states for states in seen.values()) > 30
    assert sum((True, False) in states for states in seen.values()) > 20


def test_paused_and_stopped_guests_stand_still() -> None:
    earlier, later = (fleet(domains=300).snapshot(NOW + after) for after in (0.0, 1e6))
    still = [record for record in later if record["state.state"] != RUNNING]
    assert len({record["state.state"] for record in still}) == 2
    assert all(record.items() == earlier[record.domain.uuid].items() for record in still)


@given(times)
def test_figures_agree_with_each_other(now: float) -> None:
    for record in fleet(domains=60).snapshot(now):
        if is_off(record):
            continue
        vcpus = range(record["vcpu.current"])
        assert record["cpu.time"] >= sum(record[f"vcpu.{vcpu}.time"] for vcpu in vcpus)
        assert record["cpu.user"] + record["cpu.system"] <= record["cpu.time"]
        assert record["cpu.time"] % 10_000_000 == 0
        assert record["vcpu.current"] <= record["vcpu.maximum"]
        assert not any(record[f"vcpu.{vcpu}.guest_mode.cur"] and record[f"vcpu.{vcpu}.blocking.cur"] for vcpu in vcpus)
        for disk in range(record["block.count"]):
            for way in ("rd", "wr"):
                bytes_, requests = record[f"block.{disk}.{way}.bytes"], record[f"block.{disk}.{way}.reqs"]
                assert bytes_ % 512 == 0
                assert requests * 4096 <= bytes_ <= (requests + 1) * 131_072
            assert record[f"block.{disk}.allocation"] <= record[f"block.{disk}.capacity"]
        for nic in range(record["net.count"]):
            assert record[f"net.{nic}.rx.bytes"] >= 90 * record[f"net.{nic}.rx.pkts"]
        memory = record["balloon.current"]
        assert memory <= record["balloon.maximum"]
        assert 0 < record["balloon.rss"] <= memory + 65_536
        if "balloon.unused" in record:
            unused, usable = record["balloon.unused"], record["balloon.usable"]
            assert 0 < unused < usable < record["balloon.available"] < memory
            assert unused + record["balloon.disk_caches"] < record["balloon.available"]


@pytest.mark.parametrize("given_", [{"domains": 300}, {"domains": 40, "vcpus": 200}])
def test_no_guest_uses_more_processor_time_than_there_is(given_: dict[str, int]) -> None:
    earlier, later = (fleet(**given_).snapshot(NOW + after) for after in (0.0, 30.0))
    rates = later.rates(earlier)
    for record in running(later):
        rate = rates[record.domain.uuid]
        assert rate["cpu.time"] < 72e9  # 64 processors, and what QEMU needs beside
        for vcpu in range(record["vcpu.current"]):
            there = 1e9 + 2e7  # rounded to 10 ms at both ends
            spent = (rate[f"vcpu.{vcpu}.{what}"] for what in ("time", "delay", "halt_wait_ns.sum"))
            assert sum(spent) < there
    figures = Figures(later, rates)
    percent, known = figures.cpu_guest_percent
    assert percent[known].max() < 100
    if "vcpus" not in given_:
        assert percent[known].max() > 50
        stolen, known = figures.steal_percent
        assert 0 < (stolen[known] > 1).mean() < 0.2


def test_activities_differ() -> None:
    earlier, later = (fleet(domains=1000).snapshot(NOW + after) for after in (0.0, 600.0))
    rates = later.rates(earlier)
    load: dict[str, list[float]] = {}
    for record in running(later):
        role = record.domain.name.partition("-")[0]
        load.setdefault(role, []).append(rates[record.domain.uuid]["vcpu.0.time"])
    mean = {role: sum(values) / len(values) / 1e9 for role, values in load.items()}
    assert mean["test"] < 0.03 < mean["web"] < 0.35 < mean["batch"] < 0.8


@pytest.mark.parametrize("now", [0.0, EPOCH - 1e9, TIME_MAX])
def test_no_counter_overflows(now: float) -> None:
    snapshot = fleet(domains=20, vcpus=1024).snapshot(now)
    for record in snapshot:
        if not is_off(record):
            assert sum(record[f"vcpu.{vcpu}.time"] for vcpu in range(1024)) <= record["cpu.time"] < 2**64


def test_a_guest_just_started_has_used_little() -> None:
    for record in running(fleet(domains=60).snapshot(0.0)):
        assert record["cpu.time"] < 60 * 10**9
        assert record["vcpu.0.halt_wait_ns.sum"] == 0


def test_given_sizes() -> None:
    snapshot = fleet(domains=50, vcpus=3, disks=28, nics=0).snapshot(NOW)
    assert {record["vcpu.current"] for record in snapshot} == {3}
    assert {record["block.count"] for record in snapshot} == {28}
    assert {record.get("net.count") for record in snapshot} == {0, None}
    record = snapshot["web-1"]
    assert [record[f"block.{disk}.name"] for disk in (0, 25, 26, 27)] == ["vda", "vdz", "vdaa", "vdab"]
    assert record["block[vdab].path"] == "/var/lib/libvirt/images/web-1-27.qcow2"


def test_devices_of_the_host_have_names_of_their_own() -> None:
    names = [
        record[f"net.{nic}.name"]
        for record in fleet(domains=300).snapshot(NOW)
        for nic in range(record.get("net.count", 0))
    ]
    assert names == [f"vnet{number}" for number in range(len(names))]


def test_backing_images_stand_behind_the_disks_they_back() -> None:
    simulated = fleet(domains=50, disks=2)
    plain = simulated.snapshot(NOW)
    record = simulated.snapshot(NOW, simulated.select((), 0, DomainFilter.BACKING))["web-3"]
    before = plain["web-3"]
    assert (before["block.count"], record["block.count"]) == (2, 4)
    assert [record[f"block.{entry}.name"] for entry in range(4)] == ["vda", "vda", "vdb", "vdb"]
    assert [record[f"block.{entry}.backingIndex"] for entry in range(4)] == [3, 4, 1, 2]
    assert [before[f"block.{entry}.backingIndex"] for entry in range(2)] == [3, 1]
    assert record["block.1.path"] == "/var/lib/libvirt/images/base/web-3-0.qcow2"
    assert "block.1.rd.reqs" not in record
    for disk in (0, 1):
        for tail in ("path", "rd.reqs", "wr.bytes", "capacity"):
            assert record[f"block.{2 * disk}.{tail}"] == before[f"block.{disk}.{tail}"]
    assert [value for key, value in record.items() if not key.startswith("block.")] == [
        value for key, value in before.items() if not key.startswith("block.")
    ]


def test_polls_share_their_layout() -> None:
    simulated = fleet(domains=1000)
    one, other = simulated.snapshot(NOW), simulated.snapshot(NOW + 1)
    assert one.layout is other.layout
    assert one.values.nbytes == 8 * one.layout.size


def test_only_so_many_selections_are_kept() -> None:
    simulated = fleet(domains=1000)
    domains = simulated.domains

    def layout(first: int) -> Layout:
        return simulated.select(domains[first:] + domains[:first], 0, EVERYTHING).layout

    oldest = layout(1)
    assert layout(1) is oldest
    latest = [layout(first) for first in range(2, 22)]
    assert layout(21) is latest[-1]
    assert layout(20) is latest[-2]
    assert layout(1) is not oldest


def test_one_guest_costs_the_same_among_many(monkeypatch: pytest.MonkeyPatch) -> None:
    host = fleet(domains=200)
    states, read = [], Clocks._read
    passing = selection.passing
    monkeypatch.setattr(
        "domstats.sources.sim.fleet.passing", lambda *args: states.append(len(args[0])) or passing(*args)
    )
    whole = host.snapshot(NOW)
    monkeypatch.setattr(Clocks, "_read", lambda *args: states.append(len(args[1])) or read(*args))
    one = host.snapshot(NOW, host.select([host.domains[150]], 0, EVERYTHING))
    assert dict(one.records[0].items()) == dict(whole.records[150].items())
    assert states == [200, 1, 1]


def test_slices_of_a_host_are_all_kept() -> None:
    simulated = fleet(domains=1000)
    slices = [simulated.domains[first : first + 8] for first in range(0, 1000, 8)]
    first, second = ([simulated.select(part, 0, EVERYTHING).layout for part in slices] for _ in range(2))
    assert all(one is other for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("flags", [EVERYTHING, DomainFilter.BACKING])
def test_a_reply_of_it_decodes_to_the_same(flags: DomainFilter) -> None:
    simulated = fleet(domains=200)
    snapshot = simulated.snapshot(NOW, simulated.select((), 0, flags))
    decoded = ReplyDecoder().decode(encode_reply(snapshot))
    assert [(record.domain, record.params) for record in decoded] == [
        (record.domain, record.params) for record in snapshot
    ]


def test_an_empty_host() -> None:
    snapshot = fleet(domains=0).snapshot(NOW)
    assert len(snapshot) == 0
    assert snapshot.values.dtype == np.uint64


def test_too_many_values_are_refused_before_they_take_memory() -> None:
    with pytest.raises(UsageError, match=r"these guests have [0-9,]+ values together, 33,554,432 can be simulated"):
        Fleet(SimConfig(domains=10_000, vcpus=1024))
