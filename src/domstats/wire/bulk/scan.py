"""Finding the records of a reply body.

First in good faith: a record is taken for a known one if UUID, id and number of parameters are those of one, and it
ends where that one would. One comparison of the whole body proves it or not. If not, or if something is not known, then
record by record: each is compared with what is known of its domain, then with the known shapes, then parsed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from operator import attrgetter

import numpy as np

from domstats.errors import BadValue, ProtocolError
from domstats.model.layout import RecordLayout
from domstats.wire.bulk.parse import parse_count, parse_domain, parse_record
from domstats.wire.bulk.plan import Plan
from domstats.wire.bulk.template import HEAD_BYTES, ShapeText, Template, Words
from domstats.wire.limits import STRING_MAX

_UINT = struct.Struct(">I")
_UUID_OF = attrgetter("uuid")
_SHAPES_A_COUNT = 8
"""How many shapes with the same number of parameters are remembered."""
_HEADS_A_DOMAIN = 4
"""How many records of a domain: whoever asks for other groups in turn gets records with other numbers of parameters."""
_GUESSES = 4
"""How many times a body's length may be read as strings in trying shapes on it. A daemon's replies need one; this keeps
the cost of one that is made to mislead linear."""

RECORD_BYTES = 1200
"""What a record takes beside its text: the objects it is made of, measured with those of roll calls."""


class Known:
    """What a decoder remembers of earlier replies."""

    __slots__ = ("_heads", "_places", "_shapes", "by_head", "size")

    def __init__(self) -> None:
        self.by_head: dict[bytes, Template] = {}
        """By the 24 bytes that follow a domain's name: UUID, id and number of parameters."""
        self.size = 0
        """Bytes of all templates."""
        self._heads: dict[bytes, list[bytes]] = {}
        self._places: dict[bytes, int] = {}
        self._shapes: dict[int, list[ShapeText]] = {}

    @property
    def memory(self) -> int:
        """Bytes that the known records take, as near as need be."""
        return self.size + RECORD_BYTES * len(self.by_head)

    def order(self, templates: Sequence[Template]) -> list[int] | None:
        """Which of the templates comes first, second, ... in a snapshot: as they were first seen, new ones last.

        None if that is the order they are in.
        """
        unseen = len(self._places)
        found = map(self._places.get, map(_UUID_OF, templates), repeat(unseen))
        places = np.fromiter(found, np.int64, len(templates))
        if (places[1:] >= places[:-1]).all():
            return None
        order: list[int] = places.argsort(kind="stable").tolist()
        return order

    def remember(self, template: Template) -> None:
        """Know this record when it comes again, and its shape when another domain has it."""
        self._places.setdefault(template.uuid, len(self._places))
        heads = self._heads.setdefault(template.uuid, [])
        if template.head in heads:
            heads.remove(template.head)
            self.size -= self.by_head[template.head].size
        heads.append(template.head)
        self.by_head[template.head] = template
        self.size += template.size
        if len(heads) > _HEADS_A_DOMAIN:
            self.size -= self.by_head.pop(heads.pop(0)).size
        self.remember_shape(template)

    def remember_shape(self, template: Template) -> None:
        """Know the shape when another domain has it."""
        text = ShapeText.of(template.record.shape)
        shapes = self._shapes.setdefault(len(text.shape), [])
        if text not in shapes:
            shapes.insert(0, text)
            del shapes[_SHAPES_A_COUNT:]

    def shapes(self, count: int) -> list[ShapeText]:
        """The shapes with this many parameters, the newest first."""
        return self._shapes.get(count, [])

    def only(self, templates: Iterable[Template]) -> None:
        """Forget all but these."""
        for memory in (self.by_head, self._heads, self._places, self._shapes):
            memory.clear()
        self.size = 0
        for template in templates:
            self.remember(template)


class Scan:
    """One reading of one body."""

    def __init__(self, body: bytes, known: Known, plan_of: Callable[[list[Template]], Plan]) -> None:
        """`plan_of` gives the plan of templates in the order of the snapshot."""
        self._body, self._known, self._plan_of = body, known, plan_of
        self._words: Words = np.frombuffer(body, np.uint32)
        self._count = parse_count(body)
        self._guessed = 0

    def run(self) -> tuple[Plan, Words | None]:
        """Find every record, and remember the new ones.

        Gives a plan, and the words it reads where these are not the body as it is: its records put in the order of the
        snapshot. Raises Truncated, LimitExceeded or BadValue.
        """
        templates, starts = self._take_for_known()
        if templates:
            plan, arranged = self._arranged(templates, starts)
            if plan.matches(self._words if arranged is None else arranged):
                return plan, arranged
        templates, starts = self._read()
        for template in [each for each in templates if self._known.by_head.get(each.head) is not each]:
            self._known.remember(template)
        return self._arranged(templates, starts)

    def _arranged(self, templates: list[Template], starts: list[int]) -> tuple[Plan, Words | None]:
        order = self._known.order(templates)
        if order is None:
            return self._plan_of(templates), None
        plan = self._plan_of([templates[record] for record in order])
        body, edges = memoryview(self._body), [*starts, len(self._body)]
        parts = [body[:4], *[body[edges[record] : edges[record + 1]] for record in order]]
        return plan, np.frombuffer(b"".join(parts), np.uint32)

    def _take_for_known(self) -> tuple[list[Template], list[int]]:
        """The templates that the records seem to have, and where each begins; none if something is not known."""
        body, last, by_head = self._body, len(self._body) - 4, self._known.by_head
        length_at = _UINT.unpack_from
        templates: list[Template] = []
        starts: list[int] = []
        at = 4
        for _ in range(self._count):
            if at > last:
                return [], []
            head_at = at + 4 + (length_at(body, at)[0] + 3 & -4)
            template = by_head.get(body[head_at : head_at + HEAD_BYTES])
            if template is None:
                return [], []
            starts.append(at)
            templates.append(template)
            at += template.size
        return (templates, starts) if at == len(body) else ([], [])

    def _read(self) -> tuple[list[Template], list[int]]:
        """The templates of the records, and where each begins. Raises ProtocolError."""
        templates: list[Template] = []
        starts: list[int] = []
        at = 4
        for _ in range(self._count):
            template = self._recognise(at)
            if template is None:
                template = Template.of(parse_record(self._body, at)[0])
                self._known.remember_shape(template)
            starts.append(at)
            templates.append(template)
            at += template.size
        if at != len(self._body):
            raise BadValue("records", at, f"{len(self._body) - at} bytes are left over behind the last record")
        return templates, starts

    def _recognise(self, at: int) -> Template | None:
        """The template of the record that begins here, if it is a known one or has a known shape; proved."""
        try:
            domain, count_at = parse_domain(self._body, at)
        except ProtocolError:
            return None
        head = self._body[count_at + 4 - HEAD_BYTES : count_at + 4]
        if len(head) < HEAD_BYTES:
            return None
        template = self._known.by_head.get(head)
        if template is not None and template.matches(self._words, at // 4):
            return template
        for text in self._known.shapes(_UINT.unpack_from(head, HEAD_BYTES - 4)[0]):
            strings = self._strings(count_at + 4, text)
            if strings is not None:
                template = Template.of(RecordLayout(domain, text.shape, strings))
                if template.matches(self._words, at // 4):
                    return template
        return None

    def _strings(self, at: int, text: ShapeText) -> list[str] | None:
        """The strings of a record that has this shape and its parameters from here on; None if it cannot."""
        body = self._body
        strings: list[str] = []
        for chunk in text.chunks[:-1]:
            at += len(chunk)
            if at + 4 > len(body):
                return None
            (length,) = _UINT.unpack_from(body, at)
            if length > STRING_MAX or self._guessed + length > _GUESSES * len(body):
                return None
            self._guessed += length
            strings.append(str(body[at + 4 : at + 4 + length], "utf-8", "surrogateescape"))
            at += 4 + length + -length % 4
        return strings
