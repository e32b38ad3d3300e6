"""libvirt's sockets: which are there, and which may be opened; else what to do, and whom to ask."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import stat
from dataclasses import replace
from pathlib import Path

from domstats.doctor.findings import Finding, Part, Verdict
from domstats.errors import DomstatsError, NoSocket, SocketDenied
from domstats.sources.libvirt.connection import Connection
from domstats.sources.libvirt.uri import LibvirtUri

_UNITS = {"virtqemud": "virtqemud.socket", "virtvzd": "virtvzd.socket", "libvirt": "libvirtd.socket"}
"""systemd's units, by the beginning of the socket's name."""
_OTHER_SOCKET = ", or use the read-only socket (libvirt-sock-ro), open to everybody by default"


async def look_at_sockets(uri: LibvirtUri, deadline: float) -> tuple[list[Finding], bool]:
    """A finding for each socket the URI can mean, and whether a daemon listens at one of them.

    `deadline`: seconds each may take, all at the same time.
    """
    outcomes = await asyncio.gather(*(_open(uri, path, deadline) for path in uri.sockets))
    opens = any(outcome is None for outcome in outcomes)
    pairs = zip(uri.sockets, outcomes, strict=True)
    found = [_finding(path, outcome, needed=not opens) for path, outcome in pairs]
    return found, not all(isinstance(outcome, NoSocket) for outcome in outcomes)


async def _open(uri: LibvirtUri, path: str, deadline: float) -> DomstatsError | None:
    """None where it opens."""
    try:
        connection = await Connection.open(replace(uri, sockets=(path,)), deadline=deadline)
    except DomstatsError as error:
        return error
    await connection.aclose()
    return None


def _finding(path: str, outcome: DomstatsError | None, *, needed: bool) -> Finding:
    lacks = Verdict.MISSING if needed else Verdict.OK
    if outcome is None:
        return Finding(Part.LIBVIRT, "socket", Verdict.OK, f"{path} opens")
    if isinstance(outcome, NoSocket):
        there = os.path.lexists(path)
        what = "is there, but nobody listens" if there else "is not there"
        if not needed:
            return Finding(Part.LIBVIRT, "socket", Verdict.OK, f"{path} {what}, nor is it needed")
        return Finding(Part.LIBVIRT, "socket", lacks, f"{path} {what}", _starting(path))
    if isinstance(outcome, SocketDenied):
        text = f"{path} may not be opened ({_permissions(path)})"
        return Finding(Part.LIBVIRT, "socket", lacks, text, "" if not needed else _asking(path, str(outcome)))
    return Finding(Part.LIBVIRT, "socket", lacks, str(outcome))


def _starting(path: str) -> str:
    """How the daemon behind a socket is started, or which other socket it has."""
    writable = path.removesuffix("-ro")
    if writable != path and os.path.lexists(writable):
        return f"its other socket is there: -c 'qemu+unix:///system?socket={writable}', for root and the group libvirt"
    unit = _UNITS.get(path.rpartition("/")[2].partition("-")[0])
    return f"systemctl start {unit}, if that daemon is installed" if unit else "is the daemon running?"


def _permissions(path: str) -> str:
    """Mode, owner and group of a socket; where that cannot be seen, why."""
    try:
        status = Path(path).stat()
    except OSError as error:
        return error.strerror or str(error)
    owner, group = _user_name(status.st_uid), _group_name(status.st_gid)
    return f"mode {stat.S_IMODE(status.st_mode):04o}, owner {owner}, group {group}"


def _asking(path: str, why: str) -> str:
    """What lets this user open it."""
    if "polkit" in why:
        action = "org.libvirt.unix.monitor" if path.endswith("-ro") else "org.libvirt.unix.manage"
        return f"let polkit allow {action} to this user{_OTHER_SOCKET}"
    try:
        status = Path(path).stat()
    except OSError:
        return "a directory above it may not be entered: ask its owner, or run as root"
    if status.st_mode & stat.S_IWGRP and status.st_gid:
        return f"join the group {_group_name(status.st_gid)}{_OTHER_SOCKET}"
    return f"run as root{_OTHER_SOCKET}"


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
