"""Rows of values: the same as the records', a record at a time."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given

from captures import CAPTURES, capture
from domstats.formats.values import Writers, rows
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from strategies import hosts

AS_THEY_ARE = Writers(float, bool, str)


def same(one: Any, other: Any) -> bool:
    """Equal, of the same type, and NaN is like NaN."""
    if type(one) is float and math.isnan(one):
        return type(other) is float and math.isnan(other)
    return type(one) is type(other) and one == other


def check(snapshot: Snapshot) -> None:
    found = list(rows(snapshot, AS_THEY_ARE))
    assert [record.domain for record, _ in found] == snapshot.domains
    for record, values in found:
        params = record.params
        assert len(values) == len(params)
        assert all(same(value, param.value) for value, param in zip(values, params, strict=True))


@given(hosts)
def test_the_values_of_any_record(host: Any) -> None:
    check(Snapshot.of_params(host))


def test_the_values_of_a_real_host() -> None:
    for name in CAPTURES:
        if "1024" not in name:
            check(ReplyDecoder().decode(capture(name)))
