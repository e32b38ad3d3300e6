"""The shape of a guest's record, and where in it each figure goes. Keys, types and their order are libvirt's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domstats.model.domain import Domain
from domstats.model.flags import StatsGroup
from domstats.model.layout import RecordLayout, Shape
from domstats.model.params import ParamType
from domstats.sources.kernel.kvm_layout import HALT_POLL, StatsLayout
from domstats.sources.kernel.taps import Nic

GROUPS = int(StatsGroup.CPU | StatsGroup.BALLOON | StatsGroup.VCPU | StatsGroup.INTERFACE)
"""The groups of which there are figures."""
CPU, INTERFACE = int(StatsGroup.CPU), int(StatsGroup.INTERFACE)
"""As plain numbers: they are looked at for each guest, and a flag takes ten times as long."""
ONLINE = 1
"""What libvirt says of every vCPU that is there (virVcpuState: running), whatever the guest does."""
_RX_TX = ("rx", "tx")
_COUNTERS = ("bytes", "pkts", "errs", "drop")
NOT_THERE = -1


@dataclass(frozen=True, slots=True)
class Plan:
    """A record, and the slots of what changes in it."""

    layout: RecordLayout
    template: tuple[int, ...]
    """All slots, with what does not change filled in."""
    cpu: int
    """The first of three: time, user, system. NOT_THERE where there are none."""
    haltpoll: int
    """The first of two: success, fail."""
    rss: int
    vcpus: tuple[int, ...]
    """The first of three for each vCPU: time, wait, delay. What KVM says of it follows."""
    kvm: int
    """How many slots that is."""
    nics: tuple[tuple[Nic, int], ...]
    """The first of eight for each network device: bytes, pkts, errs, drop received by the guest, then sent."""


class _Record:
    def __init__(self) -> None:
        self.keys: list[str] = []
        self.types = bytearray()
        self.template: list[int] = []
        self.strings: list[str] = []

    def add(self, key: str, kind: ParamType = ParamType.ULLONG, value: int = 0) -> int:
        self.keys.append(key)
        self.types.append(kind)
        self.template.append(value)
        return len(self.keys) - 1

    def text(self, key: str, value: str) -> None:
        self.add(key, ParamType.STRING, len(self.strings))
        self.strings.append(value)


def plan(
    domain: Domain,
    groups: int,
    vcpus: Sequence[int],
    current: int | None,
    maximum: int | None,
    nics: Sequence[tuple[Nic, bool]] | None,
    kvm: StatsLayout | None = None,
) -> Plan:
    """The record of a guest with these vCPUs (ids; none if they are not known) and network devices.

    `current`, `maximum`: how many vCPUs it has, and may have at most, where known. `nics`: with each, whether it
    has counters; None if not known. `kvm`: what KVM says of each vCPU.
    """
    record = _Record()
    cpu = rss = haltpoll = NOT_THERE
    if groups & StatsGroup.CPU:
        cpu = record.add("cpu.time")
        record.add("cpu.user")
        record.add("cpu.system")
        if kvm is not None and all(kvm.find(name) is not None for name in HALT_POLL):
            haltpoll = record.add("cpu.haltpoll.success.time")
            record.add("cpu.haltpoll.fail.time")
    if groups & StatsGroup.BALLOON:
        rss = record.add("balloon.rss")
    times = _add_vcpus(record, vcpus, current, maximum, kvm) if groups & StatsGroup.VCPU else ()
    devices = _add_nics(record, nics) if groups & StatsGroup.INTERFACE and nics is not None else ()
    width = len(kvm.statistics) if kvm is not None and times else 0
    shape = Shape.of(record.keys, bytes(record.types))
    return Plan(
        RecordLayout(domain, shape, record.strings), tuple(record.template), cpu, haltpoll, rss, times, width, devices
    )


def _add_vcpus(
    record: _Record, vcpus: Sequence[int], current: int | None, maximum: int | None, kvm: StatsLayout | None
) -> tuple[int, ...]:
    if current is not None:
        record.add("vcpu.current", ParamType.UINT, current)
    if maximum is not None:
        record.add("vcpu.maximum", ParamType.UINT, maximum)
    slots: list[int] = []
    for vcpu in vcpus:
        record.add(f"vcpu.{vcpu}.state", ParamType.INT, ONLINE)
        slots.append(record.add(f"vcpu.{vcpu}.time"))
        record.add(f"vcpu.{vcpu}.wait")
        record.add(f"vcpu.{vcpu}.delay")
        for statistic in kvm.statistics if kvm is not None else ():
            record.add(f"vcpu.{vcpu}.{statistic.name}", statistic.type)
    return tuple(slots)


def _add_nics(record: _Record, nics: Sequence[tuple[Nic, bool]]) -> tuple[tuple[Nic, int], ...]:
    record.add("net.count", ParamType.UINT, len(nics))
    slots: list[tuple[Nic, int]] = []
    for number, (nic, counted) in enumerate(nics):
        record.text(f"net.{number}.name", nic.name)
        if counted:
            keys = [f"net.{number}.{way}.{counter}" for way in _RX_TX for counter in _COUNTERS]
            slots.append((nic, min(map(record.add, keys))))
    return tuple(slots)
