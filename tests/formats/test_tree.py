"""tree: the hierarchy as JSON."""

from __future__ import annotations

import json as stdlib
import re
from typing import Any

from hypothesis import given

from captures import capture
from domstats.formats import tree
from domstats.formats.text import HOSTILE
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from strategies import hosts

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"


def leaves(node: Any) -> int:
    if isinstance(node, dict) and node.keys() != {"base64"}:
        return sum(map(leaves, node.values()))
    return 1


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


def test_no_domains() -> None:
    assert stdlib.loads(tree.encode(Snapshot.of_params([]))) == {"time": 0.0, "source": "", "domains": []}


def test_every_value_of_a_real_host_is_there() -> None:
    snapshot = ReplyDecoder().decode(capture("libvirt-12.8-12-guests-poll1"))
    document = stdlib.loads(tree.encode(snapshot))
    assert [leaves(domain["stats"]) for domain in document["domains"]] == [len(record) for record in snapshot]


@given(hosts)
def test_any_host_can_be_parsed(host: Any) -> None:
    encoded = tree.encode(Snapshot.of_params(host)).decode()
    assert len(stdlib.loads(encoded)["domains"]) == len(host)
    assert re.findall(f"[{HOSTILE}]", encoded) == ["\n"]
