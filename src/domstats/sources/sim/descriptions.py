"""What the definitions of the simulated guests say: titles, OpenStack's metadata, and the names of their devices."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from domstats.model.description import Description, Device, DeviceKind
from domstats.sources.sim.guests import Guests, disk_name, image_path

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


def describe(guests: Guests, position: int) -> Description:
    """The description of one guest. As libvirt's, it names aliases and vnet devices only while the guest is on."""
    domain = guests.domains[position]
    role, _, number = domain.name.rpartition("-")
    metadata = ((NOVA, _nova(guests, position, role)),) if role in _PROJECTS else ()
    return Description(
        title=f"{_TITLES.get(role, role.capitalize())} {number}",
        description="" if metadata else f"A simulated {role} guest",
        metadata=metadata,
        devices=(*_disks(guests, position), *_interfaces(guests, position)),
    )


def _disks(guests: Guests, position: int) -> list[Device]:
    domain = guests.domains[position]
    return [
        Device(
            DeviceKind.DISK,
            target=disk_name(disk),
            alias="" if domain.id is None else f"virtio-disk{disk}",
            type="file",
            source=image_path(domain.name, disk),
        )
        for disk in range(int(guests.disks[position]))
    ]


def _interfaces(guests: Guests, position: int) -> list[Device]:
    domain, first = guests.domains[position], int(guests.first_net[position])
    off = domain.id is None
    return [
        Device(
            DeviceKind.INTERFACE,
            target="" if off else f"vnet{first + nic}",
            alias="" if off else f"net{nic}",
            type="bridge",
            source=BRIDGE,
            mac=_mac(domain.uuid, nic),
        )
        for nic in range(int(guests.nics[position]))
    ]


def _mac(of: str, nic: int) -> str:
    digits = f"{(uuid.UUID(of).int + nic) & _MAC_MASK:010x}"
    return ":".join(("52", *(digits[start : start + 2] for start in range(0, 10, 2))))


def _nova(guests: Guests, position: int, role: str) -> str:
    project = _PROJECTS[role]
    project_id = uuid.uuid5(uuid.NAMESPACE_DNS, f"{project}.example").hex
    return (
        f'<nova:instance xmlns:nova="{NOVA}"><nova:name>{guests.domains[position].name}</nova:name>'
        f'<nova:flavor name="{role}"><nova:memory>{int(guests.memory[position]) >> 10}</nova:memory>'
        f"<nova:vcpus>{int(guests.vcpus[position])}</nova:vcpus></nova:flavor>"
        f'<nova:owner><nova:project uuid="{project_id}">{project}</nova:project></nova:owner></nova:instance>'
    )
