"""The XML of a domain, as libvirt writes it, from its description."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from domstats.model.description import Description, Device, DeviceKind
from domstats.model.domain import Domain

_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML has no way to write; libvirt leaves control characters out."""


def domain_xml(domain: Domain, description: Description) -> str:
    """The document that virDomainGetXMLDesc gives, as far as a description goes."""
    number = "" if domain.id is None else f" id='{domain.id}'"
    metadata = "".join(text for _, text in description.metadata)
    lines = [
        f"<domain type='kvm'{number}>",
        f"<name>{_text(domain.name)}</name>",
        f"<uuid>{domain.uuid}</uuid>",
        f"<title>{_text(description.title)}</title>" if description.title else "",
        f"<description>{_text(description.description)}</description>" if description.description else "",
        f"<metadata>{metadata}</metadata>" if metadata else "",
        "<devices>",
        *map(_device, description.devices),
        "</devices>",
        "</domain>",
    ]
    return "\n".join(line for line in lines if line)


def _device(device: Device) -> str:
    disk = device.kind is DeviceKind.DISK
    source = "file" if disk else "bridge"
    parts = [
        f"<{device.kind} type={_attribute(device.type)}>",
        f"<mac address={_attribute(device.mac)}/>" if device.mac else "",
        f"<source {source}={_attribute(device.source)}/>",
        f"<target dev={_attribute(device.target)}/>" if device.target else "",
        f"<alias name={_attribute(device.alias)}/>" if device.alias else "",
        f"</{device.kind}>",
    ]
    return "".join(parts)


def _text(text: str) -> str:
    return escape(_UNWRITABLE.sub("", text))


def _attribute(text: str) -> str:
    return quoteattr(_UNWRITABLE.sub("", text), {"\n": "&#10;", "\t": "&#9;", "\r": "&#13;"})
