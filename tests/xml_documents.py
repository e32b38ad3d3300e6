"""An independent reader of the XML documents: lxml, the schema, and the rules of docs/xml.md."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from typing import Any

import lxml.etree

from domstats.catalog.enums import DOMAIN_STATES, VCPU_STATES
from domstats.catalog.lookup import field_of
from domstats.formats import xml
from domstats.formats.overlaid import patterns_of
from domstats.formats.text import to_bytes
from domstats.model.params import TypedParameter
from domstats.model.snapshot import Snapshot

SCHEMA = lxml.etree.RelaxNG(lxml.etree.fromstring(xml.schema()))
_GROUPS = {"cpus": "vcpu"}

Found = tuple[bytes, str, Any]
"""A key's bytes, its type, and the value; of a string its bytes."""


def valid(document: bytes) -> Any:
    """The document's root, once the schema has found nothing in it."""
    root = lxml.etree.fromstring(document, lxml.etree.XMLParser(huge_tree=True))
    SCHEMA.assertValid(root)
    return root


def check_document(snapshot: Snapshot, document: bytes) -> None:
    """Everything the snapshot holds is in the document, in the same order, and nothing else is."""
    root = valid(document)
    assert float(root.get("time")) == snapshot.time
    assert _attribute(root, "source") == to_bytes(snapshot.sampling.source_names[0])
    for record, domain in zip(snapshot, root, strict=True):
        assert _attribute(domain, "name") == to_bytes(record.domain.name)
        assert domain.get("uuid") == record.domain.uuid
        assert domain.get("id") == (None if record.domain.id is None else str(record.domain.id))
        assert domain.get("status") == record.status.label
        ages = {group: round(age, 6) for group, age in record.ages.items()}
        assert domain.get("age") == (repr(max(ages.values())) if ages else None)
        parts = list(domain)
        if parts and parts[0].tag == "ages":
            said = dict(parts.pop(0).items())
            assert said.pop("overlaid", "").split() == list(patterns_of(record.layout.shape))
            assert {group: float(age) for group, age in said.items()} == ages
        else:
            assert len(set(ages.values())) <= 1
            assert not record.layout.shape.overlaid
        found = [value for part in parts for value in _values(part, b"")]
        assert [_comparable(value) for value in found] == [_comparable(_expected(param)) for param in record.params]


def _attribute(element: Any, name: str) -> bytes:
    written: str = element.get(name)
    return written.encode() if element.get(f"{name}-encoding") is None else base64.b64decode(written)


def _values(element: Any, around: bytes) -> Iterator[Found]:
    """The values in an element; `around`: the parts of the key above it."""
    own = element.tag.encode()
    if element.tag == "param":
        yield _value(element, _attribute(element, "name"), element.get("type"))
    elif element.tag == "stat" and (around == b"vm" or around.startswith(b"vcpu.")):
        key = b"%b.%b.%b" % (around, _attribute(element, "name"), element.get("type").encode())
        yield _value(element, key, element.get("value-type", "ullong"))
    elif element.tag == "state" and not around:
        yield _value(element, b"state.state", element.get("type", "int"))
        if element.get("reason"):
            yield b"state.reason", "int", int(element.get("reason"))
    else:
        part = element.get("id", _GROUPS.get(element.tag, element.tag) if not around else element.tag).encode()
        key = b"%b.%b" % (around, part) if around else part
        for name, field in (("online", b"vcpu.current"), ("maximum", b"vcpu.maximum")):
            if element.get(name) is not None:
                yield field, "uint", int(element.get(name))
        if len(element):
            for inner in element:
                yield from _values(inner, key)
        elif own != b"cpus":
            field_found = field_of(key.decode())
            assert field_found is not None
            yield _value(element, key, element.get("type", field_found.types[0]))


def _value(element: Any, key: bytes, label: str) -> Found:
    text = element.text or ""
    if label == "string":
        return key, label, text.encode() if element.get("encoding") is None else base64.b64decode(text)
    if label == "boolean":
        return key, label, {"false": False, "true": True}[text]
    if label == "double":
        return key, label, float(text)
    if element.tag == "state" and text in DOMAIN_STATES + VCPU_STATES:
        return key, label, (DOMAIN_STATES if key == b"state.state" else VCPU_STATES).index(text)
    return key, label, int(text)


def _expected(param: TypedParameter) -> Found:
    value = to_bytes(param.value) if isinstance(param.value, str) else param.value
    return to_bytes(param.name), param.type.label, value


def _comparable(found: Found) -> Found:
    """Any NaN is like any other."""
    key, label, value = found
    return key, label, "NaN" if isinstance(value, float) and math.isnan(value) else value
