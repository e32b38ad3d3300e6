"""Where the kernel accounts for a domain's processor time: the cgroup that its starter made for it alone.

libvirt makes `machine.slice/machine-qemu\\x2dID\\x2dNAME.scope` through systemd, with `libvirt/emulator` below it in
newer releases, or `machine/qemu-ID-NAME.libvirt-qemu`; Proxmox `qemu.slice/VMID.scope`. Any other cgroup may hold
other processes too (a login, a service that starts guests), and is not a domain's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from domstats.sources.kernel.figures import CpuTimes, cpu_stat, cpuacct

_OWN = re.compile(
    r"/(machine-qemu\\x2d[^/]+\.scope(/libvirt)?"
    r"|machine-qemu-[^/]+\.scope(/libvirt)?"
    r"|[^/]+\.libvirt-qemu"
    r"|qemu\.slice/[0-9]+\.scope)\Z"
)
_PART = re.compile(r"/(emulator|vcpu[0-9]+|iothread[0-9]+)\Z")
"""Where libvirt puts a domain's threads, below the cgroup of the whole domain."""


@dataclass(frozen=True, slots=True)
class Accounting:
    """The files of a cgroup that say how much processor time it has used."""

    version: int
    paths: tuple[str, ...]
    """cpu.stat; in version 1 cpuacct.usage and cpuacct.stat."""

    def times(self, texts: Sequence[bytes]) -> CpuTimes | None:
        """What these files, with these texts, say; None where they do not say it."""
        return cpuacct(*texts) if self.version == 1 else cpu_stat(*texts)


def accounting(text: bytes, sys: Path) -> Accounting | None:
    """That of the domain whose process has this /proc/PID/cgroup; None where it has no cgroup of its own."""
    unified: str | None = None
    for line in text.decode("utf-8", "surrogateescape").split("\n"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "cpuacct" in controllers.split(","):
            return _version1(controllers, _own(path), sys)
        if number == "0" and not controllers:
            unified = path
    path = _own(unified or "")
    # A host with both versions has the second in a directory of its own, or not mounted at all.
    found = path and _files(sys / "fs/cgroup", path, ("cpu.stat",))
    return Accounting(2, found) if found else None


def _own(path: str) -> str:
    own = _PART.sub("", path)
    return own if _OWN.search(own) and ".." not in own.split("/") else ""


def _version1(controllers: str, path: str, sys: Path) -> Accounting | None:
    for folder in (controllers, "cpuacct"):
        found = path and _files(sys / "fs/cgroup" / folder, path, ("cpuacct.usage", "cpuacct.stat"))
        if found:
            return Accounting(1, found)
    return None


def _files(root: Path, path: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The files of a cgroup, if they are there."""
    found = tuple(f"{root}{path}/{name}" for name in names)
    try:
        return found if all(map(_is_file, found)) else ()
    except ValueError:  # a NUL in the name
        return ()


def _is_file(path: str) -> bool:
    return Path(path).is_file()
