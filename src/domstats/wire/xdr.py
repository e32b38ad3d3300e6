"""XDR (RFC 4506) as libvirt's RPC uses it: a bounded reader and a writer.

Everything is big endian and takes a multiple of 4 bytes. A read gives a value or raises Truncated, LimitExceeded or
BadValue with the field's name and its offset; after an error the reader is of no more use. Lengths and counts are
compared with their limit and with the bytes that are left before anything is allocated.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeVar

from domstats.errors import BadValue, LimitExceeded, Truncated
from domstats.model.domain import is_uuid
from domstats.wire.limits import STRING_MAX

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview

UUID_SIZE = 16
"""Bytes of a UUID: libvirt's VIR_UUID_BUFLEN."""

_I32 = struct.Struct(">i")
_U32 = struct.Struct(">I")
_I64 = struct.Struct(">q")
_U64 = struct.Struct(">Q")
_DOUBLE = struct.Struct(">d")


def padded(length: int) -> int:
    """The length rounded up to a multiple of 4."""
    return (length + 3) & ~3


class Reader:
    """Reads XDR values from bytes, from `position` on. `field` names the value in errors.

    A memoryview is read where it is; only what is returned is copied.
    """

    __slots__ = ("_data", "_position")

    def __init__(self, data: Buffer, position: int = 0) -> None:
        self._data = memoryview(data)
        self._position = position

    @property
    def position(self) -> int:
        """Offset of the next byte to read."""
        return self._position

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._position

    def i32(self, field: str) -> int:
        """A signed integer of 32 bits."""
        return int(self._scalar(_I32, field))

    def u32(self, field: str) -> int:
        """An unsigned integer of 32 bits."""
        return int(self._scalar(_U32, field))

    def i64(self, field: str) -> int:
        """A signed integer of 64 bits."""
        return int(self._scalar(_I64, field))

    def u64(self, field: str) -> int:
        """An unsigned integer of 64 bits."""
        return int(self._scalar(_U64, field))

    def double(self, field: str) -> float:
        """An IEEE double."""
        return float(self._scalar(_DOUBLE, field))

    def boolean(self, field: str) -> bool:
        """A boolean, which libvirt sends as an int: anything but 0 is true."""
        return self.i32(field) != 0

    def uuid(self, field: str) -> str:
        """A UUID's 16 bytes, as lower-case text with hyphens."""
        text = self._take(UUID_SIZE, field).hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def string(self, field: str, limit: int = STRING_MAX) -> str:
        """A string of at most `limit` bytes; what is not UTF-8 in it becomes surrogate escapes."""
        return str(self._variable(field, limit), "utf-8", "surrogateescape")

    def opaque(self, field: str, limit: int) -> bytes:
        """At most `limit` bytes, sent with their length."""
        return bytes(self._variable(field, limit))

    def chars(self, field: str, size: int) -> bytes:
        """A fixed array of C chars: each takes 4 bytes, of which the last counts."""
        return bytes(self._take(4 * size, field)[3::4])

    def count(self, field: str, limit: int, smallest: int) -> int:
        """The number of an array's elements: at most `limit`, and no more than fit with `smallest` bytes each."""
        start = self._position
        count = self.u32(field)
        if count > limit:
            raise LimitExceeded(field, start, f"{count} elements, at most {limit} are allowed")
        if count * smallest > self.remaining:
            raise Truncated(field, start, f"{count} elements announced, {self.remaining} bytes left")
        return count

    def array(self, read: Callable[[], T], field: str, limit: int, smallest: int) -> list[T]:
        """An array, each element of at least `smallest` bytes got by calling `read`."""
        return [read() for _ in range(self.count(field, limit, smallest))]

    def optional(self, read: Callable[[], T], field: str) -> T | None:
        """A value that may be absent. Any flag but 0 means present: go-libvirt sends 0x01000000."""
        return read() if self.u32(field) else None

    def rest(self) -> memoryview:
        """All bytes that are left, not copied."""
        start, self._position = self._position, len(self._data)
        return self._data[start:]

    def end(self, field: str) -> None:
        """Raises BadValue when bytes are left."""
        if self.remaining:
            raise BadValue(field, self._position, f"{self.remaining} bytes left over")

    def _scalar(self, form: struct.Struct, field: str) -> Any:
        return form.unpack(self._take(form.size, field))[0]

    def _variable(self, field: str, limit: int) -> memoryview:
        start = self._position
        length = self.u32(field)
        if length > limit:
            raise LimitExceeded(field, start, f"{length} bytes, at most {limit} are allowed")
        return self._take(padded(length), field)[:length]

    def _take(self, size: int, field: str) -> memoryview:
        start = self._position
        if size > self.remaining:
            raise Truncated(field, start, f"{size} bytes needed, {self.remaining} left")
        self._position = start + size
        return self._data[start : self._position]


class Writer:
    """Writes XDR values one after another. What cannot be written raises LimitExceeded or BadValue, as in reading."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def position(self) -> int:
        """How many bytes were written."""
        return len(self._data)

    def getvalue(self) -> bytes:
        """All that was written."""
        return bytes(self._data)

    def i32(self, value: int, field: str) -> None:
        """A signed integer of 32 bits."""
        self._scalar(_I32, value, field)

    def u32(self, value: int, field: str) -> None:
        """An unsigned integer of 32 bits."""
        self._scalar(_U32, value, field)

    def i64(self, value: int, field: str) -> None:
        """A signed integer of 64 bits."""
        self._scalar(_I64, value, field)

    def u64(self, value: int, field: str) -> None:
        """An unsigned integer of 64 bits."""
        self._scalar(_U64, value, field)

    def double(self, value: float, field: str) -> None:
        """An IEEE double."""
        self._scalar(_DOUBLE, value, field)

    def boolean(self, value: bool, field: str) -> None:
        """A boolean, as an int."""
        self.i32(1 if value else 0, field)

    def uuid(self, value: str, field: str) -> None:
        """A UUID given as text with hyphens."""
        if not is_uuid(value):
            raise BadValue(field, len(self._data), f"{value[:40]!r} is not a UUID")
        self._data += bytes.fromhex(value.replace("-", ""))

    def string(self, value: str, field: str, limit: int = STRING_MAX) -> None:
        """A string; surrogate escapes become the bytes they stand for."""
        self.opaque(self.encoded(value, field), field, limit)

    def encoded(self, value: str, field: str) -> bytes:
        """The bytes of a text; nothing is written."""
        try:
            return value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise BadValue(field, len(self._data), f"character {error.start} cannot be sent as UTF-8") from None

    def opaque(self, value: Buffer, field: str, limit: int) -> None:
        """Bytes with their length."""
        length = len(value)
        if length > limit:
            raise LimitExceeded(field, len(self._data), f"{length} bytes, at most {limit} are allowed")
        self._data += _U32.pack(length)
        self._data += value
        self._data += bytes(padded(length) - length)

    def chars(self, value: bytes, field: str, size: int) -> None:
        """A fixed array of C chars, 4 bytes each (sign-extended, as libvirt's are); filled up with zeros."""
        if len(value) > size:
            raise LimitExceeded(field, len(self._data), f"{len(value)} characters, at most {size} are allowed")
        self._data += struct.pack(f">{size}i", *memoryview(value.ljust(size, b"\0")).cast("b"))

    def count(self, value: int, field: str, limit: int) -> None:
        """The number of an array's elements."""
        if value > limit:
            raise LimitExceeded(field, len(self._data), f"{value} elements, at most {limit} are allowed")
        self.u32(value, field)

    def raw(self, value: Buffer) -> None:
        """Bytes that are XDR already."""
        self._data += value

    def _scalar(self, form: struct.Struct, value: float, field: str) -> None:
        try:
            self._data += form.pack(value)
        except (struct.error, OverflowError):
            raise BadValue(field, len(self._data), f"the value does not fit into {form.size} bytes") from None
