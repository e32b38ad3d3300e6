"""Decoding the reply of 1,024 guests (6.9 MB, 179,676 values): CPU time."""

from __future__ import annotations

import itertools
import random
import statistics
import struct
import time
from collections.abc import Callable
from typing import Any

import lxml.etree
import msgspec
import orjson
import pytest

import domstats
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.encoder import encode_reply
from domstats.wire.bulk.template import Template

pytestmark = pytest.mark.benchmark(timer=time.process_time)
ROUNDS = 40
Bodies = tuple[bytes, bytes]


def parts_of(body: bytes) -> list[bytes]:
    """The records of a body, as bytes."""
    parts, at = [], 4
    for record in domstats.ReplyDecoder().decode(body).layout.records:
        size = Template.of(record).size
        parts.append(body[at : at + size])
        at += size
    return parts


def body_of(parts: list[bytes]) -> bytes:
    return struct.pack(">I", len(parts)) + b"".join(parts)


def warm(bodies: Bodies) -> domstats.ReplyDecoder:
    """A decoder that has seen the host."""
    decoder = domstats.ReplyDecoder()
    decoder.decode(bodies[0])
    return decoder


def test_libvirt_python(benchmark: Any, libvirt_python: Callable[[], dict[str, Any]]) -> None:
    found = benchmark.pedantic(libvirt_python, rounds=1)
    benchmark.extra_info["cpu_seconds"] = min(found["cpu"])
    benchmark.extra_info["cpu_median"] = statistics.median(found["cpu"])
    benchmark.extra_info["version"] = found["version"]


def test_memcpy(benchmark: Any, bodies: Bodies) -> None:
    benchmark.pedantic(lambda: bytearray(bodies[0]), rounds=ROUNDS)


def test_decode_known(benchmark: Any, bodies: Bodies) -> None:
    decoder, replies = warm(bodies), itertools.cycle(bodies)
    benchmark.pedantic(lambda: decoder.decode(next(replies)), rounds=ROUNDS, warmup_rounds=2)


def test_decode_slices(benchmark: Any, bodies: Bodies) -> None:
    parts = parts_of(bodies[1])
    slices = [body_of(parts[start : start + 32]) for start in range(0, len(parts), 32)]
    decoder = warm(bodies)

    def decode() -> None:
        for each in slices:
            decoder.decode(each)

    benchmark.pedantic(decode, rounds=ROUNDS, warmup_rounds=2)


def test_decode_shuffled(benchmark: Any, bodies: Bodies) -> None:
    """Three other orders in turn; of an order nothing is remembered."""
    parts, chance = parts_of(bodies[1]), random.Random(1)
    replies = itertools.cycle([body_of(chance.sample(parts, len(parts))) for _ in range(3)])
    decoder = warm(bodies)
    benchmark.pedantic(lambda: decoder.decode(next(replies)), rounds=ROUNDS, warmup_rounds=3)


def test_decode_cold(benchmark: Any, bodies: Bodies) -> None:
    benchmark.pedantic(lambda: domstats.ReplyDecoder().decode(bodies[0]), rounds=10)


def test_decode_one_changed(benchmark: Any, bodies: Bodies) -> None:
    """A guest in the middle of the host loses its last statistic, then the one before, and so on."""
    snapshot = domstats.ReplyDecoder().decode(bodies[1])
    guest = snapshot.records[500]
    parts = parts_of(bodies[1])
    changes = [[(guest.domain, guest.params[: -1 - number])] for number in range(ROUNDS)]
    changed = [encode_reply(domstats.Snapshot.of_params(change))[4:] for change in changes]
    replies = iter([body_of([*parts[:500], part, *parts[501:]]) for part in changed])
    decoder = warm(bodies)
    benchmark.pedantic(lambda body: decoder.decode(body), setup=lambda: ((next(replies),), {}), rounds=ROUNDS)


def test_encode_known(benchmark: Any, bodies: Bodies) -> None:
    snapshot = domstats.ReplyDecoder().decode(bodies[0])
    assert benchmark.pedantic(lambda: encode_reply(snapshot), rounds=10, warmup_rounds=1) == bodies[0]


def test_client_whole(benchmark: Any, daemon_uri: str) -> None:
    """Rounds of a host: a roll call and its slices, through sockets, decoded and merged.

    The daemon is a thread of this process, so its part (sending) is in the figure too.
    """
    with domstats.connect(daemon_uri) as host:
        benchmark.pedantic(host.stats, rounds=ROUNDS, warmup_rounds=2)


def trees(bodies: Bodies) -> list[dict[str | int, Any]]:
    return [
        {"name": record.domain.name, "uuid": record.domain.uuid, "stats": record.tree()}
        for record in domstats.ReplyDecoder().decode(bodies[0])
    ]


def test_parse_orjson(benchmark: Any, bodies: Bodies) -> None:
    document = orjson.dumps(trees(bodies), option=orjson.OPT_NON_STR_KEYS)
    benchmark.pedantic(lambda: orjson.loads(document), rounds=10)


def test_parse_msgspec(benchmark: Any, bodies: Bodies) -> None:
    document = msgspec.json.encode(trees(bodies))
    benchmark.pedantic(lambda: msgspec.json.decode(document), rounds=10)


def test_parse_lxml(benchmark: Any, bodies: Bodies) -> None:
    def grow(parent: Any, content: dict[str | int, Any]) -> None:
        for name, value in content.items():
            child = lxml.etree.SubElement(parent, "item" if isinstance(name, int) else name)
            if isinstance(name, int):
                child.set("id", str(name))
            if isinstance(value, dict):
                grow(child, value)
            else:
                child.text = str(value)

    root = lxml.etree.Element("domainstats")
    for each in trees(bodies):
        domain = lxml.etree.SubElement(root, "domain", name=each["name"], uuid=each["uuid"])
        grow(domain, each["stats"])
    document = lxml.etree.tostring(root)
    benchmark.pedantic(lambda: lxml.etree.fromstring(document), rounds=10)


def test_rates_known(benchmark: Any, bodies: Bodies) -> None:
    decoder = domstats.ReplyDecoder()
    before: Snapshot = decoder.decode(bodies[0], time=0.0)
    now = decoder.decode(bodies[1], time=15.0)
    benchmark.pedantic(lambda: now.rates(before), rounds=ROUNDS, warmup_rounds=1)
