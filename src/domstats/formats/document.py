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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import add
from typing import Any

import msgspec

from domstats.formats.standing import standings
from domstats.formats.stencil import Place, Style, render
from domstats.formats.text import HOSTILE, to_bytes, utf8
from domstats.model.layout import RecordLayout, Shape
from domstats.model.params import ParamType
from domstats.model.snapshot import Snapshot

BASE64 = "base64"
BASE64_KEY = "base64:"

_HOSTILE = re.compile(f"[{HOSTILE}]")


def text(value: str) -> str | dict[str, str]:
    """A name or a string value."""
    plain = utf8(value)
    return {BASE64: _base64(value)} if plain is None else plain


def key(name: str) -> str:
    """A value's key."""
    plain = utf8(name)
    if plain is None or plain.startswith(BASE64_KEY):
        return BASE64_KEY + _base64(name)
    return plain


def _base64(text: str) -> str:
    return base64.b64encode(to_bytes(text)).decode()


def double(value: float) -> float | str:
    """A double."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def as_json(document: Any) -> bytes:
    """A JSON document; nothing in it is obeyed by a terminal."""
    encoded = msgspec.json.encode(document)
    if not encoded.isascii() or b"\x7f" in encoded:
        encoded = _HOSTILE.sub(lambda match: f"\\u{ord(match[0]):04x}", encoded.decode()).encode()
    return encoded


def types(shape: Shape) -> dict[str, str]:
    """The wire type of each of a shape's keys."""
    found: dict[str, str] | None = shape.derived.get("json types")
    if found is None:
        found = {key(name): ParamType(kind).label for name, (_, kind) in shape.entries.items()}
        shape.derived["json types"] = found
    return found


def poll(snapshot: Snapshot) -> bytes:
    """The members that say of a poll when it was taken, in seconds since the epoch, and the URI of its source."""
    return _members({"time": snapshot.time, "source": text(snapshot.sampling.source_names[0])})


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the domains' objects, and in each of them beside who it is, how it stands, and its values."""

    opening: bytes
    """Before the first."""
    start: bytes
    """Each object's, up to the first member."""
    ends: Mapping[Shape, bytes]
    """What follows the values of a record of that shape, with the object's end."""
    separator: bytes
    """Between two."""
    closing: bytes
    """After the last."""


def objects(snapshot: Snapshot, style: Style, frame: Frame) -> bytes:
    """The document: each domain's object with its name, UUID, id, status, ages in seconds, and `stats`."""
    if not len(snapshot):
        return frame.opening + frame.closing
    layout = snapshot.layout
    identities: list[bytes] | None = layout.derived.get("json identities")
    if identities is None:
        identities = layout.derived["json identities"] = [_identity(record) for record in layout.records]
    follows = {shape: end + frame.separator + frame.start for shape, end in frame.ends.items()}
    starts = [frame.opening + frame.start, *(follows[record.shape] for record in layout.records[:-1])]
    between = list(map(add, map(add, starts, identities), _standings(snapshot)))
    return render(snapshot, style, [*between, frame.ends[layout.records[-1].shape] + frame.closing])


def _standings(snapshot: Snapshot) -> list[bytes]:
    """The members that say how each record stands, up to its values."""
    each = standings(snapshot)
    written = {}
    for one in set(each):
        told: dict[str, Any] = {"status": one.status.label, "age": one.age, "ages": one.ages}
        if one.overlaid:
            told["overlaid"] = one.overlaid
        written[one] = b',%b,"stats":' % _members(told)
    return [written[one] for one in each]


def _identity(record: RecordLayout) -> bytes:
    members: bytes | None = record.derived.get("json identity")
    if members is None:
        domain = record.domain
        members = _members({"name": text(domain.name), "uuid": domain.uuid, "id": domain.id})
        record.derived["json identity"] = members
    return members


def _members(document: dict[str, Any]) -> bytes:
    return as_json(document)[1:-1]


def _pieces(shape: Shape) -> list[bytes | Place]:
    pieces: list[bytes | Place] = [b"{"]
    for number, (name, slot) in enumerate(shape.slots.items()):
        pieces += [(b"," if number else b"") + as_json(key(name)) + b":", Place(slot)]
    return [*pieces, b"}"]


def style(name: str, pieces: Callable[[Shape], Sequence[bytes | Place]]) -> Style:
    """How a JSON format writes a record whose shape's text is this."""
    return Style(name, pieces, lambda string: as_json(text(string)), lambda number: as_json(double(number)), _BOOLEANS)


_BOOLEANS = (b"false", b"true")
STATS = style("json", _pieces)
"""A record's values as members of an object, by their keys."""
