"""ndjson: each line alone says as much of its domain as the json document."""

from __future__ import annotations

import json as stdlib
import re
from typing import Any

from hypothesis import given

from captures import capture
from domstats.formats import json, ndjson
from domstats.formats.text import HOSTILE
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from strategies import hosts

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"


def type_shown(value: Any) -> str:
    """The type of a value that its line's `types` does not have."""
    return "boolean" if isinstance(value, bool) else "ullong" if isinstance(value, int) else "string"


def check(snapshot: Snapshot) -> None:
    encoded = ndjson.encode(snapshot)
    lines = [stdlib.loads(line) for line in encoded.splitlines()]
    document = stdlib.loads(json.encode(snapshot))
    assert len(lines) == len(document["domains"])
    assert encoded.endswith(b"\n" if lines else b"")
    for line, domain in zip(lines, document["domains"], strict=True):
        assert (line.pop("time"), line.pop("source")) == (document["time"], document["source"])
        shown = {key: type_shown(value) for key, value in line["stats"].items()}
        own = {key: document["types"][key] for key in domain["stats"]} | domain.pop("types")
        assert shown | line.pop("types") == own
        assert line == domain


@given(hosts)
def test_any_host(host: Any) -> None:
    check(Snapshot.of_params(host, time=3.5, source="sim:///"))


def test_a_real_host() -> None:
    check(ReplyDecoder().decode(capture("libvirt-12.8-12-guests-poll1"), time=3.5, source="qemu:///system"))


def test_a_line() -> None:
    params = [
        TypedParameter("state.state", ParamType.INT, 1),
        TypedParameter("cpu.time", ParamType.ULLONG, 7),
        TypedParameter("x", ParamType.DOUBLE, float("nan")),
        TypedParameter("y", ParamType.BOOLEAN, True),
        TypedParameter("z", ParamType.STRING, "a\nb"),
    ]
    snapshot = Snapshot.of_params([(Domain("vm", UUID, None), params)], time=3.5, source="sim:///")
    assert ndjson.encode(snapshot).decode() == (
        '{"time":3.5,"source":"sim:///","name":"vm","uuid":"6695eb01-f6a4-8304-79aa-97f2502e193f","id":null,'
        '"status":"fresh","age":0.0,"ages":{"state":0.0,"cpu":0.0,"other":0.0},'
        '"stats":{"state.state":1,"cpu.time":7,"x":"NaN","y":true,"z":"a\\nb"},'
        '"types":{"state.state":"int","x":"double"}}\n'
    )


def test_no_domains() -> None:
    assert ndjson.encode(Snapshot.of_params([])) == b""


@given(hosts)
def test_no_control_characters(host: Any) -> None:
    encoded = ndjson.encode(Snapshot.of_params(host)).decode()
    assert set(re.findall(f"[{HOSTILE}]", encoded)) <= {"\n"}
