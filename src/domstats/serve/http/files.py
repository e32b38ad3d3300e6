"""The page: its files are read once, at the start, so that no request can reach any other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from domstats.serve.http.guard import refusal

FOLDER = Path(__file__).parent / "page"
INDEX = "index.html"
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
"""What a file of the page may be, by the end of its name."""
_NOTHING = (
    b"<!doctype html><title>domstats</title><p>This domstats was built without its page; see /metrics, /v1/stats."
)


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page."""

    body: bytes
    content_type: str
    etag: str
    """What tells it from another version of it."""


def read_files(folder: Path = FOLDER) -> dict[str, File]:
    """The files by name. Raises OSError."""
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix in _TYPES and path.is_file():
            found[path.name] = _file(path.read_bytes(), path.suffix)
    found.setdefault(INDEX, _file(_NOTHING, ".html"))
    return found


def _file(body: bytes, suffix: str) -> File:
    return File(body, _TYPES[suffix], hashlib.sha256(body).hexdigest()[:16])


class Page:
    """Answers with the files."""

    def __init__(self, files: Mapping[str, File]) -> None:
        self._files = files

    async def index(self, request: web.Request) -> web.StreamResponse:
        """The page itself."""
        return self._answer(request, INDEX)

    async def file(self, request: web.Request) -> web.StreamResponse:
        """One of its files."""
        return self._answer(request, request.match_info["name"])

    def _answer(self, request: web.Request, name: str) -> web.StreamResponse:
        file = self._files.get(name)
        if file is None:
            return refusal(404, "the page has no such file")
        response = web.Response(body=file.body, content_type=file.content_type, charset="utf-8")
        response.etag = file.etag
        if any(each.value in (file.etag, "*") for each in request.if_none_match or ()):
            unchanged = web.Response(status=304)
            unchanged.etag = file.etag
            return unchanged
        return response
