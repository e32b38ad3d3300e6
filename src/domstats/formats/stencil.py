"""Texts that go record by record: what is fixed is kept, and a poll writes only its numbers. See `numbers`.

A format says in a Style what the text of a record of some shape is: bytes, and the places of its values. What is worked
out from that is kept with the shapes and the record layouts, in blocks of some records that follow each other, so a
guest that changes costs the text of a block.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, pairwise
from zlib import crc32

import numpy as np
import numpy.typing as npt

from domstats.formats.numbers import (
    BLANK,
    CHUNK,
    NARROW,
    WIDTH,
    Text,
    blank,
    without_blanks,
    write_digits,
    write_signed,
    write_unsigned,
)
from domstats.model.columns import Values
from domstats.model.layout import Layout, Positions, RecordLayout, Shape
from domstats.model.params import ParamType
from domstats.model.snapshot import Snapshot

BLOCK, BLOCK_MAX = 256, 1024
"""Records in a block, about and at most."""


_KINDS = {kind: kind for kind in (ParamType.LLONG, ParamType.ULLONG, ParamType.DOUBLE, ParamType.BOOLEAN)}
_KINDS |= {ParamType.INT: ParamType.LLONG, ParamType.UINT: ParamType.ULLONG}
"""For each wire type but that of strings, the one that stands for all that are written alike."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands in a record's text."""

    slot: int
    """The value's slot in the shape."""
    words: tuple[str, ...] = ()
    """Words for an integer's values from 0 on; a number that has none stands as it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Style:
    """How a format writes a record."""

    name: str
    """Under which it is kept what has been worked out; no two styles have the same."""
    pieces: Callable[[Shape], Sequence[bytes | Place]]
    """The text of a record of this shape, in its order. A slot has one place, or none."""
    string: Callable[[str], bytes]
    """A string's text."""
    double: Callable[[float], bytes]
    """A double's."""
    booleans: tuple[bytes, bytes]
    """False and true."""
    double_width: int = 24
    """Most bytes a double takes: those of -1.7976931348623157e+308."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Values that are written in the same way."""

    type: ParamType
    """ULLONG stands for all unsigned integers, LLONG for all signed ones."""
    words: tuple[bytes, ...]
    width: int
    """Bytes in which any such value has room; a multiple of CHUNK."""


@dataclass(frozen=True, slots=True, eq=False)
class _ShapeText:
    """The text of all records of a shape, with blanks for numbers. A place of a single blank is narrow, others wide."""

    chunks: tuple[bytes, ...]
    """The text, cut where the strings stand."""
    strings: tuple[int, ...]
    """Which of the record's strings stand there."""
    ends: Positions
    """For each slot where its place ends, as if strings took no room; -1 where it has none."""
    after: Positions
    """How many strings stand before it."""
    kinds: tuple[_Kind | None, ...]
    """How its value is written."""
    wide: npt.NDArray[np.bool_]
    """Whether its place is wide, or would be."""


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """The text of some records, with the numbers of some snapshot. Arrays have an element for each of their values."""

    numbers: tuple[int, ...]
    """Those of the records. It does not hold the records: an old one would live on, with what is kept with it."""
    texts: list[bytes]
    """The text of each record."""
    values: Values
    """The numbers in it: a copy, so that it does not hold those of all other records of the same poll."""
    ends: npt.NDArray[np.signedinteger]
    """Where the value's place ends in the text of all records; -1 where it has none."""
    record: npt.NDArray[np.int16]
    """The position of its record in the block."""
    narrow: npt.NDArray[np.bool_]
    """Whether its place is narrow."""
    kinds: npt.NDArray[np.uint8]
    """How it is written: an index into `styles`."""
    styles: tuple[_Kind, ...]


def render(snapshot: Snapshot, style: Style, between: Sequence[bytes]) -> bytes:
    """The text of all records; `between`: what stands before each, and after the last.

    It is made block by block, so that what is worked on stays in the processor's cache.
    """
    starts = snapshot.layout.starts
    written: list[bytes | bytearray] = []
    for first, last in _blocks(snapshot.layout):
        values = snapshot.values[starts[first] : starts[last]]
        block = _block(snapshot.layout.records[first:last], values, style)
        written.append(_render(block, values, style, between[first:last]))
    return b"".join([*written, between[-1]])


def _render(block: _Block, values: Values, style: Style, between: Sequence[bytes]) -> bytearray:
    out = bytearray().join(chain.from_iterable(zip(between, block.texts, strict=True)))
    changed = np.flatnonzero(values != block.values)
    changed = changed[block.ends[changed] > 0]
    if len(changed):
        before = np.cumsum(np.fromiter(map(len, between), np.int64, len(between)))
        ends = block.ends[changed] + before[block.record[changed]]
        _write(np.frombuffer(out, np.uint8), block, style, values, changed, ends)
    return without_blanks(out)


def _write(out: Text, block: _Block, style: Style, values: Values, which: Positions, ends: Positions) -> None:
    """Write the values with these indexes to places that end there; what stood in them before goes."""
    narrow = block.narrow[which]
    write_digits(out, ends[narrow], values[which[narrow]])
    which, ends = which[~narrow], ends[~narrow]
    kinds = block.kinds[which]
    for number, kind in enumerate(block.styles):
        chosen = kinds == number
        if chosen.any():
            blank(out, ends[chosen], kind.width)
            _write_kind(out, kind, ends[chosen], values[which[chosen]], style)


def _write_kind(out: Text, kind: _Kind, ends: Positions, values: Values, style: Style) -> None:
    if kind.type == ParamType.DOUBLE:
        for end, bits in zip(ends.tolist(), values.tolist(), strict=True):
            written = style.double(struct.unpack("=d", struct.pack("=Q", bits))[0])
            out[end - len(written) : end] = np.frombuffer(written, np.uint8)
        return
    if kind.type == ParamType.BOOLEAN:
        values = np.minimum(values, 1)
    if kind.words:
        known = values < len(kind.words)
        _write_words(out, kind.words, ends[known], values[known])
        ends, values = ends[~known], values[~known]
    if kind.type == ParamType.LLONG:
        write_signed(out, ends, values.view(np.int64))
    else:
        write_unsigned(out, ends, values)


def _write_words(out: Text, words: Sequence[bytes], ends: Positions, values: Values) -> None:
    longest = max(map(len, words))
    table = np.frombuffer(b"".join(word.rjust(longest, BLANK) for word in words), np.uint8).reshape(-1, longest)
    out[ends[:, np.newaxis] + np.arange(-longest, 0)] = table[values.astype(np.intp)]


def _blocks(layout: Layout) -> list[tuple[int, int]]:
    """The positions of the first record of each block and of the first behind it.

    Whether a block begins with a record is the record's own affair (its UUID's), so a domain that comes or goes leaves
    the other blocks what they are.
    """
    found: list[tuple[int, int]] | None = layout.derived.get("blocks")
    if found is None:
        firsts = [0] if len(layout) else []
        for position, record in enumerate(layout.records):
            size = position - firsts[-1]
            if size and (crc32(record.domain.uuid.encode()) % BLOCK == 0 or size == BLOCK_MAX):
                firsts.append(position)
        found = layout.derived["blocks"] = list(pairwise([*firsts, len(layout)]))
        first = set(firsts)
        for position, record in enumerate(layout.records):
            if position not in first:  # one that was would keep its block for as long as it is there
                record.derived.pop("blocks", None)
    return found


def _block(records: tuple[RecordLayout, ...], values: Values, style: Style) -> _Block:
    """The text of these records, in which all these values have room; it is kept with the first."""
    blocks: dict[str, _Block] = records[0].derived.setdefault("blocks", {})
    block = blocks.get(style.name)
    numbers = tuple([record.number for record in records])
    if block is None or block.numbers != numbers or (block.narrow & (values >= NARROW)).any():
        block = blocks[style.name] = _make_block(records, values, style)
    return block


def _make_block(records: tuple[RecordLayout, ...], values: Values, style: Style) -> _Block:
    layout = Layout(records)
    texts: list[bytes] = [b""] * len(records)
    ends, kinds = np.full(len(values), -1, np.int64), np.zeros(len(values), np.uint8)
    narrow = np.zeros(len(values), np.bool_)
    styles: dict[_Kind, int] = {}
    for shape, positions in layout.by_shape():
        index = layout.starts[positions][:, np.newaxis] + np.arange(len(shape))
        text = _shape_text(shape, np.any(values.take(index) >= NARROW, axis=0), style)
        lengths = np.zeros((len(positions), len(text.strings) + 1), np.int64)
        for row, position in enumerate(positions.tolist()):
            strings = _strings(records[position], style)
            chosen = [strings[number] for number in text.strings]
            lengths[row, 1:] = list(map(len, chosen))
            texts[position] = b"".join(chain.from_iterable(zip(text.chunks, (*chosen, b""), strict=True)))
        ends[index] = np.where(text.ends >= 0, text.ends + lengths.cumsum(axis=1)[:, text.after], -1)
        kinds[index] = [styles.setdefault(kind, len(styles)) if kind else 0 for kind in text.kinds]
        narrow[index] = ~text.wide
    starts = np.cumsum([0, *map(len, texts)])
    record = np.repeat(np.arange(len(records), dtype=np.int16), np.diff(layout.starts))
    ends[ends >= 0] += starts[record[ends >= 0]]
    out = bytearray().join(texts)
    small: npt.NDArray[np.signedinteger] = ends.astype(np.int32) if len(out) < 1 << 31 else ends
    numbers = tuple([each.number for each in records])
    blanks = _Block(numbers, texts, values.copy(), small, record, narrow, kinds, tuple(styles))
    there = np.flatnonzero(ends >= 0)
    _write(np.frombuffer(out, np.uint8), blanks, style, values, there, ends[there])
    return replace(blanks, texts=[bytes(out[start:end]) for start, end in pairwise(starts.tolist())])


def _strings(record: RecordLayout, style: Style) -> list[bytes]:
    strings: list[bytes] | None = record.derived.get(style.name)
    if strings is None:
        strings = record.derived[style.name] = [style.string(string) for string in record.strings]
    return strings


def _shape_text(shape: Shape, large: npt.NDArray[np.bool_], style: Style) -> _ShapeText:
    """The text of records of this shape. `large`: for each slot whether it holds a value that needs a wide place.

    A place that was wide once stays so: a value that grows changes the text no more than once.
    """
    text: _ShapeText | None = shape.derived.get(style.name)
    if text is None or (large & ~text.wide).any():
        wide = large if text is None else large | text.wide
        text = shape.derived[style.name] = _make_shape_text(shape, wide, style)
    return text


def _make_shape_text(shape: Shape, large: npt.NDArray[np.bool_], style: Style) -> _ShapeText:
    chunks, strings, done = [bytearray()], [], 0
    ends, after = np.full(len(shape), -1, np.int64), np.zeros(len(shape), np.int64)
    kinds: list[_Kind | None] = [None] * len(shape)
    wide = large.copy()
    for piece in style.pieces(shape):
        if isinstance(piece, bytes):
            chunks[-1] += piece
        elif shape.types[piece.slot] == ParamType.STRING:
            strings.append(shape.string_places[piece.slot])
            done += len(chunks[-1])
            chunks.append(bytearray())
        else:
            slot = piece.slot
            kind = kinds[slot] = _kind(shape, piece, style)
            wide[slot] |= bool(kind.words) or kind.type == ParamType.DOUBLE
            chunks[-1] += BLANK * (kind.width if wide[slot] else 1)
            ends[slot], after[slot] = done + len(chunks[-1]), len(strings)
    return _ShapeText(tuple(map(bytes, chunks)), tuple(strings), ends, after, tuple(kinds), wide)


def _kind(shape: Shape, place: Place, style: Style) -> _Kind:
    kind = _KINDS[ParamType(shape.types[place.slot])]
    words = style.booleans if kind == ParamType.BOOLEAN else tuple(word.encode() for word in place.words)
    longest = max(style.double_width if kind == ParamType.DOUBLE else WIDTH, *map(len, words), 0)
    return _kind_of(kind, words, -(-longest // CHUNK) * CHUNK)


@lru_cache(256)
def _kind_of(kind: ParamType, words: tuple[bytes, ...], width: int) -> _Kind:
    """The same one for all places that are alike: there are as many places as values in all shapes."""
    return _Kind(kind, words, width)
