"""From a URI to its source."""

from __future__ import annotations

from collections.abc import Mapping

from domstats.errors import BadUri
from domstats.sources import Source

DEFAULT_URI = "qemu:///system"
VARIABLES = ("DOMSTATS_URI", "LIBVIRT_DEFAULT_URI")
"""Environment variables that name the host when nothing else does, in their order."""


def default_uri(environment: Mapping[str, str]) -> str:
    """The URI to use when none is given."""
    return next((environment[name] for name in VARIABLES if environment.get(name)), DEFAULT_URI)


async def open_source(uri: str, environment: Mapping[str, str], deadline: float) -> Source:
    """Open the source a URI names, within `deadline` seconds.

    Raises BadUri, ConnectError and its kinds, DeadlineExceeded, or what libvirt reports.
    """
    scheme = uri.partition(":")[0]
    if scheme == "sim":
        from domstats.sources.sim.source import SimSource

        return SimSource.open(uri)
    if not scheme or scheme == uri:
        raise BadUri(uri, "it has no scheme; qemu:///system and sim:///?domains=20 are examples")
    from domstats.sources.libvirt.source import LibvirtSource

    return await LibvirtSource.open(uri, environment, deadline=deadline)
