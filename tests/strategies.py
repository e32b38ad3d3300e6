"""Hypothesis strategies: any text, any parameter, any record."""

from __future__ import annotations

from hypothesis import strategies as st

from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter, Value

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
