"""libvirt's URIs: which sockets to try for one, and the name to open at the daemon behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit

from domstats.errors import BadUri

SYSTEM_DIRECTORY = PurePosixPath("/run/libvirt")
"""Where system daemons have their sockets."""

_DAEMONS = {"qemu": "virtqemud", "vz": "virtvzd", "test": None}
"""The drivers that implement the bulk call, and the daemon of each on modular hosts (the test driver has none)."""
_PATHS = ("/system", "/session")
"""What may follow, but for the test driver, whose path names a host."""
_REMOTE_TRANSPORTS = ("ssh", "libssh", "libssh2", "tls", "tcp", "ext")


@dataclass(frozen=True, slots=True)
class LibvirtUri:
    """A URI taken apart."""

    text: str
    """As the user wrote it."""
    name: str
    """As the daemon is told it: without transport and parameters."""
    sockets: tuple[str, ...]
    """The paths to try, in order."""


def parse(text: str, env: Mapping[str, str]) -> LibvirtUri:
    """A URI of a local libvirt: `DRIVER:///PATH` or `DRIVER+unix:///PATH`, with `?socket=PATH` if need be.

    `env` is the environment; XDG_RUNTIME_DIR, XDG_CACHE_HOME and HOME say where a session daemon's sockets are.
    Raises BadUri.
    """
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise BadUri(text, str(error)) from None
    driver, _, transport = parts.scheme.partition("+")
    if driver not in _DAEMONS:
        raise BadUri(text, f"the libvirt drivers with bulk statistics are {', '.join(_DAEMONS)}")
    if transport in _REMOTE_TRANSPORTS or parts.netloc:
        raise BadUri(text, "other hosts are not supported yet, only sockets of this one, such as qemu:///system")
    if transport not in ("", "unix"):
        raise BadUri(text, f"unknown transport {transport!r}; 'unix' or none is supported")
    if parts.fragment:
        raise BadUri(text, "'#' begins nothing here; in a path it is written %23")
    if _DAEMONS[driver] and parts.path not in _PATHS:
        raise BadUri(text, "write " + " or ".join(f"{driver}://{path}" for path in _PATHS))
    socket = _socket_parameter(text, parts)
    sockets = (socket,) if socket else _default_sockets(text, driver, parts.path, env)
    return LibvirtUri(text, f"{driver}://{parts.path}", sockets)


def _socket_parameter(text: str, parts: SplitResult) -> str | None:
    """The path given as `?socket=`, the only parameter there is."""
    path = None
    for item in filter(None, parts.query.split("&")):
        name, _, value = map(unquote, item.partition("="))
        if name != "socket":
            raise BadUri(text, f"unknown parameter {name!r}; 'socket' is supported")
        if not value.startswith("/"):
            raise BadUri(text, "the socket's path must begin with /")
        path = value
    return path


def _default_sockets(text: str, driver: str, path: str, env: Mapping[str, str]) -> tuple[str, ...]:
    """The driver's own daemon first: on modular hosts libvirt-sock is a proxy, or absent.

    System daemons have a socket for reading only, open to everybody; session daemons have just the one.
    """
    session = path == "/session"
    directory = _session_directory(text, env) if session else SYSTEM_DIRECTORY
    suffix = "sock" if session else "sock-ro"
    daemons = [name for name in (_DAEMONS[driver], "libvirt") if name]
    return tuple(str(directory / f"{name}-{suffix}") for name in daemons)


def _session_directory(text: str, env: Mapping[str, str]) -> PurePosixPath:
    for variable, below in (("XDG_RUNTIME_DIR", ""), ("XDG_CACHE_HOME", ""), ("HOME", ".cache")):
        if env.get(variable):
            return PurePosixPath(env[variable], below, "libvirt")
    raise BadUri(text, "neither XDG_RUNTIME_DIR nor HOME is set, which say where the session's sockets are")
