"""`domstats serve`: collects from a host and serves what it knows, over HTTP and to libvirt's clients."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from domstats.cli.console import Exit, say
from domstats.cli.options import finite, host_option
from domstats.errors import UsageError

if TYPE_CHECKING:
    from domstats.collector.collector import Collector
    from domstats.serve.http.options import HttpOptions
    from domstats.serve.http.server import HttpServer
    from domstats.serve.life import Part
    from domstats.serve.sockets import Listening

DEADLINE = 10.0
"""Seconds that connecting may take, and that a sample may be late before its record is stale."""
_OCTAL = 8
_MODE_MAX = 0o777


@dataclass(frozen=True, slots=True)
class _Serving:
    """What is to be served, and how."""

    uri: str | None
    path: Path | None
    mode: int
    group: str | None
    max_age: float | None
    max_clients: int
    http: HttpOptions | None


class _Mode(click.ParamType[int]):
    """The permissions of a file, in octal digits."""

    name = "mode"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        digits = str(value)
        if not digits or digits.strip("01234567") or len(digits) > 4 or int(digits, _OCTAL) > _MODE_MAX:
            self.fail(f"{value!r} is no mode such as 0660", param, ctx)
        return int(digits, _OCTAL)


@click.command("serve")
@host_option
@click.option(
    "--listen",
    multiple=True,
    metavar="HOST:PORT",
    help="Where to answer over HTTP: metrics, statistics, a page for a browser. 127.0.0.1:9177, or [::1]:9177.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="HTTP: answer only who knows the token in this file.",
)
@click.option(
    "--certificate",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="HTTP: TLS, with the certificate in this file.",
)
@click.option(
    "--key", type=click.Path(path_type=Path), metavar="FILE", help="HTTP: its key, where that is in a file of its own."
)
@click.option(
    "--libvirt-socket",
    "path",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Where libvirt's clients connect: virsh -c 'qemu+unix:///system?socket=PATH'. A socket that systemd passes is "
    "served as well.",
)
@click.option("--mode", type=_Mode(), default="0660", show_default=True, help="The socket's permissions.")
@click.option("--group", metavar="NAME", help="The socket's group.")
@click.option(
    "--max-age",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    callback=lambda context, option, seconds: None if seconds is None else finite(context, option, seconds),
    help="Leave out values older than that; by default twice the time between two samples of a guest.",
)
@click.option(
    "--max-clients",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Turn away whoever comes when there are so many clients.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say who connects.")
def command(
    uri: str | None,
    listen: tuple[str, ...],
    token_file: Path | None,
    certificate: Path | None,
    key: Path | None,
    path: Path | None,
    mode: int,
    group: str | None,
    max_age: float | None,
    max_clients: int,
    verbose: bool,
) -> int:
    """Serve what is known of a host, read-only: over HTTP, and to libvirt's own clients (virsh, ...).

    The host is asked by a plan, however many clients ask here; a guest that hangs holds up none of them. Ends with
    Ctrl-C, or SIGTERM.
    """
    logging.basicConfig(format="domstats: %(message)s", level=logging.INFO if verbose else logging.WARNING)
    http = _http_options(listen, token_file, certificate, key)
    asyncio.run(_serve(_Serving(uri, path, mode, group, max_age, max_clients, http)))
    return Exit.COMPLETE


async def _serve(serving: _Serving) -> None:
    from domstats.collecting import collect
    from domstats.serve.life import live
    from domstats.serve.sockets import passed_sockets

    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    passed = passed_sockets(os.environ)
    if not passed and serving.path is None and serving.http is None:
        raise click.UsageError("there is nothing to serve: give --listen HOST:PORT, --libvirt-socket PATH, or both")
    async with collect(serving.uri, deadline=DEADLINE) as collector:
        await live(_parts(serving, collector, passed), _until(ended), _collecting(collector))


def _http_options(
    listen: Sequence[str], token_file: Path | None, certificate: Path | None, key: Path | None
) -> HttpOptions | None:
    """What the HTTP server is told; None where there is to be none. Raises click.UsageError."""
    if not listen:
        if token_file or certificate or key:
            raise click.UsageError("--token-file, --certificate and --key are for HTTP: give --listen HOST:PORT, too")
        return None
    from domstats.serve.http.options import HttpOptions, address, token_in

    try:
        token = None if token_file is None else token_in(token_file)
        return HttpOptions(tuple(map(address, listen)), certificate, key, token)
    except UsageError as error:
        raise click.UsageError(str(error)) from None


def _parts(serving: _Serving, collector: Collector, passed: Sequence[Listening]) -> list[Part]:
    """All that serves."""
    parts: list[Part] = []
    if passed or serving.path is not None:
        parts.append(_libvirt(serving, collector, passed))
    if serving.http is not None:
        from domstats.serve.http import http_server

        parts.append(_Announced(http_server(collector, serving.http, serving.max_age)))
    return parts


class _Announced:
    """An HTTP server that says where it is."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self.stop = server.stop

    async def start(self) -> None:
        await self._server.start()
        for url in self._server.urls:
            say(f"listening at {url}")


def _libvirt(serving: _Serving, collector: Collector, passed: Sequence[Listening]) -> Part:
    """What serves libvirt's clients."""
    from domstats.serve.libvirt.server import LibvirtServer
    from domstats.serve.sockets import listen

    def sockets() -> list[Listening]:
        made = [] if serving.path is None else [listen(serving.path, serving.mode, serving.group)]
        return [*passed, *made]

    return LibvirtServer(collector, sockets, max_age=serving.max_age, max_clients=serving.max_clients)


async def _until(ended: asyncio.Event) -> None:
    """Wait for a signal."""
    await ended.wait()


async def _collecting(collector: Collector) -> None:
    """Wait for ever, or until collecting fails by a defect; and say when the first values are there."""
    told = False
    async for snapshot in collector:
        if not told and collector.swept:
            told = True
            say(f"{len(snapshot):,} domains of {collector.uri} are served")
