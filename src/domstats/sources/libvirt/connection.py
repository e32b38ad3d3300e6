"""A connection to a libvirt daemon on this host: opening it, calling with a deadline, closing it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import Any

from domstats.errors import (
    ConnectError,
    ConnectionLost,
    DeadlineExceeded,
    DomstatsError,
    NoSocket,
    NoSupport,
    ProtocolError,
    SocketDenied,
)
from domstats.sources.libvirt.transport import CALLS_MAX, Link, OnEvent
from domstats.sources.libvirt.uri import LibvirtUri
from domstats.wire.procedures import Procedure, decode_values, encode_args, name_of
from domstats.wire.xdr import Buffer

READ_ONLY = 1
"""Flag of CONNECT_OPEN: VIR_CONNECT_RO."""
KEEPALIVE_FEATURE = 10
"""VIR_DRV_FEATURE_PROGRAM_KEEPALIVE. Asking for it makes the daemon send PINGs and notice a client that is gone."""
AUTH_NONE, AUTH_POLKIT = 0, 2
"""remote_auth_type."""
CLOSE_DEADLINE = 1.0
"""Seconds to wait for the daemon's goodbye; going without it does no harm."""
FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.1
"""Seconds between two attempts to connect while the daemon's queue is full; each pause is twice the one before."""


class Connection:
    """An open, read-only connection.

    Any number of tasks may call at the same time; at most 4 calls are outstanding, the others wait for their turn. The
    daemon pings the connection when it is idle and gives it up after 30 s without an answer, so the event loop has to
    run between calls, too.
    """

    def __init__(self, link: Link, path: str) -> None:
        """Use `open`."""
        self._link = link
        self.path = path
        """The socket it goes through."""

    @classmethod
    async def open(cls, uri: LibvirtUri, *, deadline: float) -> Connection:
        """Connect to the first of the URI's sockets where someone listens, and open the hypervisor.

        `deadline`: seconds this may take. Raises NoSocket, SocketDenied, ConnectError (what is there gives no answer
        in time, or not a libvirt daemon's) or RemoteError.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline
        sock, path = await _connect(uri.sockets, deadline, until)
        _, link = await loop.create_unix_connection(Link, sock=sock)  # from here on asyncio closes it
        connection = cls(link, path)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(link.close)
            await connection._introduce(uri.name, deadline, until)
            stack.pop_all()
        return connection

    @property
    def outstanding(self) -> int:
        """How many calls the daemon has not answered yet, those whose callers have given up included."""
        return self._link.outstanding

    @property
    def lost(self) -> bool:
        """Whether the connection is gone; it does not come back."""
        return self._link.lost

    async def until_lost(self) -> None:
        """Wait until the connection is gone."""
        await self._link.until_lost()

    def listen(self, on_event: OnEvent) -> None:
        """Have `on_event` called with each event the daemon sends from now on."""
        self._link.on_event = on_event

    async def call(self, procedure: Procedure, *args: Any, deadline: float) -> Any:
        """Call a procedure; what `wire.procedures.decode_values` makes of the reply.

        `deadline`: seconds for waiting for a turn and for the reply. When it has passed, or the task is cancelled, the
        daemon still works on the call, and its late reply is dropped. Raises RemoteError, DeadlineExceeded,
        ConnectionLost, or ProtocolError.
        """
        try:
            async with asyncio.timeout(deadline):
                return await self._ask(procedure, *args)
        except TimeoutError:
            raise DeadlineExceeded(procedure.name, deadline) from None

    async def pass_on(self, number: int, payload: Buffer, deadline: float) -> Buffer:
        """Call a procedure of any number with a payload that is packed already; the reply's payload, as it is.

        `deadline` and errors as for `call`.
        """
        try:
            async with asyncio.timeout(deadline):
                return await self._link.request(number, payload)
        except TimeoutError:
            raise DeadlineExceeded(name_of(number), deadline) from None

    async def aclose(self) -> None:
        """Say goodbye, for at most a second, and close the socket; safe to call twice."""
        self._link.will_close()
        try:
            if not self.lost and self.outstanding < CALLS_MAX:
                with contextlib.suppress(DomstatsError):
                    await self.call(Procedure.CONNECT_CLOSE, deadline=CLOSE_DEADLINE)
        finally:
            await self._link.close()

    async def _ask(self, procedure: Procedure, *args: Any) -> Any:
        return decode_values(procedure, await self._link.request(procedure, encode_args(procedure, *args)))

    async def _introduce(self, name: str, deadline: float, until: float) -> None:
        """What the daemon wants to hear before anything else, in this order.

        `deadline`: seconds opening may take, which end when the loop's clock says `until`.
        """
        where = (self.path,)
        try:
            async with asyncio.timeout_at(until):
                await self._authenticate()
                await self._ask(Procedure.CONNECT_SUPPORTS_FEATURE, KEEPALIVE_FEATURE)
                await self._ask(Procedure.CONNECT_OPEN, name, READ_ONLY)
        except TimeoutError:
            why = f"{self.path} gave no answer within {deadline:g} s: the daemon hangs, or it is not libvirt's"
            raise ConnectError(why, where) from None
        except ConnectionLost as error:
            raise ConnectError(f"{self.path}: {error}; is a libvirt daemon behind this socket?", where) from error
        except ProtocolError as error:
            raise ConnectError(f"{self.path} does not speak libvirt's protocol: {error}", where) from error

    async def _authenticate(self) -> None:
        """The first call must be AUTH_LIST, even where no authentication is wanted."""
        try:
            wanted = await self._ask(Procedure.AUTH_LIST)
        except NoSupport:
            return
        if not wanted or wanted[0] == AUTH_NONE:
            return
        if wanted[0] != AUTH_POLKIT:
            why = f"{self.path} wants an authentication that is not supported (type {wanted[0]})"
            raise SocketDenied(f"{why}: use the read-only socket", (self.path,))
        if not await self._ask(Procedure.AUTH_POLKIT):
            raise SocketDenied(f"polkit denies access to {self.path}: use the read-only socket", (self.path,))


async def _connect(paths: Sequence[str], deadline: float, until: float) -> tuple[socket.socket, str]:
    """A socket connected to the first of the paths where someone listens."""
    tried = tuple(paths)
    denied = None
    for path in paths:
        try:
            sock = await _dial(path, until)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            continue
        except PermissionError:
            denied = denied or path
        except BlockingIOError:
            why = f"{path} took no connection within {deadline:g} s"
            advice = "the daemon hangs, or has as many clients as its configuration allows (max_clients)"
            raise ConnectError(f"{why}: {advice}", tried) from None
        except OSError as error:
            raise ConnectError(f"cannot connect to {path}: {error.strerror or error}", tried) from error
        else:
            return sock, path
    if denied:
        advice = "join the group 'libvirt', or use the read-only socket, /run/libvirt/libvirt-sock-ro"
        raise SocketDenied(f"no permission to connect to {denied}: {advice}", tried)
    advice = "is libvirtd (or virtqemud) running? sim:/// shows a simulated host"
    raise NoSocket(f"no libvirt daemon listens at {' or '.join(tried)}: {advice}", tried)


async def _dial(path: str, until: float) -> socket.socket:
    """Connect to a unix socket, before the loop's clock says `until`.

    While the queue of those who wait to be accepted is full, connect(2) gives EAGAIN, for which there is no event to
    wait for: asyncio waits until the socket is writable, which it is at once, and takes it for connected. Raises
    OSError, of which BlockingIOError means that the queue was full until the end.
    """
    loop = asyncio.get_running_loop()
    pause = FIRST_PAUSE
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        sock.setblocking(False)
        while True:
            try:
                sock.connect(path)
            except BlockingIOError:
                left = until - loop.time()
                if left <= 0:
                    raise
                await asyncio.sleep(min(pause, left))
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                stack.pop_all()
                return sock
