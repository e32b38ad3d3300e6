"""Reading one record of a reply body that nothing is known of, with every check. Slow, and met once a shape."""

from __future__ import annotations

import struct
import uuid

from domstats.errors import BadValue, LimitExceeded, Truncated
from domstats.model.domain import Domain
from domstats.model.layout import RecordLayout, Shape
from domstats.model.params import ParamType
from domstats.wire.bulk.limits import NAME_MAX, PARAM_MIN, PARAMS_MAX, RECORD_MIN, RECORDS_MAX, STRING_MAX

_UINT = struct.Struct(">I")
_INT = struct.Struct(">i")
_VALUE_BYTES = {
    ParamType.INT: 4,
    ParamType.UINT: 4,
    ParamType.LLONG: 8,
    ParamType.ULLONG: 8,
    ParamType.DOUBLE: 8,
    ParamType.BOOLEAN: 4,
}


def parse_count(body: bytes) -> int:
    """Number of records of a body."""
    return _count(body, 0, "records", RECORDS_MAX, RECORD_MIN)


def parse_record(body: bytes, start: int) -> tuple[RecordLayout, int]:
    """The record that begins at this byte, and the byte behind it.

    Raises Truncated, LimitExceeded or BadValue.
    """
    domain, at = parse_domain(body, start)
    count = _count(body, at, f"parameters of {domain.name!r}", PARAMS_MAX, PARAM_MIN)
    at += 4
    keys: list[str] = []
    types = bytearray()
    strings: list[str] = []
    for _ in range(count):
        key, at = _string(body, at, "parameter name", NAME_MAX)
        if at + 4 > len(body):
            raise Truncated(key, at, "the body ends where a type should be")
        (kind,) = _UINT.unpack_from(body, at)
        at += 4
        keys.append(key)
        if kind == ParamType.STRING:
            text, at = _string(body, at, key, STRING_MAX)
            strings.append(text)
        elif kind in _VALUE_BYTES:
            at += _VALUE_BYTES[kind]
            if at > len(body):
                raise Truncated(key, len(body), "the body ends inside a value")
        else:
            raise BadValue(key, at - 4, f"unknown value type {kind}, whose length cannot be known")
        types.append(kind)
    return RecordLayout(domain, Shape.of(keys, bytes(types)), strings), at


def parse_domain(body: bytes, start: int) -> tuple[Domain, int]:
    """The domain that begins at this byte, and the byte behind it."""
    name, at = _string(body, start, "domain name", STRING_MAX)
    if at + 20 > len(body):
        raise Truncated("domain", at, "the body ends inside a domain")
    (number,) = _INT.unpack_from(body, at + 16)
    identity = str(uuid.UUID(bytes=body[at : at + 16]))
    return Domain(name, identity, None if number == -1 else number), at + 20


def _count(body: bytes, at: int, what: str, limit: int, least: int) -> int:
    """A count of things that take `least` bytes each at the least."""
    if at + 4 > len(body):
        raise Truncated(what, at, "the body ends where a count should be")
    count: int = _UINT.unpack_from(body, at)[0]
    if count > limit:
        raise LimitExceeded(what, at, f"{count} announced, at most {limit} allowed")
    if count * least > len(body) - at - 4:
        raise Truncated(what, at, f"{count} announced, but only {len(body) - at - 4} bytes follow")
    return count


def _string(body: bytes, at: int, what: str, limit: int) -> tuple[str, int]:
    if at + 4 > len(body):
        raise Truncated(what, at, "the body ends where a length should be")
    (length,) = _UINT.unpack_from(body, at)
    if length > limit:
        raise LimitExceeded(what, at, f"{length} bytes announced, at most {limit} allowed")
    begin = at + 4
    end = begin + length + -length % 4
    if end > len(body):
        raise Truncated(what, at, f"{length} bytes announced, but only {len(body) - begin} follow")
    return str(body[begin : begin + length], "utf-8", "surrogateescape"), end
