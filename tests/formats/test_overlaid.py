"""What the formats say of values that the kernel gave: their ages, which they are, and what is too old."""

from __future__ import annotations

import csv as csv_module
import io
import json as json_module
from dataclasses import replace

import numpy as np
import pytest

from domstats.errors import BadDocument
from domstats.formats import csv, json, ndjson, prometheus, raw, tree, xml
from domstats.formats.metrics.options import MetricsOptions
from domstats.formats.options import Options
from domstats.formats.overlaid import flags_of, patterns_of
from domstats.model.domain import Domain
from domstats.model.layout import Shape
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import OVERLAID
from domstats.model.snapshot import Snapshot
from readers import check_same
from strategies import overlaid

P, T = TypedParameter, ParamType
KEYS = ("cpu.time", "vcpu.0.time", "vcpu.1.time", "net.0.rx.bytes")
READ_BACK = {"json": json, "ndjson": ndjson, "xml": xml}


def snapshot(keys: tuple[str, ...] = KEYS, libvirt: float = 30.0, kernel: float = 1.0) -> Snapshot:
    """Two domains, of the first the kernel has given these keys; and the ages of both kinds."""
    params = [
        P("state.state", T.INT, 1),
        P("cpu.time", T.ULLONG, 10**9),
        P("cpu.user", T.ULLONG, 5),
        P("vcpu.current", T.UINT, 2),
        P("vcpu.0.time", T.ULLONG, 2 * 10**9),
        P("vcpu.1.time", T.ULLONG, 3 * 10**9),
        P("net.0.name", T.STRING, "tap"),
        P("net.0.rx.bytes", T.ULLONG, 4),
    ]
    plain = Domain("plain", "00000000-0000-0000-0000-000000000002", 2)
    whole = Snapshot.of_params([(VM, params), (plain, params[:2])], time=100.0)
    times = np.array([[100.0 - libvirt] * OVERLAID + [100.0 - kernel] * OVERLAID] * 2)
    whole = whole.with_sampling(replace(whole.sampling, times=times))
    records = overlaid(whole, keys).layout.records
    layout = type(whole.layout)([records[0], whole.layout.records[1]])
    return Snapshot(layout, whole.values, whole.time, whole.sampling, None)


AGE = 'domstats_domain_sample_age_seconds{domain="vm"'
VM = Domain("vm", "00000000-0000-0000-0000-000000000001", 1)


@pytest.mark.parametrize("form", READ_BACK)
@pytest.mark.parametrize("keys", [(), KEYS, ("vcpu.1.time",), ("cpu.time", "cpu.user")])
@pytest.mark.parametrize("kernel", [1.0, 30.0])
def test_what_was_the_kernels_is_so_again_when_read_back(form: str, keys: tuple[str, ...], kernel: float) -> None:
    original = snapshot(keys, kernel=kernel)
    again = READ_BACK[form].decode(READ_BACK[form].encode(original))
    check_same(original, again)
    assert [record.shape for record in original.layout.records] == [record.shape for record in again.layout.records]


def test_patterns_name_a_field_where_all_its_values_are_the_kernels_else_the_keys() -> None:
    shape = snapshot().layout.records[0].shape
    assert patterns_of(shape) == ("cpu.time", "vcpu.<id>.time", "net.<i>.rx.bytes")
    some = snapshot(("vcpu.1.time",)).layout.records[0].shape
    assert patterns_of(some) == ("vcpu.1.time",)
    assert patterns_of(snapshot(()).layout.records[0].shape) == ()
    for each in (shape, some):
        assert Shape.of(each.keys, each.types, flags_of(each.keys, patterns_of(each))) is each


@pytest.mark.parametrize("form", [json, tree])
def test_a_document_tells_both_ages(form: object) -> None:
    first, second = json_module.loads(form.encode(snapshot()))["domains"]  # type: ignore[attr-defined]
    expected = {"state": 30.0, "cpu": 30.0, "vcpu": 30.0, "interface": 30.0}
    assert first["ages"] == expected | {"cpu.kernel": 1.0, "vcpu.kernel": 1.0, "interface.kernel": 1.0}
    assert first["overlaid"] == ["cpu.time", "vcpu.<id>.time", "net.<i>.rx.bytes"]
    assert "overlaid" not in second


@pytest.mark.parametrize("word", ["overlaid='cpu.time' overlaid-encoding='rot13'", "gpu.kernel='1'", "cpu.kernel='x'"])
def test_what_says_nothing_of_it_is_refused(word: str) -> None:
    document = xml.encode(snapshot()).decode().replace("<ages ", f"<ages {word} ", 1)
    with pytest.raises(BadDocument):
        xml.decode(document)


def rows(one: Snapshot, options: Options) -> list[dict[str, str]]:
    return list(csv_module.DictReader(io.StringIO(csv.encode(one, options).decode())))


def test_each_line_of_a_csv_has_its_own_age_and_a_row_that_of_its_older_part() -> None:
    ages = {(row["domain"], row["key"]): float(row["age"]) for row in rows(snapshot(), Options())}
    assert {key for key, age in ages.items() if age == 1.0} == {("vm", key) for key in KEYS}
    assert set(ages.values()) == {1.0, 30.0}
    assert [row["age"] for row in rows(snapshot(libvirt=1.0, kernel=5.0), Options(table="vcpu"))] == ["5.0", "5.0"]
    domains = rows(snapshot(libvirt=1.0, kernel=5.0), Options(table="domain"))
    assert [row["age"] for row in domains] == ["5.0", "1.0"]


def metrics(one: Snapshot) -> set[str]:
    text = prometheus.encode(one, Options(metrics=MetricsOptions(max_age=10.0))).decode()
    return {line.rpartition(" ")[0] for line in text.splitlines() if '{domain="vm"' in line and "cpu_" in line}


def test_metrics_leave_out_what_is_old_of_either_source() -> None:
    kernels = {
        'domstats_cpu_time_seconds_total{domain="vm"}',
        'domstats_vcpu_time_seconds_total{domain="vm",vcpu="0"}',
        'domstats_vcpu_time_seconds_total{domain="vm",vcpu="1"}',
    }
    assert metrics(snapshot()) == kernels
    everything = metrics(snapshot(libvirt=1.0))
    assert everything > kernels
    assert metrics(snapshot(libvirt=1.0, kernel=30.0)) == everything - kernels
    assert metrics(snapshot(("vcpu.1.time",))) == {'domstats_vcpu_time_seconds_total{domain="vm",vcpu="1"}'}


def test_a_metric_of_which_some_values_are_the_kernels_stays_in_one_piece() -> None:
    text = prometheus.encode(snapshot(("vcpu.1.time",))).decode()
    lines = [line for line in text.splitlines() if "domstats_vcpu_time_seconds_total" in line]
    assert [line.split(" ")[0] for line in lines] == [
        "#",
        "#",
        'domstats_vcpu_time_seconds_total{domain="vm",vcpu="0"}',
        'domstats_vcpu_time_seconds_total{domain="vm",vcpu="1"}',
    ]


def test_the_age_of_a_record_is_that_of_its_oldest_part() -> None:
    for libvirt, kernel, age in ((30.0, 1.0, 30.0), (1.0, 30.0, 30.0)):
        text = prometheus.encode(snapshot(libvirt=libvirt, kernel=kernel)).decode()
        ages = [
            line for line in text.splitlines() if line.startswith('domstats_domain_sample_age_seconds{domain="vm"}')
        ]
        assert [float(line.split()[-1]) for line in ages] == [age]


def test_raw_is_as_if_libvirt_had_said_everything() -> None:
    assert raw.encode(snapshot()) == raw.encode(snapshot(()))
