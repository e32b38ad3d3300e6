"""Asking the host that a URI names: its sockets, its daemon, its guests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from domstats.aio import Host
from domstats.catalog.groups import Group
from domstats.doctor.daemon import groups_finding, look_at_versions, unknown_groups
from domstats.doctor.findings import Finding, Part, Verdict
from domstats.doctor.guests import is_on, look_at_guests
from domstats.doctor.sockets import look_at_sockets
from domstats.doctor.within import tried
from domstats.errors import DomstatsError, UsageError
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.sources import Source
from domstats.sources.libvirt.source import LibvirtSource
from domstats.sources.libvirt.uri import parse
from domstats.sources.registry import open_source

QUICK = 5.0
"""Seconds that a check may take which waits for no guest."""


@dataclass(slots=True)
class Asked:
    """What has come of it."""

    findings: list[Finding] = field(default_factory=list)
    snapshot: Snapshot | None = None
    """One poll of all guests; None where there was none."""
    unknown: list[Group] = field(default_factory=list)
    """Groups that the host does not know."""
    listens: bool = True
    """Whether a daemon listens, where one is needed."""


async def ask_libvirt(uri: str, environment: Mapping[str, str], deadline: float) -> Asked:
    """Try the sockets, then all that goes through them. `deadline`: seconds the poll may take. Raises BadUri."""
    sockets, listens = await look_at_sockets(parse(uri, environment), min(QUICK, deadline))
    if all(each.verdict is Verdict.MISSING for each in sockets):
        return Asked(sockets, listens=listens)
    asked = await ask(uri, environment, deadline)
    asked.findings[:0] = sockets
    return asked


async def ask(uri: str, environment: Mapping[str, str], deadline: float) -> Asked:
    """Open the source, and ask it. `deadline`: seconds the poll may take. Raises UsageError and its kind BadUri."""
    asked = Asked()
    try:
        source = await open_source(uri, environment, min(QUICK, deadline))
    except UsageError:
        raise
    except DomstatsError as error:
        asked.findings.append(Finding(Part.LIBVIRT, "connection", Verdict.MISSING, str(error)))
        return asked
    host = Host(source)
    try:
        if isinstance(source, LibvirtSource):
            versions = look_at_versions(source.connection, min(QUICK, deadline))
            asked.findings += await tried(Part.LIBVIRT, "versions", versions, 3 * QUICK)
        await _poll(host, asked, deadline)
        await _ask_for_groups(source, asked, min(QUICK, deadline))
    finally:
        await host.aclose()
    return asked


async def _poll(host: Host, asked: Asked, deadline: float) -> None:
    try:
        asked.snapshot = await host.stats(deadline=deadline)
    except DomstatsError as error:
        asked.findings.append(Finding(Part.GUESTS, "guests", Verdict.MISSING, str(error)))
    else:
        asked.findings += look_at_guests(asked.snapshot)


async def _ask_for_groups(source: Source, asked: Asked, deadline: float) -> None:
    """Of the first guest that is on and answers; without one nothing can be said."""
    answering = (each for each in asked.snapshot or () if is_on(each) and each.status is Status.FRESH)
    guest = next(answering, None)
    if guest is None:
        return
    try:
        asked.unknown = await unknown_groups(source, guest.domain, deadline)
    except DomstatsError as error:
        finding = Finding(Part.LIBVIRT, "groups", Verdict.WARN, f"could not be tried: {error}")
    else:
        finding = groups_finding(asked.unknown)
    asked.findings.append(finding)
