"""The hierarchy in dotted keys: `vcpu.0.time` becomes tree["vcpu"][0]["time"]."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

ITSELF = "."
"""Where a value stands whose key is also the beginning of other keys: `a` beside `a.b` is tree["a"]["."]. No part of
a key can be a dot."""


def tree(items: Iterable[tuple[str, Any]]) -> dict[str | int, Any]:
    """Nest the items by the parts of their keys; a part of digits becomes an int."""
    root: dict[str | int, Any] = {}
    for key, value in items:
        *branches, leaf = map(_part, key.split("."))
        node = root
        for branch in branches:
            child = node.setdefault(branch, {})
            if not isinstance(child, dict):
                child = node[branch] = {ITSELF: child}
            node = child
        while isinstance(node.get(leaf), dict):
            node, leaf = node[leaf], ITSELF
        node[leaf] = value
    return root


def _part(text: str) -> str | int:
    # "00" and 5,000 digits stay text: only what reads back the same is a number.
    if text.isascii() and text.isdigit() and len(text) < 11 and (text[0] != "0" or text == "0"):
        return int(text)
    return text
