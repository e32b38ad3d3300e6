"""What holds for every request: who may ask, what an error looks like, and what a browser may do with an answer."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from threading import Thread

from aiohttp import web

from domstats.errors import MissingExtra, Overloaded, UnknownDomain, UsageError
from domstats.formats.document import as_json
from domstats.formats.text import escape
from domstats.serve.http.options import HttpOptions

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OPEN = frozenset({"/healthz", "/readyz"})
"""What may be asked without the token: it says nothing of the host."""
NAMING = 0.5
"""Seconds that the machine's full name is waited for; most often it stands in /etc/hosts."""
_METHODS = ("GET", "HEAD")
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "Server": "domstats",
}


def json_answer(
    document: object, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An answer that is a JSON document."""
    body = as_json(document) + b"\n"
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def refusal(status: int, why: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer that says what is wrong and what to do."""
    return json_answer({"error": escape(why)}, status, headers)


class Guard:
    """Asks whether a request may be answered, before it is, and makes answers of errors."""

    def __init__(self, options: HttpOptions) -> None:
        self._token = None if options.token is None else options.token.encode("ascii")
        named = (*options.hosts, *(each.host for each in options.listen), socket.gethostname())
        self._hosts = {"localhost", *map(str.lower, named)}

    async def learn_own_name(self) -> None:
        """Know this machine's full name, too: soon, or later, when whoever resolves names takes long to answer."""
        loop, known = asyncio.get_running_loop(), asyncio.Event()

        def ask() -> None:
            self._hosts.add(socket.getfqdn().lower())
            with suppress(RuntimeError):  # the loop may be over by then
                loop.call_soon_threadsafe(known.set)

        Thread(target=ask, name="domstats-name", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(NAMING):
                await known.wait()

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """What the handler answers, or why it was not asked."""
        refused = self._refused(request)
        return refused if refused is not None else await _answered(request, handler)

    def _refused(self, request: web.Request) -> web.Response | None:
        if request.method not in _METHODS:
            return refusal(405, "only GET and HEAD are answered", {"Allow": ", ".join(_METHODS)})
        if request.can_read_body:
            request.protocol.close()
            return refusal(413, "a request has no body here")
        if self._token is None:
            return None if self._is_called(request.host) else refusal(400, _CALLED)
        if request.path in OPEN or self._knows(request.headers.get("Authorization", ""), self._token):
            return None
        return refusal(401, "the token is missing, or another one", {"WWW-Authenticate": 'Basic realm="domstats"'})

    def _is_called(self, host: str) -> bool:
        """Whether this name is ours. A page of somebody else's can have its own name lead here (DNS rebinding)."""
        name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name.lower() in self._hosts
        return True

    @staticmethod
    def _knows(authorization: str, token: bytes) -> bool:
        """Whether that is the token; how long it takes to say tells nothing of it."""
        scheme, _, given = authorization.partition(" ")
        known = given.strip().encode("utf-8", "surrogateescape")
        if scheme.lower() == "basic":
            try:
                known = base64.b64decode(known, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        return scheme.lower() in ("bearer", "basic") and hmac.compare_digest(known, token)


_CALLED = (
    "the server is not known by that name: call it by its address or as localhost, or have it told the name (hosts)"
)


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except UnknownDomain as error:
        return refusal(404, f"{error}; /v1/stats lists the domains")
    except MissingExtra as error:
        return refusal(406, str(error))
    except Overloaded as error:
        return refusal(503, str(error), {"Retry-After": "1"})
    except UsageError as error:
        return refusal(400, str(error))
    except web.HTTPException as error:
        if error.status == HTTPStatus.NOT_FOUND and request.path == "/v1/history":
            return refusal(404, "no history is kept (history.bytes = 0)")
        advice = "; docs/http.md lists what there is" if error.status == HTTPStatus.NOT_FOUND else ""
        return refusal(error.status, f"{error.reason}{advice}")


async def prepare(_request: web.Request, response: web.StreamResponse) -> None:
    """Give an answer the headers that all have."""
    dress(response)


def dress(response: web.StreamResponse) -> None:
    """Give an answer the headers that all have."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = _HEADERS["Server"]
