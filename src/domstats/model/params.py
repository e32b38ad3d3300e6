"""Typed parameters: a name, a wire type and a value, as libvirt sends them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

Value = int | float | bool | str


class ParamType(IntEnum):
    """libvirt's virTypedParameterType: the type of a value on the wire."""

    INT = 1
    UINT = 2
    LLONG = 3
    ULLONG = 4
    DOUBLE = 5
    BOOLEAN = 6
    STRING = 7

    @property
    def label(self) -> str:
        """The name used in documents and in the catalogue: int, uint, llong, ullong, double, boolean, string."""
        return self.name.lower()


RANGES = {
    ParamType.INT: range(-(1 << 31), 1 << 31),
    ParamType.UINT: range(1 << 32),
    ParamType.LLONG: range(-(1 << 63), 1 << 63),
    ParamType.ULLONG: range(1 << 64),
    ParamType.BOOLEAN: range(2),
}
"""What a wire type can hold, of those that hold whole numbers; of a boolean, false and true are 0 and 1."""


@dataclass(frozen=True, slots=True)
class TypedParameter:
    """One statistic of one domain.

    A name or string that is not UTF-8 holds the offending bytes as surrogate escapes.
    """

    name: str
    type: ParamType
    value: Value
