"""The description of a domain, from its XML (virDomainGetXMLDesc).

What a domain is called, and what its metadata say, comes from its users: the document is hostile. expat goes through
it, no tree is built, and what is kept is limited. A document type is refused, so there are no entities of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.parsers import expat

from domstats.errors import BadValue, LimitExceeded, ProtocolError
from domstats.model.description import Description, Device, DeviceKind
from domstats.sources.libvirt.elements import SEPARATOR, ElementText, split_name
from domstats.wire.limits import STRING_MAX

DEVICES_MAX = 4096
"""Disks and network interfaces of one domain; some hundreds is the most that QEMU can drive."""
METADATA_MAX = 256
"""Elements of its metadata: one an application."""
METADATA_SIZE_MAX = STRING_MAX
"""Characters of all of them, as text."""
DEPTH_MAX = 256
"""How deep elements may stand in one another. libvirt itself reads no deeper ones."""
NAMESPACES_MAX = 256
"""Namespaces declared at one place."""

_KINDS: Mapping[str, DeviceKind] = {kind.value: kind for kind in DeviceKind}
_PARTS = {"target", "alias", "mac", "source", "source/address"}
"""The elements of a device whose attributes are of interest."""
_SOURCES: Mapping[DeviceKind, Mapping[str, str]] = {
    DeviceKind.DISK: {
        "file": "file",
        "block": "dev",
        "dir": "dir",
        "network": "name",
        "volume": "volume",
        "vhostuser": "path",
        "vhostvdpa": "dev",
    },
    DeviceKind.INTERFACE: {
        "bridge": "bridge",
        "network": "network",
        "direct": "dev",
        "ethernet": "dev",
        "user": "dev",
        "internal": "name",
        "vhostuser": "path",
        "vdpa": "dev",
        "vds": "switchid",
    },
}
"""Which attribute of <source> names it, by the device's type."""
_SOCKETS = {"client", "server", "mcast", "udp"}
"""Types of interfaces whose source is an address and a port."""

Attributes = dict[str, str]


def parse_description(xml: str) -> Description:
    """What a domain's XML says of it.

    Raises BadValue for a document that is not well formed, is no domain's or has a document type, and LimitExceeded
    for one over the limits above. `offset` of the error is a byte of the document in UTF-8.
    """
    return _Reader().read(xml)


class _Reader:
    """Goes through one document."""

    def __init__(self) -> None:
        self._parser = parser = expat.ParserCreate("utf-8", SEPARATOR)
        parser.namespace_prefixes = True
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartNamespaceDeclHandler = self._start_namespace
        parser.EndNamespaceDeclHandler = self._end_namespace
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        self._path: list[str] = []
        self._namespaces: list[tuple[str, str]] = []  # declared where the parser is: prefixes and URIs
        self._declared = 0  # how many of them by the element that starts next
        self._words: list[str] = []  # of the title or the description
        self._texts = {"title": "", "description": ""}
        self._element: ElementText | None = None  # of the metadata, while the parser is in it
        self._metadata: list[tuple[str, str]] = []
        self._metadata_size = 0
        self._parts: dict[str, Attributes] = {}  # of a device, "" for the device itself, else one of _PARTS
        self._devices: list[Device] = []

    def read(self, xml: str) -> Description:
        """What the document says. Raises BadValue or LimitExceeded."""
        try:
            # What is not UTF-8 stands in the text as surrogates, which expat does not take.
            self._parser.Parse(xml.encode("utf-8", "surrogatepass"), True)
        except expat.ExpatError as error:
            why = expat.ErrorString(error.code) or "not well-formed"
            raise BadValue("domain XML", max(self._parser.ErrorByteIndex, 0), why) from None
        return Description(**self._texts, metadata=tuple(self._metadata), devices=tuple(self._devices))

    def _fault(self, kind: type[ProtocolError], why: str) -> ProtocolError:
        return kind("domain XML", self._parser.CurrentByteIndex, why)

    def _doctype(self, *_: object) -> None:
        raise self._fault(BadValue, "a document type, which no domain has")

    def _start_namespace(self, prefix: str | None, uri: str | None) -> None:
        if len(self._namespaces) == NAMESPACES_MAX:
            raise self._fault(LimitExceeded, f"over {NAMESPACES_MAX} namespaces")
        self._namespaces.append((prefix or "", uri or ""))
        self._declared += 1

    def _end_namespace(self, _prefix: str | None) -> None:
        self._namespaces.pop()

    def _start(self, name: str, attributes: Attributes) -> None:
        declared, self._declared = self._declared, 0
        if len(self._path) == DEPTH_MAX:
            raise self._fault(LimitExceeded, f"elements over {DEPTH_MAX} deep")
        self._path.append(name)
        match self._path:
            case [root] if root != "domain":
                raise self._fault(BadValue, "not a <domain>")
            case ["domain", "title" | "description"]:
                self._words.clear()
            case ["domain", "metadata", _, *_]:
                if self._element is None:
                    self._element = ElementText(self._namespaces, declared)
                self._element.start(name, attributes, declared)
            case ["domain", "devices", "disk" | "interface", *part]:
                if not part:
                    self._parts = {"": attributes}
                elif (where := "/".join(part)) in _PARTS:
                    self._parts.setdefault(where, attributes)

    def _characters(self, data: str) -> None:
        if self._element is not None:
            self._element.characters(data)
        elif len(self._path) == 2 and self._path[1] in self._texts:
            self._words.append(data)

    def _end(self, name: str) -> None:
        if self._element is not None:
            self._element.end(name)
        match self._path:
            case ["domain", "title" | "description"]:
                self._texts[name] = "".join(self._words)
            case ["domain", "metadata", _]:
                self._add_metadata(name)
            case ["domain", "devices", "disk" | "interface"]:
                if len(self._devices) == DEVICES_MAX:
                    raise self._fault(LimitExceeded, f"over {DEVICES_MAX} devices")
                self._devices.append(_device(_KINDS[name], self._parts))
        self._path.pop()

    def _add_metadata(self, name: str) -> None:
        if self._element is None:
            return
        text, self._element = self._element.text(), None
        self._metadata_size += len(text)
        if len(self._metadata) == METADATA_MAX:
            raise self._fault(LimitExceeded, f"over {METADATA_MAX} elements of metadata")
        if self._metadata_size > METADATA_SIZE_MAX:
            raise self._fault(LimitExceeded, f"metadata over {METADATA_SIZE_MAX} characters")
        self._metadata.append((split_name(name).namespace, text))


def _device(kind: DeviceKind, parts: Mapping[str, Attributes]) -> Device:
    """A device from the attributes of it and of its parts."""

    def value(part: str, attribute: str) -> str:
        return parts.get(part, {}).get(attribute, "")

    kind_of_source = value("", "type")
    return Device(
        kind,
        target=value("target", "dev"),
        alias=value("alias", "name"),
        type=kind_of_source,
        source=_source(kind, kind_of_source, parts.get("source", {}), parts.get("source/address", {})),
        mac=value("mac", "address"),
    )


def _source(kind: DeviceKind, type_: str, source: Attributes, address: Attributes) -> str:
    """The source by its type, in virsh's form where virsh has one; empty for a type that is not known here."""
    match kind, type_:
        case DeviceKind.DISK, "nvme":
            return f"nvme://{_pci(address)}/{source.get('namespace', '')}" if address else ""
        case DeviceKind.INTERFACE, "hostdev":
            return _pci(address) if address else ""
        case DeviceKind.INTERFACE, socket if socket in _SOCKETS:
            return ":".join(source[part] for part in ("address", "port") if part in source)
    return source.get(_SOURCES[kind].get(type_, ""), "")


def _pci(address: Attributes) -> str:
    """The address of a PCI device as the host writes it: 0000:03:10.1."""
    domain, bus, slot, function = (
        address.get(part, "").removeprefix("0x") for part in ("domain", "bus", "slot", "function")
    )
    return f"{domain}:{bus}:{slot}.{function}"
