"""Writing a snapshot of 1,024 guests, layout known: CPU time."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

import domstats
from domstats.formats.options import Options
from domstats.formats.registry import FORMATS
from domstats.model.tables import TABLES

pytestmark = pytest.mark.benchmark(timer=time.process_time)
ROUNDS = 20


def polls(bodies: tuple[bytes, bytes]) -> Any:
    """Two polls of the same guests in turn."""
    decoder = domstats.ReplyDecoder()
    return itertools.cycle([decoder.decode(body) for body in bodies])


def test_arrow_tables(benchmark: Any, bodies: tuple[bytes, bytes]) -> None:
    snapshots = polls(bodies)

    def tables() -> None:
        snapshot = next(snapshots)
        for table in TABLES:
            snapshot.to_arrow(table)

    benchmark.pedantic(tables, rounds=ROUNDS, warmup_rounds=2)


@pytest.mark.parametrize("table", ["", "domain", "vcpu"])
@pytest.mark.parametrize("form", ["arrow", "parquet", "csv"])
def test_encode(benchmark: Any, bodies: tuple[bytes, bytes], form: str, table: str) -> None:
    snapshots, options = polls(bodies), Options(table=table)
    benchmark.pedantic(lambda: FORMATS[form].encode(next(snapshots), options), rounds=ROUNDS, warmup_rounds=2)
