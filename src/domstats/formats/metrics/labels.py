r"""Names from outside as label values: short, safe to show, and none of them like another's.

A line feed, a quotation mark and a backslash are escaped as the formats have it. What a terminal obeys (control
characters, what turns the direction of writing) and what is not UTF-8 becomes text: \xNN for each byte.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence

from domstats.formats.text import HOSTILE
from domstats.model.domain import Domain

LABEL_MAX = 256
"""Characters of a value; a longer one ends with a digest of all of it. A domain's name is a file's, too."""

_DIGEST = 12
_HOSTILE = re.compile(f"(?!\n)[{HOSTILE}\ud800-\udfff]")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def escaped(text: str) -> str:
    """The text as it stands between a label's quotation marks."""
    if len(text) > LABEL_MAX:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        text = f"{text[: LABEL_MAX - _DIGEST - 1]}~{digest[:_DIGEST]}"
    if not text.isprintable():
        text = _HOSTILE.sub(_as_bytes, text)
    return text.translate(_ESCAPES)


def label(name: str, value: str) -> str:
    """A label after the first one."""
    return f',{name}="{escaped(value)}"'


def _as_bytes(match: re.Match[str]) -> str:
    character = match[0]
    how = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", how))


def domain_labels(domains: Sequence[Domain]) -> list[str]:
    """The label value of each domain, escaped: its name, with as much of its UUID as makes it the only one.

    Names that are alike all get the UUID, so that none of them depends on the order.
    """
    levels: Sequence[Callable[[int, Domain], str]] = (
        lambda _, domain: escaped(domain.name),
        lambda _, domain: f"{escaped(domain.name)}~{escaped(domain.uuid[:8])}",
        lambda _, domain: f"{escaped(domain.name)}~{escaped(domain.uuid)}",
        lambda position, domain: f"{escaped(domain.name)}~{escaped(domain.uuid)}#{position}",
    )
    chosen = [levels[0](position, domain) for position, domain in enumerate(domains)]
    level = [0] * len(domains)
    while alike := [at for at, count in _counts(chosen) if count > 1 and level[at] + 1 < len(levels)]:
        for position in alike:
            level[position] += 1
            chosen[position] = levels[level[position]](position, domains[position])
    return chosen


def _counts(names: Sequence[str]) -> list[tuple[int, int]]:
    counts = Counter(names)
    return [] if len(counts) == len(names) else [(position, counts[name]) for position, name in enumerate(names)]


def unique_names(names: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Names of devices and what tells those apart that have the same, given names (or "") and numbers, in order.

    A device without a name has its number for one. The second and later ones of a name have their place among them,
    from 1 on; the first has nothing.
    """
    seen: Counter[str] = Counter()
    found = []
    for name, number in names:
        value = name or number
        found.append((value, str(seen[value]) if seen[value] else ""))
        seen[value] += 1
    return found
