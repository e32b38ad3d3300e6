"""The form of the XML documents, for the encoder and the decoder: what stands for a key, and how texts are written.

A key of the catalogue stands as elements for its parts. Any other is a <param> with the key as its name.

- Markup, control characters and what turns the direction of writing are written as references.
- Text that XML cannot carry (bytes that are not UTF-8, most control characters) is base64 of its bytes: an element has
  `encoding='base64'` then, and an attribute NAME has another beside it, NAME-encoding='base64'.
"""

from __future__ import annotations

import base64
import math
import re

from domstats.catalog.enums import DOMAIN_STATES, VCPU_STATES
from domstats.catalog.groups import GROUPS
from domstats.catalog.lookup import field_of
from domstats.formats.text import HOSTILE, to_bytes, utf8
from domstats.model.params import ParamType

VERSION = "1"
BASE64 = "base64"
STATE, REASON = "state.state", "state.reason"
CURRENT, MAXIMUM = "vcpu.current", "vcpu.maximum"
STAT_TYPES = ("sum", "cur", "max")
STAT_USUAL = ParamType.ULLONG.label
"""The usual wire type of what a <stat> holds."""
INTEGERS = (ParamType.INT, ParamType.UINT, ParamType.LLONG, ParamType.ULLONG)
BOOLEANS = ("false", "true")

AGES, CPUS, ITEM, OVERLAID, PARAM, STAT = "ages", "cpus", "item", "overlaid", "param", "stat"
GROUP_ELEMENTS = {CPUS if group.prefix == "vcpu" else group.prefix: group.prefix for group in GROUPS}
"""A group's element: the first part of its keys."""
_ELEMENTS = {prefix: element for element, prefix in GROUP_ELEMENTS.items()}
_NUMBERED = {"vcpu": "cpu", "net": "interface", "block": "disk", "iothread": "iothread"}
_STAT_PARENT = re.compile(r"vm|vcpu\.[0-9]+")

_NAME = re.compile(rf"(?!(?i:xml)|(?:{ITEM}|{STAT})\Z)[A-Za-z_][A-Za-z0-9_-]*")
"""What may be an element's name; those that begin with xml are XML's own."""
_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;"}
_WRITTEN = re.compile(f"[{''.join(_MARKUP)}{HOSTILE}]")
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""What no XML document can contain, not even as a reference."""


def numbered(key: str) -> str:
    """The name of the elements for the numbers that follow the parts of this key: a disk's below `block`."""
    return _NUMBERED.get(key, ITEM)


def has_stats(key: str) -> bool:
    """Whether hypervisor-named statistics follow the parts of this key."""
    return _STAT_PARENT.fullmatch(key) is not None


def is_name(part: str) -> bool:
    """Whether an element can have this part of a key as its name."""
    return _NAME.fullmatch(part) is not None


def words(key: str) -> tuple[str, ...]:
    """The words for the numbers of a key, where it has any."""
    if key == STATE:
        return DOMAIN_STATES
    return VCPU_STATES if key.startswith("vcpu.") and key.count(".") == 2 and key.endswith(".state") else ()


def path(key: str) -> tuple[str, ...] | None:
    """The elements a key stands in, from the domain's down to its own; of each its name and attributes, as written.

    None where it can only be a <param>.
    """
    field = field_of(key)
    if field is None or key in (REASON, CURRENT, MAXIMUM):
        return None
    if key == STATE:
        return ("state",)
    parts = key.split(".")
    stat: tuple[str, ...] = ()
    if "<name>" in field.pattern:
        *parts, name, which = parts
        stat = (f"{STAT}{attribute('name', name)} type='{which}'",)
    elements = [_ELEMENTS[parts[0]]]
    for number, part in enumerate(parts[1:], start=1):
        if part.isdigit():
            elements.append(f"{numbered('.'.join(parts[:number]))} id='{part}'")
        elif is_name(part):
            elements.append(part)
        else:
            return None
    return (*elements, *stat)


def usual(key: str) -> str:
    """The label of the wire type that a key of the catalogue usually has."""
    field = field_of(key)
    return field.types[0] if field is not None else ""


def type_attribute(element: str, key: str, kind: ParamType) -> str:
    """The attribute for a value's wire type, empty where it is the usual one. A <stat> has another `type` already."""
    if kind.label == usual(key):
        return ""
    return f" {'value-type' if element.startswith(f'{STAT} ') else 'type'}='{kind.label}'"


def attribute(name: str, text: str) -> str:
    """An attribute that holds any text, with the blank before it."""
    plain = _plain(text)
    if plain is None:
        return f" {name}='{_base64(text)}' {name}-encoding='{BASE64}'"
    return f" {name}='{plain}'"


def content(text: str) -> str:
    """What follows the name and attributes of an element that holds any text, up to its end tag."""
    plain = _plain(text)
    return f" encoding='{BASE64}'>{_base64(text)}" if plain is None else f">{plain}"


def double(value: float) -> str:
    """A double: the shortest text that means it, as XML Schema writes those that are not finite."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"


def _plain(text: str) -> str | None:
    """Text with references, or None where XML cannot carry it."""
    plain = utf8(text)
    if plain is None or _IMPOSSIBLE.search(plain):
        return None
    return _WRITTEN.sub(_reference, plain)


def _reference(match: re.Match[str]) -> str:
    return _MARKUP.get(match[0]) or f"&#{ord(match[0])};"


def _base64(text: str) -> str:
    return base64.b64encode(to_bytes(text)).decode()
