"""One end of a connection with no I/O: bytes that came become events, calls and replies become bytes to send.

Both ends put packets together in the same way and answer PINGs with a PONG by themselves. Feed an end with
`receive_data` (or `get_buffer` and `buffer_updated`), go through `events()`, then send what `data_to_send` gives (or
`pieces_to_send`, which copies no payload). A ProtocolError out of `events()` means that the peer's bytes make no sense
any more: close the connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

from domstats.errors import RPC_ERROR, TOO_LARGE_TEXT, BadValue, RemoteError
from domstats.wire.failure import RPC_DOMAIN, decode_failure, encode_failure
from domstats.wire.packet import (
    LENGTH_MAX,
    PAYLOAD_MAX,
    PROGRAM_VERSION,
    CallStatus,
    Framer,
    Header,
    Packet,
    PacketType,
    Program,
    encode_prefix,
)
from domstats.wire.xdr import Buffer

_SERIALS = 1 << 32
"""Serial numbers begin again after so many."""
_TYPE_OFFSET, _SERIAL_OFFSET, _STATUS_OFFSET = 16, 20, 24
"""Where these stand in a packet."""


class Keepalive(IntEnum):
    """Procedures of the keepalive program."""

    PING = 1
    PONG = 2


@dataclass(frozen=True, slots=True)
class Reply:
    """A call was answered. Seen by a client."""

    serial: int
    procedure: int
    payload: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Failure:
    """A call failed, for the reason `error`. Seen by a client."""

    serial: int
    procedure: int
    error: RemoteError


@dataclass(frozen=True, slots=True)
class Call:
    """Something is asked. Seen by a server."""

    serial: int
    procedure: int
    """A Procedure's number, or one not known here."""
    payload: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Message:
    """Something happened that nobody asked for: an event of libvirt's. Seen by a client."""

    procedure: int
    """A Procedure's number, or one not known here."""
    payload: bytes | memoryview


class _End:
    """What both ends do."""

    def __init__(self, longest: int = LENGTH_MAX) -> None:
        """`longest`: the largest length word that is taken from the peer."""
        self._framer = Framer(longest)
        self._outgoing: list[Buffer] = []
        self._owes_pong = False  # one answers all PINGs that came before it is sent: a flood of them fills no memory

    def get_buffer(self) -> memoryview:
        """Room for the bytes that come next."""
        return self._framer.get_buffer()

    def buffer_updated(self, count: int) -> None:
        """`count` bytes were written into what `get_buffer` gave."""
        self._framer.buffer_updated(count)

    def receive_data(self, data: Buffer) -> None:
        """Bytes that came."""
        self._framer.receive_data(data)

    def data_to_send(self) -> bytes:
        """The bytes to send since the last time this was asked."""
        return b"".join(self.pieces_to_send())

    def pieces_to_send(self) -> list[Buffer]:
        """The same in pieces, of which each payload is the object that was given."""
        if self._owes_pong:
            self._send(_header(Keepalive.PONG, PacketType.MESSAGE, program=Program.KEEPALIVE))
            self._owes_pong = False
        pieces, self._outgoing = self._outgoing, []
        return pieces

    @property
    def pending(self) -> int:
        """Bytes that came and belong to packets not looked at yet."""
        return self._framer.pending

    @property
    def held(self) -> int:
        """Bytes of memory that are kept for what came, beyond those that every connection has."""
        return self._framer.held

    def _packets(self) -> Iterator[Packet]:
        """The complete packets but for keepalives, which are dealt with here."""
        while (packet := self._framer.next_packet()) is not None:
            header = packet.header
            if header.type is not PacketType.MESSAGE or header.program != Program.KEEPALIVE:
                yield packet
            elif header.procedure == Keepalive.PING:
                self._owes_pong = True

    def _send(self, header: Header, payload: Buffer = b"") -> None:
        self._outgoing += (encode_prefix(header, len(payload)), payload)


class ClientConnection(_End):
    """The end that calls."""

    def __init__(self) -> None:
        super().__init__()
        self._serial = 0
        self._open: dict[int, int] = {}  # serial numbers of the calls without an answer, and their procedures

    @property
    def outstanding(self) -> int:
        """How many calls have no answer yet."""
        return len(self._open)

    def call(self, procedure: int, payload: Buffer) -> int:
        """Ask for something; the answer will carry the serial number returned. Raises LimitExceeded over 32 MiB."""
        serial = self._serial
        self._send(_header(procedure, PacketType.CALL, serial), payload)
        self._open[serial] = procedure
        self._serial = (serial + 1) % _SERIALS
        return serial

    def events(self) -> Iterator[Reply | Failure | Message]:
        """What came, in order. Raises ProtocolError for bytes that make no sense, after all that did.

        Messages of programs other than the one of this connection are left out.
        """
        for packet in self._packets():
            header = packet.header
            match header.type:
                case PacketType.REPLY:
                    yield self._reply(header, packet.payload)
                case PacketType.MESSAGE:
                    if _is_ours(header):
                        yield Message(header.procedure, packet.payload)
                case _:
                    raise BadValue("type", _TYPE_OFFSET, f"a server does not send a {header.type.name}")

    def _reply(self, header: Header, payload: bytes | memoryview) -> Reply | Failure:
        """Answers come in any order, so each must belong to a call: by program, procedure and serial number."""
        if not _is_ours(header) or self._open.pop(header.serial, None) != header.procedure:
            asked = f"program {header.program}, procedure {header.procedure}, serial {header.serial}"
            raise BadValue("serial", _SERIAL_OFFSET, f"a reply to a call nobody made: {asked}")
        match header.status:
            case CallStatus.OK:
                return Reply(header.serial, header.procedure, payload)
            case CallStatus.ERROR:
                return Failure(header.serial, header.procedure, decode_failure(payload))
            case CallStatus.CONTINUE:
                raise BadValue("status", _STATUS_OFFSET, "a reply is not continued, only streams are")


class ServerConnection(_End):
    """The end that is called."""

    def events(self) -> Iterator[Call]:
        """The calls that came, in order. Raises ProtocolError for bytes that make no sense, after all that did.

        Calls to a program that is not there are answered here, and packets a server has no use for are left out, as
        libvirtd does.
        """
        for packet in self._packets():
            header = packet.header
            if header.type is PacketType.CALL_WITH_FDS:
                raise BadValue("type", _TYPE_OFFSET, "file descriptors are not taken, and the stream goes on with them")
            if header.type is not PacketType.CALL:
                continue
            if not _is_ours(header):
                self._refuse(header, f"Cannot find program {header.program} version {header.version}")
            elif header.status is not CallStatus.OK:
                self._refuse(header, f"Unexpected message status {header.status:d}")
            else:
                yield Call(header.serial, header.procedure, packet.payload)

    def reply(self, serial: int, procedure: int, payload: Buffer = b"") -> None:
        """Answer a call. A payload too large to be sent becomes the error libvirtd reports then."""
        if len(payload) > PAYLOAD_MAX:
            self.fail(serial, procedure, RPC_ERROR, RPC_DOMAIN, TOO_LARGE_TEXT)
        else:
            self._send(_header(procedure, PacketType.REPLY, serial), payload)

    def fail(self, serial: int, procedure: int, code: int, domain: int, text: str) -> None:
        """Answer a call with an error: libvirt's virErrorNumber and virErrorDomain, and a text."""
        header = _header(procedure, PacketType.REPLY, serial, status=CallStatus.ERROR)
        self._send(header, encode_failure(code, domain, text))

    def message(self, procedure: int, payload: Buffer) -> None:
        """Send an event nobody asked for."""
        self._send(_header(procedure, PacketType.MESSAGE), payload)

    def ping(self) -> None:
        """Ask for a sign of life. Only a client that asked for feature 10 expects this."""
        self._send(_header(Keepalive.PING, PacketType.MESSAGE, program=Program.KEEPALIVE))

    def _refuse(self, asked: Header, text: str) -> None:
        header = replace(asked, type=PacketType.REPLY, status=CallStatus.ERROR)
        self._send(header, encode_failure(RPC_ERROR, RPC_DOMAIN, text))


def _header(
    procedure: int,
    kind: PacketType,
    serial: int = 0,
    *,
    program: int = Program.REMOTE,
    status: CallStatus = CallStatus.OK,
) -> Header:
    return Header(program, PROGRAM_VERSION, procedure, kind, serial, status)


def _is_ours(header: Header) -> bool:
    return header.program == Program.REMOTE and header.version == PROGRAM_VERSION
