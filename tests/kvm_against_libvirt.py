"""KVM's statistics as read through QEMU's descriptors, compared with what the guest's libvirt says of them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.sax.saxutils import escape

from domstats.sources.kernel.kvm_layout import halt_poll
from domstats.sources.kernel.kvm_stats import KvmFigures, KvmStats, NoStats
from hypervisor import Hypervisor

_KEY = re.compile(r"vcpu\.\d+\..+\.(?:sum|cur|max)|cpu\.haltpoll\..+")
_FIRST_TO_HOLD = (8, 1)
_IN_FILE_NAMES = {"'": "&apos;", '"': "&quot;"}
"""libvirt names a guest's files as it would name the guest in XML."""


def said(peer: Hypervisor, name: str) -> dict[str, int]:
    """What virsh shows of a guest's vCPUs and halt polling; no and yes are 0 and 1."""
    lines = (line.strip().partition("=") for line in peer.virsh("domstats", "--vcpu", "--cpu-total", name).splitlines())
    words = {"no": "0", "yes": "1"}
    return {key: int(words.get(value, value)) for key, _, value in lines if _KEY.fullmatch(key)}


def read(stats: KvmStats, vcpus: list[int]) -> dict[str, int]:
    """The same from the descriptors."""
    figures = stats.read()
    assert isinstance(figures, KvmFigures)
    found: dict[str, int] = {}
    for vcpu, row in stats.rows(vcpus).items():
        found |= zip(stats.layout.keys(f"vcpu.{vcpu}"), figures.vcpus[row].tolist(), strict=True)
    polled = halt_poll(stats.layout, figures.vcpus)
    assert polled is not None
    return found | {"cpu.haltpoll.success.time": polled[0], "cpu.haltpoll.fail.time": polled[1]}


def vcpus_of(pid: int) -> list[int]:
    """The numbers of a guest's vCPUs, by the names of their threads."""
    names = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/comm"))
    return [int(found[1]) for name in names if (found := re.fullmatch(r"CPU (\d+)/KVM\n", name))]


def same_as_libvirt(peer: Hypervisor) -> None:
    """Every running guest: the same keys as libvirt's, and values between two that libvirt gives."""
    held = tuple(int(part) for part in re.findall(r"\d+", peer.versions.rpartition("QEMU")[2])[:2]) >= _FIRST_TO_HOLD
    compared = 0
    for name in peer.names("--state-running", "--state-paused"):
        pid = peer.pid(escape(name, _IN_FILE_NAMES))
        pidfd = os.pidfd_open(pid)
        stats = KvmStats.open(pid, pidfd, hold=100)
        try:
            if not held:
                assert stats is NoStats.NOT_HELD, name
                compared += 1
                continue
            assert isinstance(stats, KvmStats), f"{name}: {stats}"
            before = said(peer, name)
            mine = read(stats, vcpus_of(pid))
            after = said(peer, name)
            assert mine.keys() == before.keys() == after.keys(), name
            counters = [key for key in mine if not key.endswith(".cur")]
            assert [key for key in counters if not before[key] <= mine[key] <= after[key]] == [], name
            compared += len(counters)
        finally:
            if isinstance(stats, KvmStats):
                stats.close()
            os.close(pidfd)
    assert compared, "no guest runs"
