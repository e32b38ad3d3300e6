"""wire.xdr: values and their bytes, and what becomes of bytes that lie."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.errors import BadValue, LimitExceeded, ProtocolError, Truncated
from domstats.wire.xdr import Reader, Writer, padded

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"

SCALARS: list[tuple[str, Any, str]] = [
    ("i32", -1, "ffffffff"),
    ("i32", -(2**31), "80000000"),
    ("i32", 2**31 - 1, "7fffffff"),
    ("u32", 2**32 - 1, "ffffffff"),
    ("u32", 0, "00000000"),
    ("i64", -(2**63), "8000000000000000"),
    ("i64", 2, "0000000000000002"),
    ("u64", 2**64 - 1, "ffffffffffffffff"),
    ("u64", 10001231231, "00000002541ead7f"),
    ("double", 1.5, "3ff8000000000000"),
    ("double", -math.inf, "fff0000000000000"),
    ("boolean", True, "00000001"),
    ("boolean", False, "00000000"),
    ("uuid", UUID, "6695eb01f6a4830479aa97f2502e193f"),
    ("string", "", "00000000"),
    ("string", "test", "00000004 74657374"),
    ("string", "qemu:///system", "0000000e 71656d753a2f2f2f73797374656d0000"),
    ("string", "ü", "00000002 c3bc0000"),
    ("string", "a\udcffb", "00000003 61ff6200"),
    ("string", "a\0b", "00000003 61006200"),
]


def read(reader: Reader, kind: str) -> Any:
    return getattr(reader, kind)("thing")


@pytest.mark.parametrize(("kind", "value", "data"), SCALARS)
def test_values_and_their_bytes(kind: str, value: object, data: str) -> None:
    writer = Writer()
    getattr(writer, kind)(value, "thing")
    assert writer.getvalue() == bytes.fromhex(data)
    reader = Reader(writer.getvalue())
    assert read(reader, kind) == value
    reader.end("thing")


@pytest.mark.parametrize(("kind", "value", "data"), SCALARS)
def test_a_value_is_read_no_further_than_its_end(kind: str, value: object, data: str) -> None:
    reader = Reader(bytes.fromhex(data) + b"\xff\xff\xff\xff")
    assert read(reader, kind) == value
    assert (reader.position, reader.remaining) == (len(bytes.fromhex(data)), 4)
    with pytest.raises(BadValue, match="4 bytes left over") as caught:
        reader.end("thing")
    assert caught.value.offset == reader.position


@pytest.mark.parametrize(("kind", "value", "data"), SCALARS)
def test_a_value_cut_off_anywhere(kind: str, value: object, data: str) -> None:
    whole = b"\0\0\0\0" + bytes.fromhex(data)
    for end in range(4, len(whole)):
        reader = Reader(whole[:end])
        reader.u32("before")
        with pytest.raises(Truncated) as caught:
            read(reader, kind)
        head = 8 if kind == "string" and end >= 8 else 4  # a string's length is there, its text is not
        assert (caught.value.field, caught.value.offset) == ("thing", head)


def test_a_double_that_is_no_number() -> None:
    writer = Writer()
    writer.double(math.nan, "thing")
    assert math.isnan(Reader(writer.getvalue()).double("thing"))


@pytest.mark.parametrize("flag", ["00000001", "01000000", "ffffffff"])
def test_any_flag_but_zero_means_present(flag: str) -> None:
    reader = Reader(bytes.fromhex(flag + "00000007"))
    assert reader.optional(lambda: reader.i32("value"), "value") == 7


def test_an_absent_value() -> None:
    reader = Reader(bytes(8))
    assert reader.optional(lambda: reader.i32("value"), "value") is None
    assert reader.position == 4


def test_an_optional_value_cut_off() -> None:
    reader = Reader(bytes.fromhex("00000001 000000"))
    with pytest.raises(Truncated) as caught:
        reader.optional(lambda: reader.i32("value"), "value")
    assert caught.value.offset == 4


def test_chars_take_four_bytes_each() -> None:
    writer = Writer()
    writer.chars(b"A\xff", "model", 3)
    assert writer.getvalue() == bytes.fromhex("00000041 ffffffff 00000000")
    assert Reader(writer.getvalue()).chars("model", 3) == b"A\xff\0"
    with pytest.raises(LimitExceeded):
        writer.chars(b"four", "model", 3)


def test_opaque_bytes_are_padded() -> None:
    writer = Writer()
    writer.opaque(b"abcde", "data", 5)
    assert writer.getvalue() == bytes.fromhex("00000005 6162636465000000")
    assert Reader(writer.getvalue()).opaque("data", 5) == b"abcde"


def test_an_array() -> None:
    reader = Reader(bytes.fromhex("00000002 00000005 fffffffb"))
    assert reader.array(lambda: reader.i32("item"), "items", 2, 4) == [5, -5]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("00000003 00000000 00000000 00000000", LimitExceeded),
        ("ffffffff 00000000", LimitExceeded),
        ("00000002 00000000", Truncated),
        ("000000", Truncated),
    ],
)
def test_an_array_that_lies(data: str, error: type[ProtocolError]) -> None:
    reader = Reader(bytes.fromhex(data))
    with pytest.raises(error) as caught:
        reader.array(lambda: reader.i32("item"), "items", 2, 4)
    assert (caught.value.field, caught.value.offset) == ("items", 0)


@pytest.mark.parametrize(("length", "error", "offset"), [(9, Truncated, 12), (2**32 - 1, LimitExceeded, 8)])
def test_an_array_with_a_bad_element(length: int, error: type[ProtocolError], offset: int) -> None:
    reader = Reader(bytes.fromhex("00000002 00000000") + length.to_bytes(4, "big"))
    with pytest.raises(error) as caught:
        reader.array(lambda: reader.string("name"), "names", 2, 4)
    assert (caught.value.field, caught.value.offset) == ("name", offset)


@pytest.mark.parametrize(("length", "limit"), [(5, 4), (2**32 - 1, 4), (2**32 - 1, 4194304)])
def test_a_length_over_the_limit(length: int, limit: int) -> None:
    data = b"\0\0\0\0" + length.to_bytes(4, "big") + bytes(16)
    reads: list[Callable[[Reader], object]] = [
        lambda reader: reader.string("name", limit),
        lambda reader: reader.opaque("name", limit),
    ]
    for attempt in reads:
        with pytest.raises(LimitExceeded, match=f"{length} bytes, at most {limit}") as caught:
            attempt(Reader(data, 4))
        assert (caught.value.field, caught.value.offset) == ("name", 4)


def test_announcing_much_allocates_little() -> None:
    data = b"\xff\xff\xff\xff" + bytes(36)
    reads: list[Callable[[Reader], object]] = [
        lambda reader: reader.array(lambda: reader.u32("item"), "items", 2**32, 4),
        lambda reader: reader.string("name", 2**32),
        lambda reader: reader.opaque("data", 2**32),
        lambda reader: reader.chars("model", 2**32),
    ]
    tracemalloc.start()
    try:
        for attempt in reads:
            with pytest.raises(Truncated):
                attempt(Reader(data))
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024
    finally:
        tracemalloc.stop()


def test_the_rest_is_not_copied() -> None:
    data = bytearray(8)
    reader = Reader(data)
    reader.u32("first")
    rest = reader.rest()
    data[7] = 9
    assert bytes(rest) == b"\0\0\0\x09"
    assert reader.remaining == 0


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("i32", 2**31),
        ("u32", -1),
        ("u32", 2**32),
        ("i64", 2**63),
        ("u64", -1),
        ("u64", 10**30),
        ("u32", "text"),
        ("u32", 1.5),
        ("double", 10**400),
        ("uuid", "not a uuid"),
        ("uuid", UUID.replace("-", "")),
        ("string", "\ud800"),
    ],
)
def test_what_does_not_fit_is_not_written(kind: str, value: object) -> None:
    writer = Writer()
    writer.u32(1, "before")
    with pytest.raises(BadValue) as caught:
        getattr(writer, kind)(value, "thing")
    assert (caught.value.field, caught.value.offset) == ("thing", 4)
    assert writer.getvalue() == b"\0\0\0\x01"


def test_what_is_over_its_limit_is_not_written() -> None:
    writer = Writer()
    with pytest.raises(LimitExceeded):
        writer.string("üü", "name", 3)
    with pytest.raises(LimitExceeded):
        writer.count(3, "items", 2)
    assert writer.getvalue() == b""


@pytest.mark.parametrize(("length", "whole"), [(0, 0), (1, 4), (4, 4), (5, 8)])
def test_padding(length: int, whole: int) -> None:
    assert padded(length) == whole


@given(st.text(st.characters(codec="utf-8")) | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_every_text_comes_back(text: str) -> None:
    writer = Writer()
    writer.string(text, "name")
    assert len(writer.getvalue()) % 4 == 0
    assert Reader(writer.getvalue()).string("name") == text


@given(st.binary(max_size=64), st.sampled_from(["i32", "u64", "double", "boolean", "uuid", "string"]))
def test_any_bytes_give_a_value_or_a_documented_error(data: bytes, kind: str) -> None:
    reader = Reader(data)
    try:
        read(reader, kind)
    except ProtocolError as error:
        place = error.offset
    else:
        place = reader.position
        assert place > 0
    assert place <= len(data)
    assert place % 4 == 0
