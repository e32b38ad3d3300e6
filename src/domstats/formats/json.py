"""JSON, one document with everything a snapshot holds.

    {"domstats": 1, "time": ..., "source": URI, "types": {KEY: TYPE},
     "domains": [{"name", "uuid", "id", "status", "age", "ages": {GROUP: SECONDS}, "stats": {KEY: VALUE}, "types": {}}]}

`types` at the top has for every key its most frequent wire type; a domain's own `types` has the keys where it differs.
`id` is null for a domain that is off. How values, names and keys are written: see `document`.
"""

from __future__ import annotations

import msgspec

from domstats.errors import BadDocument
from domstats.formats import document
from domstats.formats.document_reader import DomainObject, Text, reading, record_of, text
from domstats.formats.options import NO_OPTIONS, Options
from domstats.formats.rebuild import snapshot_of
from domstats.model.layout import Layout, Shape
from domstats.model.snapshot import Snapshot

VERSION = 1
"""Of the document's form."""


def encode(snapshot: Snapshot, _options: Options = NO_OPTIONS) -> bytes:
    """The document, on one line."""
    usual, ends = _types(snapshot.layout)
    opening = b'{"domstats":%d,%b,"types":%b,"domains":[' % (VERSION, document.poll(snapshot), usual)
    return document.objects(snapshot, document.STATS, document.Frame(opening, b"{", ends, b",", b"]}\n"))


class _Document(msgspec.Struct):
    domstats: int
    time: float
    source: Text
    types: dict[str, str]
    domains: list[DomainObject]


def decode(data: bytes | bytearray | str) -> Snapshot:
    """The snapshot that a document was made of: its values, types, statuses and ages. Raises BadDocument."""
    with reading("json"):
        document = msgspec.json.decode(data, type=_Document)
    if document.domstats != VERSION:
        raise BadDocument("json", "$.domstats", f"version {document.domstats} of the form is not known, {VERSION} is")
    records = []
    for number, domain in enumerate(document.domains):
        with reading("json", f"$.domains[{number}]"):
            records.append(record_of(domain, document.types))
    with reading("json"):
        return snapshot_of(records, document.time, text(document.source))


def _types(layout: Layout) -> tuple[bytes, dict[Shape, bytes]]:
    """The document's `types`, and how the objects of each shape's records end."""
    found: tuple[bytes, dict[Shape, bytes]] | None = layout.derived.get("json types")
    if found is None:
        types = {shape: document.types(shape) for shape, _ in layout.by_shape()}
        usual = _most_frequent(layout, types)
        ends = {
            shape: b',"types":%b}' % document.as_json({key: each for key, each in labels.items() if usual[key] != each})
            for shape, labels in types.items()
        }
        found = layout.derived["json types"] = document.as_json(usual), ends
    return found


def _most_frequent(layout: Layout, types: dict[Shape, dict[str, str]]) -> dict[str, str]:
    """The type most records have a key with; of equals, the first met."""
    counts: dict[str, dict[str, int]] = {}
    for shape, positions in layout.by_shape():
        for key, label in types[shape].items():
            of_key = counts.setdefault(key, {})
            of_key[label] = of_key.get(label, 0) + len(positions)
    return {key: max(labels, key=labels.__getitem__) for key, labels in counts.items()}
