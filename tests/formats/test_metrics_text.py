"""prometheus and openmetrics: the text as other programs read it, and every number in it."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from captures import CAPTURES, POLL1, POLL2, capture
from domstats.catalog.fields import FIELDS, Kind
from domstats.catalog.groups import GROUP_NAMES
from domstats.formats import openmetrics, prometheus, registry
from domstats.formats.metrics.options import MetricsOptions
from domstats.formats.options import Options
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter, Value
from domstats.model.snapshot import Snapshot
from domstats.sources.sim.hostile import NAMES
from domstats.wire.bulk.decoder import ReplyDecoder
from metrics_reader import check_metrics, parsed, read
from strategies import hosts, snapshots

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
EVERYTHING = Options(metrics=MetricsOptions(hypervisor=True, unknown=True))
FORMATS = ("prometheus", "openmetrics")
SMALL = [name for name in CAPTURES if "12-guests" in name]


def encode(form: str, snapshot: Snapshot, options: Options = EVERYTHING) -> bytes:
    return registry.FORMATS[form].encode(snapshot, options)


def of(*params: tuple[str, ParamType, Value], name: str = "vm", uuid: str = UUID) -> Snapshot:
    return Snapshot.of_params([(Domain(name, uuid, 1), [TypedParameter(*param) for param in params])])


def value_lines(text: bytes, name: str) -> list[str]:
    """The lines of a metric, without its name."""
    return [line.removeprefix(name) for line in text.decode().splitlines() if re.match(rf"{name}[{{ ]", line)]


def test_the_whole_text() -> None:
    snapshot = of(
        ("state.state", ParamType.INT, 1),
        ("state.reason", ParamType.INT, 1),
        ("cpu.time", ParamType.ULLONG, 1_500_000_000),
        ("balloon.current", ParamType.ULLONG, 2048),
        ("block.0.name", ParamType.STRING, "vda"),
        ("block.0.path", ParamType.STRING, "/images/vm.qcow2"),
        ("block.0.rd.bytes", ParamType.ULLONG, 4096),
    )
    options = Options(metrics=MetricsOptions(max_series=5))
    dropped = "".join(f'domstats_series_dropped{{group="{group}"}} {int(group == "block")}\n' for group in GROUP_NAMES)
    assert openmetrics.encode(snapshot, options).decode() == (
        "# HELP domstats_domain Who the domain is.\n"
        "# TYPE domstats_domain info\n"
        f'domstats_domain_info{{domain="vm",uuid="{UUID}",id="1"}} 1\n'
        "# HELP domstats_domain_status How the domain's record stands.\n"
        "# TYPE domstats_domain_status stateset\n"
        'domstats_domain_status{domain="vm",status="fresh",domstats_domain_status="fresh"} 1\n'
        'domstats_domain_status{domain="vm",status="partial",domstats_domain_status="partial"} 0\n'
        'domstats_domain_status{domain="vm",status="blocked",domstats_domain_status="blocked"} 0\n'
        'domstats_domain_status{domain="vm",status="stale",domstats_domain_status="stale"} 0\n'
        'domstats_domain_status{domain="vm",status="gone",domstats_domain_status="gone"} 0\n'
        "# HELP domstats_domain_sample_age_seconds Time since the oldest group of the domain's values was sampled.\n"
        "# TYPE domstats_domain_sample_age_seconds gauge\n"
        "# UNIT domstats_domain_sample_age_seconds seconds\n"
        'domstats_domain_sample_age_seconds{domain="vm"} 0\n'
        "# HELP domstats_domain_state_info The domain's state and its reason, as words.\n"
        "# TYPE domstats_domain_state_info gauge\n"
        'domstats_domain_state_info{domain="vm",state="running",reason="booted"} 1\n'
        "# HELP domstats_domain_state State of the domain.\n"
        "# TYPE domstats_domain_state gauge\n"
        'domstats_domain_state{domain="vm"} 1\n'
        "# HELP domstats_domain_state_reason Why the domain is in its state.\n"
        "# TYPE domstats_domain_state_reason gauge\n"
        'domstats_domain_state_reason{domain="vm"} 1\n'
        "# HELP domstats_cpu_time_seconds CPU time of the domain, emulator included.\n"
        "# TYPE domstats_cpu_time_seconds counter\n"
        "# UNIT domstats_cpu_time_seconds seconds\n"
        'domstats_cpu_time_seconds_total{domain="vm"} 1.5\n'
        "# HELP domstats_balloon_current_bytes Memory the guest has at present.\n"
        "# TYPE domstats_balloon_current_bytes gauge\n"
        "# UNIT domstats_balloon_current_bytes bytes\n"
        'domstats_balloon_current_bytes{domain="vm"} 2097152\n'
        "# HELP domstats_block Path of the image.\n"
        "# TYPE domstats_block info\n"
        'domstats_block_info{domain="vm",device="vda",path="/images/vm.qcow2"} 1\n'
        "# HELP domstats_build The domstats that wrote this.\n"
        "# TYPE domstats_build info\n"
        'domstats_build_info{version="0.1.0"} 1\n'
        "# HELP domstats_series_dropped Series left out to keep to the greatest number allowed.\n"
        "# TYPE domstats_series_dropped gauge\n"
        f"{dropped}"
        "# EOF\n"
    )
    classic = prometheus.encode(snapshot, options).decode()
    assert "# TYPE domstats_cpu_time_seconds_total counter\ndomstats_cpu_time_seconds_total{" in classic
    assert '# TYPE domstats_domain_info gauge\ndomstats_domain_info{domain="vm"' in classic
    assert 'domstats_domain_status{domain="vm",status="fresh"} 1\n' in classic
    assert "UNIT" not in classic
    assert "EOF" not in classic


@pytest.mark.parametrize(
    ("form", "name"),
    [
        *((form, name) for name in SMALL for form in FORMATS),
        ("prometheus", "libvirt-9.0-1024-guests-backing"),
        ("openmetrics", POLL1),
    ],
)
def test_every_value_of_a_captured_reply(form: str, name: str) -> None:
    snapshot = ReplyDecoder().decode(capture(name))
    check_metrics(form, everything=True, library=name in SMALL)(snapshot, encode(form, snapshot))


@pytest.mark.parametrize("form", FORMATS)
def test_prometheus_own_library_reads_the_same_numbers(form: str) -> None:
    text = encode(form, ReplyDecoder().decode(capture(CAPTURES[0])))
    assert parsed(form, text) == {series: float(number) for series, number in read(text).items()}


@pytest.mark.parametrize("name", CAPTURES)
def test_promtool_has_no_complaint(promtool: Callable[..., str], name: str) -> None:
    snapshot = ReplyDecoder().decode(capture(name))
    for options in (Options(), EVERYTHING):
        assert promtool("check", "metrics", given=prometheus.encode(snapshot, options)) == ""


def test_promtool_has_no_complaint_of_any_field(promtool: Callable[..., str]) -> None:
    marks = {"<i>": "0", "<j>": "1", "<id>": "2", "<name>": "halt_poll_ns", "<feature>": "core_energy"}
    params = []
    for field in FIELDS:
        key = ".".join(marks.get(part, part) for part in field.pattern.split("."))
        for label in field.types:
            kind = ParamType[label.upper()]
            params.append((key, kind, "x" if kind == ParamType.STRING else 1))
    text = prometheus.encode(of(*params), EVERYTHING)
    assert promtool("check", "metrics", given=text) == ""
    assert len({name for name, _ in read(text)}) > len(FIELDS) - 10


@settings(max_examples=15)
@given(hosts)
def test_promtool_takes_every_host(promtool: Callable[..., str], host: Any) -> None:
    promtool("check", "metrics", given=prometheus.encode(Snapshot.of_params(host), EVERYTHING))


@settings(max_examples=100)
@given(snapshots())
def test_any_snapshot(snapshot: Snapshot) -> None:
    for form in FORMATS:
        text = encode(form, snapshot)
        check_metrics(form, everything=True)(snapshot, text)
        theirs = parsed(form, text)
        for series, number in read(text).items():
            assert struct.pack("d", float(number)) == struct.pack("d", theirs[series]) or number == "NaN"


@pytest.mark.parametrize(
    ("key", "kind", "value", "written"),
    [
        ("cpu.time", ParamType.ULLONG, 2**64 - 1, "18446744073.709551615"),
        ("cpu.time", ParamType.ULLONG, 1, "0.000000001"),
        ("cpu.time", ParamType.ULLONG, 10**9, "1"),
        ("cpu.time", ParamType.ULLONG, 0, "0"),
        ("cpu.time", ParamType.LLONG, 2**63 - 1, "9223372036.854775807"),
        ("balloon.current", ParamType.ULLONG, 2**64 - 1, str((2**64 - 1) * 1024)),
        ("balloon.current", ParamType.ULLONG, 2**54, str(2**64)),
        ("balloon.current", ParamType.ULLONG, 2**54 - 1, str(2**64 - 1024)),
        ("balloon.current", ParamType.LLONG, -(2**63), str(-(2**73))),
        ("balloon.current", ParamType.DOUBLE, 1.5, "1536.0"),
        ("dirtyrate.megabytes_per_second", ParamType.LLONG, 2**63 - 1, str((2**63 - 1) << 20)),
        ("dirtyrate.megabytes_per_second", ParamType.LLONG, -1, "-1048576"),
        ("dirtyrate.calc_start_time", ParamType.LLONG, -(2**63), str(-(2**63))),
        ("iothread.1.poll-max-ns", ParamType.LLONG, -1_500_000_000, "-1.5"),
        ("vcpu.0.halted", ParamType.BOOLEAN, True, "1"),
        ("vm.energy.cur", ParamType.DOUBLE, float("inf"), "+Inf"),
        ("vm.energy.cur", ParamType.DOUBLE, float("-inf"), "-Inf"),
        ("vm.energy.cur", ParamType.DOUBLE, float("nan"), "NaN"),
        ("vm.energy.cur", ParamType.DOUBLE, -1.7976931348623157e308, "-1.7976931348623157e+308"),
    ],
)
@pytest.mark.parametrize("form", FORMATS)
def test_numbers(form: str, key: str, kind: ParamType, value: Value, written: str) -> None:
    text = encode(form, of((key, kind, value), ("net.count", ParamType.UINT, 7)), EVERYTHING).decode()
    body = text[text.index("domstats_domain_sample_age_seconds{") :].splitlines()
    assert 'domstats_interfaces{domain="vm"} 7' in body
    others = ("#", "domstats_interfaces", "domstats_domain_", "domstats_build", "domstats_series")
    assert [line.rpartition(" ")[2] for line in body if not line.startswith(others)] == [written]


@pytest.mark.parametrize("value", [-1, -(2**63)])
def test_a_counter_that_is_negative_is_none(value: int) -> None:
    text = openmetrics.encode(of(("cpu.time", ParamType.LLONG, value), ("cpu.user", ParamType.LLONG, 1)), EVERYTHING)
    assert value_lines(text, "domstats_cpu_time_seconds_total") == []
    assert value_lines(text, "domstats_cpu_user_seconds_total") == ['{domain="vm"} 0.000000001']
    assert parsed("openmetrics", text)


class TestLabels:
    def test_hostile_names_reach_nobody(self) -> None:
        snapshot = Snapshot.of_params(
            (Domain(name, f"6695eb01-f6a4-8304-79aa-{number:012x}", number), [])
            for number, name in enumerate((*NAMES, "\ud800 half", "\x85\x9b31m", "nul\x00"))
        )
        for form in FORMATS:
            text = encode(form, snapshot)
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", text.decode())
            assert read(text).keys() == parsed(form, text).keys()
            assert len(value_lines(text, "domstats_domain_info")) == len(snapshot)
            assert max(len(line) for line in text.decode().splitlines()) < 1500

    def test_a_line_feed_and_quotes_stay_what_they_are(self) -> None:
        name = 'a"b\\c\nd'
        for form in FORMATS:
            names = {dict(labels).get("domain") for _, labels in parsed(form, encode(form, of(name=name)))}
            assert names == {name, None}

    def test_equal_names_get_as_much_of_the_uuid_as_they_need(self) -> None:
        uuids = [UUID, UUID.replace("9", "8"), UUID[:-1] + "0", UUID[:-1] + "1"]
        names = ["web", "web", "db", "db"]
        domains = [Domain(name, uuid, None) for name, uuid in zip(names, uuids, strict=True)]
        found = {}
        for order in (domains, domains[::-1]):
            text = prometheus.encode(Snapshot.of_params((domain, []) for domain in order))
            rows = [dict(labels) for (name, labels) in read(text) if name == "domstats_domain_info"]
            found = {row["uuid"]: row["domain"] for row in rows}
            assert found == {
                uuids[0]: "web~6695eb01",
                uuids[1]: "web~6685eb01",
                uuids[2]: f"db~{uuids[2]}",
                uuids[3]: f"db~{uuids[3]}",
            }

    def test_a_name_that_looks_like_a_unique_one(self) -> None:
        other = UUID.replace("9", "8")
        domains = [Domain("a", UUID, None), Domain("a", other, None), Domain("a~6695eb01", other[:-1] + "0", None)]
        text = prometheus.encode(Snapshot.of_params((domain, []) for domain in domains))
        assert len({labels for name, labels in read(text) if name == "domstats_domain_sample_age_seconds"}) == 3

    def test_a_name_of_4_mib_is_cut_and_stays_the_only_one(self) -> None:
        long = "x" * (4 << 20)
        domains = [Domain(long + end, UUID[:-1] + end, None) for end in "12"]
        text = prometheus.encode(Snapshot.of_params((domain, []) for domain in domains))
        names = {dict(labels)["domain"] for name, labels in read(text) if name == "domstats_domain_info"}
        assert len(names) == 2
        assert all(len(name) == 256 and name.startswith("xxx") for name in names)

    def test_an_escape_is_not_taken_for_the_text_of_one(self) -> None:
        domains = [Domain("\x1b", UUID, None), Domain("\\x1b", UUID[:-1] + "0", None)]
        text = prometheus.encode(Snapshot.of_params((domain, []) for domain in domains))
        assert len({labels for name, labels in read(text) if name == "domstats_domain_sample_age_seconds"}) == 2


class TestDevices:
    def test_every_image_of_a_disk_has_a_line_of_its_own(self) -> None:
        params: list[tuple[str, ParamType, Value]] = []
        for number, name in enumerate(["vda", "vda", "vdb", "vda"]):
            params += [
                (f"block.{number}.name", ParamType.STRING, name),
                (f"block.{number}.capacity", ParamType.ULLONG, number),
            ]
        text = prometheus.encode(of(*params))
        assert value_lines(text, "domstats_block_capacity_bytes") == [
            '{domain="vm",device="vda"} 0',
            '{domain="vm",device="vda",layer="1"} 1',
            '{domain="vm",device="vdb"} 2',
            '{domain="vm",device="vda",layer="2"} 3',
        ]

    def test_an_interface_without_a_name_has_its_number(self) -> None:
        text = prometheus.encode(
            of(
                ("net.0.name", ParamType.STRING, ""),
                ("net.0.rx.bytes", ParamType.ULLONG, 10),
                ("net.2.rx.bytes", ParamType.ULLONG, 12),
                ("net.3.name", ParamType.STRING, "2"),
                ("net.3.rx.bytes", ParamType.ULLONG, 13),
            )
        )
        assert value_lines(text, "domstats_interface_rx_bytes_total") == [
            '{domain="vm",interface="0"} 10',
            '{domain="vm",interface="2"} 12',
            '{domain="vm",interface="2",number="1"} 13',
        ]

    def test_monitors_of_one_kind_do_not_change_the_labels_of_another(self) -> None:
        """libvirt names the monitors of the same vCPUs alike, whatever they measure."""
        cache: list[tuple[str, ParamType, Value]] = [
            ("cpu.cache.monitor.count", ParamType.UINT, 1),
            ("cpu.cache.monitor.0.name", ParamType.STRING, "vcpus_0-1"),
            ("cpu.cache.monitor.0.bank.0.bytes", ParamType.ULLONG, 3),
            ("cpu.energy.monitor.0.name", ParamType.STRING, "vcpus_0-1"),
        ]
        memory: list[tuple[str, ParamType, Value]] = []
        for number in range(2):
            memory += [
                (f"memory.bandwidth.monitor.{number}.name", ParamType.STRING, "vcpus_0-1"),
                (f"memory.bandwidth.monitor.{number}.node.0.bytes.total", ParamType.ULLONG, number),
            ]
        for params in (memory, cache + memory, memory + cache):
            assert value_lines(
                prometheus.encode(of(*params)), "domstats_memory_bandwidth_monitor_node_total_bytes_total"
            ) == [
                '{domain="vm",monitor="vcpus_0-1",node="0"} 0',
                '{domain="vm",monitor="vcpus_0-1",number="1",node="0"} 1',
            ]
        assert value_lines(prometheus.encode(of(*memory, *cache)), "domstats_cpu_cache_monitor_bank_bytes") == [
            '{domain="vm",monitor="vcpus_0-1",bank="0"} 3',
        ]

    def test_of_a_duplicate_key_the_last_counts(self) -> None:
        text = prometheus.encode(of(("cpu.time", ParamType.ULLONG, 10**9), ("cpu.time", ParamType.ULLONG, 2 * 10**9)))
        assert value_lines(text, "domstats_cpu_time_seconds_total") == ['{domain="vm"} 2']


class TestDomainsThatAreOff:
    """libvirt 9.0 without cgroups gives the processor time of libvirtd for them."""

    METRICS = (
        "domstats_cpu_time_seconds_total",
        "domstats_cpu_user_seconds_total",
        "domstats_cpu_system_seconds_total",
    )

    @pytest.mark.parametrize("form", FORMATS)
    def test_they_have_no_processor_time(self, form: str) -> None:
        snapshot = ReplyDecoder().decode(capture(POLL1))
        off = {record.domain.name for record in snapshot if record.domain.id is None}
        assert len(off) == 6
        assert all("cpu.time" in record for record in snapshot if record.domain.name in off)
        series = read(encode(form, snapshot, Options()))
        every = {record.domain.name for record in snapshot}
        for metric in self.METRICS:
            assert {dict(labels)["domain"] for name, labels in series if name == metric} == every - off
        for metric in ("domstats_domain_state", "domstats_domain_state_info", "domstats_balloon_maximum_bytes"):
            assert {dict(labels)["domain"] for name, labels in series if name == metric} == every

    @pytest.mark.parametrize("form", FORMATS)
    def test_one_that_has_the_keys_of_one_that_runs(self, form: str) -> None:
        params = [
            TypedParameter("state.state", ParamType.INT, 5),
            TypedParameter("cpu.time", ParamType.ULLONG, 10**9),
            TypedParameter("cpu.haltpoll.success.time", ParamType.ULLONG, 10**9),
        ]
        domains = [
            Domain(f"vm{number}", UUID[:-1] + str(number), None if number % 2 else number) for number in range(4)
        ]
        text = encode(form, Snapshot.of_params((domain, params) for domain in domains), Options())
        assert value_lines(text, "domstats_cpu_time_seconds_total") == ['{domain="vm0"} 1', '{domain="vm2"} 1']
        assert len(value_lines(text, "domstats_cpu_haltpoll_success_time_seconds_total")) == 4
        assert len(value_lines(text, "domstats_domain_state")) == 4
        only_off = encode(form, Snapshot.of_params([(domains[1], params)]), Options())
        assert b"domstats_cpu_time" not in only_off


class TestWords:
    @pytest.mark.parametrize(
        ("key", "line"),
        [
            ("vcpu.0.exits.sum", 'domstats_vcpu_kvm_exits_total{domain="vm",vcpu="0"} 5'),
            ("vcpu.0.halt_wait_ns.sum", 'domstats_vcpu_kvm_halt_wait_seconds_total{domain="vm",vcpu="0"} 0.000000005'),
            ("vm.pages_4k.cur", 'domstats_vm_kvm_pages_4k_current{domain="vm"} 5'),
            ("vm.rmap.max", 'domstats_vm_kvm_rmap_max{domain="vm"} 5'),
            ("vm.a-b.sum", 'domstats_vm_kvm_a_b_word_total{domain="vm",word="a-b"} 5'),
            ("vm.Pages.cur", 'domstats_vm_kvm_pages_word_current{domain="vm",word="Pages"} 5'),
            ("vm.x_seconds.sum", 'domstats_vm_kvm_x_seconds_word_total{domain="vm",word="x_seconds"} 5'),
            ("vm.new.thing", 'domstats_unknown{domain="vm",key="vm.new.thing"} 5'),
            ("new", 'domstats_unknown{domain="vm",key="new"} 5'),
        ],
    )
    def test_name(self, key: str, line: str) -> None:
        snapshot = of((key, ParamType.ULLONG, 5))
        assert f"\n{line}\n" in prometheus.encode(snapshot, EVERYTHING).decode()
        assert line.partition("{")[0] not in prometheus.encode(snapshot).decode()

    def test_words_that_would_make_one_name(self) -> None:
        keys = ["a_b", "a-b", "A_b", "a.b", "a_ns", "a_seconds", "a", "a_max", "a_sum", "a_count_ns", "_"]
        params = [(f"vm.{word}.{end}", ParamType.ULLONG, 1) for word in keys for end in ("sum", "cur", "max")]
        for form in FORMATS:
            text = encode(form, of(*params))
            assert len([name for name, _ in read(text) if "_kvm_" in name or "unknown" in name]) == len(params)
            assert read(text).keys() == parsed(form, text).keys()


def test_a_family_is_there_once_whatever_types_its_fields_come_with() -> None:
    about = [field.pattern.replace("<i>", "0").replace("<j>", "0") for field in FIELDS if field.kind is Kind.INFO]
    domains = [Domain(name, f"{UUID[:-1]}{number}", number) for number, name in enumerate(("words", "numbers"), 1)]
    words = [TypedParameter(key, ParamType.STRING, "3") for key in about]
    numbers = [TypedParameter(key, ParamType.UINT, 3) for key in about]
    snapshot = Snapshot.of_params([(domains[0], words), (domains[1], numbers)])
    for form in FORMATS:
        text = encode(form, snapshot)
        headers = [line for line in text.decode().splitlines() if line.startswith("# TYPE")]
        names = [line.split()[2] for line in headers]
        assert sorted(set(names)) == sorted(names)
        assert parsed(form, text)
    assert value_lines(text, "domstats_block_backing_index") == ['{domain="numbers",device="0"} 3']
    assert value_lines(text, "domstats_block_info") == ['{domain="words",device="3",path="3"} 1']


def test_a_state_that_is_not_known_is_a_number() -> None:
    text = prometheus.encode(of(("state.state", ParamType.INT, 99), ("state.reason", ParamType.LLONG, -(2**63))))
    assert value_lines(text, "domstats_domain_state_info") == [
        f'{{domain="vm",state="99",reason="{-(2**63)}"}} 1',
    ]


def test_what_went_before_changes_nothing() -> None:
    """A decoder's second reply shares layouts with the first, and the text is that of a fresh one."""
    decoder = ReplyDecoder()
    for name in (POLL1, POLL2, POLL1):
        snapshot = decoder.decode(capture(name))
        for form in FORMATS:
            for options in (EVERYTHING, Options()):
                assert encode(form, snapshot, options) == encode(form, ReplyDecoder().decode(capture(name)), options)


def test_a_snapshot_offers_both() -> None:
    snapshot = of(("cpu.time", ParamType.ULLONG, 1))
    assert snapshot.to_prometheus() == prometheus.encode(snapshot)
    assert snapshot.to_openmetrics() == openmetrics.encode(snapshot)


def test_the_values_are_left_alone() -> None:
    snapshot = ReplyDecoder().decode(capture(CAPTURES[0]))
    before = snapshot.values.copy()
    prometheus.encode(snapshot, EVERYTHING)
    assert np.array_equal(before, snapshot.values)
