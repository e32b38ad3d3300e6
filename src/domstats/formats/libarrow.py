"""What is used of pyarrow, which has no types: the one module that imports it, with types.

Importing this module raises MissingExtra where pyarrow is not installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from domstats.errors import MissingExtra
from domstats.model.params import ParamType

try:
    import pyarrow as pa
    from pyarrow import Array, DataType, Field, Schema, Table, ipc, parquet
except ImportError as error:
    raise MissingExtra("pyarrow", "arrow") from error

__all__ = [
    "ALL_VALID", "TIME", "TYPES", "Array", "DataType", "Field", "Schema", "Table", "Validity", "array", "arrays",
    "field", "list_of", "lists", "numbers", "schema", "selected", "table", "texts", "to_parquet", "to_stream", "words",
]  # fmt: skip

Matrix = npt.NDArray[Any]
Valid = npt.NDArray[np.bool_]

TYPES: dict[ParamType, DataType] = {
    ParamType.INT: pa.int32(),
    ParamType.UINT: pa.uint32(),
    ParamType.LLONG: pa.int64(),
    ParamType.ULLONG: pa.uint64(),
    ParamType.DOUBLE: pa.float64(),
    ParamType.BOOLEAN: pa.bool_(),
    ParamType.STRING: pa.utf8(),
}
TIME: DataType = pa.timestamp("us", "UTC")
"""Microseconds since the epoch."""


@dataclass(frozen=True, slots=True, eq=False)
class Validity:
    """Where a column has values."""

    bits: Any
    """A buffer with a bit a row, or None where every row has one."""
    nulls: int
    """Number of rows without."""

    @classmethod
    def of(cls, valid: Valid) -> Validity:
        """From a mask."""
        nulls = len(valid) - int(np.count_nonzero(valid))
        return cls(pa.py_buffer(np.packbits(valid, bitorder="little")) if nulls else None, nulls)


ALL_VALID = Validity(None, 0)


def field(name: str, kind: DataType, metadata: Mapping[str, str], *, nullable: bool = True) -> Field:
    """A column's name, type and what else is known of it."""
    return pa.field(name, kind, nullable, {key: text for key, text in metadata.items() if text})


def arrays(kinds: Sequence[DataType], matrix: Matrix, rows: int, validities: Sequence[Validity]) -> list[Array]:
    """An array of `rows` values for each row of the matrix, whose memory they share; booleans are bits in bytes."""
    memory, step = pa.py_buffer(matrix), matrix.shape[1] * matrix.itemsize
    parts = zip(kinds, validities, strict=True)
    return [
        Array.from_buffers(kind, rows, [validity.bits, memory.slice(at * step, step)], validity.nulls)
        for at, (kind, validity) in enumerate(parts)
    ]


def array(kind: DataType, values: Matrix, validity: Validity = ALL_VALID) -> Array:
    """An array that shares the memory of these numbers."""
    return Array.from_buffers(kind, len(values), [validity.bits, pa.py_buffer(values)], validity.nulls)


def texts(values: Sequence[str | None]) -> Array:
    """An array of strings."""
    return pa.array(values, TYPES[ParamType.STRING])


def numbers(kind: DataType, values: Sequence[object]) -> Array:
    """An array of Python's numbers; None for null."""
    return pa.array(values, kind)


def words(known: Sequence[str], codes: npt.NDArray[np.uint8]) -> Array:
    """An array of strings from a short list: each row's is `known[code]`."""
    return texts(known).take(pa.array(codes))


def lists(offsets: npt.NDArray[np.int32], rows: Sequence[Array], fields: Sequence[Field]) -> Array:
    """A list of structs a row; `offsets` has where each row's begin, and one more at the end."""
    return pa.ListArray.from_arrays(pa.array(offsets), pa.StructArray.from_arrays(rows, fields=fields))


def list_of(fields: Sequence[Field]) -> DataType:
    """The type of such lists."""
    return pa.list_(pa.struct(fields))


def schema(fields: Sequence[Field]) -> Schema:
    """Columns in their order."""
    return pa.schema(fields)


def table(columns: Sequence[Array], described: Schema, metadata: Mapping[str, str]) -> Table:
    """A table; the metadata is of the whole."""
    return Table.from_arrays(columns, schema=described.with_metadata(dict(metadata)))


def selected(whole: Table, columns: Sequence[int] | None, rows: Sequence[int] | None) -> Table:
    """These columns and these rows, in this order; None for all."""
    part = whole if columns is None else whole.select(list(columns))
    return part if rows is None else part.take(pa.array(rows, pa.int64()))


def to_stream(content: Table) -> bytes:
    """Arrow's IPC stream of one batch, uncompressed."""
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, content.schema) as writer:
        writer.write_table(content)
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded


def to_parquet(content: Table) -> bytes:
    """A Parquet file, compressed with zstd.

    64-bit integers are written as differences, which takes a tenth less room and time for guests that do something, and
    a twentieth more room where all are idle; only strings have dictionaries.
    """
    leaves = [leaf for column in content.schema for leaf in _leaves(column)]
    sink = pa.BufferOutputStream()
    parquet.write_table(
        content,
        sink,
        compression="zstd",
        use_dictionary=[path for path, kind in leaves if kind == TYPES[ParamType.STRING]],
        column_encoding={path: "DELTA_BINARY_PACKED" for path, kind in leaves if kind in _LONG},
    )
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded


_LONG = (TYPES[ParamType.LLONG], TYPES[ParamType.ULLONG], TIME)


def _leaves(column: Field) -> list[tuple[str, DataType]]:
    """The columns that Parquet makes of a column, with their paths."""
    if not pa.types.is_list(column.type):
        return [(column.name, column.type)]
    return [(f"{column.name}.list.element.{inner.name}", inner.type) for inner in column.type.value_type]
