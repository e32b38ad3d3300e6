"""wire.connection: both ends, alone and linked back to back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.errors import BadValue, LimitExceeded, NoDomain, ProtocolError, RemoteError, ReplyTooLarge
from domstats.wire.connection import Call, ClientConnection, Failure, Message, Reply, ServerConnection
from domstats.wire.failure import encode_failure
from domstats.wire.packet import PAYLOAD_MAX, CallStatus, Framer, Header, PacketType, Program, encode_packet
from domstats.wire.procedures import Procedure, decode_values, encode_args, encode_values

PING = encode_packet(Header(Program.KEEPALIVE, 1, 1, PacketType.MESSAGE, 0, CallStatus.OK))
PONG = encode_packet(Header(Program.KEEPALIVE, 1, 2, PacketType.MESSAGE, 0, CallStatus.OK))


@pytest.fixture
def client() -> ClientConnection:
    return ClientConnection()


@pytest.fixture
def server() -> ServerConnection:
    return ServerConnection()


def transfer(
    sender: ClientConnection | ServerConnection, receiver: ClientConnection | ServerConnection, chunk: int = 1 << 30
) -> Iterator[object]:
    """What the receiver sees of what the sender has to send, given to it in chunks."""
    data = sender.data_to_send()
    for start in range(0, len(data), chunk):
        receiver.receive_data(data[start : start + chunk])
        yield from receiver.events()


def received(end: ClientConnection | ServerConnection, data: bytes) -> list[object]:
    end.receive_data(data)
    return list(end.events())


def packet(
    kind: PacketType,
    *,
    serial: int = 0,
    procedure: int = 3,
    program: int = Program.REMOTE,
    version: int = 1,
    status: CallStatus = CallStatus.OK,
    payload: bytes = b"",
) -> bytes:
    return encode_packet(Header(program, version, procedure, kind, serial, status), payload)


@pytest.mark.parametrize("chunk", [1, 5, 28, 1 << 30])
def test_a_call_and_its_answer(client: ClientConnection, server: ServerConnection, chunk: int) -> None:
    payload = encode_args(Procedure.DOMAIN_LOOKUP_BY_NAME, "nope")
    serial = client.call(Procedure.DOMAIN_LOOKUP_BY_NAME, payload)
    assert list(transfer(client, server, chunk)) == [Call(serial, 23, payload)]
    server.fail(serial, 23, 42, 10, "Domain not found")
    (event,) = transfer(server, client, chunk)
    assert isinstance(event, Failure)
    assert (event.serial, event.procedure) == (serial, 23)
    assert isinstance(event.error, NoDomain)
    assert client.outstanding == 0


def test_answers_in_any_order(client: ClientConnection, server: ServerConnection) -> None:
    serials = [client.call(Procedure.CONNECT_GET_TYPE, b"") for _ in range(4)]
    assert serials == [0, 1, 2, 3]
    list(transfer(client, server))
    for serial in (2, 0, 3, 1):
        server.reply(serial, Procedure.CONNECT_GET_TYPE, encode_values(Procedure.CONNECT_GET_TYPE, f"T{serial}"))
    events = list(transfer(server, client))
    replies = [event for event in events if isinstance(event, Reply)]
    assert [reply.serial for reply in replies] == [2, 0, 3, 1]
    assert [decode_values(Procedure.CONNECT_GET_TYPE, reply.payload) for reply in replies] == ["T2", "T0", "T3", "T1"]


def test_outstanding_counts_calls_without_an_answer(client: ClientConnection, server: ServerConnection) -> None:
    client.call(Procedure.CONNECT_GET_TYPE, b"")
    client.call(Procedure.CONNECT_GET_URI, b"")
    assert client.outstanding == 2
    list(transfer(client, server))
    server.fail(1, Procedure.CONNECT_GET_URI, 1, 7, "no")
    list(transfer(server, client))
    assert client.outstanding == 1


def test_events_between_answers(client: ClientConnection, server: ServerConnection) -> None:
    serial = client.call(Procedure.CONNECT_GET_TYPE, b"")
    server.message(Procedure.CONNECT_EVENT_CONNECTION_CLOSED, b"\0\0\0\1")
    server.message(9999, b"")
    server.reply(serial, Procedure.CONNECT_GET_TYPE, b"\0\0\0\0")
    assert list(transfer(server, client)) == [
        Message(362, b"\0\0\0\1"),
        Message(9999, b""),
        Reply(serial, 3, b"\0\0\0\0"),
    ]


@pytest.mark.parametrize("kind", [ClientConnection, ServerConnection])
def test_a_ping_is_answered_and_a_pong_is_not(kind: type[ClientConnection | ServerConnection]) -> None:
    end = kind()
    for _ in range(2):
        assert received(end, PONG + PING + PONG) == []
        assert end.data_to_send() == PONG
        assert end.data_to_send() == b""


@pytest.mark.parametrize("kind", [ClientConnection, ServerConnection])
def test_one_pong_answers_all_pings_that_came_before_it_is_sent(
    kind: type[ClientConnection | ServerConnection],
) -> None:
    end = kind()
    for _ in range(3):
        assert received(end, PING * 3000) == []
    assert end.data_to_send() == PONG


def test_a_server_pings(client: ClientConnection, server: ServerConnection) -> None:
    server.ping()
    assert list(transfer(server, client)) == []
    assert client.data_to_send() == PONG


def test_a_message_of_another_program_is_left_out(client: ClientConnection) -> None:
    assert received(client, packet(PacketType.MESSAGE, program=0x20008087)) == []


@pytest.mark.parametrize(
    "data",
    [
        packet(PacketType.REPLY, serial=1),
        packet(PacketType.REPLY, procedure=4),
        packet(PacketType.REPLY, program=0x20008087),
        packet(PacketType.REPLY, version=2),
        packet(PacketType.REPLY, status=CallStatus.CONTINUE),
        packet(PacketType.CALL),
        packet(PacketType.STREAM),
        packet(PacketType.REPLY_WITH_FDS),
    ],
)
def test_a_client_takes_no_nonsense(client: ClientConnection, data: bytes) -> None:
    client.call(Procedure.CONNECT_GET_TYPE, b"")
    with pytest.raises(BadValue):
        received(client, data)


def test_a_second_answer_is_an_answer_to_nothing(client: ClientConnection) -> None:
    client.call(Procedure.CONNECT_GET_TYPE, b"")
    client.receive_data(packet(PacketType.REPLY) * 2)
    events = client.events()
    assert isinstance(next(events), Reply)
    with pytest.raises(BadValue, match="nobody made"):
        next(events)


def test_what_came_before_a_malformed_length_is_seen(client: ClientConnection) -> None:
    client.call(Procedure.CONNECT_GET_TYPE, b"")
    client.receive_data(packet(PacketType.REPLY) + b"SSH-2.0-OpenSSH_9.2p1")
    events = client.events()
    assert isinstance(next(events), Reply)
    with pytest.raises(LimitExceeded):
        next(events)


def test_an_error_report_that_is_none(client: ClientConnection) -> None:
    client.call(Procedure.CONNECT_GET_TYPE, b"")
    with pytest.raises(ProtocolError):
        received(client, packet(PacketType.REPLY, status=CallStatus.ERROR, payload=b"\0\0\0\x2a"))


@pytest.mark.parametrize(("program", "version"), [(99, 1), (Program.REMOTE, 2), (Program.KEEPALIVE, 1)])
def test_a_server_refuses_other_programs(server: ServerConnection, program: int, version: int) -> None:
    asked = packet(PacketType.CALL, program=program, version=version, serial=5, procedure=17)
    assert received(server, asked) == []
    text = f"Cannot find program {int(program)} version {version}"
    header = Header(program, version, 17, PacketType.REPLY, 5, CallStatus.ERROR)
    assert server.data_to_send() == encode_packet(header, encode_failure(39, 7, text))


def test_a_server_refuses_a_call_with_a_status(server: ServerConnection) -> None:
    assert received(server, packet(PacketType.CALL, status=CallStatus.ERROR, serial=8)) == []
    header = Header(Program.REMOTE, 1, 3, PacketType.REPLY, 8, CallStatus.ERROR)
    assert server.data_to_send() == encode_packet(header, encode_failure(39, 7, "Unexpected message status 1"))


@pytest.mark.parametrize("program", [Program.REMOTE, 99])
@pytest.mark.parametrize("kind", [PacketType.REPLY, PacketType.MESSAGE, PacketType.STREAM, PacketType.STREAM_HOLE])
def test_a_server_ignores_what_is_no_call(server: ServerConnection, kind: PacketType, program: int) -> None:
    assert received(server, packet(kind, program=program)) == []
    assert server.data_to_send() == b""


def test_a_server_takes_no_file_descriptors(server: ServerConnection) -> None:
    with pytest.raises(BadValue, match="file descriptors"):
        received(server, packet(PacketType.CALL_WITH_FDS, payload=bytes(4)))


def test_an_unknown_procedure_is_passed_on(server: ServerConnection) -> None:
    assert received(server, packet(PacketType.CALL, procedure=9999)) == [Call(0, 9999, b"")]


def test_a_reply_over_the_limit_becomes_libvirts_error(client: ClientConnection, server: ServerConnection) -> None:
    serial = client.call(Procedure.CONNECT_GET_ALL_DOMAIN_STATS, b"")
    server.reply(serial, Procedure.CONNECT_GET_ALL_DOMAIN_STATS, bytes(PAYLOAD_MAX + 4))
    (event,) = transfer(server, client)
    assert isinstance(event, Failure)
    assert isinstance(event.error, ReplyTooLarge)


def test_a_call_over_the_limit_is_not_made(client: ClientConnection) -> None:
    with pytest.raises(LimitExceeded):
        client.call(Procedure.CONNECT_GET_ALL_DOMAIN_STATS, bytes(PAYLOAD_MAX + 4))
    assert (client.outstanding, client.data_to_send()) == (0, b"")


def test_serial_numbers_begin_again(client: ClientConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domstats.wire.connection._SERIALS", 3)
    serials = []
    for _ in range(4):
        serials.append(client.call(Procedure.CONNECT_GET_TYPE, b""))
        received(client, packet(PacketType.REPLY, serial=serials[-1]))
    assert serials == [0, 1, 2, 0]


def test_a_reply_is_received_into_the_machines_own_buffer(client: ClientConnection) -> None:
    client.call(Procedure.CONNECT_GET_TYPE, b"")
    data = packet(PacketType.REPLY, payload=bytes(200_000))
    while data:
        room = client.get_buffer()
        count = min(len(room), len(data))
        room[:count] = data[:count]
        client.buffer_updated(count)
        data = data[count:]
    (event,) = client.events()
    assert isinstance(event, Reply)
    assert isinstance(event.payload, memoryview)
    assert len(event.payload) == 200_000


@given(st.lists(st.binary(max_size=80), max_size=5), st.sampled_from([ClientConnection, ServerConnection]))
def test_any_bytes_give_events_or_a_documented_error(
    chunks: list[bytes], kind: type[ClientConnection | ServerConnection]
) -> None:
    end = kind()
    try:
        for chunk in chunks:
            received(end, chunk)
    except ProtocolError:
        pass


@given(
    st.sampled_from(PacketType),
    st.sampled_from([0, 1, 2**32 - 1]),
    st.sampled_from([Program.REMOTE, Program.KEEPALIVE, 99]),
    st.sampled_from([1, 2]),
    st.sampled_from(CallStatus),
    st.sampled_from([1, 2, 3, 344, -1]),
    st.binary(max_size=40),
)
def test_any_packet_is_dealt_with_by_both_ends(
    kind: PacketType, serial: int, program: int, version: int, status: CallStatus, procedure: int, payload: bytes
) -> None:
    data = encode_packet(Header(program, version, procedure, kind, serial, status), payload)
    for end in (ClientConnection(), ServerConnection()):
        try:
            events = received(end, data)
        except ProtocolError:
            continue
        assert len(events) <= 1
        framer = Framer()
        framer.receive_data(end.data_to_send())
        answer = framer.next_packet()
        assert answer is None or answer.header.type in {PacketType.REPLY, PacketType.MESSAGE}


def test_a_failure_keeps_libvirts_words(client: ClientConnection, server: ServerConnection) -> None:
    serial = client.call(Procedure.CONNECT_OPEN, b"")
    server.fail(serial, Procedure.CONNECT_OPEN, 38, 10, "Überlauf: \udcff")
    (event,) = transfer(server, client)
    assert isinstance(event, Failure)
    assert (type(event.error), event.error.code, event.error.text) == (RemoteError, 38, "Überlauf: \udcff")
