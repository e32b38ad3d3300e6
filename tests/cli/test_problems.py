"""What is said of records that are not complete."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from domstats.cli.problems import explain
from domstats.collector.completeness import half_groups
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.record import Record
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot

BALLOON = ["balloon.current", "balloon.maximum"]
HELD = "another job holds the guest, or libvirt failed to ask it"
DISK = ["block.count", "block.0.name", "block.0.path"]


def record(keys: list[str], status: Status, age: float = 0.0) -> Record:
    params = [TypedParameter(key, ParamType.ULLONG, 0) for key in keys]
    snapshot = Snapshot.of_params([(Domain("vm\n", "6695eb01-f6a4-8304-79aa-97f2502e193f", 1), params)], time=100.0)
    times = np.full_like(snapshot.sampling.times, 100.0 - age)
    sampling = replace(snapshot.sampling, status=np.array([status], np.uint8), times=times)
    return next(iter(snapshot.with_sampling(sampling)))


@pytest.mark.parametrize(
    ("keys", "groups"),
    [
        ([], []),
        (BALLOON, ["balloon"]),
        ([*BALLOON, "balloon.rss"], []),
        (DISK, ["block"]),
        ([*DISK, "block.0.rd.reqs"], []),
        ([*DISK, "block.0.rd.reqs", "block.1.name"], []),
        (["block.count"], []),
        ([*BALLOON, *DISK], ["balloon", "block"]),
    ],
)
def test_incomplete_groups(keys: list[str], groups: list[str]) -> None:
    assert half_groups(record(keys, Status.PARTIAL).layout.shape) == groups


@pytest.mark.parametrize(
    ("status", "keys", "words"),
    [
        (
            Status.PARTIAL,
            [*BALLOON, *DISK],
            "partial: another job holds the guest, or libvirt failed to ask it; incomplete: balloon, block",
        ),
        (
            Status.PARTIAL,
            ["cpu.time"],
            "partial: another job holds the guest, or libvirt failed to ask it; values it had before are missing",
        ),
        (Status.BLOCKED, ["cpu.time"], "blocked: its QEMU does not answer; shown are cpu, up to 7.0 s old"),
        (Status.BLOCKED, [], "blocked: its QEMU does not answer; no values are shown"),
        (Status.STALE, ["cpu.time"], "stale: not obtained in time; shown are cpu, up to 7.0 s old"),
        (Status.GONE, ["cpu.time"], "gone"),
    ],
)
def test_reasons(status: Status, keys: list[str], words: str) -> None:
    assert explain(record(keys, status, age=7.0)) == rf"domain 'vm\n' is {words}"
