"""What a domain's definition says of it beside its identity: title, metadata, and the names of its devices."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DeviceKind(StrEnum):
    """The devices that have statistics of their own."""

    DISK = "disk"
    INTERFACE = "interface"


@dataclass(frozen=True, slots=True)
class Device:
    """A disk or a network interface. What the definition does not say is empty."""

    kind: DeviceKind
    target: str
    """A disk's name in the guest (vda); an interface's device on the host (vnet3), given when the domain starts."""
    alias: str = ""
    """libvirt's own name for it (virtio-disk0, net0), while the domain is on."""
    type: str = ""
    """Of the source: file, block, network, ... of a disk; bridge, network, direct, ethernet, ... of an interface."""
    source: str = ""
    """The image, device or volume of a disk; the bridge, network or host device of an interface."""
    mac: str = ""
    """An interface's address."""


@dataclass(frozen=True, slots=True)
class Description:
    """What the definition of a domain says (virDomainGetXMLDesc)."""

    title: str = ""
    description: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    """The elements that applications have put there: the namespace of each, and the element as XML text."""
    devices: tuple[Device, ...] = ()
    """In the order of the definition."""
