"""Text from outside (names, keys, paths) made fit for a terminal, and how much room it takes there."""

from __future__ import annotations

import re
import unicodedata

HOSTILE = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""Characters a terminal obeys instead of showing them, as in a regular expression's set: C0 and C1 controls, DEL, what
turns the direction of writing, what separates lines and paragraphs."""

_HOSTILE = re.compile(f"[{HOSTILE}\ud800-\udfff]")
_ELLIPSIS = "…"


def to_bytes(text: str) -> bytes:
    """The bytes the text was made of: surrogate escapes become the bytes they stand for."""
    return text.encode("utf-8", "surrogateescape")


def utf8(text: str) -> str | None:
    """The text, free of surrogate escapes, or None where the bytes it was made of are not UTF-8."""
    if text.isascii():
        return text
    try:
        return to_bytes(text).decode()
    except UnicodeDecodeError:
        return None


def escape(text: str) -> str:
    r"""The text with `\xNN` for each byte of a character that a terminal would obey, or that is not UTF-8."""
    return _HOSTILE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in to_bytes(match[0]))


def width(text: str) -> int:
    """How many columns a terminal takes to show the text, which must be free of control characters."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0  # drawn over the character before it, or not at all
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def cut(text: str, columns: int) -> str:
    """The text, if it is wider than so many columns, cut to fit and ending with an ellipsis."""
    if width(text) <= columns:
        return text
    kept, room = "", columns - width(_ELLIPSIS)
    for character in text:
        room -= _columns(character)
        if room < 0:
            break
        kept += character
    return kept + _ELLIPSIS
