"""A libvirt daemon made of the server end of `wire.connection`, whose answers and faults the test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from domstats.errors import NoDomain, ProtocolError, RemoteError
from domstats.model.domain import Domain
from domstats.wire.connection import Call, ServerConnection
from domstats.wire.packet import Framer, Header
from domstats.wire.procedures import PROCEDURES, Procedure, decode_args, encode_values
from domstats.wire.structures import NodeInfo

DOMAINS = (
    Domain("web-1", "6695eb01-f6a4-8304-79aa-97f2502e193f", 3),
    Domain("db über 2", "0d9f8a56-0000-4000-8000-00000000abcd", None),
    Domain("7", "11111111-2222-4333-8444-555555555555", 12),
)
NODE_INFO = NodeInfo("x86_64", 16_000_000, 8, 2600, 1, 1, 4, 2)
PATIENCE = 10.0
"""Seconds after which a test that waits for something that does not come fails."""

Answer = tuple[Any, ...] | Callable[..., tuple[Any, ...]] | RemoteError
"""The reply's values, or a function of the arguments that gives them (or raises the error), or the error."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that came."""

    client: Client
    call: Call
    procedure: Procedure
    args: tuple[Any, ...]


@dataclass
class FakeDaemon:
    """Listens at `path` for as long as the `async with` block lasts.

    A procedure in `held` is not answered until the test does it, with `answer` or `fail`.
    """

    path: Path
    domains: tuple[Domain, ...] = DOMAINS
    bulk: bytes = b"\0\0\0\0"
    """Body of the reply to CONNECT_GET_ALL_DOMAIN_STATS."""
    answers: dict[Procedure, Answer] = field(default_factory=dict)
    held: set[Procedure] = field(default_factory=set)
    greeting: bytes | None = None
    """Sent instead of any answer."""
    hangs_up: bool = False
    """Closes each connection as soon as it is there."""
    asked: list[Asked] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)
    """Of all packets that came."""
    clients: list[Client] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self.answers = self._usual_answers() | self.answers
        self._changed = asyncio.Event()
        await self.listen()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.hang_up()

    async def listen(self) -> None:
        """Take connections from now on."""
        self._server = await asyncio.get_running_loop().create_unix_server(self.new_client, str(self.path))

    async def hang_up(self) -> None:
        """Take no more connections, and close those there are."""
        self._server.close()
        await self.disconnect()
        await self._server.wait_closed()

    def new_client(self) -> Client:
        """Our end of a connection that has come."""
        return Client(self)

    @property
    def uri(self) -> str:
        """The URI that leads here."""
        return f"qemu+unix:///system?socket={self.path}"

    def calls(self, procedure: Procedure) -> list[Asked]:
        """The calls of a procedure that came."""
        return [asked for asked in self.asked if asked.procedure is procedure]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that came, or a connection that ended, makes the condition true."""
        async with asyncio.timeout(PATIENCE):
            await self.when(condition)

    async def when(self, condition: Callable[[], bool]) -> None:
        """The same, for as long as it takes."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def until_asked(self, procedure: Procedure, times: int = 1) -> list[Asked]:
        """Wait until the procedure has been called so many times; these calls."""
        await self.until(lambda: len(self.calls(procedure)) >= times)
        return self.calls(procedure)

    def answer(self, asked: Asked, *values: Any) -> None:
        """Answer a held call."""
        asked.client.machine.reply(asked.call.serial, asked.call.procedure, encode_values(asked.procedure, *values))
        asked.client.flush()

    def fail(self, asked: Asked, error: RemoteError) -> None:
        """Answer a held call with an error."""
        asked.client.machine.fail(asked.call.serial, asked.call.procedure, error.code, error.domain, error.text)
        asked.client.flush()

    async def disconnect(self) -> None:
        """Close all connections."""
        for client in self.clients:
            client.transport.abort()
        await self.until(lambda: all(client.gone for client in self.clients))

    def changed(self) -> None:
        """Something came or went."""
        self._changed.set()

    def handle(self, client: Client, call: Call) -> None:
        """A call came: answer it, unless it is held."""
        procedure = PROCEDURES.get(call.procedure)
        if procedure is None:
            client.machine.fail(call.serial, call.procedure, 39, 7, f"unknown procedure: {call.procedure}")
            return
        try:
            args = decode_args(procedure, call.payload)
        except ProtocolError:
            client.machine.fail(call.serial, call.procedure, 39, 7, "Unable to decode message payload")
            return
        asked = Asked(client, call, procedure, args)
        self.asked.append(asked)
        if procedure not in self.held:
            self.work_on(asked)

    def work_on(self, asked: Asked) -> None:
        """Answer a call."""
        try:
            values = self.values_of(asked)
        except RemoteError as error:
            self.fail(asked, error)
        else:
            self.answer(asked, *values)

    def values_of(self, asked: Asked) -> tuple[Any, ...]:
        """What the answer to a call holds. Raises RemoteError."""
        answer = self.answers.get(asked.procedure, RemoteError(3, 10, "this function is not supported"))
        values = answer(*asked.args) if callable(answer) else answer
        if isinstance(values, RemoteError):
            raise values
        return values

    def _usual_answers(self) -> dict[Procedure, Answer]:
        return {
            Procedure.AUTH_LIST: ([0],),
            Procedure.AUTH_POLKIT: (True,),
            Procedure.CONNECT_SUPPORTS_FEATURE: (True,),
            Procedure.CONNECT_OPEN: (),
            Procedure.CONNECT_CLOSE: (),
            Procedure.NODE_GET_INFO: (NODE_INFO,),
            Procedure.CONNECT_LIST_ALL_DOMAINS: (list(self.domains), len(self.domains)),
            Procedure.DOMAIN_LOOKUP_BY_ID: lambda number: self._find(lambda domain: domain.id == number),
            Procedure.DOMAIN_LOOKUP_BY_UUID: lambda uuid: self._find(lambda domain: domain.uuid == uuid),
            Procedure.DOMAIN_LOOKUP_BY_NAME: lambda name: self._find(lambda domain: domain.name == name),
            Procedure.CONNECT_GET_ALL_DOMAIN_STATS: lambda *_: (self.bulk,),
        }

    def _find(self, matches: Callable[[Domain], bool]) -> tuple[Domain]:
        for domain in self.domains:
            if matches(domain):
                return (domain,)
        raise NoDomain(42, 10, "Domain not found")


class Client(asyncio.Protocol):
    """The daemon's end of one connection."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self.daemon = daemon
        self.machine = ServerConnection()
        self.gone = False
        self.transport: asyncio.Transport
        self._seen = Framer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.daemon.clients.append(self)
        if self.daemon.hangs_up:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self.daemon.greeting is not None:
            self.transport.write(self.daemon.greeting)
            return
        self._seen.receive_data(data)
        while (packet := self._seen.next_packet()) is not None:
            self.daemon.headers.append(packet.header)
        self.machine.receive_data(data)
        self.take_calls()
        self.daemon.changed()

    def take_calls(self) -> None:
        """Deal with the calls that came."""
        for call in self.machine.events():
            self.daemon.handle(self, call)
        self.flush()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.gone = True
        self.daemon.changed()

    def flush(self) -> None:
        """Send what the machine has to send."""
        self.transport.write(self.machine.data_to_send())
