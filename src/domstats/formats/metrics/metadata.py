"""Labels out of a domain's metadata: XML that the domain's users may have a hand in, so expat goes through it alone.

No tree is built, a document type (and with it every entity of its own) is refused, and only what labels are made of is
kept. Of an element that cannot be read there are no labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.parsers import expat

from domstats.errors import BadValue
from domstats.formats.metrics.options import MetadataLabel
from domstats.model.description import Description
from domstats.sources.libvirt.elements import SEPARATOR, split_name


def metadata_labels(info: Description | None, labels: Sequence[MetadataLabel]) -> list[tuple[str, str]]:
    """Names and values of those of the labels that this domain has, in their order."""
    elements = dict(reversed(info.metadata)) if info is not None else {}
    read: dict[str, _Reader] = {}
    found = []
    for label in labels:
        namespace = next((each for each in label.namespaces if each in elements), None)
        if namespace is None:
            continue
        if namespace not in read:
            wanted = {tuple(filter(None, each.path.split("/"))) for each in labels if namespace in each.namespaces}
            read[namespace] = _Reader(namespace, wanted)
            read[namespace].read(elements[namespace])
        value = read[namespace].value(tuple(filter(None, label.path.split("/"))), label.attribute)
        if value:
            found.append((label.name, value))
    return found


class _Reader:
    """Goes through one element and keeps the first of each path."""

    def __init__(self, namespace: str, wanted: set[tuple[str, ...]]) -> None:
        """`wanted`: paths of local names, below the element itself."""
        self._namespace, self._wanted = namespace, wanted
        self._deepest = max(map(len, wanted))
        self._path: list[str] = []
        self._texts: dict[tuple[str, ...], list[str]] = {}
        self._attributes: dict[tuple[str, ...], Mapping[str, str]] = {}
        self._within: list[tuple[str, ...] | None] = []  # of each element the parser is in, its path if it is kept

    def read(self, xml: str) -> None:
        """What was read before a fault is forgotten."""
        parser = expat.ParserCreate("utf-8", SEPARATOR)
        parser.namespace_prefixes = True
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        try:
            parser.Parse(xml.encode("utf-8", "surrogatepass"), True)
        except (expat.ExpatError, BadValue):
            self._texts.clear()
            self._attributes.clear()

    def value(self, path: tuple[str, ...], attribute: str) -> str:
        """What stands at a path; empty where there is nothing."""
        if attribute:
            return self._attributes.get(path, {}).get(attribute, "")
        return "".join(self._texts.get(path, ())).strip()

    def _doctype(self, *_: object) -> None:
        raise BadValue("metadata", 0, "a document type, which no metadata has")

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        parts = split_name(name)
        self._path.append(parts.local if parts.namespace == self._namespace else "")
        path = tuple(self._path[1:]) if len(self._path) <= self._deepest + 1 else None
        if path is None or path not in self._wanted or path in self._texts:
            self._within.append(None)
            return
        self._texts[path], self._attributes[path] = [], dict(attributes)
        self._within.append(path)

    def _characters(self, data: str) -> None:
        path = self._within[-1]
        if path is not None:
            self._texts[path].append(data)

    def _end(self, _name: str) -> None:
        self._path.pop()
        self._within.pop()
