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
    opens = None in outcomes
    found: list[Finding] = []
    for position, (path, outcome) in enumerate(zip(uri.sockets, outcomes, strict=True)):
        if outcome is None:
            found.append(_finding(Verdict.OK, f"{path} opens"))
        elif isinstance(outcome, NoSocket | SocketDenied):
            found.append(_unneeded(path, outcome) if opens else _needed(path, outcome))
        else:
            # Connecting takes the first where somebody listens, and fails with it.
            passed_by = None in outcomes[:position]
            found.append(_finding(Verdict.WARN if passed_by else Verdict.MISSING, str(outcome)))
    return found, not all(isinstance(outcome, NoSocket) for outcome in outcomes)


async def _open(uri: LibvirtUri, path: str, deadline: float) -> DomstatsError | None:
    """None where it opens."""
    try:
        connection = await Connection.open(replace(uri, sockets=(path,)), deadline=deadline)
    except DomstatsError as error:
        return error
    await connection.aclose()
    return None


def _unneeded(path: str, error: DomstatsError) -> Finding:
    what = _absence(path) if isinstance(error, NoSocket) else "may not be opened"
    return _finding(Verdict.OK, f"{path} {what}, nor is it needed")


def _needed(path: str, error: DomstatsError) -> Finding:
    if isinstance(error, NoSocket):
        return _finding(Verdict.MISSING, f"{path} {_absence(path)}", _starting(path))
    return _finding(Verdict.MISSING, f"{path} may not be opened ({_permissions(path)})", _asking(path, str(error)))


def _absence(path: str) -> str:
    return "is there, but nobody listens" if os.path.lexists(path) else "is not there"


def _finding(verdict: Verdict, text: str, advice: str = "") -> Finding:
    return Finding(Part.LIBVIRT, "socket", verdict, text, advice)


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
