"""Packets of libvirt's RPC: the length word, the header, and putting a packet together from what arrives.

A packet is a length word (which counts itself), a header of 24 bytes and a payload. The limits are those of libvirt's
virnetprotocol.x since 3.4.0; there is no negotiation, a peer that breaks them is disconnected.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from domstats.errors import BadValue, LimitExceeded
from domstats.wire.xdr import Buffer

LENGTH_SIZE = 4
"""Bytes of the length word."""
HEADER_SIZE = 24
"""Bytes of the header: VIR_NET_MESSAGE_HEADER_MAX."""
PREFIX_SIZE = LENGTH_SIZE + HEADER_SIZE
"""Bytes before the payload, so also the smallest packet there is."""
MESSAGE_MAX = 33554432
"""Bytes of header and payload: VIR_NET_MESSAGE_MAX, 32 MiB since libvirt 3.4.0."""
LENGTH_MAX = MESSAGE_MAX + LENGTH_SIZE
"""The largest length word: it counts itself, the limit does not."""
PAYLOAD_MAX = MESSAGE_MAX - HEADER_SIZE
"""Bytes of a payload: VIR_NET_MESSAGE_PAYLOAD_MAX."""
MESSAGE_INITIAL = 65536
"""First size of the receive buffer: VIR_NET_MESSAGE_INITIAL."""

_LENGTH = struct.Struct(">I")
_HEADER = struct.Struct(">IIiiIi")


class Program(IntEnum):
    """Program numbers; each is spoken in version 1."""

    REMOTE = 0x20008086
    KEEPALIVE = 0x6B656570


PROGRAM_VERSION = 1


class PacketType(IntEnum):
    """What a packet is (virNetMessageType)."""

    CALL = 0
    REPLY = 1
    MESSAGE = 2
    """An event or a keepalive: nobody answers it."""
    STREAM = 3
    CALL_WITH_FDS = 4
    REPLY_WITH_FDS = 5
    STREAM_HOLE = 6


class CallStatus(IntEnum):
    """How a call went (virNetMessageStatus)."""

    OK = 0
    ERROR = 1
    """The payload is the error structure."""
    CONTINUE = 2
    """Only in streams."""


@dataclass(frozen=True, slots=True)
class Header:
    """A packet's header."""

    program: int
    """A Program, or a number not known here."""
    version: int
    procedure: int
    type: PacketType
    serial: int
    """Chosen by the caller and repeated in the reply; 0 in events and keepalives."""
    status: CallStatus


@dataclass(frozen=True, slots=True)
class Packet:
    """A complete packet."""

    header: Header
    payload: bytes | memoryview
    """XDR. Its memory begins at a multiple of 4 and is never written to again, so it may be kept and read in place."""


def encode_prefix(header: Header, size: int) -> bytes:
    """The bytes of a packet before a payload of that size. Raises LimitExceeded for one over PAYLOAD_MAX."""
    if size > PAYLOAD_MAX:
        raise LimitExceeded("payload", PREFIX_SIZE, f"{size} bytes, at most {PAYLOAD_MAX} are allowed")
    fields = (header.program, header.version, header.procedure, header.type, header.serial, header.status)
    return _LENGTH.pack(PREFIX_SIZE + size) + _HEADER.pack(*fields)


def encode_packet(header: Header, payload: Buffer = b"") -> bytes:
    """The bytes of a packet. Raises LimitExceeded for a payload over PAYLOAD_MAX."""
    return encode_prefix(header, len(payload)) + payload


class Framer:
    """Puts packets together from bytes as they arrive.

    Feed it with `receive_data`, or, without a copy, write into `get_buffer` and say `buffer_updated` (as asyncio's
    BufferedProtocol does); then take packets with `next_packet` until it gives None. Memory follows the bytes that have
    come, never the length a packet announces: the buffer starts at MESSAGE_INITIAL and doubles when it is full. A large
    payload is handed out as a view of the buffer, which is then never written to again; a small one is copied.
    """

    def __init__(self, longest: int = LENGTH_MAX) -> None:
        """`longest`: the largest length word that is taken; a server may want less than the protocol allows."""
        self._longest = longest
        self._buffer = bytearray(MESSAGE_INITIAL)
        self._start = 0  # of the packet that comes next
        self._end = 0  # of the bytes that have come
        self._lent = False  # whether a payload handed out is a view of the buffer

    def get_buffer(self) -> memoryview:
        """Room for the bytes that come next, at least one."""
        if self._start == self._end:
            self._start = self._end = 0
        if self._end == len(self._buffer):
            self._make_room()
        return memoryview(self._buffer)[self._end :]

    def buffer_updated(self, count: int) -> None:
        """`count` bytes were written into what `get_buffer` gave."""
        self._end += count

    def receive_data(self, data: Buffer) -> None:
        """Bytes that came."""
        view = memoryview(data)
        while view:
            room = self.get_buffer()
            count = min(len(room), len(view))
            room[:count] = view[:count]
            self.buffer_updated(count)
            view = view[count:]

    @property
    def pending(self) -> int:
        """Bytes that came and are not read yet."""
        return self._end - self._start

    @property
    def held(self) -> int:
        """Bytes of memory that are kept for what came, beyond those that every connection has."""
        return max(0, len(self._buffer) - MESSAGE_INITIAL)

    def next_packet(self) -> Packet | None:
        """The next packet, or None when it is not complete.

        Raises LimitExceeded for a length no packet has, BadValue for a type or status that does not exist. The stream
        then has no next packet: close the connection.
        """
        length = self._announced()
        if length is None:
            return None
        if not PREFIX_SIZE <= length <= self._longest:
            why = f"a packet of {length} bytes, {PREFIX_SIZE} to {self._longest} are allowed"
            raise LimitExceeded("length", 0, why)
        if self._end - self._start < length:
            return None
        header = self._header(self._start + LENGTH_SIZE)
        first, self._start = self._start + PREFIX_SIZE, self._start + length
        view = memoryview(self._buffer)[first : self._start].toreadonly()
        if length <= MESSAGE_INITIAL or first % 4:
            return Packet(header, bytes(view))
        self._lent = True
        if self._start == self._end:  # the payload alone keeps the buffer from now on, for as long as it is used
            self._replace(0)
        return Packet(header, view)

    def _announced(self) -> int | None:
        """What the length word of the next packet says, None while it has not come."""
        if self._end - self._start < LENGTH_SIZE:
            return None
        length: int = _LENGTH.unpack_from(self._buffer, self._start)[0]
        return length

    def _header(self, offset: int) -> Header:
        program, version, procedure, kind, serial, status = _HEADER.unpack_from(self._buffer, offset)
        try:
            return Header(program, version, procedure, PacketType(kind), serial, CallStatus(status))
        except ValueError:
            raise BadValue("header", LENGTH_SIZE, f"packet type {kind} with status {status} does not exist") from None

    def _make_room(self) -> None:
        """The buffer is full: reuse what was read of it, or get one twice the size."""
        if self._start and not self._lent:
            kept = self._end - self._start
            self._buffer[:kept] = self._buffer[self._start : self._end]
            self._start, self._end = 0, kept
            return
        kept = self._end - self._start
        size = 2 * kept
        announced = self._announced()
        if announced is not None and kept < announced < size:
            size = announced  # the buffer ends where the packet does
        self._replace(max(size, MESSAGE_INITIAL))

    def _replace(self, size: int) -> None:
        """Go on in a new buffer, with the bytes not yet read at its beginning."""
        kept = self._end - self._start
        fresh = bytearray(size)
        fresh[:kept] = memoryview(self._buffer)[self._start : self._end]
        self._buffer, self._start, self._end, self._lent = fresh, 0, kept, False
