"""Finding catalogue entries: by a key that was received, by a pattern a user typed.

A key names its field once the numbers in it are set aside. The keys of three families hold a word that is not
libvirt's (`vcpu.<id>.<name>.sum`, `vm.<name>.sum`, `cpu.energy.monitor.<i>.pkg.<j>.<feature>`); those are recognised by
everything around that word. What fits nothing is a key of a newer libvirt: it has no entry, and that is no error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import translate

from domstats.catalog.fields import FIELDS, Field, Kind
from domstats.catalog.groups import GROUPS

MAX_KEY = 79
"""libvirt's VIR_TYPED_PARAM_FIELD_LENGTH is 80 bytes with the end mark. No longer key is libvirt's."""

_LIKE = 0.85
"""How like a pattern must be a key that was mistyped: those of one device have most of their letters in common."""

_Shape = tuple[str | None, ...]
"""The components of a key or pattern: None for a number, empty for a word that is not libvirt's."""

_MARKS: dict[str, str | None] = {"<i>": None, "<j>": None, "<id>": None, "<name>": "", "<feature>": ""}


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdigit()


_BY_SHAPE: dict[_Shape, Field] = {
    tuple(_MARKS.get(part, part) for part in field.pattern.split(".")): field for field in FIELDS
}
_IN_NS = {shape: replace(field, unit="ns") for shape, field in _BY_SHAPE.items() if "" in shape}
"""The fields whose keys hold a foreign word, as they are when that word says nanoseconds."""
_WORD_AT = {shape[0]: shape.index("") for shape in _IN_NS}
"""Position of the foreign word, by the key's first component."""


def field_of(key: str) -> Field | None:
    """The entry of a key such as `vcpu.3.time`, or None for a key the catalogue does not know.

    A hypervisor's statistic whose name ends in `_ns` has the unit ns. Any text may be asked for, and none takes longer
    than a key of the greatest length.
    """
    if len(key) > MAX_KEY:
        return None
    shape = tuple(None if _is_number(part) else part for part in key.split("."))
    if "" in shape:
        return None
    return _BY_SHAPE.get(shape) or _open_field(shape)


def _open_field(shape: _Shape) -> Field | None:
    """The entry of a key that holds a word of the hypervisor's or the kernel's."""
    at = _WORD_AT.get(shape[0] or "", len(shape))
    word = shape[at] if at < len(shape) else None
    if word is None:
        return None
    around = (*shape[:at], "", *shape[at + 1 :])
    return _IN_NS.get(around) if word.endswith("_ns") else _BY_SHAPE.get(around)


def kind_of(key: str) -> Kind | None:
    """How the value of a key behaves over time, or None for a key the catalogue does not know."""
    field = field_of(key)
    return field.kind if field else None


def find_fields(text: str) -> tuple[Field, ...]:
    """The entries a user may mean, in the catalogue's order; empty when nothing fits.

    `text` is the name of a group (libvirt's, virsh's option, or the keys' prefix), a key such as `vcpu.3.time`, a
    shell-style glob of patterns or keys, a part of a pattern, or else a word of the meaning. Case matters in keys only.
    """
    for group in GROUPS:
        if text in (group.name, group.option, group.prefix):
            return tuple(field for field in FIELDS if field.group == group.name)
    is_glob = any(sign in text for sign in "*?[")
    exact = field_of(text)
    if exact and not is_glob:
        return (exact,)
    wanted = text.lower()
    fits, fits_alike = _fitting(wanted, is_glob), _fitting(_numbers_alike(wanted), is_glob)
    found = []
    for field in FIELDS:
        pattern = field.pattern.lower()
        if fits(pattern) or fits_alike(_numbers_alike(pattern)):
            found.append(field)
    return tuple(found) or tuple(field for field in FIELDS if wanted in field.help.lower())


def _fitting(wanted: str, is_glob: bool) -> Callable[[str], object]:
    """Whether a text is like the glob, or has the text in it. fnmatch's own matching would keep what strangers ask."""
    return re.compile(translate(wanted)).match if is_glob else lambda text: wanted in text


def near_patterns(key: str, most: int) -> list[str]:
    """The patterns most like a key that is not known, the likest first, at most so many; for those who mistyped it."""
    patterns = {_numbers_alike(field.pattern): field.pattern for field in FIELDS}
    return [patterns[each] for each in get_close_matches(_numbers_alike(key[:MAX_KEY]), patterns, most, _LIKE)]


def _numbers_alike(text: str) -> str:
    """The text with 0 for every number and for every mark that stands for one."""
    return ".".join("0" if _is_number(part) or _MARKS.get(part, part) is None else part for part in text.split("."))
