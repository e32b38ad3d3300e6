"""What the tables of arrow, parquet and csv should hold, made of records one value at a time; and hosts for them."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from domstats import aio
from domstats.catalog.groups import GROUP_NAMES
from domstats.formats.text import escape, to_bytes
from domstats.model.record import Record
from domstats.model.sampling import COLUMN_NAMES, Sampling, Status
from domstats.model.snapshot import Snapshot
from fast_time import run_fast
from scripted import Scripted, events

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

ARROW_TYPES = {
    "int": pa.int32(), "uint": pa.uint32(), "llong": pa.int64(), "ullong": pa.uint64(), "double": pa.float64(),
    "boolean": pa.bool_(), "string": pa.utf8(),
}  # fmt: skip
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
    # Of a device the older of what libvirt and what the kernel gave.
    ages = {name: age for name, age in record.ages.items() if table in ("domain", name.removesuffix(".kernel"))}
    age, oldest = max(((age, name) for name, age in ages.items()), default=(None, ""))
    times = snapshot.sampling.times[position]
    sampled = None if age is None else moment(float(times[COLUMN_NAMES.index(oldest)]))
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


def as_written(value: Any, kind: Any) -> Any:
    """A record's value in a column of this type."""
    if isinstance(value, str):
        return binary_text(value)
    if kind == pa.utf8() and value is not None:
        return str(value).lower() if isinstance(value, bool) else repr(value)
    return value


def arrow_type(kinds: Sequence[str]) -> Any:
    """The type of a column with these wire types."""
    if len(kinds) == 1:
        return ARROW_TYPES[kinds[0]]
    if set(kinds) == {"uint", "ullong"}:
        return pa.uint64()
    return pa.int64() if set(kinds) <= {"int", "uint", "llong"} else pa.utf8()


def lists(table: Any) -> list[list[Any]]:
    """The rows of a table, whatever its columns are called."""
    columns = [column.to_pylist() for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def check_flat(snapshot: Snapshot, table: str, found: Any) -> list[list[Any]]:
    """An Arrow table is what the records say; its rows."""
    found.validate(full=True)
    columns, expected_rows = expected(snapshot, table)
    names = [binary_text(name) for _, name in columns]
    assert [label.rstrip("_") for label in found.schema.names] == [name.rstrip("_") for name in names]
    assert len(set(found.schema.names)) == len(names)
    held = [arrow_type(kinds) if kinds else found.schema.types[at] for at, (kinds, _) in enumerate(columns)]
    assert found.schema.types == held
    cells = [[as_written(value, kind) for value, kind in zip(row, held, strict=True)] for row in expected_rows]
    assert same(lists(found), cells)
    return cells


def check_whole(snapshot: Snapshot, whole: Any) -> None:
    """The Arrow table of everything is what the records say."""
    whole.validate(full=True)
    assert whole.num_rows == len(snapshot)
    own = whole.num_columns - len(PREFIXES)
    check_flat(snapshot, "domain", whole.select(list(range(own))))
    for at, table in enumerate(PREFIXES, own):
        devices = whole.column(at).combine_chunks()
        columns, rows_of_devices = expected(snapshot, table)
        inside = [place for place, (kinds, name) in enumerate(columns) if kinds or name not in _OF_THE_DOMAIN]
        flat = pa.Table.from_batches([pa.RecordBatch.from_struct_array(devices.flatten())])
        held = flat.schema.types
        cells = [[as_written(row[place], held[to]) for to, place in enumerate(inside)] for row in rows_of_devices]
        assert same(lists(flat), cells)
        owners = Counter(said["uuid"] for said, _ in rows(snapshot, table))
        assert devices.value_lengths().to_pylist() == [owners[domain.uuid] for domain in snapshot.domains]


_OF_THE_DOMAIN = ("domain", "uuid", "id", "status")


def check_arrow(snapshot: Snapshot, encoded: bytes) -> None:
    """The stream of everything, read back."""
    check_whole(snapshot, pa.ipc.open_stream(encoded).read_all())


def check_parquet(snapshot: Snapshot, encoded: bytes) -> None:
    """The file of everything, read back."""
    check_whole(snapshot, parquet.read_table(io.BytesIO(encoded)))


def check_csv(snapshot: Snapshot, encoded: bytes) -> None:
    """CSV's line a value, read back."""
    head, *found = read_csv(encoded)
    assert head == ["domain", "uuid", "id", "status", "age", "sampled", "key", "type", "value"]
    assert found == long_form(snapshot)


def read_csv(encoded: bytes) -> list[list[str]]:
    """The rows, the names of columns first."""
    csv.field_size_limit(len(encoded) + 1)  # what the module takes unasked is less than a long name
    return list(csv.reader(io.StringIO(encoded.decode(), newline=""), strict=True))


def cell(value: Any) -> str:
    """A value as CSV should have it; ages are looked at by themselves."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    return escape(value) if isinstance(value, str) else repr(value)


def long_form(snapshot: Snapshot) -> list[list[str]]:
    found = []
    for record in snapshot:
        domain = record.domain
        who = [escape(domain.name), domain.uuid, "" if domain.id is None else str(domain.id), record.status.label]
        shape = record.layout.shape
        flags = shape.overlaid or bytes(len(shape))
        for group, flag, param in zip(shape.groups, flags, record.params, strict=True):
            name = GROUP_NAMES[group] + ".kernel" * flag
            times = snapshot.sampling.times[snapshot.layout.position(domain.uuid)]
            sampled = float(times[COLUMN_NAMES.index(name)])
            known = sampled == sampled  # NaN differs from itself
            age = repr(round(snapshot.time - sampled, 6)) if known else ""
            when = cell(moment(sampled)) if known else ""
            found.append([*who, age, when, escape(param.name), param.type.label, cell(param.value)])
        if not len(shape):
            found.append([*who, "", "", "", "", ""])
    return found
