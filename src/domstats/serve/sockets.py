"""Unix sockets to listen at: made here with mode and group, or handed over by systemd."""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from domstats.errors import ConnectError, SocketTaken, UsageError

BACKLOG = 128
"""Clients that may wait to be accepted."""
FIRST_PASSED = 3
"""Number of the first descriptor that systemd passes (SD_LISTEN_FDS_START)."""
PATH_MAX = 107 - len(".4194304")
"""Bytes that a socket's path may have: as many as the kernel takes (unix(7)), less what it is made under besides."""
_NOBODY_ELSE = 0o177
"""The mask while a socket is made: until it has its mode and group, nobody but its owner may connect."""


class Listening:
    """A socket somebody may connect to."""

    def __init__(self, sock: socket.socket, path: Path | None = None, name: str = "") -> None:
        """`path`: where it was made, if it is to be removed at the end. `name`: what systemd calls it."""
        self.sock, self.name = sock, name
        self._path = path
        self._identity = _identity(path) if path is not None else None

    @property
    def is_gone(self) -> bool:
        """Whether its file, if it was made here, was removed, or is another by now."""
        return self._path is not None and _identity(self._path) != self._identity

    def permit(self, mode: int, group: str | None) -> None:
        """Give the socket's file mode and group, if it was made here. Raises UsageError, ConnectError."""
        owner = _group_number(group)
        if self._path is None or self.is_gone:
            return
        try:
            if owner is not None:
                os.chown(self._path, -1, owner)
            self._path.chmod(mode)
        except OSError as error:
            raise ConnectError(f"cannot change {self._path}: {error.strerror or error}", (str(self._path),)) from error

    def remove(self) -> None:
        """Remove the socket's file, if it was made here and is not another by now."""
        if self._path is not None and not self.is_gone:
            self._path.unlink()


def check_path(path: Path) -> None:
    """See that a socket may be made at that path, as far as can be told without making it. Raises UsageError."""
    size = len(os.fsencode(path))
    if size > PATH_MAX:
        raise UsageError(f"the path of a socket has at most {PATH_MAX} bytes, not {size}: {path}")
    try:
        if not stat.S_ISDIR(path.parent.stat().st_mode):
            raise UsageError(f"cannot listen at {path}: {path.parent} is no folder")
    except FileNotFoundError:
        raise UsageError(f"cannot listen at {path}: there is no folder {path.parent}") from None
    except OSError:
        return  # whoever serves may see more than who looks now
    with suppress(OSError):  # most often there is nothing
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise UsageError(f"cannot listen at {path}: what is there is no socket")


def listen(path: Path, mode: int, group: str | None) -> Listening:
    """Listen at that path. A socket there that nobody listens at any more is replaced.

    It is made under another name and gets its own when all is done, so that nobody ever meets it half made. Raises
    SocketTaken, UsageError (no such group), ConnectError.
    """
    owner = _group_number(group)
    _see_that_nobody_listens(path)
    making = path.with_name(f"{path.name}.{os.getpid()}")
    with ExitStack() as stack:
        sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        try:
            _bind(sock, making)
            stack.callback(making.unlink, missing_ok=True)
            making.chmod(mode)
            if owner is not None:
                os.chown(making, -1, owner)
            sock.listen(BACKLOG)
            making.rename(path)
        except OSError as error:
            raise ConnectError(f"cannot listen at {path}: {error.strerror or error}", (str(path),)) from error
        sock.setblocking(False)
        stack.pop_all()
    return Listening(sock, path)


def passed_sockets(environment: Mapping[str, str]) -> list[Listening]:
    """The listening sockets that systemd has passed to this process (sd_listen_fds); most often there are none."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    number = environment.get("LISTEN_FDS", "")
    if not (number.isascii() and number.isdigit() and len(number) <= 4):
        return []
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    passed = []
    for position in range(int(number)):
        descriptor = FIRST_PASSED + position
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
        sock.setblocking(False)
        passed.append(Listening(sock, name=names[position] if position < len(names) else ""))
    return passed


def _bind(sock: socket.socket, path: Path) -> None:
    mask = os.umask(_NOBODY_ELSE)
    try:
        sock.bind(str(path))
    finally:
        os.umask(mask)


def _see_that_nobody_listens(path: Path) -> None:
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return  # what is wrong with it, if anything, making the socket will say
    if not is_socket:
        raise ConnectError(f"cannot listen at {path}: there is a file of that name that is no socket", (str(path),))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a server with a full queue would have us wait
        answer = probe.connect_ex(str(path))
    if answer not in (errno.ECONNREFUSED, errno.ENOENT):
        raise SocketTaken(f"another server listens at {path}: end it, or choose another path", (str(path),))


def _group_number(name: str | None) -> int | None:
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):  # a name with a NUL is none
        raise UsageError(f"there is no group {name!r} on this system") from None


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another of the same name."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
