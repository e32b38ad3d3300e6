"""Writing formats, of 1,024 captured guests (179,676 values) and of simulated hosts: CPU time.

A host's polls come in turn, so that numbers change as they do on a real host.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import lxml.etree
import msgspec
import numpy as np
import pytest

import domstats
from bench.report import WRITTEN
from domstats.formats.options import Options
from domstats.formats.registry import FORMATS
from domstats.model.layout import Layout, RecordLayout
from domstats.model.snapshot import Snapshot
from domstats.model.tables import TABLES

pytestmark = pytest.mark.benchmark(timer=time.process_time)
ROUNDS = 40
FEW = 5
SIMULATED = (4_000, 16_000)

Polls = tuple[Snapshot, Snapshot]


@pytest.fixture(scope="session")
def polls(bodies: tuple[bytes, bytes]) -> Polls:
    """Two polls of the captured host, with one layout."""
    decoder = domstats.ReplyDecoder()
    first, second = (decoder.decode(body, time=1.7e9 + 15 * number) for number, body in enumerate(bodies))
    assert first.layout is second.layout
    return first, second


@pytest.fixture(scope="session")
def simulated() -> dict[int, Polls]:
    """Two polls of simulated hosts, by their number of domains."""
    found = {}
    for count in SIMULATED:
        with domstats.connect(f"sim:///?domains={count}&speed=1000") as host:
            found[count] = (host.stats(), host.stats())
    return found


def changes(polls: Polls) -> Iterator[Snapshot]:
    """Polls in each of which one guest more than before has another UUID, as if it had been made anew."""
    records = list(polls[0].layout.records)
    for number in itertools.count():
        old = records[number]
        domain = domstats.Domain(old.domain.name, f"{number:08}-0000-4000-8000-000000000000", number)
        records[number] = RecordLayout(domain, old.shape, old.strings)
        poll = polls[number % 2]
        yield Snapshot(Layout(records), poll.values, poll.time, poll.sampling, None)


@pytest.mark.parametrize("name", WRITTEN)
def test_write(benchmark: Any, polls: Polls, name: str) -> None:
    turn = itertools.cycle(polls)
    benchmark.pedantic(lambda: FORMATS[name].encode(next(turn)), rounds=ROUNDS, warmup_rounds=2)


@pytest.mark.parametrize("name", WRITTEN)
def test_write_changed(benchmark: Any, polls: Polls, name: str) -> None:
    """One guest is another each time, all the others are what they were."""
    FORMATS[name].encode(polls[0])
    turn = changes(polls)
    benchmark.pedantic(
        lambda snapshot: FORMATS[name].encode(snapshot),
        setup=lambda: ((next(turn),), {}),
        rounds=ROUNDS,
        warmup_rounds=1,
    )


@pytest.mark.parametrize("name", WRITTEN)
def test_write_cold(benchmark: Any, bodies: tuple[bytes, bytes], name: str) -> None:
    """Nothing is known yet, as for a command that runs once."""

    def fresh() -> tuple[tuple[Snapshot], dict[str, Any]]:
        snapshot = domstats.ReplyDecoder().decode(bodies[0])
        for record in snapshot.layout.records:
            record.shape.derived.clear()
        return (snapshot,), {}

    benchmark.pedantic(FORMATS[name].encode, setup=fresh, rounds=FEW)


@pytest.mark.parametrize("count", SIMULATED)
@pytest.mark.parametrize("name", WRITTEN)
def test_write_simulated(benchmark: Any, simulated: dict[int, Polls], name: str, count: int) -> None:
    turn = itertools.cycle(simulated[count])
    benchmark.pedantic(lambda: FORMATS[name].encode(next(turn)), rounds=FEW, warmup_rounds=2)


def test_write_all_changed(benchmark: Any, polls: Polls) -> None:
    """As JSON, when no number is what it was in the poll before."""
    layout = polls[0].layout
    more = np.full(layout.size, 1000, np.uint64)
    for shape, positions in layout.by_shape():
        more[layout.starts[positions][:, np.newaxis] + np.array(shape.string_slots, np.int64)] = 0
    values = [poll.values + more * np.uint64(number) for number, poll in enumerate(polls, 1)]
    turn = itertools.cycle([Snapshot(layout, each, 0.0, polls[0].sampling, None) for each in values])
    benchmark.pedantic(lambda: FORMATS["json"].encode(next(turn)), rounds=ROUNDS, warmup_rounds=2)


def test_msgspec_dicts(benchmark: Any, polls: Polls) -> None:
    """The json document's content as ready-made dicts."""
    turn = itertools.cycle([msgspec.json.decode(FORMATS["json"].encode(poll)) for poll in polls])
    benchmark.pedantic(lambda: msgspec.json.encode(next(turn)), rounds=ROUNDS, warmup_rounds=2)


def test_lxml_tree(benchmark: Any, polls: Polls) -> None:
    """The xml document's elements, attributes and texts, ready-made: lxml builds the tree and writes it."""

    def planned(element: Any) -> tuple[str, dict[str, str], str, list[Any]]:
        return element.tag, dict(element.attrib), element.text, list(map(planned, element))

    def grow(around: Any, tag: str, attributes: dict[str, str], text: str, inside: list[Any]) -> None:
        element = lxml.etree.SubElement(around, tag, attributes)
        element.text = text
        for each in inside:
            grow(element, *each)

    def build() -> bytes:
        root = lxml.etree.Element("domainstats")
        for each in domains:
            grow(root, *each)
        written: bytes = lxml.etree.tostring(root)
        return written

    domains = list(map(planned, lxml.etree.fromstring(FORMATS["xml"].encode(polls[0]))))
    benchmark.pedantic(build, rounds=FEW)


def test_read_xml(benchmark: Any, polls: Polls) -> None:
    document = FORMATS["xml"].encode(polls[0])
    benchmark.pedantic(lambda: FORMATS["xml"].decode(document), rounds=FEW)


def test_arrow_tables(benchmark: Any, polls: Polls) -> None:
    turn = itertools.cycle(polls)
    benchmark.pedantic(lambda: tables(next(turn)), rounds=ROUNDS, warmup_rounds=2)


def test_arrow_tables_changed(benchmark: Any, polls: Polls) -> None:
    """One guest is another each time, so the layout is a new one."""
    tables(polls[0])
    turn = changes(polls)
    benchmark.pedantic(tables, setup=lambda: ((next(turn),), {}), rounds=FEW, warmup_rounds=1)


def tables(snapshot: Snapshot) -> None:
    for table in TABLES:
        snapshot.to_arrow(table)


@pytest.mark.parametrize("table", ["", "domain", "vcpu"])
@pytest.mark.parametrize("name", ["arrow", "parquet", "csv"])
def test_write_table(benchmark: Any, polls: Polls, name: str, table: str) -> None:
    turn, options = itertools.cycle(polls), Options(table=table)
    benchmark.pedantic(lambda: FORMATS[name].encode(next(turn), options), rounds=ROUNDS, warmup_rounds=2)
