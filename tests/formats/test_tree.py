"""tree: the hierarchy as JSON."""

from __future__ import annotations

import json as stdlib

from domstats.formats import tree
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.snapshot import Snapshot

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"


def test_the_document() -> None:
    params = [
        TypedParameter("state.state", ParamType.INT, 1),
        TypedParameter("vcpu.current", ParamType.UINT, 2),
        TypedParameter("vcpu.0.time", ParamType.ULLONG, 2**64 - 1),
        TypedParameter("vcpu.10.time", ParamType.ULLONG, 1),
        TypedParameter("block.0.path", ParamType.STRING, "/\udcff"),
        TypedParameter("a\udcff.b", ParamType.DOUBLE, float("-inf")),
    ]
    snapshot = Snapshot.of_params([(Domain("vm", UUID, 7), params)], time=3.5, source="sim:///")
    encoded = tree.encode(snapshot)
    assert encoded.endswith(b"}\n")
    assert stdlib.loads(encoded) == {
        "time": 3.5,
        "source": "sim:///",
        "domains": [
            {
                "name": "vm",
                "uuid": UUID,
                "id": 7,
                "status": "fresh",
                "age": 0.0,
                "ages": {"state": 0.0, "vcpu": 0.0, "block": 0.0, "other": 0.0},
                "stats": {
                    "state": {"state": 1},
                    "vcpu": {"current": 2, "0": {"time": 2**64 - 1}, "10": {"time": 1}},
                    "block": {"0": {"path": {"base64": "L/8="}}},
                    "base64:Yf8=": {"b": "-Infinity"},
                },
            }
        ],
    }


def test_a_key_of_many_parts() -> None:
    params = [TypedParameter(".".join("x" * 5000), ParamType.INT, 1), TypedParameter("x.y", ParamType.INT, 2)]
    encoded = tree.encode(Snapshot.of_params([(Domain("vm", UUID, 7), params)]))
    assert b'"stats":' + b'{"x":' * 5000 + b"1" + b"}" * 4998 + b',"y":2}}' in encoded


def test_no_domains() -> None:
    assert stdlib.loads(tree.encode(Snapshot.of_params([]))) == {"time": 0.0, "source": "", "domains": []}
