"""Reading the XML documents.

expat goes through a document, and no tree is built. A document type is refused, so there are no entities of its own;
every length, number and word is checked. A document may have been laid out anew: with blanks between elements, with
comments. An element that is not known may stand inside a group's if it says the wire type of its value: a later version
has written it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from domstats.catalog.groups import GROUP_NAMES, group_of
from domstats.errors import BadDocument
from domstats.formats.rebuild import KEY_MAX, STATUSES, TYPES, ReadRecord, snapshot_of
from domstats.formats.text import escape
from domstats.formats.xml_form import (
    AGES,
    BASE64,
    BOOLEANS,
    CURRENT,
    GROUP_ELEMENTS,
    MAXIMUM,
    OVERLAID,
    PARAM,
    REASON,
    STAT,
    STAT_TYPES,
    STAT_USUAL,
    STATE,
    VERSION,
    has_stats,
    is_name,
    numbered,
    usual,
    words,
)
from domstats.model.domain import Domain, is_uuid
from domstats.model.params import RANGES, ParamType, TypedParameter, Value
from domstats.model.sampling import COLUMN_NAMES, Status
from domstats.model.snapshot import Snapshot
from domstats.wire.limits import PARAMS_MAX, STRING_MAX

FORM = "xml"
"""What errors call it."""
DEPTH_MAX = 48
"""How deep elements may stand in one another; a key of libvirt's has at most 40 parts."""
SECONDS_MAX = 1e12
"""Of a time or an age: 30,000 years."""

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_DOUBLE = re.compile(r"-?[0-9]{1,32}(\.[0-9]{1,32})?([eE][-+]?[0-9]{1,4})?|-?INF|NaN")
_ID = re.compile("[0-9]+")

SHOWN_MAX = 60
"""Characters of the document that an error shows."""


@dataclass(slots=True, eq=False)
class _Element:
    """An element inside a domain's; one object for all that stand for the same parts of keys."""

    key: str
    """The parts of the keys up to this one; empty for the domain."""
    usual: str = ""
    """The label of its value's usual wire type, where the catalogue says that it holds a value."""
    words: tuple[str, ...] = ()
    inner: dict[tuple[str, str | None], _Element] = field(default_factory=dict)
    """What has been met in it, by name and id."""


@dataclass(slots=True, eq=False)
class _Leaf:
    """An element that holds a value, or nothing."""

    key: str
    type: ParamType | None
    """None for one that holds nothing."""
    words: tuple[str, ...] = ()
    encoded: bool = False
    """Whether its text is base64."""
    reason: int | None = None
    """Of a domain's state, where it is said."""


@dataclass(slots=True, eq=False)
class _Domain:
    """A domain that has not ended."""

    domain: Domain
    status: Status
    age: float | None
    """Of all its groups, where it is said."""
    params: list[TypedParameter] = field(default_factory=list)
    ages: dict[str, float] | None = None
    """Of each group, where they differ."""
    overlaid: Sequence[str] = ()
    """Which values came from the kernel."""

    def record(self) -> ReadRecord:
        """What has been read."""
        ages = self.ages
        if ages is None:
            groups = {group_of(param.name) for param in self.params} if self.age is not None else ()
            ages = {GROUP_NAMES[group]: self.age or 0.0 for group in groups}
        return ReadRecord(self.domain, self.params, self.status, ages, self.overlaid)


class Reader:
    """Reads one document."""

    def __init__(self) -> None:
        # The encoding is not the document's to choose, see `_declaration`.
        self._parser = parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        self._text: list[str] = []  # since the last tag
        parser.CharacterDataHandler = self._text.append
        self._top = _Element("")
        self._depth = 0
        self._around: list[tuple[_Element, int]] = []  # elements in a domain that have not ended; values before each
        self._leaf: _Leaf | None = None  # while the parser is in it
        self._time, self._source = 0.0, ""
        self._records: list[ReadRecord] = []
        self._domain: _Domain | None = None  # the one the parser is in
        self._params: list[TypedParameter] = []  # its values

    def read(self, data: bytes | bytearray | str) -> Snapshot:
        """The snapshot. Raises BadDocument."""
        # A lone surrogate is no character, which is expat's to say.
        document = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        try:
            self._parser.Parse(document, True)
        except expat.ExpatError as error:
            why = expat.ErrorString(error.code) or "not well-formed"
            raise BadDocument(FORM, _where(error.lineno, error.offset), why) from None
        try:
            return snapshot_of(self._records, self._time, self._source)
        except ValueError as error:
            raise BadDocument(FORM, "", str(error)) from None

    def _fault(self, why: str) -> NoReturn:
        where = _where(self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber)
        raise BadDocument(FORM, where, why)

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "us-ascii"):
            self._fault("not in UTF-8")

    def _doctype(self, *_: object) -> None:
        self._fault("a document type, which no such document has")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._leaf is not None:
            self._fault(f"<{_shown(tag)}> inside the value of {_shown(self._leaf.key)}")
        if self._text:
            self._end_blanks()
        self._depth += 1
        if self._depth > DEPTH_MAX:
            self._fault(f"elements over {DEPTH_MAX} deep")
        if self._depth == 1:
            self._start_root(tag, attributes)
        elif self._depth == 2:
            self._start_domain(tag, attributes)
        else:
            self._start_inside(tag, attributes)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        leaf, self._leaf = self._leaf, None
        if leaf is not None and leaf.type is not None:
            text = "".join(self._text)
            self._text.clear()
            self._add(leaf.key, leaf.type, self._value(leaf, leaf.type, text))
            if leaf.reason is not None:
                self._add(REASON, ParamType.INT, leaf.reason)
            return
        if self._text:
            self._end_blanks()
        if leaf is None and self._depth > 1:
            _, before = self._around.pop()
            if before == len(self._params):
                self._fault(f"nothing in <{_shown(tag)}>")
        elif self._depth == 1 and self._domain is not None:
            self._records.append(self._domain.record())

    def _end_blanks(self) -> None:
        """There is text between elements: blanks, or a fault."""
        text = "".join(self._text).strip(" \t\r\n")
        self._text.clear()
        if text:
            self._fault(f"{_shown(text)} where no value stands")

    def _start_root(self, tag: str, attributes: dict[str, str]) -> None:
        if tag != "domainstats":
            self._fault(f"<{_shown(tag)}>, not <domainstats>")
        self._allow(tag, attributes, "version", "time", "source", "source-encoding")
        if attributes.get("version") != VERSION:
            self._fault(f"version {_shown(attributes.get('version', ''))}, not {VERSION}")
        self._time = self._seconds("time", attributes.get("time", ""))
        self._source = self._string("source", attributes)

    def _start_domain(self, tag: str, attributes: dict[str, str]) -> None:
        if tag != "domain":
            self._fault(f"<{_shown(tag)}>, not <domain>")
        self._allow(tag, attributes, "name", "name-encoding", "uuid", "id", "status", "age")
        uuid, status = attributes.get("uuid", ""), attributes.get("status", "")
        if not is_uuid(uuid) or uuid != uuid.lower():
            self._fault(f"{_shown(uuid)} is no UUID in lower case")
        if status not in STATUSES:
            self._fault(f"{_shown(status)} is no status")
        number = self._integer("id", ParamType.INT, attributes["id"]) if "id" in attributes else None
        age = self._seconds("age", attributes["age"]) if "age" in attributes else None
        self._domain = _Domain(Domain(self._string("name", attributes), uuid, number), STATUSES[status], age)
        self._params = self._domain.params

    def _start_inside(self, tag: str, attributes: dict[str, str]) -> None:
        """An element of a domain: a value's, or one around others."""
        outer = self._around[-1][0] if self._around else self._top
        if outer is self._top and tag == PARAM:
            self._start_param(attributes)
        elif outer is self._top and tag == AGES:
            self._start_ages(attributes)
        elif tag == STAT and has_stats(outer.key):
            self._start_stat(outer, attributes)
        else:
            number = attributes.get("id")
            element = outer.inner.get((tag, number))
            if element is None:
                element = outer.inner[tag, number] = self._element(outer, tag, number)
            if element.usual or "type" in attributes:
                self._start_value(element, tag, attributes)
            else:
                self._start_branch(element, tag, attributes)

    def _element(self, outer: _Element, tag: str, number: str | None) -> _Element:
        """What stands for a part of the keys in an element."""
        if outer is self._top:
            key = STATE if tag == "state" else GROUP_ELEMENTS.get(tag, "")
            if not key or number is not None:
                self._fault(f"<{_shown(tag)}> in a <domain>")
            return _Element(key, usual(key), words(key))
        if number is None and is_name(tag) and tag != numbered(outer.key):
            key = f"{outer.key}.{tag}"
        elif number is not None and tag == numbered(outer.key) and _ID.fullmatch(number):
            key = f"{outer.key}.{number}"
        else:
            self._fault(f"<{_shown(tag)}> with {'no' if number is None else 'this'} id, in {_shown(outer.key)}")
        return _Element(self._key(key), usual(key), words(key))

    def _start_branch(self, element: _Element, tag: str, attributes: dict[str, str]) -> None:
        self._around.append((element, len(self._params)))
        if element.key == "vcpu":
            self._allow(tag, attributes, "online", "maximum")
            for name, key in (("online", CURRENT), ("maximum", MAXIMUM)):
                if name in attributes:
                    self._add(key, ParamType.UINT, self._integer(key, ParamType.UINT, attributes[name]))
        elif attributes:
            self._allow(tag, attributes, "id")

    def _start_value(self, element: _Element, tag: str, attributes: dict[str, str]) -> None:
        kind = self._type(attributes.get("type", element.usual))
        self._leaf = leaf = _Leaf(element.key, kind, element.words, self._encoded(kind, attributes))
        if element.key == STATE:
            self._allow(tag, attributes, "reason", "type", "encoding")
            if "reason" in attributes:
                leaf.reason = self._integer(REASON, ParamType.INT, attributes["reason"])
        elif attributes:
            self._allow(tag, attributes, "id", "type", "encoding")

    def _start_param(self, attributes: dict[str, str]) -> None:
        self._allow(PARAM, attributes, "name", "name-encoding", "type", "encoding")
        kind = self._type(attributes.get("type", ""))
        key = self._key(self._string("name", attributes))
        self._leaf = _Leaf(key, kind, encoded=self._encoded(kind, attributes))

    def _start_stat(self, outer: _Element, attributes: dict[str, str]) -> None:
        self._allow(STAT, attributes, "name", "name-encoding", "type", "value-type", "encoding")
        which = attributes.get("type", "")
        if which not in STAT_TYPES:
            self._fault(f"{_shown(which)} is no type of a <{STAT}>")
        kind = self._type(attributes.get("value-type", STAT_USUAL))
        key = f"{outer.key}.{self._string('name', attributes)}.{which}"
        self._leaf = _Leaf(self._key(key), kind, encoded=self._encoded(kind, attributes))

    def _start_ages(self, attributes: dict[str, str]) -> None:
        self._allow(AGES, attributes, *COLUMN_NAMES, OVERLAID, f"{OVERLAID}-encoding")
        if self._domain is None or self._params or self._domain.ages is not None:
            self._fault(f"<{AGES}> that is not the first in its domain")
        ages = ((name, age) for name, age in attributes.items() if not name.startswith(OVERLAID))
        self._domain.ages = {name: self._seconds(name, age) for name, age in ages}
        self._domain.overlaid = self._string(OVERLAID, attributes).split(" ") if OVERLAID in attributes else ()
        self._leaf = _Leaf(AGES, None)

    def _allow(self, tag: str, attributes: dict[str, str], *names: str) -> None:
        """Check that an element has no other attributes."""
        for name in attributes:
            if name not in names:
                self._fault(f"an attribute {_shown(name)} of <{_shown(tag)}>")

    def _add(self, key: str, kind: ParamType, value: Value) -> None:
        if len(self._params) == PARAMS_MAX:
            self._fault(f"over {PARAMS_MAX} values of a domain")
        self._params.append(TypedParameter(key, kind, value))

    def _value(self, leaf: _Leaf, kind: ParamType, text: str) -> Value:
        """What an element's text means."""
        if kind == ParamType.STRING:
            return self._decoded(leaf.key, text) if leaf.encoded else self._limited(leaf.key, text)
        if kind == ParamType.DOUBLE:
            return self._double(leaf.key, text)
        if kind == ParamType.BOOLEAN:
            if text not in BOOLEANS:
                self._fault(f"{_shown(leaf.key)}: {_shown(text)} is no boolean")
            return text == BOOLEANS[True]
        return leaf.words.index(text) if text in leaf.words else self._integer(leaf.key, kind, text)

    def _type(self, label: str) -> ParamType:
        kind = TYPES.get(label)
        return kind if kind is not None else self._fault(f"{_shown(label)} is no type")

    def _encoded(self, kind: ParamType, attributes: dict[str, str], name: str = "encoding") -> bool:
        """Whether a string is said to be base64."""
        encoding = attributes.get(name)
        if encoding is not None and (encoding != BASE64 or kind != ParamType.STRING):
            self._fault(f"{_shown(encoding)} is no encoding of a {kind.label}")
        return encoding is not None

    def _string(self, name: str, attributes: dict[str, str]) -> str:
        """The text of an attribute that may be base64."""
        if name not in attributes:
            self._fault(f"no {name}")
        text = attributes[name]
        if self._encoded(ParamType.STRING, attributes, f"{name}-encoding"):
            return self._decoded(name, text)
        return self._limited(name, text)

    def _decoded(self, name: str, text: str) -> str:
        try:
            found = base64.b64decode(text, validate=True)
        except ValueError:
            self._fault(f"{_shown(name)}: {_shown(text)} is not base64")
        return self._limited(name, found.decode("utf-8", "surrogateescape"))

    def _key(self, key: str) -> str:
        if len(key) > KEY_MAX:
            self._fault(f"a key over {KEY_MAX} characters, {_shown(key)}")
        return key

    def _limited(self, name: str, text: str) -> str:
        if len(text) > STRING_MAX:
            self._fault(f"{_shown(name)}: over {STRING_MAX} characters")
        return text

    def _integer(self, name: str, kind: ParamType, text: str) -> int:
        if not _INTEGER.fullmatch(text) or (number := int(text)) not in RANGES[kind]:
            self._fault(f"{_shown(name)}: {_shown(text)} is no {kind.label}")
        return number

    def _double(self, name: str, text: str) -> float:
        if not _DOUBLE.fullmatch(text):
            self._fault(f"{_shown(name)}: {_shown(text)} is no double")
        return float(text)

    def _seconds(self, name: str, text: str) -> float:
        seconds = self._double(name, text)
        if not abs(seconds) <= SECONDS_MAX:
            self._fault(f"{name}: {text} is no number of seconds")
        return seconds


def _where(line: int, column: int) -> str:
    return f"line {line}, column {column + 1}"


def _shown(text: str) -> str:
    """Text of the document in an error's: not much of it, and nothing that a terminal would obey."""
    return f"'{escape(text if len(text) <= SHOWN_MAX else f'{text[:SHOWN_MAX]}…')}'"
