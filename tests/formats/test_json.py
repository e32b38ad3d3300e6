"""json: the document, read back by other parsers."""

from __future__ import annotations

import json as stdlib
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.errors import BadDocument
from domstats.formats import document, json
from domstats.formats.rebuild import KEY_MAX
from domstats.formats.text import to_bytes
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter, Value
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from readers import original_key
from strategies import texts

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
OTHER_UUID = "0d9f8a56-0000-4000-8000-00000000abcd"


def read(snapshot: Snapshot) -> dict[str, Any]:
    document: dict[str, Any] = stdlib.loads(json.encode(snapshot), parse_constant=refuse)
    return document


def refuse(word: str) -> None:
    """NaN and Infinity are no JSON."""
    raise AssertionError(word)


def of_value(kind: ParamType, value: Value, key: str = "key") -> Snapshot:
    return Snapshot.of_params([(Domain("vm", UUID, 1), [TypedParameter(key, kind, value)])])


def test_the_whole_document() -> None:
    snapshot = Snapshot.of_params(
        [
            (
                Domain("web-ü", UUID, 3),
                [
                    TypedParameter("state.state", ParamType.INT, 1),
                    TypedParameter("cpu.time", ParamType.ULLONG, 2**64 - 1),
                    TypedParameter("block.0.name", ParamType.STRING, "vda"),
                    TypedParameter("vm.x", ParamType.DOUBLE, 0.5),
                ],
            ),
            (
                Domain("off", OTHER_UUID, None),
                [
                    TypedParameter("state.state", ParamType.INT, 5),
                    TypedParameter("vm.x", ParamType.BOOLEAN, True),
                ],
            ),
        ],
        time=1700000000.25,
        source="qemu:///system",
    )
    encoded = json.encode(snapshot)
    assert encoded.endswith(b"}\n")
    assert encoded.count(b"\n") == 1
    zeros = {"state": 0.0, "cpu": 0.0, "block": 0.0, "vm": 0.0}
    assert stdlib.loads(encoded) == {
        "domstats": 1,
        "time": 1700000000.25,
        "source": "qemu:///system",
        "types": {
            "state.state": "int",
            "cpu.time": "ullong",
            "block.0.name": "string",
            "vm.x": "double",
        },
        "domains": [
            {
                "name": "web-ü",
                "uuid": UUID,
                "id": 3,
                "status": "fresh",
                "age": 0.0,
                "ages": zeros,
                "stats": {"state.state": 1, "cpu.time": 18446744073709551615, "block.0.name": "vda", "vm.x": 0.5},
                "types": {},
            },
            {
                "name": "off",
                "uuid": OTHER_UUID,
                "id": None,
                "status": "fresh",
                "age": 0.0,
                "ages": {"state": 0.0, "vm": 0.0},
                "stats": {"state.state": 5, "vm.x": True},
                "types": {"vm.x": "boolean"},
            },
        ],
    }


def test_members_stand_in_the_documented_order() -> None:
    document = read(of_value(ParamType.INT, 1))
    assert list(document) == ["domstats", "time", "source", "types", "domains"]
    assert list(document["domains"][0]) == ["name", "uuid", "id", "status", "age", "ages", "stats", "types"]


def test_no_domains() -> None:
    assert read(Snapshot.of_params([])) == {"domstats": 1, "time": 0.0, "source": "", "types": {}, "domains": []}


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        (ParamType.INT, -(2**31), "-2147483648"),
        (ParamType.LLONG, -(2**63), "-9223372036854775808"),
        (ParamType.ULLONG, 2**64 - 1, "18446744073709551615"),
        (ParamType.ULLONG, 2**53 + 1, "9007199254740993"),
        (ParamType.DOUBLE, 1.0, "1.0"),
        (ParamType.DOUBLE, float("nan"), '"NaN"'),
        (ParamType.DOUBLE, float("inf"), '"Infinity"'),
        (ParamType.DOUBLE, float("-inf"), '"-Infinity"'),
        (ParamType.BOOLEAN, False, "false"),
        (ParamType.STRING, "NaN", '"NaN"'),
        (ParamType.STRING, "a\udcffb", '{"base64":"Yf9i"}'),
        (ParamType.STRING, "\x7f\x9b\u202e\u2028\x1b", r'"\u007f\u009b\u202e\u2028\u001b"'),
    ],
)
def test_values(kind: ParamType, value: Value, written: str) -> None:
    assert f'"stats":{{"key":{written}}}' in json.encode(of_value(kind, value)).decode()


@pytest.mark.parametrize(
    ("key", "written"),
    [("a.ü", "a.ü"), ("a\udcff", "base64:Yf8="), ("base64:Yf8=", "base64:YmFzZTY0OllmOD0="), ("base64", "base64")],
)
def test_keys(key: str, written: str) -> None:
    found = read(of_value(ParamType.INT, 1, key))
    assert found["types"] == {written: "int"}
    assert found["domains"][0]["stats"] == {written: 1}


@given(texts)
def test_no_two_keys_are_written_alike(key: str) -> None:
    assert original_key(document.key(key)) == to_bytes(key)


def test_of_a_duplicate_key_the_last_value_is_written() -> None:
    params = [TypedParameter("a", ParamType.INT, 1), TypedParameter("a", ParamType.STRING, "two")]
    found = read(Snapshot.of_params([(Domain("vm", UUID, 1), params)]))
    assert found["domains"][0]["stats"] == {"a": "two"}
    assert found["types"] == {"a": "string"}


def test_the_most_frequent_type_is_at_the_top() -> None:
    kinds = [ParamType.INT, ParamType.UINT, ParamType.UINT]
    hosts = [
        (Domain(f"vm{number}", f"{number:08}{UUID[8:]}", number), [TypedParameter("a", kind, 1)])
        for number, kind in enumerate(kinds)
    ]
    found = read(Snapshot.of_params(hosts))
    assert found["types"] == {"a": "uint"}
    assert [domain["types"] for domain in found["domains"]] == [{"a": "int"}, {}, {}]


def test_status_and_ages() -> None:
    snapshot = of_value(ParamType.INT, 1, "state.state")
    times = np.full_like(snapshot.sampling.times, np.nan)
    times[0, 0] = snapshot.time - 12.25
    sampling = replace(snapshot.sampling, status=np.array([Status.BLOCKED], np.uint8), times=times)
    late = Snapshot(snapshot.layout, snapshot.values, snapshot.time, sampling, None)
    (domain,) = read(late)["domains"]
    assert (domain["status"], domain["age"], domain["ages"]) == ("blocked", 12.25, {"state": 12.25})


def test_what_has_no_values_has_no_age() -> None:
    (domain,) = read(Snapshot.of_params([(of_value(ParamType.INT, 1, "a").domains[0], [])]))["domains"]
    assert (domain["age"], domain["ages"], domain["stats"]) == (None, {}, {})


def written(**members: Any) -> str:
    """A document of one domain, with other members than it should have; those in capitals are the domain's."""
    domain = {
        "name": "vm",
        "uuid": UUID,
        "id": 1,
        "status": "fresh",
        "ages": {"other": 0},
        "stats": {"a": 1},
        "types": {},
    }
    domain |= {name.lower(): member for name, member in members.items() if name.isupper()}
    document = {"domstats": 1, "time": 1.5, "source": "s", "types": {"a": "int"}, "domains": [domain]}
    return stdlib.dumps(document | {name: member for name, member in members.items() if not name.isupper()})


def test_members_that_are_not_known_are_passed_over() -> None:
    assert json.decode(written(newer=[{}], NEWER=None))["vm"]["a"] == 1


@pytest.mark.parametrize(
    ("document", "where", "why"),
    [
        ("", "", "truncated"),
        ("[]", "", "Expected `object`"),
        (written()[:-1], "", "truncated"),
        ('{"domstats":1}', "", "missing required field `time`"),
        (written(domstats=2), "$.domstats", "version 2"),
        (written(time="now"), "", "Expected `float`"),
        (written().replace("1.5", "1e999"), "", "out of range"),
        (written(domains=[stdlib.loads(written())["domains"][0]] * 2), "", "has the UUID of another"),
        (written(UUID="x"), "$.domains[0]", "'x' is no UUID"),
        (written(STATUS="new"), "$.domains[0]", "no status 'new'"),
        (written(AGES={"x": 0}), "", "for a group 'x'"),
        (written(ID=2**31), "$.domains[0]", "2147483648 is no id of a domain"),
        (written(TYPES={"a": "float"}), "$.domains[0]", "no type 'float'"),
        (written(STATS={"a": 2**31}), "", "does not fit type int"),
        (written(STATS={"a": 2**64}), "", "does not fit type int"),
        (written(STATS={"k" * (KEY_MAX + 1): 1}), "$.domains[0]", f"a key over {KEY_MAX} characters, 'kkk"),
        (written(STATS={"b": -1}), "", "does not fit type ullong"),
        (written(STATS={"a": True}), "$.domains[0]", "True is no int"),
        (written(STATS={"a": 1.0}), "$.domains[0]", "1.0 is no int"),
        (written(STATS={"a": None}), "", "got `null`"),
        (written(STATS={"b": {"base64": "?"}}), "$.domains[0]", "base64"),
        (written(STATS={"base64:?": 1}), "$.domains[0]", "base64"),
        (written(STATS={"a": "x"}, TYPES={"a": "double"}), "$.domains[0]", "'x' is no double"),
        (written(NAME={"base65": ""}), "$.domains[0]", "neither a text nor"),
        (written(NAME="\ud800"), "", "surrogate"),
    ],
)
def test_what_is_no_such_document(document: str, where: str, why: str) -> None:
    with pytest.raises(BadDocument, match=re.escape(why)) as caught:
        json.decode(document)
    assert (caught.value.form, caught.value.where) == ("json", where)


def test_the_longest_key() -> None:
    key = "k" * KEY_MAX
    assert list(json.decode(json.encode(of_value(ParamType.INT, 1, key))).records[0]) == [key]


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(BadDocument):
        json.decode(data)


def test_a_snapshot_writes_itself() -> None:
    snapshot = Snapshot.of_params([], time=5.0, source="test:")
    assert snapshot.to_json() == json.encode(snapshot)
