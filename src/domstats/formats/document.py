"""What the JSON formats share: how a value, a name, a key and a domain are written.

- An integer is a number with all its 64 bits; a double that is not finite is "NaN", "Infinity" or "-Infinity".
- Text whose bytes are not UTF-8 is {"base64": ...} of its bytes.
- A key cannot be an object: one whose bytes are not UTF-8 is "base64:" and the base64 of its bytes, and so is one that
  begins with "base64:" itself.
- Of a duplicate key, the last value counts, as in a look-up.
- Control characters and what turns the direction of writing are written as \\uNNNN.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from domstats.formats.text import HOSTILE, to_bytes, utf8
from domstats.formats.values import Writers, rows
from domstats.model.layout import Shape
from domstats.model.params import ParamType
from domstats.model.record import Record
from domstats.model.snapshot import Snapshot

_BASE64 = "base64"
_BASE64_KEY = "base64:"
_MICROSECONDS = 6
"""Decimals of an age. Times are seconds since the epoch, and their doubles have no more."""

_HOSTILE = re.compile(f"[{HOSTILE}]")


def text(value: str) -> str | dict[str, str]:
    """A name or a string value."""
    plain = utf8(value)
    return {_BASE64: _base64(value)} if plain is None else plain


def key(name: str) -> str:
    """A value's key."""
    plain = utf8(name)
    if plain is None or plain.startswith(_BASE64_KEY):
        return _BASE64_KEY + _base64(name)
    return plain


def _base64(text: str) -> str:
    return base64.b64encode(to_bytes(text)).decode()


def double(value: float) -> float | str:
    """A double."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


_WRITERS = Writers(double, bool, text)


def types(shape: Shape) -> dict[str, str]:
    """The wire type of each of a shape's keys."""
    return {key(name): ParamType(kind).label for name, (_, kind) in shape.entries.items()}


def poll(snapshot: Snapshot) -> dict[str, Any]:
    """What is said of a poll: when it was taken, in seconds since the epoch, and the URI of its (first) source."""
    return {"time": snapshot.time, "source": text(snapshot.sampling.source_names[0])}


def domains(snapshot: Snapshot, types: Mapping[Shape, Mapping[str, str]]) -> Iterator[dict[str, Any]]:
    """Each domain's object; `types` is what its member of that name shall hold, by the record's shape."""
    keys = {shape: [key(name) for name in shape.keys] for shape in types}
    for record, values in rows(snapshot, _WRITERS):
        shape = record.layout.shape
        stats = dict(zip(keys[shape], values, strict=True))
        yield head(record) | {"stats": stats, "types": types[shape]}


def head(record: Record) -> dict[str, Any]:
    """How a domain's object begins: who it is and how its record stands; ages are in seconds."""
    domain = record.domain
    ages = {group: round(age, _MICROSECONDS) for group, age in record.ages.items()}
    return {
        "name": text(domain.name),
        "uuid": domain.uuid,
        "id": domain.id,
        "status": record.status.label,
        "age": max(ages.values(), default=0.0),
        "ages": ages,
    }


def dump(document: Any) -> bytes:
    """A JSON document and a newline."""
    encoded = msgspec.json.encode(document)
    if not encoded.isascii() or b"\x7f" in encoded:
        encoded = _HOSTILE.sub(lambda match: f"\\u{ord(match[0]):04x}", encoded.decode()).encode()
    return encoded + b"\n"
