"""Independent readers of every format: each finds in the bytes what the snapshot holds, or fails."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from typing import Any

from domstats.catalog.enums import state_name
from domstats.formats.registry import FORMATS
from domstats.formats.text import cut, escape, to_bytes
from domstats.model.params import Value
from domstats.model.record import Record
from domstats.model.snapshot import Snapshot
from frames import check_arrow, check_csv, check_parquet
from metrics_reader import check_metrics
from xml_documents import check_document

Check = Callable[[Snapshot, bytes], None]


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, and of one Python type; any NaN is like any other."""
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return type(one) is type(other) and bool(one == other)


def check_same(one: Snapshot, other: Snapshot, *, exactly: bool = True) -> None:
    """Keys, types, values, and (`exactly`) time, source, statuses and ages. Of a duplicate key the last counts."""
    assert len(one) == len(other)
    for mine, theirs in zip(one, other, strict=True):
        assert mine.domain == theirs.domain
        assert set(mine) == set(theirs)
        for key, value in mine.items():
            assert mine.type_of(key) == theirs.type_of(key), key
            assert same(value, theirs[key]), key
        if exactly:
            assert mine.status == theirs.status
            assert mine.ages.keys() == theirs.ages.keys()
            assert all(abs(age - theirs.ages[group]) < 2e-6 for group, age in mine.ages.items())
            assert overlaid(mine) == overlaid(theirs)
    if exactly:
        assert one.time == other.time
        assert one.sampling.source_names[0] == other.sampling.source_names[0]


def overlaid(record: Record) -> set[str]:
    """The keys whose values came from the kernel."""
    shape = record.layout.shape
    return {key for key, flag in zip(shape.keys, shape.overlaid, strict=False) if flag}


def check_readable(name: str) -> Check:
    def check(snapshot: Snapshot, encoded: bytes) -> None:
        check_same(snapshot, FORMATS[name].decode(encoded), exactly=name != "reply")

    return check


def original_key(written: str) -> bytes:
    """The bytes of a key in a JSON document."""
    prefix, colon, rest = written.partition(":")
    return base64.b64decode(rest) if colon and prefix == "base64" else written.encode()


def original_text(written: Any) -> bytes:
    """The bytes of a name or a string value in a JSON document."""
    return base64.b64decode(written["base64"]) if isinstance(written, dict) else written.encode()


def original(written: Any, label: str) -> Any:
    """A value of this type in a JSON document, as the record has it; a string's bytes."""
    if label == "string":
        return original_text(written)
    return float(written) if label == "double" else written


def parsed(encoded: bytes) -> Any:
    """By the standard library, which takes NaN and Infinity, but shall not meet them."""
    return json.loads(encoded, parse_constant=_refuse)


def _refuse(word: str) -> None:
    raise AssertionError(word)


def check_json(snapshot: Snapshot, encoded: bytes) -> None:
    document = parsed(encoded)
    assert document["domstats"] == 1
    assert document["time"] == snapshot.time
    _check_objects(snapshot, document["domains"], document["types"])
    check_readable("json")(snapshot, encoded)


def check_ndjson(snapshot: Snapshot, encoded: bytes) -> None:
    lines = [parsed(line) for line in encoded.splitlines()]
    assert all(line["time"] == snapshot.time for line in lines)
    _check_objects(snapshot, lines, {})
    if lines:
        check_readable("ndjson")(snapshot, encoded)


def _check_objects(snapshot: Snapshot, objects: list[Any], usual: dict[str, str]) -> None:
    assert len(objects) == len(snapshot)
    for record, domain in zip(snapshot, objects, strict=True):
        assert original_text(domain["name"]) == to_bytes(record.domain.name)
        assert (domain["uuid"], domain["id"]) == (record.domain.uuid, record.domain.id)
        assert domain["status"] == record.status.label
        assert domain["ages"] == {group: round(age, 6) for group, age in record.ages.items()}
        assert domain["age"] == max(domain["ages"].values(), default=None)
        types = usual | domain["types"]
        assert [original_key(key) for key in domain["stats"]] == [to_bytes(key) for key in record]
        for (written, value), (key, expected) in zip(domain["stats"].items(), record.items(), strict=True):
            label = types.get(written) or _shown_type(value)
            assert label == record.type_of(key).label
            back = original(value, label)
            assert same(to_bytes(expected) if isinstance(expected, str) else expected, back)


def _shown_type(value: Any) -> str:
    return "boolean" if isinstance(value, bool) else "ullong" if isinstance(value, int) else "string"


def check_tree(snapshot: Snapshot, encoded: bytes) -> None:
    document = parsed(encoded)
    assert len(document["domains"]) == len(snapshot)
    for record, domain in zip(snapshot, document["domains"], strict=True):
        assert original_text(domain["name"]) == to_bytes(record.domain.name)
        _check_branch(record.tree(), domain["stats"])


def _check_branch(mine: dict[str | int, Any], written: dict[str, Any]) -> None:
    assert [to_bytes(str(part)) for part in mine] == list(map(original_key, written))
    for node, found in zip(mine.values(), written.values(), strict=True):
        if isinstance(node, dict):
            _check_branch(node, found)
        elif isinstance(node, str):
            assert original_text(found) == to_bytes(node)
        else:
            assert same(node, float(found) if isinstance(node, float) else found)


def check_raw(snapshot: Snapshot, encoded: bytes) -> None:
    """A line a parameter; what virsh itself prints is compared in test_raw."""
    expected = []
    for record in snapshot:
        expected.append(b"Domain: '%b'\n" % _c_text(record.domain.name))
        expected += [b"  %b=%b\n" % (_c_text(param.name), _raw_value(param.value)) for param in record.params]
        expected.append(b"\n")
    assert encoded == b"".join(expected)


def _raw_value(value: Value) -> bytes:
    if isinstance(value, bool):
        return b"yes" if value else b"no"
    if isinstance(value, float):
        sign = b"-" if math.isnan(value) and math.copysign(1, value) < 0 else b""
        return sign + b"%f" % value
    return _c_text(str(value))


def _c_text(text: str) -> bytes:
    """C's texts end with a NUL."""
    return to_bytes(text).partition(b"\0")[0]


def check_table(snapshot: Snapshot, encoded: bytes) -> None:
    """A line a domain, sorted by name; names are cut, and escaped."""
    lines = encoded.decode().split("\n")
    assert len(lines) == (len(snapshot) + 2 if len(snapshot) else 1)
    for line, record in zip(lines[1:], sorted(snapshot, key=lambda each: each.domain.name), strict=False):
        name = cut(escape(record.domain.name), 40)
        assert line.startswith(name)
        state = record.get("state.state")
        assert type(state) is not int or line[len(name) :].split()[:1] == [state_name(state)]


def check_xml(snapshot: Snapshot, encoded: bytes) -> None:
    """By lxml and the schema. Read back, the parameters are the same in the same order, duplicate keys included."""
    check_document(snapshot, encoded)
    again = FORMATS["xml"].decode(encoded)
    check_same(snapshot, again)
    for mine, theirs in zip(snapshot, again, strict=True):
        for one, other in zip(mine.params, theirs.params, strict=True):
            assert (one.name, one.type) == (other.name, other.type)
            assert same(one.value, other.value), one.name


CHECKS: dict[str, Check] = {
    "table": check_table,
    "raw": check_raw,
    "json": check_json,
    "ndjson": check_ndjson,
    "tree": check_tree,
    "xml": check_xml,
    "csv": check_csv,
    "arrow": check_arrow,
    "parquet": check_parquet,
    "prometheus": check_metrics("prometheus"),
    "openmetrics": check_metrics("openmetrics", library=False),
    "reply": check_readable("reply"),
}
"""By the format's name."""
