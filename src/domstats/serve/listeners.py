"""The sockets that a server listens at: they outlive its parts, so that nobody is refused while one begins anew.

A part gets duplicates. When it closes them, who connects waits until the next part takes over.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from domstats.errors import ConnectError
from domstats.serve.http.options import Address
from domstats.serve.sockets import Listening, listen

HTTP, LIBVIRT = "http", "libvirt"
"""What systemd calls the sockets it passes (FileDescriptorName=); under other names TCP is for HTTP."""
BACKLOG = 512
"""HTTP clients that may wait to be accepted."""
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""A name has addresses of IPv6 where there is no IPv6."""
_ANY = {int(socket.AF_INET): "0.0.0.0", int(socket.AF_INET6): "::"}


class Listeners:
    """All of a process."""

    def __init__(self, passed: Sequence[Listening] = ()) -> None:
        """`passed`: by systemd, see sockets.passed_sockets."""
        self._passed_http = [each for each in passed if _is_for_http(each)]
        self._passed_libvirt = [each for each in passed if not _is_for_http(each)]
        self._tcp: dict[Address, list[Listening]] = {}
        self._unix: dict[Path, Listening] = {}

    @property
    def passes_http(self) -> bool:
        """Whether systemd has passed a socket for HTTP."""
        return bool(self._passed_http)

    @property
    def passes_libvirt(self) -> bool:
        """Whether systemd has passed a socket for libvirt's clients."""
        return bool(self._passed_libvirt)

    async def open(self, addresses: Iterable[Address], path: Path | None, mode: int, group: str | None) -> None:
        """Listen there, too, from now on; what is listened at already, here or by what systemd passes, stays as it is.

        A socket at `path` whose file is gone is made anew. Raises ConnectError and its kind SocketTaken, UsageError;
        what was opened before that stays open.
        """
        for address in addresses:
            if address not in self._tcp:
                mine = [each.sock for made in self._tcp.values() for each in made]
                same = [sock for sock in mine if sock.getsockname()[1] == address.port]
                passed = [each.sock for each in self._passed_http]
                self._tcp[address] = await listen_tcp(address, same, passed)
        if path is None or any(_is_at(each.sock, path) for each in self._passed_libvirt):
            return
        before = self._unix.get(path)
        if before is None or before.is_gone:
            self._unix[path] = listen(path, mode, group)
            if before is not None:
                before.sock.close()

    def permit(self, path: Path, mode: int, group: str | None) -> None:
        """Give the socket at that path mode and group. Raises UsageError, ConnectError."""
        if path in self._unix:  # who may connect to one that systemd passes, its unit says
            self._unix[path].permit(mode, group)

    def http(self, addresses: Iterable[Address]) -> list[socket.socket]:
        """Duplicates of those for HTTP: the passed ones, and those at these addresses."""
        made = (each for address in addresses for each in self._tcp[address])
        return [each.sock.dup() for each in (*self._passed_http, *made)]

    def libvirt(self, path: Path | None) -> list[Listening]:
        """Duplicates of those for libvirt's clients: the passed ones, and the one at that path."""
        made = self.made_at(path)
        return [Listening(each.sock.dup()) for each in (*self._passed_libvirt, *([] if made is None else [made]))]

    def made_at(self, path: Path | None) -> Listening | None:
        """What was made at that path; another one where it had to be made anew."""
        return None if path is None else self._unix.get(path)

    def close_others(self, addresses: Iterable[Address] = (), path: Path | None = None) -> None:
        """Listen no more anywhere else; passed ones stay."""
        for address in self._tcp.keys() - set(addresses):
            for each in self._tcp.pop(address):
                each.sock.close()
        for other in self._unix.keys() - {path}:
            listening = self._unix.pop(other)
            listening.remove()
            listening.sock.close()


def _is_for_http(passed: Listening) -> bool:
    return passed.name == HTTP or (passed.name != LIBVIRT and passed.sock.family != socket.AF_UNIX)


def _is_at(sock: socket.socket, path: Path) -> bool:
    name = sock.getsockname()
    return isinstance(name, str) and bool(name) and os.path.realpath(name) == os.path.realpath(path)


def _serves(sock: socket.socket, family: int, name: Any) -> bool:
    """Whether who connects to that address comes to this socket, so that no other can be there."""
    own = sock.getsockname()
    if sock.family != family:
        both = sock.family == socket.AF_INET6 and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        return both and family == socket.AF_INET and own[:2] == (_ANY[socket.AF_INET6], name[1])
    return family in _ANY and own[1] == name[1] and own[0] in (name[0], _ANY[family])


async def listen_tcp(
    address: Address, mine: Sequence[socket.socket] = (), passed: Sequence[socket.socket] = ()
) -> list[Listening]:
    """A socket for each of the addresses of this machine that a name stands for. Raises ConnectError.

    `mine`: those of this process may have the same port, as 127.0.0.1 and 0.0.0.0 of one port. `passed`: by systemd; at
    an address that one of them serves there is no other.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE, proto=socket.IPPROTO_TCP
        )
        with _shared(mine):
            names = [(family, name) for family, _, _, _, name in found]
            free = [each for each in names if not any(_serves(sock, *each) for sock in passed)]
            return _listen_all(free, shared=bool(mine))
    except (OSError, ValueError) as error:  # of a name that is none IDNA says so
        why = getattr(error, "strerror", None) or error
        raise ConnectError(f"cannot listen at {address}: {why}", (str(address),)) from error


@contextmanager
def _shared(socks: Sequence[socket.socket]) -> Iterator[None]:
    """Other sockets of this user that ask for it, too, may have the ports of these."""
    for sock in socks:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        yield
    finally:
        for sock in socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)


def _listen_all(names: Sequence[tuple[int, Any]], *, shared: bool) -> list[Listening]:
    """At those that are addresses of this machine. Raises OSError, where none is."""
    opened: list[Listening] = []
    failed: OSError | None = None
    with ExitStack() as stack:
        for family, name in dict.fromkeys(names):
            sock = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            try:
                with _shared([sock] if shared else []):
                    _bind(sock, name)
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                failed = error
            else:
                opened.append(Listening(sock))
        if failed is not None and not opened:
            raise failed
        stack.pop_all()
    return opened


def _bind(sock: socket.socket, name: Any) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(name)
    sock.listen(BACKLOG)
    sock.setblocking(False)
