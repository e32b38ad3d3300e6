"""KVM's own statistics of a guest, read through descriptors that its QEMU keeps open.

QEMU from 8.1 on holds a statistics descriptor for each vCPU. pidfd_getfd(2) gives a copy of it to whoever may trace the
process, and one pread of it gives all values at once, without asking QEMU. It holds none for the machine as a whole.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import select
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from domstats.errors import BadValue
from domstats.sources.kernel.kvm_layout import DESCRIPTOR, HEADER, StatsLayout, Values, check_header, parse

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


@dataclass(frozen=True, slots=True, eq=False)
class KvmFigures:
    """What one reading gave."""

    vcpus: Values
    """One row a vCPU, in the order of `KvmStats.vcpu_ids`; one column a statistic of `KvmStats.layout`."""
    vm: Values | None
    """One value for each statistic of `KvmStats.vm_layout`; None where no descriptor of the machine is held."""


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
            """What is known of the machine as a whole; None where no descriptor of it is held."""
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
        reading, at 8 us a vCPU instead of 1. Needs PTRACE_MODE_ATTACH_REALCREDS: root, CAP_SYS_PTRACE, or, where Yama
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
