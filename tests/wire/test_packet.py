"""wire.packet: packets to bytes, and from bytes however they arrive."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.errors import BadValue, LimitExceeded, ProtocolError
from domstats.wire.packet import (
    LENGTH_MAX,
    MESSAGE_INITIAL,
    PAYLOAD_MAX,
    CallStatus,
    Framer,
    Header,
    Packet,
    PacketType,
    Program,
    encode_packet,
)

CALL = Header(Program.REMOTE, 1, 66, PacketType.CALL, 0, CallStatus.OK)
PING = Header(Program.KEEPALIVE, 1, 1, PacketType.MESSAGE, 0, CallStatus.OK)
ERROR = Header(Program.REMOTE, 1, 9999, PacketType.REPLY, 2**32 - 1, CallStatus.ERROR)

PACKETS = [
    (CALL, b"", "0000001c 20008086 00000001 00000042 00000000 00000000 00000000"),
    (PING, b"", "0000001c 6b656570 00000001 00000001 00000002 00000000 00000000"),
    (ERROR, b"\0\0\0\x2a", "00000020 20008086 00000001 0000270f 00000001 ffffffff 00000001 0000002a"),
]


def feed(chunks: Iterable[bytes]) -> list[Packet]:
    """The packets that come out of the chunks, taken whenever there is one."""
    framer, packets = Framer(), []
    for chunk in chunks:
        framer.receive_data(chunk)
        while (packet := framer.next_packet()) is not None:
            packets.append(packet)
    return packets


def contents(packets: Iterable[Packet]) -> list[tuple[Header, bytes]]:
    return [(packet.header, bytes(packet.payload)) for packet in packets]


def split(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def numbered(size: int) -> bytes:
    """A payload of `size` bytes in which no two places are alike."""
    return np.arange(size // 4, dtype=">u4").tobytes()


@pytest.mark.parametrize(("header", "payload", "data"), PACKETS)
def test_packets_and_their_bytes(header: Header, payload: bytes, data: str) -> None:
    assert encode_packet(header, payload) == bytes.fromhex(data)
    assert contents(feed([bytes.fromhex(data)])) == [(header, payload)]


@pytest.mark.parametrize("size", [1, 3, 28, 1000])
def test_packets_come_out_however_they_arrive(size: int) -> None:
    expected = [(header, payload) for header, payload, _ in PACKETS]
    data = b"".join(bytes.fromhex(text) for _, _, text in PACKETS)
    assert contents(feed(split(data, size))) == expected
    assert contents(feed(split(data + b"\0\0", size))) == expected


@pytest.mark.parametrize("size", [MESSAGE_INITIAL - 28, MESSAGE_INITIAL, 1_000_000, 6_900_000])
@pytest.mark.parametrize("chunk", [4096, 65536, 10_000_000])
def test_a_large_payload_is_whole_and_aligned(size: int, chunk: int) -> None:
    payload = numbered(size)
    data = encode_packet(CALL, payload) + encode_packet(ERROR, payload) + encode_packet(PING)
    packets = feed(split(data, chunk))
    assert contents(packets) == [(CALL, payload), (ERROR, payload), (PING, b"")]
    for packet in packets[:2]:
        words = np.frombuffer(packet.payload, np.uint32)
        assert words.flags.aligned
        assert not words.flags.writeable


def test_a_large_payload_is_not_copied_after_it_has_come() -> None:
    framer = Framer()
    data = memoryview(encode_packet(CALL, numbered(4_000_000)))
    while data:
        room = framer.get_buffer()
        count = min(len(room), len(data))
        room[:count] = data[:count]
        framer.buffer_updated(count)
        data = data[count:]
    tracemalloc.start()
    try:
        packet = framer.next_packet()
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()
    assert packet is not None
    assert len(packet.payload) == 4_000_000


def test_what_is_kept_is_counted() -> None:
    framer = Framer()
    data = encode_packet(CALL, numbered(1_000_000))
    framer.receive_data(data[:600_000])
    assert 600_000 <= framer.held + MESSAGE_INITIAL <= len(data)
    framer.receive_data(data[600_000:])
    assert framer.held == len(data) - MESSAGE_INITIAL
    packet = framer.next_packet()
    assert packet is not None
    assert framer.held == 0, "the payload is whoever's who has the packet"


def test_a_payload_kept_is_never_written_to_again() -> None:
    first, second = numbered(200_000), numbered(300_000)[::-1]
    kept = feed(split(encode_packet(CALL, first) + encode_packet(CALL, second) + encode_packet(PING), 7000))
    assert bytes(kept[0].payload) == first
    assert bytes(kept[1].payload) == second


def test_packets_of_odd_length_are_aligned_too() -> None:
    odd = encode_packet(CALL, b"abc")
    data = odd + encode_packet(CALL, numbered(400_000)) + odd
    packets = feed([data])
    assert [len(packet.payload) for packet in packets] == [3, 400_000, 3]
    assert np.frombuffer(packets[1].payload, np.uint32).flags.aligned


def test_many_small_packets_at_once() -> None:
    packets = feed([encode_packet(PING) * 50_000])
    assert len(packets) == 50_000


def test_memory_follows_what_has_come_not_what_is_announced() -> None:
    tracemalloc.start()
    try:
        framer = Framer()
        framer.receive_data(LENGTH_MAX.to_bytes(4, "big") + bytes(36))
        assert framer.next_packet() is None
        assert len(framer.get_buffer()) <= MESSAGE_INITIAL
        assert tracemalloc.get_traced_memory()[1] < 2 * MESSAGE_INITIAL
        for _ in range(8):
            framer.receive_data(bytes(MESSAGE_INITIAL))
        assert tracemalloc.get_traced_memory()[0] < 3 * 8 * MESSAGE_INITIAL
    finally:
        tracemalloc.stop()


def test_a_large_packet_is_moved_a_few_times_only() -> None:
    framer, moves, room_left = Framer(), 0, 0
    framer.receive_data(LENGTH_MAX.to_bytes(4, "big"))
    for _ in range(LENGTH_MAX // MESSAGE_INITIAL - 1):
        room = framer.get_buffer()
        moves += len(room) > room_left
        framer.buffer_updated(min(len(room), MESSAGE_INITIAL))
        room_left = len(room) - min(len(room), MESSAGE_INITIAL)
    assert moves <= 10


def test_the_buffer_goes_back_to_its_first_size() -> None:
    framer = Framer()
    framer.receive_data(encode_packet(CALL, bytes(1_000_000)))
    assert framer.next_packet() is not None
    assert len(framer.get_buffer()) == MESSAGE_INITIAL


@pytest.mark.parametrize("length", [0, 4, 27, LENGTH_MAX + 1, 2**32 - 1])
def test_a_length_no_packet_has(length: int) -> None:
    framer = Framer()
    framer.receive_data(encode_packet(PING) + length.to_bytes(4, "big"))
    assert framer.next_packet() is not None
    for _ in range(2):
        with pytest.raises(LimitExceeded, match=f"a packet of {length} bytes"):
            framer.next_packet()


def test_the_largest_length_is_waited_for() -> None:
    framer = Framer()
    framer.receive_data(LENGTH_MAX.to_bytes(4, "big"))
    assert framer.next_packet() is None


@pytest.mark.parametrize(("kind", "status"), [(7, 0), (-1, 0), (0, 3), (0, -1)])
def test_a_type_or_status_that_does_not_exist(kind: int, status: int) -> None:
    framer = Framer()
    framer.receive_data(struct.pack(">IIIiiIi", 28, Program.REMOTE, 1, 1, kind, 0, status))
    with pytest.raises(BadValue, match="does not exist"):
        framer.next_packet()


def test_a_payload_over_the_limit_is_not_packed() -> None:
    assert len(encode_packet(CALL, bytes(PAYLOAD_MAX))) == LENGTH_MAX
    with pytest.raises(LimitExceeded):
        encode_packet(CALL, bytes(PAYLOAD_MAX + 1))


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_give_packets_or_a_documented_error(chunks: list[bytes]) -> None:
    with contextlib.suppress(ProtocolError):
        packets = feed(chunks)
        assert sum(28 + len(packet.payload) for packet in packets) <= sum(map(len, chunks))


@given(st.lists(st.binary(max_size=100), max_size=6), st.integers(1, 200))
def test_every_packet_comes_back(payloads: list[bytes], size: int) -> None:
    data = b"".join(encode_packet(CALL, payload) for payload in payloads)
    assert contents(feed(split(data, size))) == [(CALL, payload) for payload in payloads]
