"""Which readable format a file is in, by what it holds."""

from __future__ import annotations

import gzip
import io
import lzma
import re
from typing import Any, BinaryIO

import msgspec

from domstats.errors import BadDocument

SIZE_MAX = 1 << 30
"""Most bytes a compressed file may hold: thirty of the largest replies."""
_COMPRESSIONS = {"gzip": b"\x1f\x8b", "xz": b"\xfd7zXZ\0"}
"""How their files begin."""
_BLANKS = re.compile(rb"\s*")
_DOCUMENT = re.compile(rb'\{\s*"domstats"\s*:')
"""How a json document begins, unless somebody has laid it out anew."""


class _Top(msgspec.Struct):
    """The members at the top that tell json from ndjson; nothing is made of the others."""

    domstats: Any = None


def detect(data: bytes) -> str:
    """The name of the format: xml, json, ndjson, or else a captured reply."""
    blanks = _BLANKS.match(data)
    start = blanks.end() if blanks else 0
    if data.startswith(b"<", start):
        return "xml"
    if data.startswith(b"{", start):
        return "json" if _DOCUMENT.match(data, start) or _is_document(data, start) else "ndjson"
    return "reply"


def _is_document(data: bytes, start: int) -> bool:
    """Whether what begins there is a json document: one with `domstats` among its members, which may come in any
    order, or one that takes more than a line, as no object of ndjson does."""
    end = data.find(b"\n", start)
    line = memoryview(data)[start : len(data) if end < 0 else end]  # which may be all of a large document
    try:
        return msgspec.json.decode(line, type=_Top).domstats is not None
    except msgspec.DecodeError:
        return True


def uncompressed(data: bytes) -> bytes:
    """The bytes in a file that gzip or xz may have compressed. Raises BadDocument."""
    for name, magic in _COMPRESSIONS.items():
        if data.startswith(magic):
            try:
                with _opened(name, data) as file:
                    found = file.read(SIZE_MAX + 1)
            except (OSError, EOFError, lzma.LZMAError) as error:
                raise BadDocument(name, "", str(error)) from None
            if len(found) > SIZE_MAX:
                raise BadDocument(name, "", f"it holds more than {SIZE_MAX} bytes")
            return found
    return data


def _opened(name: str, data: bytes) -> BinaryIO | gzip.GzipFile | lzma.LZMAFile:
    return gzip.GzipFile(fileobj=io.BytesIO(data)) if name == "gzip" else lzma.LZMAFile(io.BytesIO(data))
