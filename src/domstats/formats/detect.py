"""Which readable format a file is in, by what it holds."""

from __future__ import annotations

import gzip
import io
import lzma
import re
from typing import BinaryIO

from domstats.errors import BadDocument

SIZE_MAX = 1 << 30
"""Most bytes a compressed file may hold: thirty of the largest replies."""
_COMPRESSIONS = {"gzip": b"\x1f\x8b", "xz": b"\xfd7zXZ\0"}
"""How their files begin."""
_DOCUMENT = re.compile(rb'\{\s*"domstats"\s*:')


def detect(data: bytes) -> str:
    """The name of the format: xml, json, ndjson, or else a captured reply."""
    start = data[:4096].lstrip()
    if start.startswith(b"<"):
        return "xml"
    if start.startswith(b"{"):
        return "json" if _DOCUMENT.match(start) else "ndjson"
    return "reply"


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
