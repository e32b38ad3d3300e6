"""What goes over a unix socket, recorded as if it had gone over TCP: for programs that dissect it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

PORT = 16509
"""Of libvirt's TCP socket, by which a dissector knows the protocol."""
_CLIENT_PORT = 40000
_CLIENT, _SERVER = bytes((127, 0, 0, 1)), bytes((127, 0, 0, 2))
_SEGMENT = 60_000
"""Bytes of a packet, which with its headers may have 65,535."""
_SYN, _ACK = 0x02, 0x10
_RAW_IP = 101
"""LINKTYPE_RAW of the pcap format."""

Exchange = list[tuple[bool, bytes]]
"""What was said, in its order, and whether the client said it."""


@asynccontextmanager
async def recorder(path: Path, server: Path) -> AsyncIterator[Exchange]:
    """A socket at `path` that leads to the server's; it is for one client, whose exchange is recorded."""
    exchange: Exchange = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(str(server))
        await asyncio.gather(_pump(reader, far_writer, True), _pump(far_reader, writer, False))

    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: bool) -> None:
        while data := await reader.read(1 << 18):
            exchange.append((client, data))
            writer.write(data)
            await writer.drain()
        writer.close()

    listening = await asyncio.start_unix_server(serve, str(path))
    try:
        yield exchange
    finally:
        listening.close()


def pcap(exchange: Sequence[tuple[bool, bytes]]) -> bytes:
    """The file of a packet capture with the exchange as one TCP stream."""
    sent = {True: 0, False: 0}
    """The next sequence number of the client and of the server."""
    packets = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, _RAW_IP)]

    def add(client: bool, flags: int, data: bytes) -> None:
        packet = _packet(client, sent[client], sent[not client], flags, data)
        packets.append(struct.pack("<IIII", 0, len(packets), len(packet), len(packet)) + packet)
        sent[client] += len(data) + bool(flags & _SYN)

    add(True, _SYN, b"")
    add(False, _SYN | _ACK, b"")
    add(True, _ACK, b"")
    for client, data in exchange:
        for first in range(0, len(data), _SEGMENT):
            add(client, _ACK, data[first : first + _SEGMENT])
            add(not client, _ACK, b"")
    return b"".join(packets)


def _packet(client: bool, sequence: int, acknowledged: int, flags: int, data: bytes) -> bytes:
    """An IPv4 packet with a TCP segment; what checks their sums finds 0, which it takes for not computed."""
    ports = (_CLIENT_PORT, PORT) if client else (PORT, _CLIENT_PORT)
    tcp = struct.pack(">HHIIBBHHH", *ports, sequence, acknowledged, 5 << 4, flags, 0xFFFF, 0, 0)
    length = 20 + len(tcp) + len(data)
    addresses = (_CLIENT, _SERVER) if client else (_SERVER, _CLIENT)
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 6, 0, *addresses) + tcp + data
