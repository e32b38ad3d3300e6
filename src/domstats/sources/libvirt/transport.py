"""One socket to a daemon: the protocol machine, asyncio on its one side and those who wait for replies on the other."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from domstats.errors import ConnectionLost, DomstatsError, ProtocolError
from domstats.wire.connection import ClientConnection, Failure, Message, Reply
from domstats.wire.procedures import EVENTS, PROCEDURES, Procedure, decode_values, name_of
from domstats.wire.xdr import Buffer

CALLS_MAX = 4
"""One less than libvirtd's default for max_client_requests: with 5 calls outstanding it stops reading from the socket,
so our PONGs would not reach it, and after 30 s it would take the connection for dead."""

OnEvent = Callable[[Procedure, Any], None]
"""Called with an event and what it carries; it must not raise."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Someone waits for a reply."""

    procedure: int
    reply: asyncio.Future[bytes | memoryview]


class Link(asyncio.BufferedProtocol):
    """The calls on one socket, at most CALLS_MAX at a time.

    A caller may stop waiting; its call stays outstanding until the daemon, which cannot cancel it, has answered. While
    the daemon does not read, asyncio's write buffer stays as it is: those calls and one PONG wait in the machine.
    """

    def __init__(self) -> None:
        self.on_event: OnEvent | None = None
        self._machine = ClientConnection()
        self._slots = asyncio.Semaphore(CALLS_MAX)
        self._waiting: dict[int, _Waiting] = {}
        self._fault: DomstatsError = ConnectionLost("the daemon closed the connection")
        self._fault_known = False
        self._write_buffer_full = False
        self._closed = asyncio.Event()
        self._transport: asyncio.Transport  # from connection_made on

    @property
    def outstanding(self) -> int:
        """How many calls have no answer yet, those nobody waits for included."""
        return self._machine.outstanding

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        return self._closed.is_set()

    async def until_lost(self) -> None:
        """Wait until the connection is gone."""
        await self._closed.wait()

    async def request(self, procedure: int, payload: Buffer) -> bytes | memoryview:
        """Call, once there are fewer than CALLS_MAX calls outstanding; the reply's payload.

        Raises RemoteError, ConnectionLost, or the ProtocolError the connection ended with. It waits for as long as it
        takes: the caller has the deadline, and may cancel.
        """
        await self._slots.acquire()
        if self.lost:
            self._slots.release()
            raise self._fault_during(procedure)
        try:
            serial = self._machine.call(procedure, payload)
        except ProtocolError:
            self._slots.release()
            raise
        waiting = self._waiting[serial] = _Waiting(procedure, asyncio.get_running_loop().create_future())
        self._send()
        return await waiting.reply

    def will_close(self) -> None:
        """`close` comes soon: however the connection ends from now on, those who wait hear that it was closed."""
        self._blame(ConnectionLost("the connection was closed"))

    async def close(self) -> None:
        """Close the socket, now; calls still waiting fail with ConnectionLost."""
        self.will_close()
        self._transport.abort()
        await self._closed.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the socket is connected."""
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """asyncio: where to put the bytes that come next."""
        return self._machine.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """asyncio: bytes have come."""
        self._machine.buffer_updated(nbytes)
        try:
            for event in self._machine.events():
                self._handle(event)
        except ProtocolError as error:
            self._blame(error)
            self._transport.abort()
        self._send()

    def pause_writing(self) -> None:
        """asyncio: the daemon does not read, and the write buffer is full."""
        self._write_buffer_full = True

    def resume_writing(self) -> None:
        """asyncio: the write buffer has drained."""
        self._write_buffer_full = False
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the socket is closed."""
        if exc is not None:
            self._blame(ConnectionLost(f"the connection broke ({exc})"))
        self._closed.set()
        for waiting in self._waiting.values():
            if not waiting.reply.done():
                waiting.reply.set_exception(self._fault_during(waiting.procedure))
            self._slots.release()
        self._waiting.clear()

    def _handle(self, event: Reply | Failure | Message) -> None:
        if isinstance(event, Message):
            self._tell(event)
            return
        self._slots.release()
        reply = self._waiting.pop(event.serial).reply
        if reply.done():  # its caller has stopped waiting
            return
        if isinstance(event, Reply):
            reply.set_result(event.payload)
        else:
            reply.set_exception(event.error)

    def _tell(self, message: Message) -> None:
        """Pass an event on. One that is not known, or does not decode, is left out, as libvirt's client does."""
        if self.on_event is None or message.procedure not in EVENTS:
            return
        procedure = PROCEDURES[message.procedure]
        try:
            value = decode_values(procedure, message.payload)
        except ProtocolError:
            return
        self.on_event(procedure, value)

    def _send(self) -> None:
        if self._write_buffer_full or self._transport.is_closing():
            return
        if data := self._machine.data_to_send():
            self._transport.write(data)

    def _blame(self, fault: DomstatsError) -> None:
        """Why the connection ends; what is said first counts."""
        if not self._fault_known:
            self._fault, self._fault_known = fault, True

    def _fault_during(self, procedure: int) -> DomstatsError:
        """Why the connection is gone, as an exception of its own for each of those that waited."""
        if isinstance(self._fault, ConnectionLost):
            return ConnectionLost(self._fault.message, name_of(procedure))
        return copy.copy(self._fault)
