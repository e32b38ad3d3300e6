"""Which of a process's threads are vCPUs.

With `debug-threads=on`, which libvirt and Proxmox always give, QEMU names them "CPU 0/KVM" or "CPU 0/TCG". Each does so
itself, a moment after it is there: until then it has the name of the thread that has begun it. Without `debug-threads`
all threads have the name of the process. A thread is then known as a vCPU's once it is seen in the KVM_RUN call: its
/proc/PID/task/TID/syscall shows which descriptor it calls, and that is a link to `anon_inode:kvm-vcpu:0`. That needs
the right to trace the process; a vCPU that is paused, or runs the guest at that moment, shows nothing.
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
        try:
            known = {thread: self._known[thread] for thread in there if thread in self._known}
            named = _by_name(task, (thread for thread in there if thread not in known))
            self._named = self._named or bool(named)
            self._known = known | named
            self._others = [thread for thread in there if thread not in self._known]
            if not self._named:
                self._known |= _by_call(directory, task, self._others)
        finally:
            os.close(task)
        return _vcpus(self._known)

    def late(self, directory: int) -> bool:
        """Whether one of the others has got a vCPU's name since they were looked at. Raises OutOfFiles."""
        return any(_name(directory, f"task/{thread}/comm") for thread in self._others)


def _vcpus(known: Mapping[int, int]) -> dict[int, int]:
    """Of two threads with one number, which only a process that is no QEMU has, the older counts."""
    found: dict[int, int] = {}
    for thread, vcpu in sorted(known.items()):
        if vcpu < VCPUS_MAX:
            found.setdefault(vcpu, thread)
    return dict(sorted(found.items()))


def _by_name(task: int, threads: Iterable[int]) -> dict[int, int]:
    """The vCPU of each thread whose name says that it is one's."""
    names = ((thread, _name(task, f"{thread}/comm")) for thread in threads)
    return {thread: int(name[1]) for thread, name in names if name}


def _name(directory: int, path: str) -> re.Match[bytes] | None:
    try:
        return _NAME.match(read_below(directory, path, _COMM_BYTES))
    except OSError:  # it has ended
        return None


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
