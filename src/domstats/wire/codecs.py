"""How a value of each kind goes over the wire, for both roles: the vocabulary the table of procedures is written in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Generic, TypeVar

from domstats.errors import BadValue
from domstats.model.domain import Domain
from domstats.model.params import TypedParameter
from domstats.wire.typed_params import read_params, write_params
from domstats.wire.xdr import Buffer, Reader, Writer

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """How values of one kind are read and written."""

    read: Callable[[Reader, str], T]
    write: Callable[[Writer, T, str], None]
    smallest: int
    """Bytes of the smallest value."""


I32 = Codec(Reader.i32, Writer.i32, 4)
U32 = Codec(Reader.u32, Writer.u32, 4)
I64 = Codec(Reader.i64, Writer.i64, 8)
U64 = Codec(Reader.u64, Writer.u64, 8)
BOOL = Codec(Reader.boolean, Writer.boolean, 4)
UUID = Codec(Reader.uuid, Writer.uuid, 16)
STRING = Codec(Reader.string, Writer.string, 4)


def optional(codec: Codec[T]) -> Codec[T | None]:
    """A value that may be absent (None)."""

    def read(reader: Reader, field: str) -> T | None:
        return reader.optional(partial(codec.read, reader, field), field)

    def write(writer: Writer, value: T | None, field: str) -> None:
        writer.boolean(value is not None, field)
        if value is not None:
            codec.write(writer, value, field)

    return Codec(read, write, 4)


def array(codec: Codec[T], limit: int) -> Codec[list[T]]:
    """At most `limit` values."""

    def read(reader: Reader, field: str) -> list[T]:
        return reader.array(partial(codec.read, reader, field), field, limit, codec.smallest)

    def write(writer: Writer, values: list[T], field: str) -> None:
        writer.count(len(values), field, limit)
        for value in values:
            codec.write(writer, value, field)

    return Codec(read, write, 4)


def structure(kind: type[S], *codecs: Codec[Any]) -> Codec[S]:
    """A dataclass, its fields one after another."""
    names = [each.name for each in fields(kind)]  # type: ignore[arg-type]  # there is no type for dataclasses
    parts = list(zip(names, codecs, strict=True))

    def read(reader: Reader, _field: str) -> S:
        return kind(*[codec.read(reader, name) for name, codec in parts])

    def write(writer: Writer, value: S, _field: str) -> None:
        for name, codec in parts:
            codec.write(writer, getattr(value, name), name)

    return Codec(read, write, sum(codec.smallest for codec in codecs))


def small(bits: int) -> Codec[int]:
    """A C unsigned char or short, which takes 4 bytes all the same."""

    def check(value: int, field: str, offset: int) -> None:
        if value >> bits:
            raise BadValue(field, offset, f"{value} does not fit into {bits} bits")

    def read(reader: Reader, field: str) -> int:
        start = reader.position
        value = reader.u32(field)
        check(value, field, start)
        return value

    def write(writer: Writer, value: int, field: str) -> None:
        check(value, field, writer.position)
        writer.u32(value, field)

    return Codec(read, write, 4)


def opaque(limit: int) -> Codec[bytes]:
    """At most `limit` bytes."""

    def read(reader: Reader, field: str) -> bytes:
        return reader.opaque(field, limit)

    def write(writer: Writer, value: bytes, field: str) -> None:
        writer.opaque(value, field, limit)

    return Codec(read, write, 4)


def chars(limit: int) -> Codec[bytes]:
    """At most `limit` C chars, which take 4 bytes each."""

    def read(reader: Reader, field: str) -> bytes:
        return reader.chars(field, reader.count(field, limit, 4))

    def write(writer: Writer, value: bytes, field: str) -> None:
        writer.count(len(value), field, limit)
        writer.chars(value, field, len(value))

    return Codec(read, write, 4)


def char_text(size: int) -> Codec[str]:
    """A C string in an array of `size` chars, which take 4 bytes each; it ends at the first zero."""

    def read(reader: Reader, field: str) -> str:
        return str(reader.chars(field, size).partition(b"\0")[0], "utf-8", "surrogateescape")

    def write(writer: Writer, value: str, field: str) -> None:
        writer.chars(writer.encoded(value, field), field, size)

    return Codec(read, write, 4 * size)


def params(limit: int) -> Codec[list[TypedParameter]]:
    """At most `limit` typed parameters."""

    def read(reader: Reader, field: str) -> list[TypedParameter]:
        return read_params(reader, field, limit)

    def write(writer: Writer, value: list[TypedParameter], field: str) -> None:
        write_params(writer, value, field, limit)

    return Codec(read, write, 4)


def _read_domain(reader: Reader, _field: str) -> Domain:
    name, uuid, number = reader.string("domain name"), reader.uuid("domain uuid"), reader.i32("domain id")
    return Domain(name, uuid, None if number == -1 else number)


def _write_domain(writer: Writer, domain: Domain, _field: str) -> None:
    writer.string(domain.name, "domain name")
    writer.uuid(domain.uuid, "domain uuid")
    writer.i32(-1 if domain.id is None else domain.id, "domain id")


def _read_rest(reader: Reader, _field: str) -> memoryview:
    return reader.rest()


def _write_rest(writer: Writer, value: Buffer, _field: str) -> None:
    writer.raw(value)


DOMAIN = Codec(_read_domain, _write_domain, 24)
"""A Domain; libvirt writes -1 for the id of one that is off."""
BODY: Codec[Any] = Codec(_read_rest, _write_rest, 0)
"""All that is left, as it is."""
