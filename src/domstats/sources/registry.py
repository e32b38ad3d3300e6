"""From a URI to its source."""

from __future__ import annotations

from collections.abc import Mapping

from domstats.errors import BadUri
from domstats.sources import Source

DEFAULT_URI = "qemu:///system"
VARIABLES = ("DOMSTATS_URI", "LIBVIRT_DEFAULT_URI")
"""Environment variables that name the host when nothing else does, in their order."""
OF_PROCESSES = ("qemu", "qemu+unix")
"""Schemes of the URIs of a libvirt on this host whose guests are processes of it."""


def chosen_uri(uri: str | None, environment: Mapping[str, str]) -> tuple[str, str | None]:
    """The URI that counts: the one given, the environment's (with the variable's name), or the local libvirt's."""
    if uri is not None:
        return uri, None
    variable = next((name for name in VARIABLES if environment.get(name)), None)
    return (DEFAULT_URI, None) if variable is None else (environment[variable], variable)


async def open_source(uri: str | None, environment: Mapping[str, str], deadline: float) -> Source:
    """Open the source a URI names, or without one the environment's or the local libvirt daemon's.

    `deadline`: seconds it may take. Raises BadUri (which says so if a variable holds the URI), ConnectError and its
    kinds, DeadlineExceeded, or what libvirt reports.
    """
    chosen, variable = chosen_uri(uri, environment)
    try:
        return await _open(chosen, environment, deadline)
    except BadUri as error:
        raise blamed(error, variable) from None


def blamed(error: BadUri, variable: str | None) -> BadUri:
    """The error, which says so if an environment variable holds the URI."""
    if variable is None:
        return error
    return BadUri(error.uri, f"{error.why} (the URI is that of the environment variable {variable})")


def check_uri(uri: str, environment: Mapping[str, str]) -> None:
    """See that a URI names a source, without opening it; the script of a simulated host is read. Raises BadUri."""
    scheme = _scheme(uri)
    if scheme == "sim":
        from domstats.sources.sim.source import check

        check(uri)
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
    if uri.partition(":")[0] not in OF_PROCESSES:
        return None
    from domstats.sources.kernel.source import KernelSource

    return KernelSource.open("kernel:///")
