"""From a URI to its source."""

from __future__ import annotations

from collections.abc import Mapping

from domstats.errors import BadUri
from domstats.sources import Source

DEFAULT_URI = "qemu:///system"
VARIABLES = ("DOMSTATS_URI", "LIBVIRT_DEFAULT_URI")
"""Environment variables that name the host when nothing else does, in their order."""


async def open_source(uri: str | None, environment: Mapping[str, str], deadline: float) -> Source:
    """Open the source a URI names, or without one the environment's or the local libvirt daemon's.

    `deadline`: seconds it may take. Raises BadUri (which says so if a variable holds the URI), ConnectError and its
    kinds, DeadlineExceeded, or what libvirt reports.
    """
    if uri is not None:
        return await _open(uri, environment, deadline)
    variable = next((name for name in VARIABLES if environment.get(name)), None)
    if variable is None:
        return await _open(DEFAULT_URI, environment, deadline)
    try:
        return await _open(environment[variable], environment, deadline)
    except BadUri as error:
        raise BadUri(error.uri, f"{error.why} (the URI is that of the environment variable {variable})") from None


def check_uri(uri: str, environment: Mapping[str, str]) -> None:
    """See that a URI names a source, without opening it. Raises BadUri."""
    scheme = _scheme(uri)
    if scheme == "sim":
        from domstats.sources.sim.uri import parse as parse_sim

        parse_sim(uri)
    elif scheme == "kernel":
        from domstats.sources.kernel.uri import parse as parse_kernel

        parse_kernel(uri)
    else:
        from domstats.sources.libvirt.uri import parse

        parse(uri, environment)


async def _open(uri: str, environment: Mapping[str, str], deadline: float) -> Source:
    scheme = _scheme(uri)
    if scheme == "sim":
        from domstats.sources.sim.source import SimSource

        return SimSource.open(uri)
    if scheme == "kernel":
        from domstats.sources.kernel.source import KernelSource

        return KernelSource.open(uri)
    from domstats.sources.libvirt.source import LibvirtSource

    return await LibvirtSource.open(uri, environment, deadline=deadline)


def _scheme(uri: str) -> str:
    scheme = uri.partition(":")[0]
    if not scheme or scheme == uri:
        raise BadUri(uri, "it has no scheme; qemu:///system and sim:///?domains=20 are examples")
    return scheme


def open_kernel(uri: str) -> Source | None:
    """What this host's kernel says of the guests of a libvirt on it; None where that URI names no such.

    The guests that are not among this host's processes it does not know: a socket may lead to another host.
    """
    if uri.partition(":")[0] not in ("qemu", "qemu+unix"):
        return None
    from domstats.sources.kernel.source import KernelSource

    return KernelSource.open("kernel:///")
