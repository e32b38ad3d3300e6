"""Hypothesis strategies: any text, any parameter, any record."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from domstats.model.domain import Domain
from domstats.model.layout import Layout, RecordLayout, Shape
from domstats.model.params import ParamType, TypedParameter, Value
from domstats.model.sampling import COLUMN_NAMES, Status
from domstats.model.snapshot import Snapshot

any_bytes_as_text = st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
"""What a peer can send where text is expected: bytes that need not be UTF-8."""

texts = st.one_of(st.text(st.characters(exclude_categories=("Cs",)), max_size=20), any_bytes_as_text)

keys = st.one_of(
    st.sampled_from(["state.state", "cpu.time", "vcpu.0.time", "block.0.name", "block.0.rd.bytes", "net.0.name", "x"]),
    texts.filter(lambda text: len(text.encode("utf-8", "surrogateescape")) <= 79),
)

_VALUES: dict[ParamType, st.SearchStrategy[Value]] = {
    ParamType.INT: st.integers(-(2**31), 2**31 - 1),
    ParamType.UINT: st.integers(0, 2**32 - 1),
    ParamType.LLONG: st.integers(-(2**63), 2**63 - 1),
    ParamType.ULLONG: st.integers(0, 2**64 - 1),
    ParamType.DOUBLE: st.floats(),
    ParamType.BOOLEAN: st.booleans(),
    ParamType.STRING: texts,
}

params = st.sampled_from(list(ParamType)).flatmap(
    lambda kind: st.builds(TypedParameter, keys, st.just(kind), _VALUES[kind])
)

domains = st.builds(
    Domain,
    texts,
    st.uuids().map(str),
    st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1).filter(lambda number: number != -1)),
)

records = st.tuples(domains, st.lists(params, max_size=12))
hosts = st.lists(records, max_size=6, unique_by=lambda record: record[0].uuid)
"""What a whole reply holds."""

OVERLAID_KEYS = ("cpu.time", "vcpu.0.time", "net.0.rx.bytes")


def overlaid(snapshot: Snapshot, keys: Collection[str]) -> Snapshot:
    """The snapshot as if the kernel had given the values of these keys."""
    layout = Layout(
        [
            RecordLayout(record.domain, Shape.of(shape.keys, shape.types, flags), record.strings)
            for record in snapshot.layout.records
            for shape in (record.shape,)
            for flags in (bytes(key in keys for key in shape.keys),)
        ]
    )
    return Snapshot(layout, snapshot.values, snapshot.time, snapshot.sampling, snapshot.host_cpus)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Any snapshot: any records, every status, groups of any age, or of none, and values that came from the kernel."""
    snapshot = Snapshot.of_params(draw(hosts), time=draw(st.floats(1.0, 4e9)), source=draw(texts))
    snapshot = overlaid(snapshot, draw(st.sets(st.sampled_from(OVERLAID_KEYS))))
    count, columns = len(snapshot), len(COLUMN_NAMES)
    status = draw(st.lists(st.sampled_from(Status), min_size=count, max_size=count))
    row = st.lists(
        st.one_of(st.none(), st.just(0.0), st.floats(0, 1e6), st.floats(-100, 0)), min_size=columns, max_size=columns
    )
    ages = np.array(draw(st.lists(row, min_size=count, max_size=count)), np.float64).reshape(count, columns)
    sampling = replace(snapshot.sampling, status=np.array(status, np.uint8).reshape(count), times=snapshot.time - ages)
    return snapshot.with_sampling(sampling)
