"""Which of a process's threads are vCPUs.

With `debug-threads=on`, which libvirt and Proxmox always give, QEMU names them "CPU 0/KVM" or "CPU 0/TCG". Each does so
itself, a moment after it is there: until then it has the name of the thread that has begun it. Without `debug-threads`
all threads have the name of the process. A thread is then known as a vCPU's once it is seen in the KVM_RUN call: its
/proc/PID/task/TID/syscall shows which descriptor it calls, and that is a link to `anon_inode:kvm-vcpu:0`. That needs
the right to trace the process; a vCPU that is paused, or runs the guest at that moment, shows nothing. How many there
are is known all the same, by those links.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from domstats.sources.kernel.descriptors import numbers_below, read_below

VCPUS_MAX = 4096
"""More than QEMU has on any machine."""
_NAME = re.compile(rb"CPU ([0-9]{1,4})/(KVM|TCG)\n?\Z")
_COMM_BYTES, _SYSCALL_BYTES = 64, 256
_KVM_RUN = 0xAE80
_VCPU_LINK = re.compile(r"anon_inode:\[?kvm-vcpu:([0-9]{1,4})\]?\Z")


class Threads:
    """The threads of one process. One that is known as a vCPU's is so for ever, the others are looked at again."""

    def __init__(self) -> None:
        self.complete = True
        """Whether no vCPU is known to be there whose thread is not known."""
        self._known: dict[int, int] = {}
        """The vCPU that a thread is."""
        self._others: list[int] = []
        self._named = False
        """Whether a name has told of a vCPU."""

    def look(self, directory: int) -> dict[int, int]:
        """The thread of each vCPU, by its number, ascending. `directory` is that of the process.

        Raises OSError, OutOfFiles.
        """
        task, there = numbers_below(directory, "task")
        os.close(task)
        self._known = {thread: self._known[thread] for thread in there if thread in self._known}
        self._others = [thread for thread in there if thread not in self._known]
        self._learn(directory, by_call=True)
        vcpus = _vcpus(self._known)
        self.complete = self._named or _linked(directory) <= vcpus.keys()
        return vcpus

    def late(self, directory: int) -> bool:
        """Whether one of the others has turned out to be a vCPU's since they were looked at. Raises OutOfFiles."""
        return self._learn(directory, by_call=not self.complete)

    def _learn(self, directory: int, *, by_call: bool) -> bool:
        """Know those of the others that say now which vCPU they are; whether there are any."""
        found = _by_name(directory, self._others)
        self._named = self._named or bool(found)
        if by_call and not self._named:
            found = _by_call(directory, self._others)
        self._known |= found
        self._others = [thread for thread in self._others if thread not in found]
        return bool(found)


def _vcpus(known: Mapping[int, int]) -> dict[int, int]:
    """Of two threads with one number, which only a process that is no QEMU has, the older counts."""
    found: dict[int, int] = {}
    for thread, vcpu in sorted(known.items()):
        if vcpu < VCPUS_MAX:
            found.setdefault(vcpu, thread)
    return dict(sorted(found.items()))


def _by_name(directory: int, threads: Iterable[int]) -> dict[int, int]:
    """The vCPU of each thread whose name says that it is one's."""
    names = ((thread, _name(directory, thread)) for thread in threads)
    return {thread: int(name[1]) for thread, name in names if name}


def _name(directory: int, thread: int) -> re.Match[bytes] | None:
    try:
        return _NAME.match(read_below(directory, f"task/{thread}/comm", _COMM_BYTES))
    except OSError:  # it has ended
        return None


def _by_call(directory: int, threads: Iterable[int]) -> dict[int, int]:
    """The vCPU of each thread that is seen in the call that runs it."""
    found: dict[int, int] = {}
    for thread in threads:
        try:
            words = read_below(directory, f"task/{thread}/syscall", _SYSCALL_BYTES).split()
            if len(words) < 3 or int(words[2], 16) != _KVM_RUN:
                continue
            vcpu = _vcpu_of(directory, int(words[1], 16))
        except (OSError, ValueError):  # it may not be read, has ended, or is no call
            continue
        if vcpu is not None:
            found[thread] = vcpu
    return found


def _linked(directory: int) -> set[int]:
    """The vCPUs that the process has descriptors of, as far as these may be looked at. Raises OSError, OutOfFiles."""
    try:
        folder, files = numbers_below(directory, "fd")
    except PermissionError:
        return set()
    os.close(folder)
    vcpus = (_vcpu_of(directory, file) for file in files)
    return {vcpu for vcpu in vcpus if vcpu is not None and vcpu < VCPUS_MAX}


def _vcpu_of(directory: int, file: int) -> int | None:
    """The vCPU whose descriptor that is, if it is one's."""
    try:
        link = _VCPU_LINK.match(os.readlink(f"fd/{file}", dir_fd=directory))
    except OSError:  # it has been closed, or may not be looked at
        return None
    return int(link[1]) if link else None
