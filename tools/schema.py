"""Write src/domstats/formats/xml.rng, the RELAX NG schema of the XML documents, from the catalogue.

`python tools/schema.py` writes it; tests/formats/test_xml_schema.py fails when it is not current.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from domstats.catalog.fields import FIELDS
from domstats.formats.xml_form import (
    BOOLEANS,
    CPUS,
    GROUP_ELEMENTS,
    ITEM,
    OVERLAID,
    STAT,
    STAT_TYPES,
    STATE,
    VERSION,
    numbered,
    words,
)
from domstats.model.params import ParamType
from domstats.model.sampling import COLUMN_NAMES, Status

SCHEMA = Path(__file__).parent.parent / "src" / "domstats" / "formats" / "xml.rng"

NUMBERS = {"int": "int", "uint": "unsignedInt", "llong": "long", "ullong": "unsignedLong"}
"""XML Schema's names of wire types."""

HEAD = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<!--
  The XML documents of domstats, version {VERSION} of their form. Made by tools/schema.py.

  A value has the wire type that is given here for its element. One that has another says so, and so does one in an
  element that is not known here; such an element stands inside a group's.
-->
<grammar xmlns="http://relaxng.org/ns/structure/1.0" datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
"""


def schema() -> str:
    """The schema."""
    parts = [start(), *domain(), *states(), *groups(), *values()]
    return HEAD + "\n".join(textwrap.indent(part, "  ") for part in parts) + "</grammar>\n"


def tag(kind: str, inside: str, /, **attributes: str) -> str:
    """An element of the schema, on one line where it fits."""
    head = kind + "".join(f' {key}="{value}"' for key, value in attributes.items())
    if inside.count("\n") <= 1 and len(inside) + len(head) < 80:
        return f"<{head}>{inside.strip()}</{kind}>\n"
    return f"<{head}>\n{textwrap.indent(inside, '  ')}</{kind}>\n"


def define(name: str, inside: str) -> str:
    """A named pattern."""
    return tag("define", inside, name=name)


def element(name: str, inside: str) -> str:
    """An element of the documents."""
    return tag("element", inside, name=name)


def attribute(name: str, inside: str) -> str:
    """An attribute of the documents."""
    return tag("attribute", inside, name=name)


def any_text(name: str) -> str:
    """An attribute that may be base64."""
    encoded = attribute(name, ref("base64")) + attribute(f"{name}-encoding", value("base64"))
    return tag("choice", attribute(name, "<text/>\n") + tag("group", encoded))


def optional(inside: str) -> str:
    """What may be there."""
    return tag("optional", inside)


def some(kind: str, choices: Iterable[str]) -> str:
    """Any of the choices, `kind`: zeroOrMore or oneOrMore of them in any order."""
    return tag(kind, tag("choice", "".join(choices)))


def ref(name: str) -> str:
    """A pattern by its name."""
    return f'<ref name="{name}"/>\n'


def value(text: str) -> str:
    """This very text."""
    return f"<value>{text}</value>\n"


def names(of: Iterable[str]) -> str:
    """Names of elements, where there is a choice of them."""
    return "".join(f"<name>{each}</name>\n" for each in of)


def start() -> str:
    """The document."""
    head = attribute("version", value(VERSION)) + attribute("time", ref("seconds")) + any_text("source")
    return tag("start", element("domainstats", head + tag("zeroOrMore", ref("domain"))))


def domain() -> list[str]:
    """A domain, and its values that have no better place."""
    uuid = '<param name="pattern">[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}</param>\n'
    ages = "".join(optional(attribute(name, ref("seconds"))) for name in COLUMN_NAMES)
    ages += optional(any_text(OVERLAID))
    inside = (
        ref("name")
        + attribute("uuid", tag("data", uuid, type="string"))
        + optional(attribute("id", ref("int")))
        + attribute("status", tag("choice", "".join(value(status.label) for status in Status)))
        + optional(attribute("age", ref("seconds")))
        + optional(element("ages", ages))
        + some("zeroOrMore", [*map(ref, GROUP_ELEMENTS), ref("param")])
    )
    param = element("param", ref("name") + ref("typed"))
    return [define("domain", element("domain", inside)), define("param", param)]


def states() -> list[str]:
    """The domain's state, and a vCPU's: a word, or a number that has none, of whatever type."""
    types = tag("choice", "".join(value(label) for label in NUMBERS if label != "int"))
    found = []
    for prefix, key, reason in (("state", STATE, True), ("cpu-state", "vcpu.0.state", False)):
        word = ref(f"{prefix}-word")
        number = tag("choice", word + ref("int") + tag("group", attribute("type", types) + word) + ref("typed"))
        before = optional(attribute("reason", ref("int"))) if reason else ""
        found.append(define(prefix, element("state", before + number)))
        found.append(define(f"{prefix}-word", tag("choice", "".join(map(value, words(key))))))
    return found


def groups() -> list[str]:
    """Each group's element but the state's."""
    tree: dict[str, Any] = {}
    for field in FIELDS:
        *around, last = field.pattern.split(".")
        branch = tree
        for part in around:
            branch = branch.setdefault(part, {})
        branch[last] = field.types[0]
    return [group(name, prefix, tree[prefix]) for name, prefix in GROUP_ELEMENTS.items() if prefix != "state"]


def group(name: str, prefix: str, tree: dict[str, Any]) -> str:
    """A group's element."""
    if name != CPUS:
        return define(name, element(name, some("oneOrMore", inside(prefix, tree))))
    numbers = optional(attribute("online", ref("uint"))) + optional(attribute("maximum", ref("uint")))
    cpus = {part: branch for part, branch in tree.items() if part not in ("current", "maximum")}
    return define(name, element(name, numbers + some("zeroOrMore", inside(prefix, cpus))))


def inside(key: str, tree: dict[str, Any]) -> list[str]:
    """What may stand in an element; `tree`: what follows the parts of its keys, `key`, in the catalogue."""
    found = []
    for part, branch in tree.items():
        if part == "<name>":
            found.append(ref("stat"))
        elif part == "<feature>":
            others = names(each for each in tree if each != part)
            found.append(tag("element", tag("nsName", tag("except", others)) + ref(branch)))
        elif words(f"{key}.{part}"):
            found.append(ref("cpu-state"))
        elif isinstance(branch, str):
            found.append(element(part, ref(branch)))
        elif part.startswith("<"):
            found.append(element(numbered(key), ref("id") + some("oneOrMore", inside(f"{key}.0", branch))))
        else:
            found.append(element(part, some("oneOrMore", inside(f"{key}.{part}", branch))))
    return [*found, ref("other")]


def values() -> list[str]:
    """Values, and elements that are not known."""
    pattern = '<param name="pattern">-?[0-9]+</param>\n'
    encoded = attribute("encoding", value("base64")) + ref("base64")
    labels = [kind.label for kind in ParamType]
    typed = (tag("group", attribute("type", value(label)) + ref(label)) for label in labels)
    stat = (tag("group", attribute("value-type", value(label)) + ref(label)) for label in labels if label != "ullong")
    of = attribute("type", tag("choice", "".join(map(value, STAT_TYPES))))
    an_id = attribute("id", tag("data", '<param name="pattern">[0-9]+</param>\n', type="string"))
    letters = '<param name="pattern">[A-Za-z0-9+/]*={0,2}</param>\n'  # some validators pass over what is none of them
    finite = '<param name="pattern">[^NI]+</param>\n'
    content = tag("choice", ref("typed") + tag("oneOrMore", ref("other")))
    reserved = tag("except", names((ITEM, STAT)))
    ids = tag("choice", names(dict.fromkeys(map(numbered, ("", *GROUP_ELEMENTS.values())))))
    other = tag("element", tag("nsName", reserved) + content) + tag("element", ids + ref("id") + content)
    return [
        *(define(label, tag("data", pattern, type=kind)) for label, kind in NUMBERS.items()),
        define("double", '<data type="double"/>\n'),
        define("seconds", tag("data", finite, type="double")),
        define("boolean", tag("choice", "".join(map(value, BOOLEANS)))),
        define("string", tag("choice", "<text/>\n" + tag("group", encoded))),
        define("base64", tag("data", letters, type="base64Binary")),
        define("id", an_id),
        define("typed", tag("choice", "".join(typed))),
        define("name", any_text("name")),
        define("stat", element(STAT, ref("name") + of + tag("choice", ref("ullong") + "".join(stat)))),
        define("other", tag("choice", other)),
    ]


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
