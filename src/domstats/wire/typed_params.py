"""Lists of typed parameters on the wire: a name, a type number and a value whose size depends on the type.

For the lists of single calls, and the records of a bulk reply that `bulk` knows nothing of yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from domstats.errors import BadValue
from domstats.model.params import ParamType, TypedParameter, Value
from domstats.wire.limits import NAME_MAX, PARAM_MIN
from domstats.wire.xdr import Reader, Writer


def read_params(reader: Reader, field: str, limit: int) -> list[TypedParameter]:
    """A list of at most `limit` parameters. Names may repeat.

    Raises Truncated, LimitExceeded (also for a name over 79 bytes) or BadValue (a type that does not exist).
    """
    return reader.array(lambda: _read_param(reader), field, limit, PARAM_MIN)


def write_params(writer: Writer, params: Sequence[TypedParameter], field: str, limit: int) -> None:
    """A list of at most `limit` parameters. Raises LimitExceeded, or BadValue for a value its type cannot hold."""
    writer.count(len(params), field, limit)
    for param in params:
        writer.string(param.name, "parameter name", NAME_MAX)
        writer.i32(param.type, param.name)
        _write_value(writer, param)


def _read_param(reader: Reader) -> TypedParameter:
    name = reader.string("parameter name", NAME_MAX)
    start = reader.position
    number = reader.i32(name)
    try:
        kind = ParamType(number)
    except ValueError:
        raise BadValue(name, start, f"parameter type {number} does not exist") from None
    return TypedParameter(name, kind, _read_value(reader, name, kind))


def _read_value(reader: Reader, name: str, kind: ParamType) -> Value:
    match kind:
        case ParamType.INT:
            return reader.i32(name)
        case ParamType.UINT:
            return reader.u32(name)
        case ParamType.LLONG:
            return reader.i64(name)
        case ParamType.ULLONG:
            return reader.u64(name)
        case ParamType.DOUBLE:
            return reader.double(name)
        case ParamType.BOOLEAN:
            return reader.boolean(name)
        case ParamType.STRING:
            return reader.string(name)


def _write_value(writer: Writer, param: TypedParameter) -> None:
    name = param.name
    match param.type:
        case ParamType.INT:
            writer.i32(cast(int, param.value), name)
        case ParamType.UINT:
            writer.u32(cast(int, param.value), name)
        case ParamType.LLONG:
            writer.i64(cast(int, param.value), name)
        case ParamType.ULLONG:
            writer.u64(cast(int, param.value), name)
        case ParamType.DOUBLE:
            writer.double(cast(float, param.value), name)
        case ParamType.BOOLEAN:
            writer.boolean(cast(bool, param.value), name)
        case ParamType.STRING:
            writer.string(cast(str, param.value), name)
