"""Sending a long body: piece by piece as the client takes it, so that what slow ones have not read is kept once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web

PIECE = 1 << 17
"""Bytes that are handed over at a time."""
SENDING_MAX = 120.0
"""Seconds that a client may take to read an answer; it keeps a body that everybody else has done with."""


async def send(request: web.Request, body: bytes, headers: Mapping[str, str]) -> web.StreamResponse:
    """Answer with that body."""
    if len(body) <= PIECE or request.method == "HEAD":
        return web.Response(body=body, headers=headers)
    response = web.StreamResponse(headers=headers)
    response.content_length = len(body)
    try:
        async with asyncio.timeout(SENDING_MAX):
            await response.prepare(request)
            await write(response, body)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the client reads too slowly") from None
    return response


async def write(response: web.StreamResponse, body: bytes) -> None:
    """Send a part of an answer that has begun."""
    view = memoryview(body)
    for start in range(0, len(body), PIECE):
        await response.write(view[start : start + PIECE])
