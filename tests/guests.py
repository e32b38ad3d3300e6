"""The guests of a private hypervisor, as libvirt's XML: plain ones, and rich ones of many shapes."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

IMAGES = "/var/lib/libvirt/images"
"""Where the hypervisor sees their disks."""
BRIDGE, VETH = "dsbridge0", "dsveth0"
"""The network devices that hypervisor_init.sh makes for them; frames sent into dsveth1 arrive at dsveth0."""
BASE = "base"
"""The image that every backing chain ends with."""
_NAMES = ("web-ü-{}", "db node {}", "cache.{}", "größe ≥ {} & 'mehr'", "日本語-{}", "100% <{}>")
_RICH, _RUNNING_PERSISTENT = 24, 18


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk and its images."""

    image: str
    """File name without its ending."""
    layers: int = 0
    """Number of images behind it; the last is BASE."""

    @property
    def chain(self) -> list[str]:
        """Its images, the topmost first."""
        between = [f"{self.image}-{layer}" for layer in range(1, self.layers)]
        return [self.image, *between, *([BASE] if self.layers else [])]


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest to make."""

    name: str
    vcpus: int
    disks: Sequence[Disk] = ()
    current: int = 0
    """vCPUs it starts with; all when 0."""
    memory: int = 32
    """MiB."""
    iothreads: int = 0
    devices: str = ""
    metadata: str = ""
    persistent: bool = False
    state: str = "paused"
    """Or running, or off."""

    @property
    def needs_macvtap(self) -> bool:
        """Whether it makes a device node in /dev, named by the number of its network device."""
        return "type='direct'" in self.devices

    def xml(self, kind: str) -> str:
        """Its definition; `kind` is kvm or qemu."""
        disks = "".join(_disk(disk, number) for number, disk in enumerate(self.disks))
        current = f" current='{self.current}'" if self.current else ""
        iothreads = f"<iothreads>{self.iothreads}</iothreads>" if self.iothreads else ""
        balloon = "" if "<memballoon" in self.devices else "<memballoon model='virtio'/>"
        return (
            f"<domain type='{kind}'><name>{escape(self.name)}</name>"
            f"<uuid>{uuid.uuid5(uuid.NAMESPACE_DNS, self.name)}</uuid>{self.metadata}"
            f"<memory unit='MiB'>{self.memory}</memory><vcpu{current}>{self.vcpus}</vcpu>{iothreads}"
            f"<os><type arch='x86_64' machine='pc'>hvm</type></os>"
            "<features><acpi/></features><devices>"  # without it nothing can be attached to a guest that is on
            f"<emulator>/usr/bin/qemu-system-x86_64</emulator>{disks}{self.devices}{balloon}</devices></domain>"
        )


def _disk(disk: Disk, number: int) -> str:
    return (
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
        f"<source file='{IMAGES}/{disk.image}.qcow2'/><target dev='vd{chr(ord('a') + number)}' bus='virtio'/></disk>"
    )


def plain(count: int) -> list[Guest]:
    """Transient, paused guests that cost no processor time: vm0000, vm0001, ..."""
    names = [f"vm{number:04d}" for number in range(count)]
    return [
        Guest(name, 1 + number % 4, [Disk(f"{name}-{disk}") for disk in range(1 + number % 2)])
        for number, name in enumerate(names)
    ]


def rich() -> list[Guest]:
    """Guests of many shapes: 20 that are on, of which most are paused, and 6 that are off."""
    guests = [_rich(number) for number in range(_RICH)]
    bridged = f"<interface type='bridge'><source bridge='{BRIDGE}'/><model type='virtio'/></interface>"
    macvtap = f"<interface type='direct'><source dev='{VETH}' mode='bridge'/><model type='virtio'/></interface>"
    guests.append(Guest("bridged.24", 1, devices=bridged + "<memballoon model='none'/>", state="running"))
    guests.append(Guest("macvtap.25", 1, devices=macvtap, state="running"))
    return guests


def _rich(number: int) -> Guest:
    nics = "".join(_tap(number, nic) for nic in range(1 + number % 3))
    drive = "<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk>" if number % 5 == 0 else ""
    period = "<memballoon model='virtio'><stats period='5'/></memballoon>" if number % 2 else ""
    on = number < _RUNNING_PERSISTENT
    return Guest(
        name=_NAMES[number % len(_NAMES)].format(number),
        vcpus=1 + number % 4,
        current=1 + (number % 4) // 2,
        disks=[Disk(f"rich{number}-{disk}", layers=(number + disk) % 4) for disk in range(1 + number % 2)],
        memory=64,
        iothreads=number % 3,
        devices=drive + nics + period,
        metadata=_openstack(number) if number % 3 else "",
        persistent=number % 4 != 1 or not on,
        state="off" if not on else "running" if number % 6 == 0 else "paused",
    )


def _tap(number: int, nic: int) -> str:
    return (
        f"<interface type='ethernet'><mac address='52:54:00:00:{number:02x}:{nic:02x}'/>"
        f"<target dev='ds{number}t{nic}'/><model type='virtio'/></interface>"
    )


def _openstack(number: int) -> str:
    """What OpenStack's compute service keeps in a domain."""
    return (
        '<metadata><nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">'
        f'<nova:name>server {number}</nova:name><nova:flavor name="m1.tiny"><nova:vcpus>1</nova:vcpus></nova:flavor>'
        f'<nova:owner><nova:user uuid="u{number}">ü{number}</nova:user>'
        f'<nova:project uuid="p{number % 4}">project {number % 4}</nova:project></nova:owner>'
        "</nova:instance></metadata>"
    )
