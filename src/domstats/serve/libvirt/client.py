"""One connection of a client: the protocol machine, asyncio on its one side and the answers on the other.

Nothing a client does fills memory: it has at most five calls worked on, its packets have a limit of their own, replies
that it does not read wait as the one object that all clients share, and who is silent in the middle of something is
closed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from domstats.errors import (
    RPC_ERROR,
    ConnectError,
    ConnectionLost,
    DeadlineExceeded,
    ProtocolError,
    RemoteError,
)
from domstats.serve.libvirt.session import INTERNAL_ERROR, Session
from domstats.sources import DomainEvent
from domstats.wire.connection import Call, ServerConnection
from domstats.wire.failure import RPC_DOMAIN
from domstats.wire.procedures import PROCEDURES, decode_args, encode_values
from domstats.wire.xdr import Buffer

REQUESTS_MAX = 5
"""Calls of a client that are worked on at a time; it is not read from at the limit (libvirtd's max_client_requests)."""
TURN = 64
"""Calls of one client that are begun before others have their turn."""
REQUEST_BYTES = 1 << 23
"""The longest packet that is taken: 16,384 domains with names of 400 bytes."""
EVENT_BYTES = 1 << 20
"""Bytes of events that wait for a client to read; it is closed when there are more."""
PING_AFTER, PINGS_MAX = 5.0, 5
"""Seconds of silence after which a client that wants PINGs gets one, and after how many it is taken for dead."""
CHUNK = 1 << 17
"""Bytes that are written at a time: what asyncio keeps of them is a copy."""
PATIENCE = 30.0
"""Seconds that a client may take to open, to send a packet, or to read on."""

_CREDENTIALS = struct.Struct("=iII")
_UNDECODABLE = "Unable to decode message payload"
_log = logging.getLogger(__name__)


class Host(Protocol):
    """What answers the calls about the host."""

    async def answer(self, number: int, payload: Buffer) -> Buffer:
        """The payload of the reply. Raises RemoteError, ProtocolError."""


class Client(asyncio.BufferedProtocol):
    """The server's end of one connection."""

    def __init__(self, host: Host, on_made: Callable[[Client], bool], on_lost: Callable[[Client], None]) -> None:
        """`on_made`: told of the connection; whether it is welcome. `on_lost`: told of its end."""
        self._host, self._on_made, self._on_lost = host, on_made, on_lost
        self._machine = ServerConnection(REQUEST_BYTES)
        self._session = Session()
        self._tasks: dict[asyncio.Task[None], int] = {}
        """The calls that are worked on, with the bytes of their payloads."""
        self._transport: asyncio.Transport  # from connection_made on
        self._full = False
        """Whether the client does not read, and what it is to be sent waits."""
        self._waiting: deque[memoryview] = deque()
        """What it is to be sent."""
        self._resting = False
        """Whether it has had its turn."""
        self._event_bytes = 0
        """Of the events that wait."""
        self._heard = self._since = self._read = self._begun = asyncio.get_running_loop().time()
        """The loop's time when something came, when it came itself, when it last read on, and when it may have begun to
        send the packet it is in the middle of."""
        self._pings = 0
        """How many PINGs it has not answered."""
        self.peer = "?"
        """Who it is, for the log."""

    @property
    def held(self) -> int:
        """Bytes that are kept for this client alone, either way."""
        return self._transport.get_write_buffer_size() + self._machine.held + sum(self._tasks.values())

    @property
    def waiting(self) -> dict[int, int]:
        """Sizes of the objects that wait to be sent, by their identities: clients share large ones."""
        return {id(view.obj): view.nbytes for view in self._waiting}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: a client has come."""
        self._transport = cast(asyncio.Transport, transport)
        self.peer = _peer(transport.get_extra_info("socket"))
        if not self._on_made(self):
            self._transport.abort()

    def get_buffer(self, _sizehint: int) -> memoryview:
        """asyncio: where to put the bytes that come next."""
        return self._machine.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """asyncio: bytes have come."""
        unfinished, begun = self._machine.pending, self._begun
        self._machine.buffer_updated(nbytes)
        self._heard, self._pings = asyncio.get_running_loop().time(), 0
        self._take_calls()
        if unfinished and self._machine.pending == unfinished + nbytes:
            self._begun = begun  # it goes on with the same packet

    def pause_writing(self) -> None:
        """asyncio: the client does not read, and the write buffer is full."""
        self._full = True
        self._read = asyncio.get_running_loop().time()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """asyncio: the write buffer has drained."""
        self._full, self._event_bytes = False, 0
        loop = asyncio.get_running_loop()
        self._read = loop.time()
        # Later, since a transport that is closed while it says this closes itself twice.
        loop.call_soon(self._resume)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  however it ended
        """asyncio: the connection is closed."""
        for task in self._tasks:
            task.cancel()
        self._session.subscriptions.clear()
        self._on_lost(self)

    def tell(self, event: DomainEvent) -> None:
        """Something has happened to a domain."""
        for procedure, payload in self._session.subscriptions.messages(event):
            self._event_bytes += len(payload) if self._full else 0
            self._machine.message(procedure, payload)
        if self._event_bytes > EVENT_BYTES:
            self.abort("does not read its events")
        self._flush()

    def look_after(self, now: float) -> None:
        """Once a second: PING who wants it, and close who is silent where it should not be. `now`: the loop's time."""
        session = self._session
        if not session.opened and not self._tasks and now - self._since > PATIENCE:
            self.abort("has not opened the connection")
        elif self._machine.pending and not self._busy and now - self._begun > PATIENCE:
            self.abort("has not sent the rest of a packet")
        elif self._full and now - self._read > PATIENCE:
            self.abort("does not read")
        elif session.wants_pings and not self._full and now - self._heard > PING_AFTER * (self._pings + 1):
            if self._pings >= PINGS_MAX:
                self.abort("does not answer")
                return
            self._pings += 1
            self._machine.ping()
            self._flush()

    def abort(self, why: str) -> None:
        """Close the connection, now."""
        _log.info("client %s is closed: it %s", self.peer, why)
        self._transport.abort()

    @property
    def _busy(self) -> bool:
        """Whether what came is left until later, or for ever."""
        if self._session.over:
            return True
        return self._transport.is_closing() or self._full or self._resting or len(self._tasks) >= REQUESTS_MAX

    def _take_calls(self) -> None:
        """Begin what has come, as far as it is this client's turn; the rest waits in the machine, and in the socket."""
        if self._busy:
            return
        self._begun = asyncio.get_running_loop().time()
        taken = 0
        try:
            for call in self._machine.events():
                self._begin(call)
                taken += 1
                if taken >= TURN:
                    self._resting = True
                if self._busy:
                    break
        except ProtocolError as error:
            self.abort(f"sends what makes no sense: {error}")
            return
        if self._resting:
            asyncio.get_running_loop().call_soon(self._go_on)
        self._flush()
        if self._busy:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _resume(self) -> None:
        self._flush()
        self._take_calls()

    def _go_on(self) -> None:
        self._resting = False
        self._take_calls()

    def _begin(self, call: Call) -> None:
        """Answer at once what is about the connection, and have everything else worked on."""
        session = self._session
        if session.answers(call.procedure) or not session.opened:
            self._reply(call, lambda: self._of_session(call))
            return
        task = asyncio.create_task(self._work(call))
        self._tasks[task] = len(call.payload)
        task.add_done_callback(self._done)

    def _of_session(self, call: Call) -> Buffer:
        self._session.check(call.procedure)
        procedure = PROCEDURES[call.procedure]
        return encode_values(procedure, *self._session.answer(procedure, decode_args(procedure, call.payload)))

    def _reply(self, call: Call, make: Callable[[], Buffer]) -> None:
        """Send what `make` gives, or the error that it raises."""
        serial, number = call.serial, call.procedure
        try:
            self._machine.reply(serial, number, make())
        except RemoteError as error:
            self._machine.fail(serial, number, error.code, error.domain, error.text)
        except ProtocolError:
            self._machine.fail(serial, number, RPC_ERROR, RPC_DOMAIN, _UNDECODABLE)

    async def _work(self, call: Call) -> None:
        try:
            payload = await self._host.answer(call.procedure, call.payload)
        except (RemoteError, ProtocolError) as error:
            self._reply(call, _raiser(error))
        except (ConnectError, ConnectionLost, DeadlineExceeded) as error:
            failed = RemoteError(INTERNAL_ERROR, RPC_DOMAIN, f"internal error: {error}")
            self._reply(call, _raiser(failed))
        else:
            self._reply(call, lambda: payload)

    def _done(self, task: asyncio.Task[None]) -> None:
        """A call has been dealt with; one that failed by a defect of ours has no reply, so its client is closed."""
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a call of client %s failed", self.peer, exc_info=error)
            self._transport.abort()
            return
        self._flush()
        self._take_calls()

    def _flush(self) -> None:
        """Send what there is to send, for as long as the client reads."""
        if not self._full:
            self._waiting.extend(memoryview(piece) for piece in self._machine.pieces_to_send() if piece)
        while self._waiting and not self._full and not self._transport.is_closing():
            piece = self._waiting.popleft()
            if len(piece) > CHUNK:
                self._waiting.appendleft(piece[CHUNK:])
            self._transport.write(piece[:CHUNK])
        if self._session.over and not self._waiting:
            self._transport.close()


def _raiser(error: Exception) -> Callable[[], Buffer]:
    def make() -> Buffer:
        raise error

    return make


def _peer(sock: socket.socket) -> str:
    """The process and user at the other end of a unix socket (SO_PEERCRED)."""
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError as error:
        return os.strerror(error.errno or 0)
    process, user, group = _CREDENTIALS.unpack(raw)
    return f"pid {process}, uid {user}, gid {group}"
