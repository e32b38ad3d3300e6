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
from domstats.model.layout import Shape
from domstats.model.snapshot import Snapshot

VERSION = 1
"""Of the document's form."""


def encode(snapshot: Snapshot, _options: Options = NO_OPTIONS) -> bytes:
    """The document, on one line."""
    types = {shape: document.types(shape) for shape, _ in snapshot.layout.by_shape()}
    usual = _most_frequent(snapshot, types)
    unusual = {
        shape: {key: label for key, label in labels.items() if usual[key] != label} for shape, labels in types.items()
    }
    domains = list(document.domains(snapshot, unusual))
    return document.dump({"domstats": VERSION} | document.poll(snapshot) | {"types": usual, "domains": domains})


def _most_frequent(snapshot: Snapshot, types: dict[Shape, dict[str, str]]) -> dict[str, str]:
    """The type most records have a key with; of equals, the first met."""
    counts: dict[str, Counter[str]] = {}
    for shape, positions in snapshot.layout.by_shape():
        for key, label in types[shape].items():
            counts.setdefault(key, Counter())[label] += len(positions)
    return {key: labels.most_common(1)[0][0] for key, labels in counts.items()}
