"""A whole reply body as a row of templates: one comparison, one gather of the numbers, one byte swap.

This is the fast path, and clever on purpose: a reply of 1,024 guests is 1.7 million words, of which 350,000 are
numbers, and a loop over them in Python takes 70 ms where this takes under 1 (`make bench`, rows decode-*). All of it is
NumPy operations over the whole body, seen as 32-bit words: XDR aligns to four bytes only, and half of the 64-bit
numbers are not aligned for a 64-bit read.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from domstats.model.columns import Values
from domstats.model.layout import Layout
from domstats.wire.bulk.template import Form, Indexes, Template, Words


class Plan:
    """A body's records as templates, and how its numbers become a snapshot's values."""

    __slots__ = (
        "_fixed", "_gather", "_narrow", "_signed", "_string_values", "_string_words", "_strings",
        "_text", "hint", "layout", "templates", "used",
    )  # fmt: skip

    def __init__(self, templates: Sequence[Template]) -> None:
        self.used = 0
        """Number of the reply that it was used for last; the decoder's."""
        self.hint: tuple[int, bytes] | None = None
        """Length and beginning of the body that it was last found for without a hint; the decoder's."""
        self.templates = tuple(templates)
        self.layout = Layout([template.record for template in templates])
        forms = [template.form for template in templates]
        count = struct.pack(">I", len(templates))
        self._text: Words = np.frombuffer(b"".join([count, *(template.data for template in templates)]), np.uint32)
        self._fixed = np.concatenate([_TRUE, *(form.fixed for form in forms)])
        starts = self.layout.starts[:-1]
        words = np.cumsum([1, *(form.words for form in forms)], dtype=np.intp)[:-1]
        self._gather = np.concatenate([_NO_INDEXES, *(form.gather for form in forms)])
        self._gather += np.repeat(words, [len(form.gather) for form in forms])
        narrow, signed, strings, string_words, string_values = _Pile(), _Pile(), _Pile(), _Pile(), _Pile()
        for form, members in _members(forms):
            narrow.add(form.narrow, starts[members])
            signed.add(form.signed, starts[members])
            strings.add(form.strings, starts[members])
            string_words.add(form.string_words, words[members])
            string_values.add(np.arange(len(form.strings)), np.zeros(len(members), np.intp))
        self._narrow, self._signed = narrow.joined(), signed.joined()
        self._strings, self._string_words = strings.joined(), string_words.joined()
        self._string_values = string_values.joined().astype(np.uint64)

    @property
    def words(self) -> int:
        """Length of the body, in words."""
        return len(self._text)

    def matches(self, body: Words) -> bool:
        """Whether the body is this plan's text but for its numbers."""
        if len(body) != len(self._text):
            return False
        differs = np.not_equal(body, self._text)
        differs &= self._fixed
        return not differs.any()

    def read(self, body: Words) -> Values:
        """The values of a body that matches."""
        values = body.take(self._gather).view(_BIG_ENDIAN).astype(np.uint64)
        values[self._narrow] &= _LOW_WORD
        values[self._signed] = values[self._signed].astype(np.int32).astype(np.int64).view(np.uint64)
        values[self._strings] = self._string_values
        return values

    def write(self, values: Values) -> bytes:
        """The body that holds these values."""
        pairs = values.astype(_BIG_ENDIAN).view(np.uint32).reshape(-1, 2)
        for slots in (self._narrow, self._signed):
            pairs[slots, 0] = pairs[slots, 1]
        pairs[self._strings] = self._text[self._string_words][:, np.newaxis]
        body = self._text.copy()
        body[self._gather] = pairs.ravel()
        return body.tobytes()


_BIG_ENDIAN = np.dtype(">u8")
_TRUE = np.ones(1, np.bool_)
_NO_INDEXES = np.empty(0, np.intp)
_LOW_WORD = np.uint64(0xFFFFFFFF)


def _members(forms: Sequence[Form]) -> list[tuple[Form, Indexes]]:
    """Each form with the positions of the records that have it; there are few forms and many records."""
    found: dict[Form, list[int]] = {}
    for position, form in enumerate(forms):
        found.setdefault(form, []).append(position)
    return [(form, np.array(positions, np.intp)) for form, positions in found.items()]


class _Pile:
    """Indexes within a record, once for each record that has them, in no particular order."""

    def __init__(self) -> None:
        self._parts: list[Indexes] = [_NO_INDEXES]

    def add(self, indexes: Indexes, starts: Indexes) -> None:
        self._parts.append(np.add.outer(starts, indexes).ravel())

    def joined(self) -> Indexes:
        return np.concatenate(self._parts)
