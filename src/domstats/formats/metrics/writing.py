"""Numbers into their places: each way of writing at once, and one by one what does not fit 64 bits."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domstats.formats.metrics.families import Scale
from domstats.formats.numbers import BLANK, WIDTH, Text, write_decimal, write_signed, write_unsigned
from domstats.model.columns import Values
from domstats.model.layout import Positions
from domstats.model.params import ParamType

UNKNOWN_NUMBER = (1 << 64) - 1
"""In the place of an age that is not known."""

_FAR = 28
"""Blanks that any 64-bit integer has room in after it was multiplied, or any double."""
_ALL = 1 << 64
_SIGNS = {
    ParamType.INT: ParamType.LLONG,
    ParamType.UINT: ParamType.ULLONG,
    ParamType.LLONG: ParamType.LLONG,
    ParamType.ULLONG: ParamType.ULLONG,
    ParamType.DOUBLE: ParamType.DOUBLE,
    ParamType.BOOLEAN: ParamType.BOOLEAN,
}


@dataclass(frozen=True, slots=True)
class Writing:
    """A way of writing."""

    type: ParamType
    """ULLONG stands for all unsigned integers, LLONG for all signed ones."""
    times: int = 1
    decimals: int = 0
    counter: bool = False
    """Whether the value has to grow: one that is negative or no number is no counter's, and its line goes."""
    may_be_unknown: bool = False
    """Whether UNKNOWN_NUMBER may stand there, which is written as NaN."""

    @classmethod
    def of(cls, kind: int, scale: Scale, *, counter: bool) -> Writing:
        """For values of a wire type."""
        sign = _SIGNS[ParamType(kind)]
        counter = counter and sign in (ParamType.LLONG, ParamType.DOUBLE)
        return cls(sign, scale.times, scale.decimals, counter)

    @property
    def place(self) -> bytes:
        """Blanks for a number."""
        return BLANK * ((_FAR if self.times > 1 or self.type == ParamType.DOUBLE else WIDTH) + self.tail)

    @property
    def tail(self) -> int:
        """How many of these are after its end; the end of a number with decimals is its point."""
        return self.decimals + 1 if self.decimals and self.type != ParamType.DOUBLE else 0

    def text(self, bits: int) -> bytes | None:
        """One number's text; None where its line has to go."""
        if self.type == ParamType.DOUBLE:
            number: float = struct.unpack("=d", struct.pack("=Q", bits))[0] * self.times / 10**self.decimals
            return None if self.counter and not number >= 0 else double(number)
        if self.may_be_unknown and bits == UNKNOWN_NUMBER:
            return b"NaN"
        value = bits - _ALL if self.type == ParamType.LLONG and bits >= _ALL >> 1 else bits
        if self.counter and value < 0:
            return None
        whole, rest = divmod(abs(value) * self.times, 10**self.decimals)
        fraction = f".{rest:0{self.decimals}d}".rstrip("0") if rest else ""
        return f"{'-' if value < 0 else ''}{whole}{fraction}".encode()

    def fits(self, bits: Values) -> npt.NDArray[np.bool_]:
        """Which of the numbers can be written at once."""
        if self.type == ParamType.DOUBLE:
            return np.zeros(len(bits), np.bool_)
        if self.type == ParamType.LLONG:
            signed = bits.view(np.int64)
            least = 0 if self.counter or self.decimals else -((1 << 63) - 1) // self.times
            return (signed >= least) & (signed <= ((1 << 63) - 1) // self.times)
        return bits < UNKNOWN_NUMBER if self.may_be_unknown else bits <= np.uint64(UNKNOWN_NUMBER // self.times)


def write(text: bytearray, out: Text, writing: Writing, ends: Positions, bits: Values) -> None:
    """Write numbers into their places in `text`, of which `out` are the bytes."""
    if writing.type == ParamType.BOOLEAN:
        bits = np.minimum(bits, 1)
    fits = writing.fits(bits)
    if not fits.all():
        for end, value in zip(ends[~fits].tolist(), bits[~fits].tolist(), strict=True):
            _write_one(text, writing, end, value)
        ends, bits = ends[fits], bits[fits]
    if writing.times > 1:
        bits = bits * np.uint64(writing.times)
    if writing.tail:
        write_decimal(out, ends, bits, writing.decimals)
    elif writing.type == ParamType.LLONG:
        write_signed(out, ends, bits.view(np.int64))
    else:
        write_unsigned(out, ends, bits)


def _write_one(text: bytearray, writing: Writing, end: int, bits: int) -> None:
    written = writing.text(bits)
    if written is None:
        start, stop = text.rfind(b"\n", 0, end) + 1, text.find(b"\n", end) + 1
        text[start:stop] = bytes(stop - start)
        return
    start = end + writing.tail - len(written)  # it may go over its point: what it takes is in its place
    text[start : start + len(written)] = written


def double(number: float) -> bytes:
    """A double as both formats have it: the shortest text that is read back as the same."""
    if math.isfinite(number):
        return repr(number).encode()
    return b"NaN" if math.isnan(number) else b"+Inf" if number > 0 else b"-Inf"
