"""JSON, each domain's statistics nested by the parts of their keys: `vcpu.0.time` is stats.vcpu["0"].time.

Shorter to write paths for than `json`, and less exact: it has no wire types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from domstats.formats import document
from domstats.formats.options import NO_OPTIONS, Options
from domstats.formats.stencil import Place
from domstats.model.layout import Shape
from domstats.model.snapshot import Snapshot
from domstats.model.tree import tree


def encode(snapshot: Snapshot, _options: Options = NO_OPTIONS) -> bytes:
    """The document, on one line."""
    opening = b'{%b,"domains":[' % document.poll(snapshot)
    ends = {shape: b"}" for shape, _ in snapshot.layout.by_shape()}
    return document.objects(snapshot, _STYLE, document.Frame(opening, b"{", ends, b",", b"]}\n"))


def _pieces(shape: Shape) -> list[bytes | Place]:
    pieces: list[bytes | Place] = [b"{"]
    # A stack of our own, of the branches that have begun: keys may have more parts than Python's stack has room for.
    begun = [_members(tree((key, Place(slot)) for key, slot in shape.slots.items()))]
    while begun:
        member = next(begun[-1], None)
        if member is None:
            pieces.append(b"}")
            begun.pop()
            continue
        name, node = member
        pieces.append(name)
        if isinstance(node, Place):
            pieces.append(node)
        else:
            pieces.append(b"{")
            begun.append(_members(node))
    return pieces


def _members(branch: Mapping[str | int, Any]) -> Iterator[tuple[bytes, Any]]:
    """What stands before each value or branch in a branch, and that; a part of a key that is a number becomes text."""
    for number, (part, node) in enumerate(branch.items()):
        yield (b"," if number else b"") + document.as_json(document.key(str(part))) + b":", node


_STYLE = document.style("tree", _pieces)
