"""The daemon: its versions, and the groups of statistics it knows."""

from __future__ import annotations

from domstats.catalog.groups import GROUPS, Group
from domstats.doctor.findings import Finding, Part, Verdict
from domstats.errors import RemoteError, StatsUnsupported
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter
from domstats.sources import Source
from domstats.sources.libvirt.connection import Connection
from domstats.wire.procedures import Procedure

_ENFORCING = DomainFilter.ENFORCE | DomainFilter.NOWAIT


def version_text(number: int) -> str:
    """`9.0.0` of 9000000, as libvirt writes versions in one number."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


async def look_at_versions(connection: Connection, deadline: float) -> list[Finding]:
    """The versions of libvirt and of the hypervisor that it would start guests with now.

    `deadline`: seconds each may take. Raises DeadlineExceeded, RemoteError, ConnectionLost, ProtocolError. Source:
    virConnectGetLibVersion, virConnectGetType, virConnectGetVersion.
    """
    libvirt = version_text(await connection.call(Procedure.CONNECT_GET_LIB_VERSION, deadline=deadline))
    found = [Finding(Part.LIBVIRT, "libvirt", Verdict.OK, f"libvirt {libvirt}")]
    try:
        kind: str = await connection.call(Procedure.CONNECT_GET_TYPE, deadline=deadline)
        number: int = await connection.call(Procedure.CONNECT_GET_VERSION, deadline=deadline)
    except RemoteError as error:
        why = f"libvirt does not know its hypervisor's version: {error.text}"
        return [*found, Finding(Part.LIBVIRT, "hypervisor", Verdict.WARN, why, "is QEMU installed?")]
    if not number:
        return [*found, Finding(Part.LIBVIRT, "hypervisor", Verdict.OK, f"{kind}, of a version that is not told")]
    return [*found, Finding(Part.LIBVIRT, "hypervisor", Verdict.OK, f"{kind} {version_text(number)}")]


async def unknown_groups(source: Source, domain: Domain, deadline: float) -> list[Group]:
    """The groups that the host does not have for a guest, which is on and answers; each is asked for by itself.

    `deadline`: seconds each may take. Raises what `Source.stats` raises.
    """
    unknown: list[Group] = []
    for group in GROUPS:
        try:
            await source.stats([domain], 1 << group.bit, _ENFORCING, deadline)
        except StatsUnsupported:
            unknown.append(group)
    return unknown


def groups_finding(unknown: list[Group]) -> Finding:
    """What is said of them."""
    if not unknown:
        return Finding(Part.LIBVIRT, "groups", Verdict.OK, f"all {len(GROUPS)} groups of statistics are known")
    names = ", ".join(f"{group.name} (libvirt {group.since})" for group in unknown)
    known = len(GROUPS) - len(unknown)
    text = f"{known} of {len(GROUPS)} groups of statistics are known; not known: {names}"
    return Finding(Part.LIBVIRT, "groups", Verdict.MISSING, text, "a newer libvirt, or QEMU, has them")
