"""The kernel's values laid over libvirt's: which ones, in which order, and with whose times."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace

import numpy as np
import pytest

from captures import CAPTURES, capture
from domstats.catalog.fields import Kind
from domstats.catalog.lookup import kind_of
from domstats.errors import NoRate
from domstats.model.layout import Shape
from domstats.model.merge import Merger, Part, without_old_groups
from domstats.model.sampling import COLUMN_NAMES, OVERLAID
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from overlaid import KERNEL, KERNEL_GROUPS, LIBVIRT, VM, P, T, laid_over, poll


def test_what_the_kernel_measures_takes_the_place_of_libvirts_and_the_rest_stays() -> None:
    record = laid_over(LIBVIRT, KERNEL)["vm"]
    assert record.items() == [
        ("state.state", 1),
        ("cpu.time", 100),
        ("cpu.cache.monitor.count", 0),
        ("balloon.rss", 101),
        ("vcpu.current", 2),
        ("vcpu.0.state", 1),
        ("vcpu.0.time", 102),
        ("vcpu.0.exits.sum", 103),
        ("vcpu.1.state", 0),
        ("net.count", 2),
        ("net.0.name", "tap-a"),
        ("net.0.rx.bytes", 12),
        ("net.3.name", "tap-b"),
        ("net.3.rx.bytes", 104),
    ]
    assert record.domain is VM
    shape = record.layout.shape
    assert [key for key, flag in zip(shape.keys, shape.overlaid, strict=True) if flag] == [
        "cpu.time",
        "balloon.rss",
        "vcpu.0.time",
        "vcpu.0.exits.sum",
        "net.3.name",
        "net.3.rx.bytes",
    ]


def test_only_the_groups_chosen_are_laid_over() -> None:
    record = laid_over(LIBVIRT, KERNEL, groups=1 << 1)["vm"]
    assert (record["cpu.time"], record["vcpu.0.time"], record["net.3.rx.bytes"]) == (100, 11, 13)
    assert "balloon.rss" not in record
    nothing = laid_over(LIBVIRT, KERNEL, groups=0)["vm"]
    assert nothing.items() == poll(LIBVIRT)["vm"].items()
    assert nothing.layout.shape is poll(LIBVIRT)["vm"].layout.shape


def test_the_kernels_word_on_vcpus_counts_where_libvirt_says_nothing() -> None:
    record = laid_over(LIBVIRT[:1], KERNEL)["vm"]
    assert record["vcpu.current"] == record["vcpu.0.state"] == 99
    assert not any(key.startswith("net.") for key in record)  # which of them are the guest's is libvirt's to say


def test_a_value_of_another_type_is_not_taken() -> None:
    assert laid_over((P("cpu.time", T.LLONG, -1),), KERNEL)["vm"]["cpu.time"] == -1


@pytest.mark.parametrize("key", ["x.y", "cpu.new", "vcpu.0.a b.sum", "vcpu.0.\udcff.sum", "vcpu.0.\n.sum"])
def test_keys_that_no_catalogue_knows_or_no_format_could_name_are_left_out(key: str) -> None:
    assert laid_over(LIBVIRT, (P(key, T.ULLONG, 1),))["vm"].keys() == poll(LIBVIRT)["vm"].keys()


@pytest.mark.parametrize("name", CAPTURES)
def test_a_kernel_that_knows_every_key_changes_no_key_type_or_order(name: str) -> None:
    libvirt = ReplyDecoder().decode(capture(name))
    kernel = Snapshot(libvirt.layout, libvirt.values + np.uint64(1), 0.0, libvirt.sampling, None)
    rows = [[Part(libvirt, each), Part(kernel, each, KERNEL_GROUPS, overlay=True)] for each in range(len(libvirt))]
    layout, values = Merger().merge(libvirt.domains, rows)
    merged = Snapshot.of_one_poll(layout, values, time=0.0, source="")
    counted = 0
    for ours, theirs in zip(merged, libvirt, strict=True):
        shape = ours.layout.shape
        assert [(each.name, each.type) for each in ours.params] == [(each.name, each.type) for each in theirs.params]
        flags = shape.overlaid or bytes(len(shape))
        assert [bool(flag) for flag in flags] == [is_the_kernels(key) for key in shape.keys]
        for mine, param, flag, kind in zip(ours.params, theirs.params, flags, shape.types, strict=True):
            assert mine.value == (param.value + 1 if flag and kind == T.ULLONG else param.value) or kind == T.BOOLEAN
        counted += sum(flags)
    assert counted > 10 * len(libvirt)


def is_the_kernels(key: str) -> bool:
    """Counters of the four groups, two kinds of gauges, and the names of network devices."""
    if not key.startswith(("cpu.", "balloon.", "vcpu.", "net.")):
        return False
    others = r"balloon\.rss|vcpu\.\d+\..+\.(cur|max)|net\.\d+\.name"
    return kind_of(key) is Kind.COUNTER or bool(re.fullmatch(others, key))


def test_ages_and_sources_are_told_apart() -> None:
    snapshot = laid_over(LIBVIRT, KERNEL)
    sampling = snapshot.sampling
    sources = np.array([[0] * OVERLAID + [1] * OVERLAID], np.uint8)
    snapshot = snapshot.with_sampling(replace(sampling, sources=sources, source_names=("libvirt", "kernel")))
    record = snapshot["vm"]
    libvirt, kernel = (
        dict.fromkeys(("state", "cpu", "vcpu", "interface"), 10.0),
        ("cpu", "balloon", "vcpu", "interface"),
    )
    assert record.ages == libvirt | dict.fromkeys((f"{group}.kernel" for group in kernel), 1.0)
    assert record.age == 10.0
    assert record.sources["cpu"] == "libvirt"
    assert record.sources["cpu.kernel"] == "kernel"
    assert pickle.loads(pickle.dumps(snapshot))["vm"].ages == record.ages


def test_a_whole_group_of_the_kernels_has_no_age_of_libvirts() -> None:
    assert set(laid_over((P("cpu.time", T.ULLONG, 1),), KERNEL[:1])["vm"].ages) == {"cpu.kernel"}


def test_old_groups_leave_what_the_kernel_gives_of_them() -> None:
    young = without_old_groups(laid_over(LIBVIRT, KERNEL), 5.0)["vm"]
    assert young.items() == [
        ("cpu.time", 100),
        ("balloon.rss", 101),
        ("vcpu.0.time", 102),
        ("vcpu.0.exits.sum", 103),
        ("net.3.name", "tap-b"),
        ("net.3.rx.bytes", 104),
    ]
    assert young["net[tap-b].rx.bytes"] == 104, "counters are worth little without the name"
    assert young.age == 1.0
    old = without_old_groups(laid_over(LIBVIRT, KERNEL, at=(99.0, 90.0)), 5.0)["vm"]
    assert "cpu.time" not in old
    assert "cpu.cache.monitor.count" in old


class TestRates:
    def test_each_value_has_the_time_of_its_own_source(self) -> None:
        more = (P("cpu.time", T.ULLONG, 160), *KERNEL[1:])
        before, now = laid_over(LIBVIRT, KERNEL, at=(50.0, 99.0)), laid_over(LIBVIRT, more, at=(90.0, 102.0))
        assert before.layout is not now.layout
        assert now.rates(before)["vm"]["cpu.time"] == 20.0
        assert now.rates(before)["vm"]["net.0.rx.bytes"] == 0.0
        again = Snapshot(before.layout, now.values, now.time, now.sampling, None)
        assert again.rates(before)["vm"]["cpu.time"] == 20.0

    @pytest.mark.parametrize("back", [False, True])
    def test_a_counter_that_another_source_gave_has_none(self, back: bool) -> None:
        before, now = laid_over(LIBVIRT, (), at=(50.0, 0.0)), laid_over(LIBVIRT, KERNEL, at=(90.0, 99.0))
        before, now = (now, before) if back else (before, now)
        rates = now.rates(before)["vm"]
        with pytest.raises(NoRate, match="source changed"):
            rates["cpu.time"]
        assert rates.reason("net.3.rx.bytes") == "source changed"
        assert rates.reason("net.0.rx.bytes") == ("interval too short" if back else "")

    def test_an_earlier_record_may_have_nothing_at_all(self) -> None:
        """That of a guest which has just been started."""
        rates = laid_over(LIBVIRT, KERNEL).rates(poll((), time=50.0))["vm"]
        assert {rates.reason(key) for key in ("cpu.time", "vcpu.0.time", "net.0.rx.bytes")} == {"no earlier sample"}

    def test_a_restart_is_told_first(self) -> None:
        before = laid_over(LIBVIRT, (), at=(50.0, 0.0))
        now = laid_over(LIBVIRT, KERNEL)
        layout, values = Merger().merge([replace(VM, id=8)], [[Part(now, 0)]])
        restarted = Snapshot(layout, values, 100.0, now.sampling, None)
        assert restarted.rates(before)["vm"].reason("cpu.time") == "restarted"


def test_equal_shapes_are_one_with_what_is_overlaid() -> None:
    keys, types = ("cpu.time", "cpu.user"), bytes([T.ULLONG, T.ULLONG])
    plain, other = Shape.of(keys, types), Shape.of(keys, types, b"\0\1")
    assert Shape.of(keys, types, b"\0\0") is plain
    assert Shape.of(keys, types, b"\0\1") is other is not plain
    assert [COLUMN_NAMES[column] for column in other.columns] == ["cpu", "cpu.kernel"]
    assert pickle.loads(pickle.dumps(other)) is other
