"""What the definitions of the simulated guests say: titles, OpenStack's metadata, and the names of their devices."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from xml.sax.saxutils import escape

from domstats.model.description import Description, Device, DeviceKind
from domstats.sources.sim.life import Life

NOVA = "http://openstack.org/xmlns/libvirt/nova/1.1"
"""The namespace of what OpenStack's compute service keeps in a domain."""
BRIDGE = "br0"
"""What all interfaces are plugged into."""
_PROJECTS: Mapping[str, str] = {
    "web": "shop",
    "app": "shop",
    "db": "shop",
    "cache": "shop",
    "warehouse": "analytics",
    "batch": "analytics",
    "build": "engineering",
    "test": "engineering",
}
"""The projects of the guests that OpenStack made, by their role; the others were made by hand."""
_TITLES: Mapping[str, str] = {"db": "Database", "dns": "Name server"}
"""Where it is not the role."""
_MAC_MASK = (1 << 40) - 1
"""All of an address but its first byte, 52, as of KVM's own addresses: it is a local one, of one device."""


def describe(life: Life) -> Description:
    """The description of one guest. As libvirt's, it names aliases and vnet devices only while the guest is on."""
    role, _, number = life.born.rpartition("-")
    metadata = ((NOVA, _nova(life, role)),) if role in _PROJECTS else ()
    title = f"{_TITLES.get(role, role.capitalize())} {number}".strip()
    return Description(
        title=title if life.title is None else life.title,
        description="" if metadata else f"A simulated {role} guest",
        metadata=metadata,
        devices=(*_disks(life), *_interfaces(life)),
    )


def _disks(life: Life) -> list[Device]:
    return [
        Device(
            DeviceKind.DISK,
            target=disk.name,
            alias=f"virtio-disk{disk.number}" if life.active else "",
            type="file",
            source=disk.path,
        )
        for disk in life.disks
    ]


def _interfaces(life: Life) -> list[Device]:
    return [
        Device(
            DeviceKind.INTERFACE,
            target=nic.name,
            alias=f"net{nic.number}" if life.active else "",
            type="bridge",
            source=BRIDGE,
            mac=_mac(life.domain.uuid, nic.number),
        )
        for nic in life.nics
    ]


def _mac(of: str, nic: int) -> str:
    digits = f"{(uuid.UUID(of).int + nic) & _MAC_MASK:010x}"
    return ":".join(("52", *(digits[start : start + 2] for start in range(0, 10, 2))))


def _nova(life: Life, role: str) -> str:
    project = _PROJECTS[role]
    project_id = uuid.uuid5(uuid.NAMESPACE_DNS, f"{project}.example").hex
    return (
        f'<nova:instance xmlns:nova="{NOVA}"><nova:name>{escape(life.born)}</nova:name>'
        f'<nova:flavor name="{role}"><nova:memory>{life.memory >> 10}</nova:memory>'
        f"<nova:vcpus>{len(life.vcpus)}</nova:vcpus></nova:flavor>"
        f'<nova:owner><nova:project uuid="{project_id}">{project}</nova:project></nova:owner></nova:instance>'
    )
