"""Figures of single devices, each from a record whose answer can be worked out by hand."""

from __future__ import annotations

import pytest

from domstats.errors import UnknownGroup
from domstats.model.devices import DeviceFigures
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.snapshot import Snapshot

SECOND = 10**9
MS = 10**6
ON = Domain("on", "00000000-0000-0000-0000-000000000001", 1)
OFF = Domain("off", "00000000-0000-0000-0000-000000000002", None)
PAST = 2**63
"""Counters this large lose their last digits as floats, and with them what a second adds."""


def poll(seconds: int) -> Snapshot:
    """Two vCPUs of a domain that is on, one of one that is off, and three disks: busy, idle, and without times."""
    values = {
        "vcpu.0.time": PAST + seconds * SECOND * 3 // 4,
        "vcpu.0.delay": PAST + seconds * SECOND // 5,
        "vcpu.0.wait": PAST + seconds * SECOND // 10,
        "vcpu.1.time": 0,
        "block.0.rd.reqs": PAST + seconds * 100,
        "block.0.rd.times": PAST + seconds * 100 * 3 * MS,
        "block.0.wr.reqs": PAST + seconds * 7,
        "block.0.wr.times": PAST + seconds * 7 * MS // 2,
        "block.0.fl.reqs": PAST + seconds,
        "block.0.fl.times": PAST + seconds * 5 * MS,
        "block.1.rd.reqs": 5,
        "block.1.rd.times": 5 * MS,
        "block.2.rd.reqs": seconds,
    }
    off = {"vcpu.0.time": PAST + seconds * SECOND}
    records = [
        (domain, [TypedParameter(key, ParamType.ULLONG, value) for key, value in params.items()])
        for domain, params in ((ON, values), (OFF, off))
    ]
    return Snapshot.of_params(records, time=float(seconds))


def figure(table: str, name: str) -> list[float | None]:
    now = poll(20)
    values, known = getattr(DeviceFigures(now, table, now.rates(poll(10))), name)
    return [value if there else None for value, there in zip(values.tolist(), known.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cpu_percent", [75.0, 0.0, None]),
        ("steal_percent", [20.0, None, None]),
        ("wait_percent", [10.0, None, None]),
    ],
)
def test_shares_of_a_processor(name: str, expected: list[float | None]) -> None:
    assert figure("vcpu", name) == [value if value is None else pytest.approx(value) for value in expected]


@pytest.mark.parametrize(("name", "milliseconds"), [("read_time", 3.0), ("write_time", 0.5), ("flush_time", 5.0)])
def test_how_long_a_request_takes(name: str, milliseconds: float) -> None:
    assert figure("block", name) == [pytest.approx(milliseconds * MS), None, None], "of the requests there were"


@pytest.mark.parametrize("table", ["vcpu", "block", "interface", "iothread", "domain"])
def test_without_an_earlier_snapshot_nothing_is_known(table: str) -> None:
    now = poll(20)
    figures = DeviceFigures(now, table)
    for name in ("cpu_percent", "steal_percent", "wait_percent", "read_time", "write_time", "flush_time"):
        values, known = getattr(figures, name)
        assert len(values) == len(known) == len(now.table(table))
        assert not known.any()


def test_a_table_that_does_not_exist() -> None:
    with pytest.raises(UnknownGroup):
        DeviceFigures(poll(1), "floppy")
