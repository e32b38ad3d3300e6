"""XML, in the form in which the bulk call was first proposed; it has everything a snapshot holds, and is read back.

    <domainstats version='1' time='1700000000.0' source='qemu:///system'>
    <domain name='vm1' uuid='...' id='3' status='fresh' age='0.5'><state reason='1'>running</state>
      <cpu><time>...</time></cpu><cpus online='1' maximum='4'><cpu id='0'><state>running</state>...</cpu></cpus>
      <block><count>1</count><disk id='0'><name>vda</name><rd><reqs>...</reqs></rd></disk></block>...</domain>
    </domainstats>

A domain stands on one line. What has no value has no element. A value whose wire type is not the one its field usually
has says so (`type`). Elements follow one another as the values do, and duplicate keys are both there, so that reading a
document gives the same parameters in the same order. `id` is missing for a domain that is off; `age` is that of its
oldest group, and <ages> has those of all groups where they are not the same, and `overlaid`, the fields or keys of what
came from the kernel in libvirt's place. How keys and texts are written: see `xml_form`. `xml.rng` beside this module is
the schema.
"""

from __future__ import annotations

from importlib.resources import files
from itertools import takewhile

from domstats.formats.options import NO_OPTIONS, Options
from domstats.formats.standing import Standing, standings
from domstats.formats.stencil import Place, Style, render
from domstats.formats.xml_form import (
    AGES,
    BOOLEANS,
    CPUS,
    CURRENT,
    INTEGERS,
    MAXIMUM,
    OVERLAID,
    PARAM,
    REASON,
    STATE,
    VERSION,
    attribute,
    content,
    double,
    path,
    type_attribute,
    usual,
    words,
)
from domstats.formats.xml_reader import Reader
from domstats.model.layout import RecordLayout, Shape
from domstats.model.params import ParamType
from domstats.model.snapshot import Snapshot

_END = b"</domain>\n"


def encode(snapshot: Snapshot, _options: Options = NO_OPTIONS) -> bytes:
    """The document, a line a domain between those of its root."""
    source = attribute("source", snapshot.sampling.source_names[0])
    opening = f"<domainstats version='{VERSION}' time='{double(snapshot.time)}'{source}>\n".encode()
    heads = map(bytes.__add__, _identities(snapshot), _standings(snapshot))
    starts = [_END + head for head in heads]
    ending = b"</domainstats>\n"
    if not starts:
        return opening + ending
    starts[0] = opening + starts[0].removeprefix(_END)
    return render(snapshot, _STYLE, [*starts, _END + ending])


def decode(data: bytes | bytearray | str) -> Snapshot:
    """The snapshot a document was made of; ages are exact to a microsecond, and nothing is known of the host's CPUs.

    Raises BadDocument for what is no such document.
    """
    return Reader().read(data)


def schema() -> bytes:
    """The RELAX NG schema of the documents, in its XML syntax."""
    return files(__package__).joinpath("xml.rng").read_bytes()


def _identities(snapshot: Snapshot) -> list[bytes]:
    layout = snapshot.layout
    found: list[bytes] | None = layout.derived.get("xml identities")
    if found is None:
        found = layout.derived["xml identities"] = [_identity(record) for record in layout.records]
    return found


def _identity(record: RecordLayout) -> bytes:
    """A domain's start tag, up to how its record stands."""
    tag: bytes | None = record.derived.get("xml identity")
    if tag is None:
        domain = record.domain
        number = "" if domain.id is None else f" id='{domain.id}'"
        tag = f"<domain{attribute('name', domain.name)}{attribute('uuid', domain.uuid)}{number}".encode()
        record.derived["xml identity"] = tag
    return tag


def _standings(snapshot: Snapshot) -> list[bytes]:
    """The rest of each domain's start tag, and the ages of its groups."""
    written: dict[Standing, bytes] = {}
    found = []
    for record, one in zip(snapshot.layout.records, standings(snapshot), strict=True):
        text = written.get(one)
        if text is None:
            text = written[one] = _standing(one, len(set(record.shape.columns)))
        found.append(text)
    return found


def _standing(one: Standing, groups: int) -> bytes:
    """`groups`: how many ages the record has if all are known."""
    tag = f" status='{one.status.label}'"
    tag += ">" if one.age is None else f" age='{double(one.age)}'>"
    differ = one.ages and (len(one.ages) < groups or len(set(one.ages.values())) > 1)
    if differ or one.overlaid:
        ages = "".join(f" {group}='{double(age)}'" for group, age in one.ages.items())
        overlaid = attribute(OVERLAID, " ".join(one.overlaid)) if one.overlaid else ""
        tag += f"<{AGES}{ages}{overlaid}/>"
    return tag.encode()


class _Pieces:
    """The text of a shape's records, made slot by slot."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._open: tuple[str, ...] = ()  # elements around the next value
        self.pieces: list[bytes | Place] = []
        slot = 0
        while slot < len(shape):
            slot = self._add(slot)
        self._enter(())

    def _add(self, slot: int) -> int:
        """The value of a slot, and with it of some after it; the slot that follows them."""
        key, kind = self._shape.keys[slot], ParamType(self._shape.types[slot])
        if self._is(slot, CURRENT) or self._is(slot, MAXIMUM):
            return self._add_cpus(slot)
        elements = path(key)
        if elements is None:
            self._enter(())
            self._put(f"<{PARAM}{attribute('name', key)} type='{kind.label}'")
            self._add_value(slot, PARAM)
            return slot + 1
        *around, own = elements
        self._enter(tuple(around))
        self._put(f"<{own}{type_attribute(own, key, kind)}")
        after = slot + 1
        if key == STATE:
            after = self._add_attribute(after, REASON, "reason")
        self._add_value(slot, own)
        return after

    def _add_cpus(self, slot: int) -> int:
        self._enter(())
        self._put(f"<{CPUS}")
        slot = self._add_attribute(slot, CURRENT, "online")
        slot = self._add_attribute(slot, MAXIMUM, "maximum")
        self._put(">")
        self._open = (CPUS,)
        return slot

    def _is(self, slot: int, key: str) -> bool:
        """Whether the slot has that key, and the usual type: what an attribute can hold."""
        keys, types = self._shape.keys, self._shape.types
        return slot < len(keys) and keys[slot] == key and ParamType(types[slot]).label == usual(key)

    def _add_attribute(self, slot: int, key: str, name: str) -> int:
        """The value of the slot as an attribute, if it has that key; the slot to go on with."""
        if not self._is(slot, key):
            return slot
        self._put(f" {name}='")
        self.pieces.append(Place(slot))
        self._put("'")
        return slot + 1

    def _add_value(self, slot: int, element: str) -> None:
        """The value, and its element's end. A string brings the end of the start tag with it, see `content`."""
        key, kind = self._shape.keys[slot], self._shape.types[slot]
        if kind != ParamType.STRING:
            self._put(">")
        self.pieces.append(Place(slot, words(key) if kind in INTEGERS and element != PARAM else ()))
        self._put(_end(element))

    def _enter(self, elements: tuple[str, ...]) -> None:
        """End the elements that the next value does not stand in, and start those that it does."""
        same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(self._open, elements, strict=False))))
        self._put("".join(map(_end, reversed(self._open[same:]))))
        self._put("".join(f"<{element}>" for element in elements[same:]))
        self._open = elements

    def _put(self, text: str) -> None:
        self.pieces.append(text.encode())


def _end(element: str) -> str:
    return f"</{element.partition(' ')[0]}>"


_STYLE = Style(
    "xml",
    lambda shape: _Pieces(shape).pieces,
    lambda string: content(string).encode(),
    lambda number: double(number).encode(),
    (BOOLEANS[0].encode(), BOOLEANS[1].encode()),
)
