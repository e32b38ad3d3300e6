"""How the records of a snapshot stand, worked out once for all that stand alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from domstats.formats.overlaid import patterns_of
from domstats.model.layout import Shape
from domstats.model.record import Record
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot

MICROSECONDS = 6
"""Decimals of an age. Times are seconds since the epoch, and their doubles have no more."""


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """How a record stands; the same object for all records that stand alike."""

    status: Status
    ages: Mapping[str, float]
    """Seconds since each of the record's groups was sampled, and what of it came from the kernel instead."""
    age: float | None
    """Seconds since the oldest of them was sampled; None for a record without values."""
    overlaid: tuple[str, ...]
    """Which of the values came from the kernel; see formats.overlaid."""


def standings(snapshot: Snapshot) -> list[Standing]:
    """How each record stands, in the snapshot's order."""
    times, status = snapshot.sampling.times, snapshot.sampling.status
    shapes = [record.shape for record in snapshot.layout.records]
    if times.strides[0] == 0 and not status.any():  # one poll, everything fresh: what differs is which groups there are
        by_shape = {
            shape: _standing(snapshot.records[int(positions[0])]) for shape, positions in snapshot.layout.by_shape()
        }
        return [by_shape[shape] for shape in shapes]
    row, joined = times.shape[1] * times.itemsize, times.tobytes()
    rows = [joined[start : start + row] for start in range(0, len(joined), row)]
    found: dict[tuple[Shape, bytes, int], Standing] = {}
    standing = []
    for position, alike in enumerate(zip(shapes, rows, status.tolist(), strict=True)):
        one = found.get(alike)
        if one is None:
            one = found[alike] = _standing(snapshot.records[position])
        standing.append(one)
    return standing


def _standing(record: Record) -> Standing:
    ages = {group: round(age, MICROSECONDS) for group, age in record.ages.items()}
    return Standing(record.status, ages, max(ages.values(), default=None), patterns_of(record.layout.shape))
