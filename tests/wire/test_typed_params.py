"""wire.typed_params: lists of typed parameters, true and lying."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.errors import BadValue, LimitExceeded, ProtocolError, Truncated
from domstats.model.params import ParamType, TypedParameter
from domstats.wire.typed_params import read_params, write_params
from domstats.wire.xdr import Reader, Writer

STATE = [TypedParameter("state.state", ParamType.INT, 1), TypedParameter("state.reason", ParamType.INT, 0)]
STATE_BYTES = bytes.fromhex(
    "00000002 0000000b 73746174652e737461746500 00000001 00000001 0000000c 73746174652e726561736f6e 00000001 00000000"
)
EVERY_TYPE = [
    TypedParameter("int", ParamType.INT, -(2**31)),
    TypedParameter("uint", ParamType.UINT, 2**32 - 1),
    TypedParameter("llong", ParamType.LLONG, -(2**63)),
    TypedParameter("ullong", ParamType.ULLONG, 2**64 - 1),
    TypedParameter("double", ParamType.DOUBLE, 0.1),
    TypedParameter("boolean", ParamType.BOOLEAN, True),
    TypedParameter("string", ParamType.STRING, "ü\udcff"),
]


def encode(params: list[TypedParameter], limit: int = 100) -> bytes:
    writer = Writer()
    write_params(writer, params, "params", limit)
    return writer.getvalue()


def decode(data: bytes, limit: int = 100) -> list[TypedParameter]:
    reader = Reader(data)
    params = read_params(reader, "params", limit)
    reader.end("params")
    return params


def one(kind: int, value: bytes, name: bytes = b"key ") -> bytes:
    return struct.pack(f">II{len(name)}si", 1, len(name), name, kind) + value


def test_captured_parameters() -> None:
    assert encode(STATE) == STATE_BYTES
    assert decode(STATE_BYTES) == STATE


def test_every_type() -> None:
    assert decode(encode(EVERY_TYPE)) == EVERY_TYPE


def test_names_may_repeat() -> None:
    twice = [TypedParameter("a", ParamType.INT, 1), TypedParameter("a", ParamType.UINT, 2)]
    assert decode(encode(twice)) == twice


def test_a_boolean_is_true_for_anything_but_zero() -> None:
    assert decode(one(6, b"\0\0\0\x02")) == [TypedParameter("key ", ParamType.BOOLEAN, True)]


def test_a_list_cut_off_anywhere() -> None:
    data = encode(EVERY_TYPE)
    for end in range(len(data)):
        with pytest.raises(Truncated):
            decode(data[:end])


@pytest.mark.parametrize("kind", [0, 8, -1, 2**31 - 1])
def test_a_type_that_does_not_exist(kind: int) -> None:
    with pytest.raises(BadValue, match=f"type {kind} does not exist") as caught:
        decode(one(kind, bytes(8)))
    assert (caught.value.field, caught.value.offset) == ("key ", 12)


@pytest.mark.parametrize("count", [101, 2**31, 2**32 - 1])
def test_more_parameters_than_allowed(count: int) -> None:
    with pytest.raises(LimitExceeded):
        decode(count.to_bytes(4, "big") + bytes(36))


def test_more_parameters_announced_than_can_follow() -> None:
    with pytest.raises(Truncated):
        decode((4).to_bytes(4, "big") + bytes(36))


def test_names_have_at_most_79_bytes() -> None:
    assert decode(one(1, bytes(4), b"x" * 76)) == [TypedParameter("x" * 76, ParamType.INT, 0)]
    assert decode(encode([TypedParameter("x" * 79, ParamType.INT, 0)]))[0].name == "x" * 79
    with pytest.raises(LimitExceeded):
        decode(one(1, bytes(4), b"x" * 80))
    with pytest.raises(LimitExceeded):
        encode([TypedParameter("x" * 80, ParamType.INT, 0)])


def test_too_many_parameters_are_not_written() -> None:
    with pytest.raises(LimitExceeded):
        encode(STATE, limit=1)


@pytest.mark.parametrize(
    ("kind", "value"),
    [(ParamType.INT, 2**31), (ParamType.UINT, -1), (ParamType.ULLONG, 2**64), (ParamType.LLONG, "text")],
)
def test_a_value_its_type_cannot_hold(kind: ParamType, value: int | str) -> None:
    with pytest.raises(BadValue):
        encode([TypedParameter("key", kind, value)])


VALUES = {
    ParamType.INT: st.integers(-(2**31), 2**31 - 1),
    ParamType.UINT: st.integers(0, 2**32 - 1),
    ParamType.LLONG: st.integers(-(2**63), 2**63 - 1),
    ParamType.ULLONG: st.integers(0, 2**64 - 1),
    ParamType.DOUBLE: st.floats(allow_nan=False),
    ParamType.BOOLEAN: st.booleans(),
    ParamType.STRING: st.text(st.characters(codec="utf-8")),
}
PARAMS = st.lists(
    st.sampled_from(list(ParamType)).flatmap(
        lambda kind: st.builds(TypedParameter, st.text("abü.0", max_size=20), st.just(kind), VALUES[kind])
    ),
    max_size=6,
)


@given(PARAMS)
def test_every_list_comes_back(params: list[TypedParameter]) -> None:
    assert decode(encode(params)) == params


@given(PARAMS.map(encode), st.integers(0, 200), st.integers(0, 255))
def test_a_changed_byte_gives_a_list_or_a_documented_error(data: bytes, place: int, byte: int) -> None:
    changed = bytearray(data)
    changed[place % len(data)] = byte
    try:
        params = decode(bytes(changed))
    except ProtocolError:
        return
    assert all(isinstance(param.value, (int, float, str)) for param in params)


def test_no_number_is_lost() -> None:
    (param,) = decode(encode([TypedParameter("nan", ParamType.DOUBLE, math.nan)]))
    assert isinstance(param.value, float)
    assert math.isnan(param.value)
