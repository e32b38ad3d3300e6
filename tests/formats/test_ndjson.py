"""ndjson: each line alone says as much of its domain as the json document."""

from __future__ import annotations

import pytest

from domstats.errors import BadDocument
from domstats.formats import ndjson
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.snapshot import Snapshot

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"


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


def test_lines_of_two_polls() -> None:
    one, other = (ndjson.encode(Snapshot.of_params([(Domain("vm", UUID, 1), [])], time=time)) for time in (1.0, 2.0))
    with pytest.raises(BadDocument, match="of another poll than the first line, at line 2"):
        ndjson.decode(one + other)


@pytest.mark.parametrize("line", [b"{}", b"[]", b"nothing"])
def test_what_is_no_line(line: bytes) -> None:
    good = ndjson.encode(Snapshot.of_params([(Domain("vm", UUID, 1), [])]))
    with pytest.raises(BadDocument, match="at line 2"):
        ndjson.decode(good + line + b"\n")


def test_blank_lines() -> None:
    polls = [Snapshot.of_params([(Domain("vm", uuid, 1), [])], time=3.5) for uuid in (UUID, UUID.replace("6", "7"))]
    one, other = map(ndjson.encode, polls)
    assert ndjson.encode(ndjson.decode(b"\n" + one + b" \r\n" + other + b"\n\n")) == one + other
    with pytest.raises(BadDocument, match="at line 4"):
        ndjson.decode(b"\n" + one + b"\n{}\n")


def test_nothing_read() -> None:
    assert len(ndjson.decode(b"")) == len(ndjson.decode(b"\n \n")) == 0
