"""What the tables of arrow, parquet and csv should hold, made of records one value at a time; and hosts for them."""

from __future__ import annotations

import asyncio
import base64
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from domstats import aio
from domstats.catalog.groups import GROUP_NAMES
from domstats.formats.text import to_bytes
from domstats.model.record import Record
from domstats.model.sampling import Sampling, Status
from domstats.model.snapshot import Snapshot
from fast_time import run_fast
from scripted import Scripted, events
from strategies import hosts

PREFIXES = {"vcpu": "vcpu", "interface": "net", "block": "block", "iothread": "iothread"}
"""Of the keys in each table of devices."""
TABLES = ("domain", *PREFIXES)
HEADS = {
    "domain": ["domain", "uuid", "id", "status", "age", "sampled"],
    "vcpu": ["domain", "uuid", "id", "vcpu", "status", "age", "sampled"],
    "interface": ["domain", "uuid", "id", "interface", "name", "status", "age", "sampled"],
    "block": ["domain", "uuid", "id", "block", "name", "status", "age", "sampled"],
    "iothread": ["domain", "uuid", "id", "iothread", "status", "age", "sampled"],
}
"""How each table begins, where devices have names."""

Row = dict[str, Any]

_DEVICE = re.compile(r"(vcpu|net|block|iothread)\.([0-9]{1,10})\.(.+)\Z", re.DOTALL)


def rows(snapshot: Snapshot, table: str) -> list[tuple[Row, Row]]:
    """For each row what is said of it, and its values by the tails of their keys, each as its record has it."""
    found = []
    for position, record in enumerate(snapshot):
        devices: dict[int, Row] = {0: {}} if table == "domain" else {}
        for key, value in record.items():
            match = _DEVICE.match(key)
            if table == "domain" and match is None:
                devices[0][key] = value
            elif match is not None and match[1] == PREFIXES.get(table):
                devices.setdefault(int(match[2]), {})[match[3]] = value
        for number, values in devices.items():
            found.append((_said(snapshot, position, record, table, number), values))
    return found


def _said(snapshot: Snapshot, position: int, record: Record, table: str, number: int) -> Row:
    domain = record.domain
    said: Row = {"domain": domain.name, "uuid": domain.uuid, "id": domain.id}
    if table != "domain":
        said[table] = number
    age = record.ages.get(table) if table != "domain" else (record.age if record.ages else None)
    times = snapshot.sampling.times[position]
    group = table if age is None or table != "domain" else max(record.ages, key=lambda name: record.ages[name])
    sampled = None if age is None else moment(float(times[GROUP_NAMES.index(group)]))
    return said | {"status": record.status.label, "age": age, "sampled": sampled}


def moment(seconds: float) -> datetime:
    """A time, to the microsecond."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(seconds * 1e6))


def types(snapshot: Snapshot, table: str) -> dict[str, list[str]]:
    """The wire types met in each column of keys."""
    found: dict[str, set[str]] = {}
    for record in snapshot:
        for key in record:
            match = _DEVICE.match(key)
            if table == "domain" and match is None:
                found.setdefault(key, set()).add(record.type_of(key).label)
            elif match is not None and match[1] == PREFIXES.get(table):
                found.setdefault(match[3], set()).add(record.type_of(key).label)
    order = ("int", "uint", "llong", "ullong", "double", "boolean", "string")
    return {tail: sorted(labels, key=order.index) for tail, labels in found.items()}


def expected(snapshot: Snapshot, table: str) -> tuple[list[tuple[list[str], str]], list[list[Any]]]:
    """A table's columns (the wire types of a column of keys, and its name), and its rows."""
    own = [(kinds, tail) for tail, kinds in types(snapshot, table).items()]
    named = [column for column in own if column[1] == "name" and table != "domain"]
    heads: list[tuple[list[str], str]] = [([], head) for head in HEADS[table] if head != "name"]
    at = heads.index(([], "status"))
    columns = [*heads[:at], *named, *heads[at:], *(column for column in own if column not in named)]
    return columns, [
        [(values if kinds else said).get(name) for kinds, name in columns] for said, values in rows(snapshot, table)
    ]


def binary_text(text: str) -> str:
    """A text or a key as Arrow's columns have it."""
    raw = to_bytes(text)
    try:
        plain = raw.decode()
    except UnicodeDecodeError:
        plain = "base64:"
    return f"base64:{base64.b64encode(raw).decode()}" if plain.startswith("base64:") else plain


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, a NaN and the sign of a zero included."""
    if isinstance(one, float) and isinstance(other, float):
        alike = math.isnan(one) and math.isnan(other)
        return alike or (one == other and math.copysign(1.0, one) == math.copysign(1.0, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def sampled(draw: st.DrawFn, snapshot: Snapshot) -> Snapshot:
    """The snapshot with any statuses, and times that may be missing."""
    shape = snapshot.sampling.times.shape
    times = st.one_of(st.just(math.nan), st.floats(0, 4e9), st.just(snapshot.time))
    status = draw(st.lists(st.sampled_from(list(Status)), min_size=shape[0], max_size=shape[0]))
    drawn = draw(st.lists(times, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    sampling = replace(
        snapshot.sampling, status=np.array(status, np.uint8), times=np.array(drawn, np.float64).reshape(shape)
    )
    return snapshot.with_sampling(sampling)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Any host, at any time, in any state."""
    return sampled(draw, Snapshot.of_params(draw(hosts), time=draw(st.floats(0, 4e9)), source=draw(st.text())))


def with_statuses(snapshot: Snapshot, statuses: Sequence[Status], ages: Sequence[float]) -> Snapshot:
    """The snapshot with a status and an age for each record."""
    times = snapshot.time - np.broadcast_to(np.array(ages)[:, np.newaxis], snapshot.sampling.times.shape)
    old = snapshot.sampling
    status = np.array(statuses, np.uint8)
    return snapshot.with_sampling(Sampling(status, times, old.sources, old.source_names, old.uncertainty))


def stuck_host(folder: Path) -> Snapshot:
    """A simulated host, one guest of which has hung for 40 seconds, and one of which has hostile names."""

    async def poll() -> Snapshot:
        script = events("5; hang build-1", "5; hostile web-1")
        async with aio.Host(Scripted(folder, script).source) as host:
            await host.stats(deadline=10.0)
            await asyncio.sleep(45.0)
            return await host.stats(deadline=10.0)

    return run_fast(poll())
