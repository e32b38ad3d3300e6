"""KVM's own statistics of a guest, read through descriptors that its QEMU keeps open.

QEMU from 8.1 on holds a statistics descriptor for each vCPU. pidfd_getfd(2) gives a copy of it to whoever may trace the
process, and one pread of it gives all values at once, without asking QEMU. What the bytes mean is described in the
kernel's documentation of KVM, at KVM_GET_STATS_FD: a header, descriptors that name and place the values, and those.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import select
import struct
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from domstats.errors import BadValue, LimitExceeded, Truncated
from domstats.model.params import ParamType

Values = npt.NDArray[np.uint64]

HEADER = struct.Struct("=6I")
"""Flags, bytes of a name, number of descriptors, where the id text, the descriptors and the values begin."""
DESCRIPTOR = struct.Struct("=IhHII")
"""Flags, exponent, 64-bit words of the value, its place among the values in bytes, width of a histogram's bucket."""
WORD = 8

NAME_MAX = 256
DESCRIPTORS_MAX = 4096
WORDS_MAX = 1 << 16
PLACE_MAX = 1 << 24
"""Well above what any kernel has: 48 bytes, 61 descriptors, 1 KiB of values."""

_SUFFIXES = {0x0: "sum", 0x1: "cur", 0x2: "max"}
"""What libvirt puts behind the name of a value that adds up, is of the moment, or is the highest so far."""
_TYPE_MASK, _UNIT_MASK, _BASE_MASK = 0xF, 0xF0, 0xF00
_BOOLEAN_UNIT = 0x40
_UNITS = frozenset((0x00, 0x10, 0x20, 0x30, _BOOLEAN_UNIT))
"""None, bytes, seconds, cycles, boolean."""
_BASES = frozenset((0x000, 0x100))
"""Powers of ten and of two."""

HALT_POLL = ("halt_poll_success_ns.sum", "halt_poll_fail_ns.sum")
"""What cpu.haltpoll.success.time and cpu.haltpoll.fail.time are added up from."""

_VM = "anon_inode:kvm-vm-stats"
_VCPU = re.compile(r"anon_inode:kvm-vcpu-stats:([0-9]{1,9})")
_MACHINE = "anon_inode:kvm-vm"

_PIDFD_GETFD = 438
"""The number of the call, the same on every architecture."""
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class NoStats(IntEnum):
    """Why a guest's KVM statistics cannot be had."""

    GONE = 1
    NO_RIGHT = 2
    NO_KVM = 3
    NOT_HELD = 4
    TOO_MANY = 5
    NO_CALL = 6
    CHANGED = 7

    @property
    def text(self) -> str:
        """In words, with what can be done."""
        return _TEXTS[self]


_TEXTS = {
    NoStats.GONE: "the process has ended",
    NoStats.NO_RIGHT: "the right to trace the process is missing: root, or CAP_SYS_PTRACE",
    NoStats.NO_KVM: "the process has no KVM machine",
    NoStats.NOT_HELD: "QEMU holds no statistics descriptors; it does from 8.1 on, with Linux 5.14 or newer",
    NoStats.TOO_MANY: "too many open files: raise the limit",
    NoStats.NO_CALL: "the kernel, or a filter of system calls, has no pidfd_getfd: it needs Linux 5.6 or newer",
    NoStats.CHANGED: "the process has closed a descriptor: open its statistics anew",
}
_REASONS = {
    errno.ESRCH: NoStats.GONE,
    errno.ENOENT: NoStats.GONE,
    errno.EPERM: NoStats.NO_RIGHT,
    errno.EACCES: NoStats.NO_RIGHT,
    errno.EMFILE: NoStats.TOO_MANY,
    errno.ENFILE: NoStats.TOO_MANY,
    errno.ENOSYS: NoStats.NO_CALL,
}


@dataclass(frozen=True, slots=True)
class Statistic:
    """One value of a vCPU or a machine."""

    name: str
    """The end of libvirt's key: `halt_exits.sum`, `guest_mode.cur`."""
    type: ParamType
    """ULLONG or BOOLEAN."""


@dataclass(frozen=True, slots=True, eq=False)
class StatsLayout:
    """Which values there are and where: the same object for all descriptors of a host that agree in it."""

    statistics: tuple[Statistic, ...]
    """Those that libvirt reports, in the kernel's order; histograms are not among them."""
    columns: npt.NDArray[np.intp]
    """For each statistic, which word of the block of values it is."""
    ceilings: Values
    """For each statistic the highest value its type can hold: 1 for a boolean."""
    place: int
    """Where the block of values begins, in bytes."""
    words: int
    """How many 64-bit words of the block are needed."""

    def keys(self, prefix: str) -> tuple[str, ...]:
        """libvirt's keys of all statistics; `prefix` is `vcpu.<number>` or `vm`."""
        return tuple(f"{prefix}.{statistic.name}" for statistic in self.statistics)

    def find(self, name: str) -> int | None:
        """The place of a statistic among the statistics; None where this kernel has none of that name."""
        names = (place for place, statistic in enumerate(self.statistics) if statistic.name == name)
        return next(names, None)

    def pick(self, block: Values) -> Values:
        """The values of the statistics out of blocks of words, as an array of their own; the last axis changes."""
        picked: Values = block[..., self.columns]
        return np.minimum(picked, self.ceilings, out=picked)


@dataclass(frozen=True, slots=True, eq=False)
class KvmFigures:
    """What one reading gave."""

    vcpus: Values
    """One row a vCPU, in the order of `KvmStats.vcpu_ids`; one column a statistic of `KvmStats.layout`."""
    vm: Values | None
    """One value for each statistic of `KvmStats.vm_layout`; None where no descriptor of the machine is held."""


@lru_cache(maxsize=64)
def parse(header: bytes, descriptors: bytes) -> StatsLayout:
    """The layout that the header and the descriptors of a statistics file describe.

    What QEMU does not pass on, and libvirt so never sees, is left out: types, units and bases it does not know, and
    values of several words. Raises Truncated, LimitExceeded and BadValue.
    """
    name_bytes, count, _, place = check_header(header)
    step = DESCRIPTOR.size + name_bytes
    if len(descriptors) != count * step:
        raise Truncated("descriptors", len(descriptors), f"{count} descriptors are {count * step} bytes")
    found: list[tuple[Statistic, int]] = []
    for at in range(0, len(descriptors), step):
        flags, _, words, offset, _ = DESCRIPTOR.unpack_from(descriptors, at)
        if offset % WORD or offset // WORD + words > WORDS_MAX:
            raise BadValue("descriptor", at, f"{words} words at byte {offset} of the values")
        suffix = _SUFFIXES.get(flags & _TYPE_MASK)
        known = flags & _UNIT_MASK in _UNITS and flags & _BASE_MASK in _BASES
        if suffix is None or not known or words != 1:
            continue
        boolean = flags & _UNIT_MASK == _BOOLEAN_UNIT
        name = _name(descriptors[at + DESCRIPTOR.size : at + step], at)
        statistic = Statistic(f"{name}.{suffix}", ParamType.BOOLEAN if boolean else ParamType.ULLONG)
        found.append((statistic, offset // WORD))
    statistics = tuple(statistic for statistic, _ in found)
    if len({statistic.name for statistic in statistics}) < len(statistics):
        raise BadValue("descriptors", 0, "two statistics have the same name")
    highest = {ParamType.BOOLEAN: 1, ParamType.ULLONG: (1 << 64) - 1}
    return StatsLayout(
        statistics,
        np.array([word for _, word in found], np.intp),
        np.array([highest[statistic.type] for statistic in statistics], np.uint64),
        place,
        max((word + 1 for _, word in found), default=0),
    )


def check_header(header: bytes) -> tuple[int, int, int, int]:
    """Bytes of a name, number of descriptors, where these and the values begin; each within its limit."""
    if len(header) != HEADER.size:
        raise Truncated("header", len(header), f"a header is {HEADER.size} bytes")
    _, name_bytes, count, _, first, place = HEADER.unpack(header)
    for field, value, limit in (
        ("name_size", name_bytes, NAME_MAX),
        ("num_desc", count, DESCRIPTORS_MAX),
        ("desc_offset", first, PLACE_MAX),
        ("data_offset", place, PLACE_MAX),
    ):
        if value > limit:
            raise LimitExceeded(field, 0, f"{value} is over the limit of {limit}")
    return name_bytes, count, first, place


def _name(raw: bytes, at: int) -> str:
    """A descriptor's name, which a zero byte ends."""
    name, ended, _ = raw.partition(b"\0")
    if not ended or not re.fullmatch(rb"[!-~]+", name):
        raise BadValue("name", at, f"{name!r} is no name")
    return name.decode("ascii")


@dataclass(frozen=True, slots=True)
class _Place:
    """A statistics descriptor of the other process."""

    number: int
    """Its number there."""
    link: str
    """What /proc shows of it."""


class KvmStats:
    """The statistics descriptors of one guest, and reading them.

    A descriptor that is held keeps KVM's part of the machine alive after QEMU has ended: not the guest's memory, but
    page tables, vCPUs, and the module's use count. So `read` looks first whether the process has ended, and then closes
    them; a caller that learns of the end in another way calls `close` at once.
    """

    def __init__(self, pidfd: int, places: dict[int, _Place], vm: _Place | None, hold: int) -> None:
        self._pidfd, self._places, self._vm = pidfd, list(places.values()), vm
        self._open = True
        self._held: dict[_Place, int] = {}
        self.vcpu_ids = tuple(places)
        """KVM's numbers of the vCPUs, rising. On x86 they are APIC ids: `rows` tells which vCPU each is."""
        try:
            self.layout = _only([self._look(place, hold) for place in self._places])
            """What is known of each vCPU."""
            self.vm_layout = None if vm is None else self._look(vm, hold)
            """What is known of the machine as a whole; QEMU up to 10.0 holds no descriptor of it."""
        except BaseException:
            self.close()
            raise
        self._block = np.zeros((len(places), self.layout.words), np.uint64)
        self._buffers = [row.view(np.uint8).data for row in self._block]
        self._vm_block = np.zeros(self.vm_layout.words if self.vm_layout else 0, np.uint64)
        self._end = _end_of(pidfd)

    @classmethod
    def open(cls, pid: int, pidfd: int, hold: int, proc: str = "/proc") -> KvmStats | NoStats:
        """The statistics of a process, or why there are none.

        `pidfd` is a descriptor of the process `pid`, which the caller has made sure of and keeps open for as long as
        this is used. Of the statistics descriptors `hold` at most are kept open; the others are taken anew at each
        reading, which is four times as dear. Needs PTRACE_MODE_ATTACH_REALCREDS: root, CAP_SYS_PTRACE, or, where Yama
        does not forbid it, the same user. Raises ProtocolError for bytes that are no statistics.
        """
        try:
            links = _links(f"{proc}/{pid}/fd")
            vcpus = {int(found[1]): place for place in links if (found := _VCPU.fullmatch(place.link))}
            if not vcpus:
                if _end_of(pidfd).poll(0):
                    return NoStats.GONE
                machine = any(place.link == _MACHINE for place in links)
                return NoStats.NOT_HELD if machine else NoStats.NO_KVM
            vm = next((place for place in links if place.link == _VM), None)
            return cls(pidfd, dict(sorted(vcpus.items())), vm, hold)
        except OSError as error:
            return _reason(error)

    @property
    def held(self) -> int:
        """How many descriptors are open between two readings."""
        return len(self._held)

    def rows(self, vcpus: Collection[int]) -> dict[int, int]:
        """For each vCPU, by the number that libvirt and its thread's name give it, its row in the figures.

        KVM's numbers rise with those: where there is one for each they pair in their order. Otherwise, as while a vCPU
        comes or goes, nothing can be said and the result is empty.
        """
        numbers = sorted(vcpus)
        return {number: row for row, number in enumerate(numbers)} if len(numbers) == len(self.vcpu_ids) else {}

    def read(self) -> KvmFigures | NoStats:
        """The values of now, or why there are none. After a reason everything is closed: open the statistics anew."""
        if not self._open:
            return NoStats.CHANGED
        if self._end.poll(0):
            self.close()
            return NoStats.GONE
        try:
            for place, buffer in zip(self._places, self._buffers, strict=True):
                self._read(place, buffer, self.layout.place)
            if self._vm is None or self.vm_layout is None:
                return KvmFigures(self.layout.pick(self._block), None)
            self._read(self._vm, self._vm_block.view(np.uint8).data, self.vm_layout.place)
            return KvmFigures(self.layout.pick(self._block), self.vm_layout.pick(self._vm_block))
        except OSError as error:
            self.close()
            return _reason(error)

    def close(self) -> None:
        """Let go of all descriptors. Safe to call twice; the pidfd is the caller's.

        Takes about 1 ms when QEMU has ended before, as KVM then takes its machine down.
        """
        self._open = False
        while self._held:
            os.close(self._held.popitem()[1])

    def _look(self, place: _Place, hold: int) -> StatsLayout:
        """Take a descriptor, read its layout, and keep it if it may be held."""
        descriptor = _take(self._pidfd, place)
        try:
            header = os.pread(descriptor, HEADER.size, 0)
            name_bytes, count, first, _ = check_header(header)
            layout = parse(header, os.pread(descriptor, count * (DESCRIPTOR.size + name_bytes), first))
        except BaseException:
            os.close(descriptor)
            raise
        if len(self._held) < hold:
            self._held[place] = descriptor
        else:
            os.close(descriptor)
        return layout

    def _read(self, place: _Place, buffer: memoryview, start: int) -> None:
        """Fill the buffer with a descriptor's values. Raises OSError."""
        descriptor = self._held.get(place)
        if descriptor is not None:
            count = os.preadv(descriptor, (buffer,), start)
        else:
            descriptor = _take(self._pidfd, place)
            try:
                count = os.preadv(descriptor, (buffer,), start)
            finally:
                os.close(descriptor)
        if count != len(buffer):
            raise OSError(errno.EBADF, f"{place.link} gave {count} bytes of {len(buffer)}")


def _only(layouts: list[StatsLayout]) -> StatsLayout:
    """The layout of all vCPUs of a guest. Raises BadValue where they differ, as no kernel lets them."""
    if any(layout is not layouts[0] for layout in layouts):
        raise BadValue("descriptors", 0, "the vCPUs of a guest have different statistics")
    return layouts[0]


def _end_of(pidfd: int) -> select.poll:
    """What can be asked whether the process has ended; unlike select(2) it takes descriptors of any number."""
    end = select.poll()
    end.register(pidfd, select.POLLIN)
    return end


def halt_poll(layout: StatsLayout, vcpus: Values) -> tuple[int, int] | None:
    """cpu.haltpoll.success.time and cpu.haltpoll.fail.time in ns, as libvirt adds them up; None where KVM lacks one."""
    success, fail = (layout.find(name) for name in HALT_POLL)
    if success is None or fail is None:
        return None
    return int(vcpus[:, success].sum()), int(vcpus[:, fail].sum())


def _links(folder: str) -> list[_Place]:
    """All descriptors of a process that belong to KVM, by rising number."""
    found = []
    for number in sorted(int(name) for name in os.listdir(folder) if name.isdecimal()):  # noqa: PTH208  as it is quick
        try:
            link = os.readlink(f"{folder}/{number}")  # noqa: PTH115
        except FileNotFoundError:  # closed since
            continue
        if link.startswith("anon_inode:kvm-"):
            found.append(_Place(number, link))
    return found


def _take(pidfd: int, place: _Place) -> int:
    """A copy of the other process's descriptor, which is the caller's to close. Raises OSError.

    The process may have closed it and opened another file under the same number, so that what came is looked at.
    """
    arguments = (ctypes.c_long(_PIDFD_GETFD), ctypes.c_long(pidfd), ctypes.c_long(place.number), ctypes.c_long(0))
    descriptor: int = _libc.syscall(*arguments)
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    if _shown(descriptor) != place.link:
        os.close(descriptor)
        raise OSError(errno.EBADF, f"{place.link} is another file now")
    return descriptor


def _shown(descriptor: int) -> str:
    """What /proc shows of a descriptor of our own; nothing where it cannot be seen."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115  as it is quick
    except OSError:
        return ""


def _reason(error: OSError) -> NoStats:
    return _REASONS.get(error.errno or 0, NoStats.CHANGED)
