"""A virtual machine without a QEMU: a process that makes one through /dev/kvm and keeps its statistics descriptors.

Its vCPUs, which are x86's, run two instructions: a write to a port, which leaves the vCPU, and a jump back to it. KVM
loads the guest's floating-point registers once an entry: a vCPU entered n times has n in `fpu_reload`, and while none
is entered no value moves.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

KVM = Path("/dev/kvm")
PROGRAM = bytes.fromhex("e610ebfc")
"""out 0x10, al; jump to the beginning."""

_CREATE_VM, _CREATE_VCPU, _GET_STATS_FD, _RUN, _RUN_BYTES = 0xAE01, 0xAE41, 0xAECE, 0xAE80, 0xAE04
_SET_MEMORY, _GET_SREGS, _SET_SREGS, _SET_REGS = 0x4020AE46, 0x8138AE83, 0x4138AE84, 0x4090AE82
_SREGS_BYTES, _CS_BASE, _CS_SELECTOR = 0x138, 0, 12
_ENDING = 20.0


class Machine:
    """The process, as a test sees it. `vcpus`: KVM's numbers of its vCPUs."""

    def __init__(self, vcpus: Sequence[int], *, vm: bool = False, held: bool = True) -> None:
        wanted = json.dumps({"vcpus": list(vcpus), "vm": vm, "held": held})
        command = [sys.executable, __file__, wanted]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        self.pidfd = os.pidfd_open(self.pid)
        self._answer()

    def run(self, vcpu: int, times: int) -> None:
        """Enter a vCPU so many times."""
        self._ask("run", vcpu, times)

    def figures(self, vcpu: int | None) -> dict[str, list[int]]:
        """The values of a vCPU, or of the machine, by KVM's names, as the process itself reads them."""
        found: dict[str, list[int]] = self._ask("figures", vcpu)
        return found

    def close_stats(self, vcpu: int) -> None:
        """Close a vCPU's descriptor."""
        self._ask("close", vcpu)

    def replace_stats(self, vcpu: int) -> None:
        """Close a vCPU's descriptor and let its number be one of vCPU 0's."""
        self._ask("replace", vcpu)

    def end(self) -> None:
        """End the process; nobody has waited for it when this returns, as for a guest of another's."""
        self._process.kill()
        os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOWAIT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate(timeout=_ENDING)
        os.close(self.pidfd)

    def _ask(self, *words: object) -> Any:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


class _Inside:
    """The process, as it sees itself."""

    def __init__(self, vcpus: Sequence[int], vm: bool, held: bool) -> None:
        system = os.open(KVM, os.O_RDWR)
        self.machine = fcntl.ioctl(system, _CREATE_VM, 0)
        self.memory = mmap.mmap(-1, mmap.PAGESIZE)
        self.memory.write(PROGRAM)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        fcntl.ioctl(self.machine, _SET_MEMORY, struct.pack("=IIQQQ", 0, 0, 0, mmap.PAGESIZE, address))
        self.run_bytes = fcntl.ioctl(system, _RUN_BYTES, 0)
        self.vcpus = {number: self._vcpu(number) for number in vcpus}
        self.stats: dict[int | None, int] = {}
        if held:
            self.stats |= {number: fcntl.ioctl(vcpu, _GET_STATS_FD, 0) for number, vcpu in self.vcpus.items()}
        if vm:
            self.stats[None] = fcntl.ioctl(self.machine, _GET_STATS_FD, 0)

    def _vcpu(self, number: int) -> int:
        """A vCPU in real mode, about to run the program at address 0."""
        vcpu = fcntl.ioctl(self.machine, _CREATE_VCPU, number)
        special = bytearray(_SREGS_BYTES)
        fcntl.ioctl(vcpu, _GET_SREGS, special)
        struct.pack_into("=Q", special, _CS_BASE, 0)
        struct.pack_into("=H", special, _CS_SELECTOR, 0)
        fcntl.ioctl(vcpu, _SET_SREGS, bytes(special))
        fcntl.ioctl(vcpu, _SET_REGS, struct.pack("=18Q", *[0] * 17, 2))
        mmap.mmap(vcpu, self.run_bytes)
        return vcpu

    def run(self, vcpu: int, times: int) -> None:
        for _ in range(times):
            fcntl.ioctl(self.vcpus[vcpu], _RUN, 0)

    def figures(self, vcpu: int | None) -> dict[str, list[int]]:
        stats = self.stats[vcpu]
        _, name_bytes, count, _, first, place = struct.unpack("=6I", os.pread(stats, 24, 0))
        found = {}
        for at in range(first, first + count * (16 + name_bytes), 16 + name_bytes):
            words, offset = struct.unpack("=HI", os.pread(stats, 6, at + 6))
            name = os.pread(stats, name_bytes, at + 16).rstrip(b"\0").decode()
            found[name] = list(struct.unpack(f"={words}Q", os.pread(stats, 8 * words, place + offset)))
        return found

    def close(self, vcpu: int) -> None:
        os.close(self.stats[vcpu])

    def replace(self, vcpu: int) -> None:
        os.dup2(self.stats[0], self.stats[vcpu])


def _main(wanted: str) -> None:
    inside = _Inside(**json.loads(wanted))
    print("null", flush=True)
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        print(json.dumps(getattr(inside, verb)(*arguments)), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])
