"""Saying which values of a record the kernel gave: by the field, where it gave all values of one, else by the key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from domstats.catalog.lookup import field_of
from domstats.model.layout import Shape


def patterns_of(shape: Shape) -> tuple[str, ...]:
    """`cpu.time`, `vcpu.<id>.time`, ...; in the order of the keys."""
    if not shape.overlaid:
        return ()
    found: tuple[str, ...] | None = shape.derived.get("overlaid")
    if found is None:
        patterns = [_pattern(key) for key in shape.keys]
        mixed = {pattern for pattern, flag in zip(patterns, shape.overlaid, strict=True) if not flag}
        pairs = zip(shape.keys, patterns, shape.overlaid, strict=True)
        named = (key if pattern in mixed else pattern for key, pattern, flag in pairs if flag)
        found = shape.derived["overlaid"] = tuple(dict.fromkeys(named))
    return found


def flags_of(keys: Sequence[str], patterns: Iterable[str]) -> bytes:
    """For each key 1 if the patterns have it, else 0."""
    named = frozenset(patterns)
    return bytes(key in named or _pattern(key) in named for key in keys)


def _pattern(key: str) -> str:
    field = field_of(key)
    return field.pattern if field is not None else key
