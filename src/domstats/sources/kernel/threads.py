"""Which of a process's threads are vCPUs.

With `debug-threads=on`, which libvirt and Proxmox always give, QEMU names them "CPU 0/KVM" or "CPU 0/TCG". Without it
all threads have the name of the process. A thread is then known as a vCPU's once it is seen in the KVM_RUN call: its
/proc/PID/task/TID/syscall shows which descriptor it calls, and that is a link to `anon_inode:kvm-vcpu:0`. That needs
the right to trace the process; a vCPU that is paused, or runs the guest at that moment, shows nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from domstats.sources.kernel.descriptors import read_below

VCPUS_MAX = 4096
"""More than QEMU has on any machine."""
_NAME = re.compile(rb"CPU ([0-9]{1,4})/(KVM|TCG)\n?\Z")
_COMM_BYTES, _SYSCALL_BYTES = 64, 256
_KVM_RUN = 0xAE80
_VCPU_LINK = re.compile(r"anon_inode:\[?kvm-vcpu:([0-9]{1,4})\]?\Z")


class Threads:
    """The threads of one process; each is looked at once, as long as its name says what it is."""

    def __init__(self) -> None:
        self._seen: dict[int, int | None] = {}
        """The vCPU that a thread is; None for another thread."""

    def look(self, directory: int) -> dict[int, int]:
        """The thread of each vCPU, by its number, ascending. `directory` is that of the process. Raises OSError."""
        task = os.open("task", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
        try:
            there = [int(name) for name in os.listdir(task) if name.isdigit()]  # noqa: PTH208  it is a descriptor
            self._seen = {thread: self._seen[thread] for thread in there if thread in self._seen}
            for thread in there:
                if thread not in self._seen:
                    self._seen[thread] = _by_name(task, thread)
            found = _vcpus(self._seen)
            if not found:
                self._seen |= _by_call(directory, task, there)
                found = _vcpus(self._seen)
        finally:
            os.close(task)
        return found


def _vcpus(seen: Mapping[int, int | None]) -> dict[int, int]:
    """Of two threads with one number, which only a process that is no QEMU has, the older counts."""
    found: dict[int, int] = {}
    for thread, vcpu in sorted(seen.items()):
        if vcpu is not None and vcpu < VCPUS_MAX:
            found.setdefault(vcpu, thread)
    return dict(sorted(found.items()))


def _by_name(task: int, thread: int) -> int | None:
    try:
        name = _NAME.match(read_below(task, f"{thread}/comm", _COMM_BYTES))
    except OSError:  # it has ended
        return None
    return int(name[1]) if name else None


def _by_call(directory: int, task: int, threads: Iterable[int]) -> dict[int, int]:
    """The vCPU of each thread that is seen in the call that runs it."""
    found: dict[int, int] = {}
    for thread in threads:
        try:
            words = read_below(task, f"{thread}/syscall", _SYSCALL_BYTES).split()
            if len(words) < 3 or int(words[2], 16) != _KVM_RUN:
                continue
            link = _VCPU_LINK.match(os.readlink(f"fd/{int(words[1], 16)}", dir_fd=directory))
        except (OSError, ValueError):  # it may not be read, has ended, or is no call
            continue
        if link:
            found[thread] = int(link[1])
    return found
