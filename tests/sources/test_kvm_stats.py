"""KVM's statistics, of machines that processes of the tests make, and of bytes that no kernel would give."""

from __future__ import annotations

import os
import platform
import resource
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.errors import BadValue, LimitExceeded, ProtocolError, Truncated
from domstats.model.params import ParamType
from domstats.sources.kernel.kvm_layout import check_header, halt_poll, parse
from domstats.sources.kernel.kvm_stats import KvmFigures, KvmStats, NoStats
from kvm_machine import KVM, Machine

needs_kvm = pytest.mark.skipif(
    not os.access(KVM, os.R_OK | os.W_OK) or platform.machine() != "x86_64", reason="needs /dev/kvm of an x86 host"
)
NAME_BYTES, PLACE = 48, 3000


def descriptor(name: str, flags: int = 0, words: int = 1, offset: int = 0) -> bytes:
    return struct.pack("=IhHII", flags, -9, words, offset, 0) + name.encode().ljust(NAME_BYTES, b"\0")


def header(count: int, name_bytes: int = NAME_BYTES, first: int = 72, place: int = PLACE) -> bytes:
    return struct.pack("=6I", 0, name_bytes, count, 24, first, place)


def keys_of(*descriptors: bytes) -> list[tuple[str, ParamType]]:
    layout = parse(header(len(descriptors)), b"".join(descriptors))
    return [(statistic.name, statistic.type) for statistic in layout.statistics]


def opened(machine: Machine, hold: int = 100) -> KvmStats:
    stats = KvmStats.open(machine.pid, machine.pidfd, hold)
    assert isinstance(stats, KvmStats)
    return stats


def figures(stats: KvmStats) -> KvmFigures:
    read = stats.read()
    assert isinstance(read, KvmFigures)
    return read


def descriptors_open() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@contextmanager
def soft_limit(files: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# The layout


def test_the_type_gives_the_suffix_and_the_unit_the_type() -> None:
    assert keys_of(
        descriptor("exits"),
        descriptor("pages", 0x01),
        descriptor("highest", 0x02),
        descriptor("guest_mode", 0x41),
        descriptor("wait_ns", 0x20),
        descriptor("bytes", 0x110),
        descriptor("cycles", 0x30),
    ) == [
        ("exits.sum", ParamType.ULLONG),
        ("pages.cur", ParamType.ULLONG),
        ("highest.max", ParamType.ULLONG),
        ("guest_mode.cur", ParamType.BOOLEAN),
        ("wait_ns.sum", ParamType.ULLONG),
        ("bytes.sum", ParamType.ULLONG),
        ("cycles.sum", ParamType.ULLONG),
    ]


@pytest.mark.parametrize(
    ("flags", "words"),
    [(0x03, 32), (0x04, 32), (0x03, 1), (0x05, 1), (0x50, 1), (0x200, 1), (0x00, 2), (0x00, 0)],
    ids=["linear", "log", "one bucket", "type", "unit", "base", "two words", "no word"],
)
def test_what_libvirt_does_not_show_is_left_out(flags: int, words: int) -> None:
    assert keys_of(descriptor("other", flags, words), descriptor("exits", offset=8)) == [
        ("exits.sum", ParamType.ULLONG)
    ]


def test_values_are_picked_where_the_descriptors_place_them() -> None:
    parts = [
        descriptor("second", offset=16),
        descriptor("flag", 0x41, offset=0),
        descriptor("histogram", 0x24, 40, offset=24),
    ]
    layout = parse(header(3), b"".join(parts))
    block = np.array([[7, 0, 2**64 - 1], [0, 1, 5]], np.uint64)
    assert (layout.place, layout.words) == (PLACE, 3)
    assert layout.pick(block).tolist() == [[2**64 - 1, 1], [5, 0]], "a boolean is 0 or 1"
    assert layout.keys("vcpu.3") == ("vcpu.3.second.sum", "vcpu.3.flag.cur")
    assert (layout.find("flag.cur"), layout.find("flag.sum")) == (1, None)


def test_equal_descriptors_are_one_layout() -> None:
    parts = descriptor("exits") + descriptor("pages", 1, offset=8)
    assert parse(header(2), parts) is parse(header(2), bytes(bytearray(parts)))


@pytest.mark.parametrize(
    ("head", "descriptors", "error"),
    [
        (header(1)[:-1], descriptor("a"), Truncated),
        (header(1) + b"\0", descriptor("a"), Truncated),
        (header(2), descriptor("a"), Truncated),
        (header(1), descriptor("a")[:-1], Truncated),
        (header(1, name_bytes=257), b"", LimitExceeded),
        (header(4097), b"", LimitExceeded),
        (header(0, first=1 << 25), b"", LimitExceeded),
        (header(0, place=1 << 25), b"", LimitExceeded),
        (header(1), descriptor("a", offset=4), BadValue),
        (header(1), descriptor("a", offset=(1 << 32) - 8), BadValue),
        (header(1), descriptor("a", 0x3, 65535, offset=16), BadValue),
        (header(1), descriptor(""), BadValue),
        (header(1), descriptor("a b"), BadValue),
        (header(1), descriptor("ä"), BadValue),
        (header(1), descriptor("a" * NAME_BYTES), BadValue),
        (header(2), descriptor("a") + descriptor("a", offset=8), BadValue),
    ],
)
def test_what_is_no_layout(head: bytes, descriptors: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse(head, descriptors)


@given(st.binary(max_size=64), st.binary(max_size=400))
def test_any_bytes(head: bytes, descriptors: bytes) -> None:
    try:
        layout = parse(head, descriptors)
    except ProtocolError:
        return
    assert layout.words <= 1 << 16


@given(st.integers(0, 8), st.integers(0, 64), st.data())
def test_any_bytes_of_the_announced_length(count: int, name_bytes: int, data: st.DataObject) -> None:
    size = count * (16 + name_bytes)
    descriptors = data.draw(st.binary(min_size=size, max_size=size))
    try:
        layout = parse(header(count, name_bytes), descriptors)
    except BadValue:
        return
    assert layout.pick(np.zeros((2, layout.words), np.uint64)).shape == (2, len(layout.statistics))


def test_a_header_within_the_limits() -> None:
    assert check_header(header(45)) == (NAME_BYTES, 45, 72, PLACE)


def test_halt_polling_is_added_up_over_the_vcpus() -> None:
    parts = [descriptor("halt_poll_success_ns", 0x20), descriptor("halt_poll_fail_ns", 0x20, offset=8)]
    layout = parse(header(2), b"".join(parts))
    assert halt_poll(layout, np.array([[1, 2**60], [10, 2**60 + 1]], np.uint64)) == (11, 2**61 + 1)
    assert halt_poll(parse(header(1), parts[0]), np.array([[1]], np.uint64)) is None


# Machines


@needs_kvm
@pytest.mark.parametrize("hold", [100, 2, 0])
def test_the_values_are_those_the_process_reads_itself(hold: int) -> None:
    with Machine([0, 1, 5], vm=True) as machine:
        machine.run(1, 3)
        machine.run(5, 7)
        stats = opened(machine, hold)
        try:
            assert (stats.vcpu_ids, stats.held) == ((0, 1, 5), min(hold, 4))
            vcpus = figures(stats).vcpus
            names = [statistic.name.rpartition(".")[0] for statistic in stats.layout.statistics]
            for number, row in zip(stats.vcpu_ids, vcpus, strict=True):
                own = machine.figures(number)
                assert dict(zip(names, row.tolist(), strict=True)) == {
                    name: words[0] for name, words in own.items() if len(words) == 1
                }
            entries = stats.layout.find("fpu_reload.sum")
            assert entries is not None
            assert vcpus[:, entries].tolist() == [0, 3, 7]
            machine.run(0, 2)
            assert figures(stats).vcpus[:, entries].tolist() == [2, 3, 7]
            assert vcpus[:, entries].tolist() == [0, 3, 7], "an earlier reading stays as it was"
        finally:
            stats.close()


@needs_kvm
def test_the_statistics_of_the_machine() -> None:
    with Machine([0], vm=True) as machine, Machine([0]) as other:
        machine.run(0, 1)
        stats, without = opened(machine), opened(other)
        try:
            assert stats.vm_layout is not None
            assert "vm.pages_4k.cur" in stats.vm_layout.keys("vm")
            vm = figures(stats).vm
            assert vm is not None
            names = [statistic.name.rpartition(".")[0] for statistic in stats.vm_layout.statistics]
            own = machine.figures(None)
            assert dict(zip(names, vm.tolist(), strict=True)) == {
                name: words[0] for name, words in own.items() if len(words) == 1
            }
            assert any(vm), "its program has been mapped"
            assert (without.vm_layout, figures(without).vm) == (None, None)
            assert stats.layout is without.layout, "known from the other guest"
        finally:
            stats.close()
            without.close()


@needs_kvm
def test_rows_by_the_order_of_the_numbers() -> None:
    with Machine([6, 0, 4]) as machine:
        stats = opened(machine)
        try:
            assert stats.vcpu_ids == (0, 4, 6)
            assert stats.rows([0, 3, 5]) == {0: 0, 3: 1, 5: 2}
            assert stats.rows({5, 0}) == {}
        finally:
            stats.close()


@needs_kvm
@pytest.mark.parametrize("hold", [100, 0])
def test_a_process_that_ends_is_let_go_of(hold: int) -> None:
    before = descriptors_open()
    with Machine([0, 1], vm=True) as machine:
        at_work = descriptors_open()
        stats = opened(machine, hold)
        assert descriptors_open() == at_work + stats.held
        machine.end()
        assert stats.read() is NoStats.GONE
        assert (stats.held, descriptors_open()) == (0, at_work)
        assert stats.read() is NoStats.CHANGED, "there is nothing left to read"
        assert KvmStats.open(machine.pid, machine.pidfd, hold) is NoStats.GONE
    assert KvmStats.open(machine.pid, -1, hold) is NoStats.GONE
    assert descriptors_open() == before


@needs_kvm
@pytest.mark.parametrize("what", ["close_stats", "replace_stats"])
def test_a_number_that_is_closed_or_another_descriptor_now(what: str) -> None:
    with Machine([0, 1]) as machine:
        at_work = descriptors_open()
        held, taken_anew = opened(machine), opened(machine, hold=1)
        getattr(machine, what)(1)
        assert taken_anew.read() is NoStats.CHANGED
        assert figures(held).vcpus.shape[0] == 2, "what is held goes on"
        held.close()
        again = opened(machine)
        assert again.vcpu_ids == (0,)
        again.close()
        assert descriptors_open() == at_work


@needs_kvm
def test_why_there_are_none() -> None:
    with Machine([0], held=False) as machine:
        assert KvmStats.open(machine.pid, machine.pidfd, 9) is NoStats.NOT_HELD
    own = os.pidfd_open(os.getpid())
    try:
        assert KvmStats.open(os.getpid(), own, 9) is NoStats.NO_KVM
    finally:
        os.close(own)


@needs_kvm
@pytest.mark.parametrize("spare", [0, 1, 2])
def test_a_limit_of_open_files(spare: int) -> None:
    with Machine([0, 1, 2]) as machine:
        before = descriptors_open()
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
        filled = [os.dup(0)]
        while filled[-1] <= highest:
            filled.append(os.dup(0))
        try:
            with soft_limit(filled[-1] + 1 + spare):
                assert KvmStats.open(machine.pid, machine.pidfd, 9) is NoStats.TOO_MANY
            assert descriptors_open() == before + len(filled)
        finally:
            for each in filled:
                os.close(each)


@needs_kvm
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give its rights away")
def test_without_the_right() -> None:
    with Machine([0]) as machine:
        before = descriptors_open()
        os.seteuid(65534)
        try:
            assert KvmStats.open(machine.pid, machine.pidfd, 9) is NoStats.NO_RIGHT
        finally:
            os.seteuid(0)
        assert descriptors_open() == before


def test_every_reason_has_words() -> None:
    assert all(reason.text for reason in NoStats)
