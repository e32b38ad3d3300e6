"""`domstats serve`: collects from a host and serves what it knows, over HTTP and to libvirt's clients."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from domstats.cli.console import EXIT_CODES_RUNNING, Exit, put
from domstats.cli.options import finite, host_option
from domstats.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from domstats.serve.config import Config
    from domstats.serve.listeners import Listeners
    from domstats.serve.settings import LogSettings, Settings


@click.command("serve", epilog=EXIT_CODES_RUNNING)
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
@click.option("--mode", metavar="MODE", help="The socket's permissions; by default 0660.")
@click.option("--group", metavar="NAME", help="The socket's group.")
@click.option(
    "--max-age",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    callback=lambda context, option, seconds: None if seconds is None else finite(context, option, seconds),
    help="Leave out values older than that; by default twice the time between two samples of their group.",
)
@click.option(
    "--max-clients",
    type=click.IntRange(min=1, max=1_000_000),
    metavar="N",
    help="Turn away libvirt's clients that come when there are so many; by default 1000.",
)
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What to serve, and how, in TOML (share/domstats/domstats.toml is an example); other options come before it. "
    "SIGHUP has it read anew.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Say whether that makes sense, and what would be served; begin nothing. Ports in use, names that do not "
    "resolve, and whether the host answers only show at the start.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say who connects, and every request.")
def command(file: Path | None, check: bool, **options: Any) -> int:
    """Serve what is known of a host, read-only: over HTTP, and to libvirt's own clients (virsh, ...).

    The host is asked by a plan, however many clients ask here; a guest that hangs holds up none of them. Ends with
    Ctrl-C, or SIGTERM.
    """
    from domstats.serve.listeners import Listeners
    from domstats.serve.settings import completed
    from domstats.serve.sockets import passed_sockets

    listeners = Listeners(passed_sockets(os.environ))

    def read() -> Settings:
        return _read(file, options, listeners)

    try:
        chosen = read()
        whole = completed(chosen, listeners.passes_http, listeners.passes_libvirt)
    except UsageError as error:
        raise click.UsageError(_said(error, file)) from None
    if check:
        from domstats.serve.summary import summary

        put("".join(f"{line}\n" for line in summary(whole)).encode())
        return Exit.COMPLETE
    _serve(chosen, read, listeners)
    return Exit.COMPLETE


def _serve(chosen: Settings, read: Callable[[], Settings], listeners: Listeners) -> None:
    from domstats.serve.logs import set_log, start_log
    from domstats.serve.memory import give_back
    from domstats.serve.process import serve

    give_back()
    handler = start_log(sys.stderr, time.monotonic)

    def log(how: LogSettings) -> None:
        set_log(handler, how.level, as_json=how.json, clients=how.clients)

    log(chosen.log)
    asyncio.run(serve(chosen, read, listeners, os.environ, log))


def _read(file: Path | None, options: Mapping[str, Any], listeners: Listeners) -> Settings:
    """What the file says, and before it the options. Raises UsageError and its kind ConfigError."""
    from domstats.serve.config import Config, load
    from domstats.serve.settings import settings

    config = Config() if file is None else load(file)
    return settings(_with_options(config, options, listeners), str(file))


def _said(error: UsageError, file: Path | None) -> str:
    """What is wrong; where there is no file it is an option, and nothing has a place in a file."""
    return error.why if file is None and isinstance(error, ConfigError) else str(error)


def _with_options(config: Config, options: Mapping[str, Any], listeners: Listeners) -> Config:
    """The configuration with what the command line says. Raises UsageError.

    `listeners`: with the sockets that systemd has passed, which no option has to name.
    """
    from msgspec.structs import replace

    from domstats.serve.config import HttpSection, LibvirtSection

    http = _given(options, "listen", "token_file", "certificate", "key")
    if http and config.http is None and "listen" not in http and not listeners.passes_http:
        raise UsageError("--token-file, --certificate and --key are for HTTP: give --listen HOST:PORT, too")
    libvirt = _given(options, "path", "mode", "group", "max_age", "max_clients")
    if libvirt.keys() == {"max_age"} and config.libvirt_socket is None and not listeners.passes_libvirt:
        libvirt = {}  # it is for the metrics alone
    changed: dict[str, Any] = {"host": replace(config.host, **_given(options, "uri"))}
    changed["metrics"] = replace(config.metrics, **_given(options, "max_age"))
    if http:
        changed["http"] = replace(config.http or HttpSection(), **http)
    if libvirt:
        changed["libvirt_socket"] = replace(config.libvirt_socket or LibvirtSection(), **libvirt)
    if options["verbose"]:
        changed["log"] = replace(config.log, clients=True)
    return replace(config, **changed)


def _given(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Those of the options that are there."""
    return {name: options[name] for name in names if options[name] not in (None, ())}
