"""JSON, each domain's statistics nested by the parts of their keys: `vcpu.0.time` is stats.vcpu["0"].time.

Shorter to write paths for than `json`, and less exact: it has no wire types.
"""

from __future__ import annotations

from typing import Any

from domstats.formats import document
from domstats.formats.options import NO_OPTIONS, Options
from domstats.model.snapshot import Snapshot


def encode(snapshot: Snapshot, _options: Options = NO_OPTIONS) -> bytes:
    """The document, on one line."""
    domains = [document.head(record) | {"stats": _written(record.tree())} for record in snapshot]
    return document.dump(document.poll(snapshot) | {"domains": domains})


def _written(node: Any) -> Any:
    """A branch or a value as JSON has it; a part of a key that is a number becomes text."""
    if isinstance(node, dict):
        return {document.key(str(part)): _written(child) for part, child in node.items()}
    if isinstance(node, float):
        return document.double(node)
    return document.text(node) if isinstance(node, str) else node
