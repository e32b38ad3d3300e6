"""JSON, one document with everything a snapshot holds.

    {"domstats": 1, "time": ..., "source": URI, "types": {KEY: TYPE},
     "domains": [{"name", "uuid", "id", "status", "age", "ages": {GROUP: SECONDS}, "stats": {KEY: VALUE}, "types": {}}]}

`types` at the top has for every key its most frequent wire type; a domain's own `types` has the keys where it differs.
`id` is null for a domain that is off. How values, names and keys are written: see `document`.
"""

from __future__ import annotations

from collections import Counter

from domstats.formats import document
from domstats.formats.options import NO_OPTIONS, Options
from domstats.model.layout import Layout, Shape
from domstats.model.snapshot import Snapshot

VERSION = 1
"""Of the document's form."""


def encode(snapshot: Snapshot, _options: Options = NO_OPTIONS) -> bytes:
    """The document, on one line."""
    usual, ends = _types(snapshot.layout)
    opening = b'{"domstats":%d,%b,"types":%b,"domains":[' % (VERSION, document.poll(snapshot), usual)
    return document.objects(snapshot, document.STATS, document.Frame(opening, b"{", ends, b",", b"]}\n"))


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
    counts: dict[str, Counter[str]] = {}
    for shape, positions in layout.by_shape():
        for key, label in types[shape].items():
            counts.setdefault(key, Counter())[label] += len(positions)
    return {key: labels.most_common(1)[0][0] for key, labels in counts.items()}
