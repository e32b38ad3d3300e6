"""wire.procedures: the table, in both roles, against captured bytes and against bytes that lie."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.errors import BadValue, LimitExceeded, ProtocolError, Truncated
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.wire.procedures import (
    EVENTS,
    PROCEDURES,
    Procedure,
    decode_args,
    decode_values,
    encode_args,
    encode_values,
)
from domstats.wire.structures import (
    BlockInfo,
    BlockStats,
    ControlInfo,
    DomainInfo,
    DomainState,
    InterfaceStats,
    JobInfo,
    MemoryStat,
    NodeInfo,
    SaslStep,
    StoragePool,
    VcpuInfo,
)

TEST = Domain("test", "6695eb01-f6a4-8304-79aa-97f2502e193f", 1)
OFF = Domain("über\udcff aus", "00000000-0000-4000-8000-00000000abcd", None)
PARAM = TypedParameter("rd_bytes", ParamType.ULLONG, 2**64 - 1)
NODE = NodeInfo("x86_64", 5335252, 2, 2596, 1, 1, 2, 1)
BULK = bytes.fromhex(
    "00000001 00000004 74657374 6695eb01f6a4830479aa97f2502e193f 00000001 00000002 0000000b 73746174652e737461746500"
    "00000001 00000001 0000000c 73746174652e726561736f6e 00000001 00000000"
)

P = Procedure
SAMPLES: dict[Procedure, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    P.CONNECT_OPEN: (("qemu:///system", 1), ()),
    P.CONNECT_CLOSE: ((), ()),
    P.CONNECT_GET_TYPE: ((), ("QEMU",)),
    P.CONNECT_GET_VERSION: ((), (7002022,)),
    P.NODE_GET_INFO: ((), (NODE,)),
    P.CONNECT_GET_CAPABILITIES: ((), ("<capabilities/>",)),
    P.DOMAIN_GET_XML_DESC: ((TEST, 8), ("<domain/>",)),
    P.DOMAIN_GET_AUTOSTART: ((TEST,), (True,)),
    P.DOMAIN_GET_INFO: ((OFF,), (DomainInfo(5, 2**40, 2**39, 65535, 2**60),)),
    P.DOMAIN_GET_OS_TYPE: ((TEST,), ("hvm",)),
    P.DOMAIN_GET_VCPUS: ((TEST, 2, 1), ([VcpuInfo(0, 1, 10001231231, 3), VcpuInfo(1, 0, 0, -1)], b"\x03\x01")),
    P.CONNECT_LIST_DEFINED_DOMAINS: ((10,), (["a", "", "ü"],)),
    P.DOMAIN_LOOKUP_BY_ID: ((1,), (TEST,)),
    P.DOMAIN_LOOKUP_BY_NAME: (("über\udcff aus",), (OFF,)),
    P.DOMAIN_LOOKUP_BY_UUID: ((TEST.uuid,), (TEST,)),
    P.CONNECT_NUM_OF_DEFINED_DOMAINS: ((), (3,)),
    P.CONNECT_LIST_DOMAINS: ((10,), ([3, 1, 2],)),
    P.CONNECT_NUM_OF_DOMAINS: ((), (-1,)),
    P.CONNECT_GET_HOSTNAME: ((), ("host",)),
    P.CONNECT_SUPPORTS_FEATURE: ((10,), (True,)),
    P.DOMAIN_BLOCK_STATS: ((TEST, "vda"), (BlockStats(1, 2, 3, 4, -1),)),
    P.DOMAIN_INTERFACE_STATS: ((TEST, "vnet0"), (InterfaceStats(1, 2, 3, 4, 5, 6, 7, 2**63 - 1),)),
    P.AUTH_LIST: ((), ([0, 2],)),
    P.AUTH_SASL_INIT: ((), ("GSSAPI,PLAIN",)),
    P.AUTH_SASL_START: (("PLAIN", False, b"\0user\xff"), (SaslStep(True, False, b"\x80"),)),
    P.AUTH_SASL_STEP: ((True, b""), (SaslStep(False, True, b""),)),
    P.AUTH_POLKIT: ((), (True,)),
    P.CONNECT_DOMAIN_EVENT_REGISTER: ((), (1,)),
    P.DOMAIN_EVENT_LIFECYCLE: ((), (TEST, 2, 0)),
    P.CONNECT_GET_URI: ((), ("qemu:///system",)),
    P.CONNECT_IS_SECURE: ((), (True,)),
    P.DOMAIN_IS_ACTIVE: ((TEST,), (True,)),
    P.DOMAIN_IS_PERSISTENT: ((TEST,), (False,)),
    P.CONNECT_GET_LIB_VERSION: ((), (9000000,)),
    P.DOMAIN_MEMORY_STATS: ((TEST, 13, 0), ([MemoryStat(6, 262144), MemoryStat(7, 0)],)),
    P.DOMAIN_GET_JOB_INFO: ((TEST,), (JobInfo(2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),)),
    P.CONNECT_DOMAIN_EVENT_REGISTER_ANY: ((0,), ()),
    P.CONNECT_DOMAIN_EVENT_DEREGISTER_ANY: ((0,), ()),
    P.DOMAIN_HAS_MANAGED_SAVE_IMAGE: ((TEST, 0), (False,)),
    P.DOMAIN_GET_BLOCK_INFO: ((TEST, "vda", 0), (BlockInfo(1, 2, 3),)),
    P.DOMAIN_GET_STATE: ((TEST, 0), (DomainState(3, 1),)),
    P.DOMAIN_GET_CONTROL_INFO: ((TEST, 0), (ControlInfo(2, 0, 1966),)),
    P.DOMAIN_BLOCK_STATS_FLAGS: ((TEST, "vda", 16, 0), ([PARAM], 1)),
    P.CONNECT_LIST_ALL_DOMAINS: ((1, 3), ([TEST, OFF], 2)),
    P.CONNECT_LIST_ALL_STORAGE_POOLS: ((1, 0), ([StoragePool("default", TEST.uuid)], 1)),
    P.NODE_GET_CPU_MAP: ((1, 0, 0), (b"\x03", 0, 2)),
    P.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY: ((0, None), (7,)),
    P.CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY: ((7,), ()),
    P.DOMAIN_EVENT_CALLBACK_LIFECYCLE: ((), (7, OFF, 5, 1)),
    P.DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED: ((), (8, TEST, "virtio-disk1")),
    P.CONNECT_GET_ALL_DOMAIN_STATS: (([TEST, OFF], 0, 1 << 31), (BULK,)),
    P.DOMAIN_EVENT_CALLBACK_DEVICE_ADDED: ((), (9, TEST, "net1")),
    P.CONNECT_REGISTER_CLOSE_CALLBACK: ((), ()),
    P.CONNECT_UNREGISTER_CLOSE_CALLBACK: ((), ()),
    P.CONNECT_EVENT_CONNECTION_CLOSED: ((), (2,)),
    P.DOMAIN_EVENT_CALLBACK_METADATA_CHANGE: ((), (10, OFF, 2, "http://openstack.org/xmlns/libvirt/nova/1.1")),
    P.CONNECT_SET_IDENTITY: (([TypedParameter("user-name", ParamType.STRING, "root")], 0), ()),
    P.DOMAIN_EVENT_NIC_MAC_CHANGE: ((), (11, TEST, "net0", "52:54:00:00:00:00", "52:54:00:00:00:01")),
}

NEW = Domain("described-17433", "023e6619-925b-5106-b02c-dfaf08a5e37f", 25)
NEW_BYTES = "0000000f 6465736372696265642d3137343333 00 023e6619925b5106b02cdfaf08a5e37f 00000019"

CAPTURED_ARGS: list[tuple[Procedure, tuple[Any, ...], str]] = [
    (P.CONNECT_OPEN, ("qemu:///system", 1), "00000001 0000000e 71656d753a2f2f2f73797374656d0000 00000001"),
    (P.CONNECT_GET_ALL_DOMAIN_STATS, ([], 0, 0), "00000000 00000000 00000000"),
]
CAPTURED_REPLIES: list[tuple[Procedure, Any, str]] = [
    (
        P.CONNECT_LIST_ALL_DOMAINS,
        ([TEST], 1),
        "00000001 00000004 74657374 6695eb01f6a4830479aa97f2502e193f 00000001 00000001",
    ),
    (P.AUTH_LIST, [0], "00000001 00000000"),
    (P.CONNECT_GET_TYPE, "QEMU", "00000004 51454d55"),
    (P.DOMAIN_EVENT_CALLBACK_LIFECYCLE, (0, NEW, 2, 0), f"00000000 {NEW_BYTES} 00000002 00000000"),
    (
        P.DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED,
        (1, NEW, "scsi0-0-0-1"),
        f"00000001 {NEW_BYTES} 0000000b 73637369302d302d302d31 00",
    ),
    (
        P.DOMAIN_EVENT_CALLBACK_DEVICE_ADDED,
        (2, NEW, "scsi0-0-0-1"),
        f"00000002 {NEW_BYTES} 0000000b 73637369302d302d302d31 00",
    ),
    (P.DOMAIN_EVENT_CALLBACK_METADATA_CHANGE, (3, NEW, 1, None), f"00000003 {NEW_BYTES} 00000001 00000000"),
    (
        P.DOMAIN_EVENT_CALLBACK_METADATA_CHANGE,
        (3, NEW, 2, "http://example.org/application"),
        (
            f"00000003 {NEW_BYTES} 00000002 00000001 0000001e"
            "687474703a2f2f6578616d706c652e6f72672f6170706c69636174696f6e 0000"
        ),
    ),
]


def expected(values: tuple[Any, ...]) -> Any:
    if not values:
        return None
    return values[0] if len(values) == 1 else values


def fault(decode: Callable[[Procedure, bytes], object], procedure: Procedure, data: bytes) -> ProtocolError | None:
    """What is wrong with the bytes."""
    try:
        decode(procedure, data)
    except ProtocolError as error:
        return error
    return None


def test_every_procedure_has_a_sample() -> None:
    assert set(SAMPLES) == set(Procedure)
    assert list(PROCEDURES.items()) == [(int(procedure), procedure) for procedure in Procedure]


@pytest.mark.parametrize("procedure", Procedure, ids=lambda procedure: procedure.name)
def test_every_procedure_in_both_roles(procedure: Procedure) -> None:
    args, reply = SAMPLES[procedure]
    asked = encode_args(procedure, *args)
    assert decode_args(procedure, asked) == args
    answered = encode_values(procedure, *reply)
    assert decode_values(procedure, answered) == expected(reply)
    assert len(asked) % 4 == len(answered) % 4 == 0


@pytest.mark.parametrize("procedure", Procedure, ids=lambda procedure: procedure.name)
def test_every_payload_cut_off_anywhere(procedure: Procedure) -> None:
    args, reply = SAMPLES[procedure]
    asked = encode_args(procedure, *args)
    for end in range(len(asked)):
        with pytest.raises(Truncated):
            decode_args(procedure, asked[:end])
    answered = encode_values(procedure, *reply)
    for end in range(len(answered) if procedure is not P.CONNECT_GET_ALL_DOMAIN_STATS else 0):
        with pytest.raises(Truncated):
            decode_values(procedure, answered[:end])


@pytest.mark.parametrize(("procedure", "args", "data"), CAPTURED_ARGS)
def test_captured_calls(procedure: Procedure, args: tuple[Any, ...], data: str) -> None:
    assert encode_args(procedure, *args) == bytes.fromhex(data)
    assert decode_args(procedure, bytes.fromhex(data)) == args


@pytest.mark.parametrize(("procedure", "value", "data"), CAPTURED_REPLIES)
def test_captured_replies(procedure: Procedure, value: Any, data: str) -> None:
    assert decode_values(procedure, bytes.fromhex(data)) == value
    values = value if isinstance(value, tuple) else (value,)
    assert encode_values(procedure, *values) == bytes.fromhex(data)


def test_the_name_to_open_may_be_absent_or_flagged_in_go_libvirts_way() -> None:
    assert decode_args(P.CONNECT_OPEN, bytes(8)) == (None, 0)
    odd = bytes.fromhex("01000000 0000000e 71656d753a2f2f2f73797374656d0000 00000000")
    assert decode_args(P.CONNECT_OPEN, odd) == ("qemu:///system", 0)


def test_small_c_types_take_four_bytes() -> None:
    assert len(encode_values(P.NODE_GET_INFO, NODE)) == 160
    info = DomainInfo(1, 2, 3, 4, 5)
    assert len(encode_values(P.DOMAIN_GET_INFO, info)) == 32
    for wrong in ("00000100 " + "0" * 56, "00000001 " + "0" * 32 + " 00010000 " + "0" * 16):
        with pytest.raises(BadValue, match="does not fit"):
            decode_values(P.DOMAIN_GET_INFO, bytes.fromhex(wrong))


@pytest.mark.parametrize(
    "info", [DomainInfo(256, 0, 0, 1, 0), DomainInfo(1, 0, 0, 65536, 0), DomainInfo(-1, 0, 0, 1, 0)]
)
def test_small_c_types_hold_little(info: DomainInfo) -> None:
    with pytest.raises(BadValue, match="does not fit into"):
        encode_values(P.DOMAIN_GET_INFO, info)


def test_a_domain_that_is_off_has_the_id_minus_one() -> None:
    assert encode_args(P.DOMAIN_IS_ACTIVE, OFF)[-4:] == b"\xff\xff\xff\xff"
    assert decode_args(P.DOMAIN_IS_ACTIVE, encode_args(P.DOMAIN_IS_ACTIVE, OFF)) == (OFF,)


def test_a_server_ignores_what_follows_the_arguments() -> None:
    assert decode_args(P.CONNECT_SUPPORTS_FEATURE, bytes.fromhex("0000000a ffffffff")) == (10,)


def test_a_client_does_not_ignore_what_follows_a_reply() -> None:
    with pytest.raises(BadValue, match="4 bytes left over"):
        decode_values(P.CONNECT_SUPPORTS_FEATURE, bytes(8))


def test_the_bulk_reply_is_passed_through_without_a_copy() -> None:
    body = bytearray(BULK)
    view = decode_values(P.CONNECT_GET_ALL_DOMAIN_STATS, body)
    assert view == BULK
    body[-1] = 1
    assert view[-1] == 1


def test_limits_hold_in_both_directions() -> None:
    many = [dataclasses.replace(TEST, id=number) for number in range(16385)]
    assert len(encode_args(P.CONNECT_GET_ALL_DOMAIN_STATS, many[:16384], 0, 0)) == 12 + 28 * 16384
    with pytest.raises(LimitExceeded, match="16385 elements, at most 16384"):
        encode_args(P.CONNECT_GET_ALL_DOMAIN_STATS, many, 0, 0)
    with pytest.raises(LimitExceeded):
        decode_args(P.CONNECT_GET_ALL_DOMAIN_STATS, (16385).to_bytes(4, "big") + bytes(28 * 16385))
    with pytest.raises(LimitExceeded):
        decode_values(P.AUTH_LIST, (21).to_bytes(4, "big") + bytes(84))
    with pytest.raises(LimitExceeded):
        encode_values(P.NODE_GET_INFO, dataclasses.replace(NODE, model="x" * 33))


@pytest.mark.parametrize(
    ("procedure", "values"),
    [
        (P.DOMAIN_LOOKUP_BY_ID, (2**31,)),
        (P.DOMAIN_LOOKUP_BY_UUID, ("not a uuid",)),
        (P.DOMAIN_LOOKUP_BY_NAME, ("\ud800",)),
        (P.CONNECT_OPEN, ("qemu:///system", -1)),
    ],
)
def test_arguments_that_do_not_fit(procedure: Procedure, values: tuple[Any, ...]) -> None:
    with pytest.raises(BadValue):
        encode_args(procedure, *values)


def test_a_wrong_number_of_arguments_is_a_mistake_in_the_caller() -> None:
    with pytest.raises(ValueError):
        encode_args(P.CONNECT_OPEN, "qemu:///system")


def test_events_are_not_called() -> None:
    assert all(not procedure.args and procedure.reply for procedure in EVENTS)


def test_announcing_much_allocates_little() -> None:
    tracemalloc.start()
    try:
        for procedure in Procedure:
            for decode in (decode_args, decode_values):
                for word in (b"\xff\xff\xff\xff", b"\0\0\x40\0", b"\0\x40\0\0"):
                    fault(decode, procedure, word + bytes(36))
        assert tracemalloc.get_traced_memory()[1] < 256 * 1024
    finally:
        tracemalloc.stop()


@given(st.sampled_from(Procedure), st.binary(max_size=120))
def test_any_bytes_give_values_or_a_documented_error(procedure: Procedure, data: bytes) -> None:
    for decode in (decode_args, decode_values):
        error = fault(decode, procedure, data)
        assert error is None or 0 <= error.offset <= len(data)


@given(st.sampled_from(Procedure), st.data())
def test_a_changed_word_gives_values_or_a_documented_error(procedure: Procedure, data: st.DataObject) -> None:
    payload = bytearray(encode_values(procedure, *SAMPLES[procedure][1]))
    if payload:
        place = data.draw(st.integers(0, len(payload) // 4 - 1)) * 4
        payload[place : place + 4] = data.draw(st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\x09", b"\x80\0\0\0"]))
        error = fault(decode_values, procedure, bytes(payload))
        assert error is None or 0 <= error.offset <= len(payload)
