"""A record's bytes in a reply, with the numbers left out: what stays the same from poll to poll.

Three things are kept apart so that each is worked out once. A ShapeText belongs to a shape: the bytes of its keys and
types, cut where strings stand. A Form belongs to a shape and the lengths of its strings: where in the record each
number is. A Template belongs to a record layout: the actual bytes.
"""

from __future__ import annotations

import struct
import uuid

import numpy as np
import numpy.typing as npt

from domstats.errors import LimitExceeded
from domstats.model.layout import RecordLayout, Shape
from domstats.model.params import ParamType
from domstats.wire.limits import NAME_MAX, PARAMS_MAX

Words = npt.NDArray[np.uint32]
Indexes = npt.NDArray[np.intp]

WORD = 4
_UINT = struct.Struct(">I")
_HEAD = struct.Struct(">16siI")
HEAD_BYTES = _HEAD.size
"""UUID, id and number of parameters: what follows a domain's name."""
_NARROW = frozenset((ParamType.UINT, ParamType.BOOLEAN))
_WIDE = frozenset((ParamType.LLONG, ParamType.ULLONG, ParamType.DOUBLE))


def xdr_string(text: str) -> bytes:
    """Length, bytes and zero padding to a multiple of four."""
    raw = text.encode("utf-8", "surrogateescape")
    return _UINT.pack(len(raw)) + raw + bytes(-len(raw) % WORD)


class ShapeText:
    """The bytes of a shape's keys and types."""

    __slots__ = ("chunks", "forms", "shape", "value_chunks", "value_words")

    def __init__(self, shape: Shape) -> None:
        if len(shape) > PARAMS_MAX:
            raise LimitExceeded("parameters", 0, f"{len(shape)} parameters in one record, at most {PARAMS_MAX} allowed")
        self.shape = shape
        chunks: list[bytes] = []
        parts: list[bytes] = []
        words, value_words, value_chunks = 0, [], []
        for key, kind in zip(shape.keys, shape.types, strict=True):
            name = xdr_string(key)
            if _UINT.unpack_from(name)[0] > NAME_MAX:
                raise LimitExceeded("parameter name", 0, f"the name {key[:20]!r}... is over {NAME_MAX} bytes long")
            parts += (name, _UINT.pack(kind))
            words += len(name) // WORD + 1
            value_words.append(words)
            value_chunks.append(len(chunks))
            if kind == ParamType.STRING:
                chunks.append(b"".join(parts))
                parts = []
            else:
                width = 2 if kind in _WIDE else 1
                parts.append(bytes(width * WORD))
                words += width
        chunks.append(b"".join(parts))
        self.chunks = tuple(chunks)
        """Bytes up to each string, then those behind the last one."""
        self.value_words = np.array(value_words, np.intp)
        """Word at which each value begins, counted from the first parameter as if every string took no words."""
        self.value_chunks = np.array(value_chunks, np.intp)
        """How many strings stand before each value."""
        self.forms: dict[tuple[int, ...], Form] = {}

    @classmethod
    def of(cls, shape: Shape) -> ShapeText:
        """The shape's text, made once."""
        text: ShapeText | None = shape.derived.get(cls)
        if text is None:
            text = shape.derived[cls] = cls(shape)
        return text

    def form(self, lengths: tuple[int, ...]) -> Form:
        """The form of a record with these lengths in words: its header, then each string with its length word."""
        form = self.forms.get(lengths)
        if form is None:
            if len(self.forms) >= _FORMS_MAX:
                self.forms.clear()
            form = self.forms[lengths] = Form(self, lengths)
        return form


_FORMS_MAX = 1024  # lengths of names and paths are few on a host; a peer that varies them for ever is not remembered


class Form:
    """Where in a record's bytes the numbers are; in words of 32 bits, counted from the record's first."""

    __slots__ = ("fixed", "gather", "narrow", "signed", "string_words", "strings", "words")

    def __init__(self, text: ShapeText, lengths: tuple[int, ...]) -> None:
        header, *strings = lengths
        before = np.concatenate((np.zeros(1, np.intp), np.cumsum(np.array(strings, np.intp), dtype=np.intp)))
        first = text.value_words + before[text.value_chunks] + header
        types = np.frombuffer(text.shape.types, np.uint8)
        wide = np.isin(types, list(_WIDE))
        is_string = types == ParamType.STRING
        high, low = first, first + wide
        self.gather: Indexes = np.stack((high, low), axis=1).ravel()
        """Two words a value, the high one first; a value of 32 bits has the same word twice."""
        self.narrow: Indexes = np.flatnonzero(np.isin(types, list(_NARROW)))
        self.signed: Indexes = np.flatnonzero(types == ParamType.INT)
        self.strings: Indexes = np.flatnonzero(is_string)
        """Slots of 32-bit unsigned, of 32-bit signed values, and of strings."""
        self.string_words: Indexes = first[is_string]
        self.words = header + sum(map(len, text.chunks)) // WORD + sum(strings)
        self.fixed = np.ones(self.words, np.bool_)
        """True for the words that are text; a number's are not."""
        self.fixed[high[~is_string]] = False
        self.fixed[low[~is_string]] = False


class Template:
    """A record layout's bytes, its numbers zero."""

    __slots__ = ("data", "form", "head", "record", "size", "uuid")

    def __init__(self, record: RecordLayout) -> None:
        domain, text = record.domain, ShapeText.of(record.shape)
        self.record = record
        self.uuid = uuid.UUID(domain.uuid).bytes
        self.head = _HEAD.pack(self.uuid, -1 if domain.id is None else domain.id, len(record.shape))
        header = xdr_string(domain.name) + self.head
        strings = [xdr_string(string) for string in record.strings]
        parts = [header]
        for chunk, string in zip(text.chunks, strings, strict=False):
            parts += (chunk, string)
        parts.append(text.chunks[-1])
        self.data = b"".join(parts)
        self.size = len(self.data)
        self.form = text.form((len(header) // WORD, *(len(string) // WORD for string in strings)))

    @classmethod
    def of(cls, record: RecordLayout) -> Template:
        """The record layout's template, made once."""
        template: Template | None = record.derived.get(cls)
        if template is None:
            template = record.derived[cls] = cls(record)
        return template

    def matches(self, words: Words, start: int) -> bool:
        """Whether the record at this word of a body has this template's text."""
        here = words[start : start + self.form.words]
        if len(here) != self.form.words:
            return False
        differs = here != np.frombuffer(self.data, np.uint32)
        return not (differs & self.form.fixed).any()
