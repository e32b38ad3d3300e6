"""Points of many tracks: the newest as they came, older ones combined.

A track is what is sampled together of one guest: one time, and LANES values. A ring holds the last points of so many
tracks, each at its own place in it, so that every track has the times of its own samples. Samples in the same step of
the clock are one point: its time is that of the last one. A block is tracks with one ring as they came and, where
that does not reach back far enough, one with longer steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from domstats.model.layout import Positions

Times = npt.NDArray[np.float64]
Points = npt.NDArray[Any]

LANES = 4
"""Values of a track: a power of two, and little is lost where a group has only one or two."""
TRACKS = 256
"""Tracks of a block: few enough that little is allocated for nothing, enough that a block is worth a call."""
FIGURES = np.dtype((np.float32, LANES))
"""The values of a point of derived figures; NaN where one is missing."""
VALUES = np.dtype([("bits", np.uint64, LANES), ("there", np.uint8)])
"""The values of a point of plain values, as a snapshot has them, and a bit for each that is there."""

SECONDS = 3600.0
"""How far back history goes."""
FULL = 600.0
"""Seconds for which every sample is kept as it came."""
STEP = 10.0
"""Seconds of one point of what is older."""
LEAST_PERIOD = 1.0
"""Seconds: no more than two points are kept of one."""
_SPARE = 1.1
"""Samples come a little earlier than their period says."""

Geometry = tuple[tuple[float, int], ...]
"""The step, in seconds, and the points of each ring of a block."""


def geometry(period: float, squeeze: int) -> Geometry:
    """The rings for what is sampled once a period.

    `squeeze`: 1 for what is kept where there is room; with 2 the newest are kept as they came for half as long, and
    what is older in points twice as far apart; and so on.
    """
    period = max(period, LEAST_PERIOD)
    step, full = STEP * squeeze, FULL / squeeze
    if period >= step:
        return ((period / 2, _points(SECONDS, period)),)
    return ((period / 2, _points(full, period)), (step, _points(SECONDS, step)))


def _points(seconds: float, step: float) -> int:
    return math.ceil(_SPARE * seconds / step) + 1


def _held(shape: tuple[int, int], kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """Zeros that take their memory now: what a history takes is seen from the beginning, not after an hour."""
    array = np.empty(shape, kind)
    array.view(np.uint8).fill(0)
    return array


class Ring:
    """The last points of every track of a block."""

    def __init__(self, step: float, points: int, kind: np.dtype[Any]) -> None:
        self.step, self.points = step, points
        self.times = _held((points, TRACKS), np.dtype(np.float64))
        """Seconds since the epoch."""
        self.values: Points = _held((points, TRACKS), kind)
        self.heads = np.full(TRACKS, -1, np.int64)
        """Where each track's newest point is."""
        self.lengths = np.zeros(TRACKS, np.int64)
        """How many points each track has."""
        self.steps = np.full(TRACKS, -1, np.int64)
        """Which step of the clock each track's newest point is of."""
        self.counts = np.zeros((TRACKS, LANES), np.uint32)
        """Of figures: how many samples each mean in the newest point is of."""

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        arrays = (self.times, self.values, self.heads, self.lengths, self.steps, self.counts)
        return sum(array.nbytes for array in arrays)

    def add(self, rows: Positions, times: Times, values: Points) -> None:
        """A sample of each of these tracks, no track twice. One that comes late counts for the newest point.

        One without any value, after a point with some, is a point of its own even in the same step: else a gap would
        be seen only where it happens to begin with a step. What comes before the next step is over fills it.
        """
        steps = np.floor(times / self.step).astype(np.int64)
        ends = ~_known(values) & _known(self.values[self.heads[rows], rows]) & (self.lengths[rows] > 0)
        steps = np.where(ends, np.maximum(steps, self.steps[rows] + 1), steps)
        times = np.where(ends, np.maximum(times, steps * self.step), times)
        begins = steps > self.steps[rows]
        begun = rows[begins]
        heads = (self.heads[begun] + 1) % self.points
        self.heads[begun], self.steps[begun] = heads, steps[begins]
        self.lengths[begun] = np.minimum(self.lengths[begun] + 1, self.points)
        self.times[heads, begun], self.values[heads, begun] = times[begins], values[begins]
        means = self.values.dtype == np.float32
        if means:
            self.counts[begun] = ~np.isnan(values[begins])
        if len(begun) < len(rows):
            fold = self._fold_figures if means else self._fold_values
            fold(rows[~begins], times[~begins], values[~begins])

    def _fold_figures(self, rows: Positions, times: Times, values: Points) -> None:
        """The mean of what is known."""
        heads = self.heads[rows]
        self.times[heads, rows] = np.maximum(self.times[heads, rows], times)
        there = ~np.isnan(values)
        counts = self.counts[rows] + there
        mean = self.values[heads, rows]
        first = counts == 1
        mean = np.where(there, np.where(first, values, mean + (values - mean) / np.maximum(counts, 1)), mean)
        self.counts[rows] = counts
        self.values[heads, rows] = mean

    def _fold_values(self, rows: Positions, times: Times, values: Points) -> None:
        """The last of what is known."""
        heads = self.heads[rows]
        self.times[heads, rows] = np.maximum(self.times[heads, rows], times)
        points = self.values[heads, rows]
        newer = (values["there"][:, np.newaxis] >> np.arange(LANES) & 1).astype(np.bool_)
        points["bits"] = np.where(newer, values["bits"], points["bits"])
        points["there"] |= values["there"]
        self.values[heads, rows] = points

    def fill(self, row: int, times: Times, values: Points, step: float) -> None:
        """Have these points in a track that has none, ascending; those of one step of so many seconds are one.

        As in `add`, one without any value is one of its own. Plain values are the last of them, which may lack one that
        an earlier one had.
        """
        steps, known = np.floor(times / step).astype(np.int64), _known(values)
        ends = ~known[1:] & known[:-1] & (steps[1:] == steps[:-1])
        steps[1:] += ends
        steps = np.maximum.accumulate(steps)
        begins = np.flatnonzero(np.diff(steps, prepend=-1))[-self.points :]
        if not len(begins):
            return
        ends, length = np.append(begins[1:], len(times)) - 1, len(begins)
        self.times[:length, row] = times[ends]
        if self.values.dtype == np.float32:
            there = ~np.isnan(values)
            sums = np.add.reduceat(np.where(there, values, 0).astype(np.float64), begins)
            counts = np.add.reduceat(there, begins, dtype=np.int64)
            self.values[:length, row] = np.where(counts, sums / np.maximum(counts, 1), np.nan)
            self.counts[row] = counts[-1]
        else:
            self.values[:length, row] = values[ends]
        self.heads[row], self.lengths[row], self.steps[row] = length - 1, length, int(times[-1] // self.step)

    def read(self, row: int) -> tuple[Times, Points]:
        """The points of a track, the oldest first."""
        length = int(self.lengths[row])
        order = (int(self.heads[row]) + 1 - length + np.arange(length)) % self.points
        return self.times[order, row], self.values[order, row]

    def in_order(self, since: Times) -> Iterator[tuple[Positions, Times, Points]]:
        """The points of all tracks, the oldest first, one of a track at a time: those before each track's `since`."""
        tracks = np.arange(TRACKS)
        for back in range(self.points, 0, -1):
            places = (self.heads + 1 - back) % self.points
            rows = np.flatnonzero((self.lengths >= back) & (self.times[places, tracks] < since))
            if len(rows):
                yield rows, self.times[places[rows], rows], self.values[places[rows], rows]

    def oldest(self) -> Times:
        """The time of each track's oldest point; infinite without one."""
        tracks = np.arange(TRACKS)
        times = self.times[(self.heads + 1 - self.lengths) % self.points, tracks]
        return np.where(self.lengths > 0, times, np.inf)

    def forget(self, rows: Positions) -> None:
        """These tracks have no points."""
        self.heads[rows] = self.steps[rows] = -1
        self.lengths[rows] = 0

    def blank(self, row: int, lane: int) -> None:
        """A lane of a track is nowhere known."""
        if self.values.dtype == np.float32:
            self.values[:, row, lane] = np.nan
            self.counts[row, lane] = 0
        else:
            self.values["there"][:, row] &= np.uint8(0xFF ^ 1 << lane)


class Block:
    """Tracks that are sampled with one period."""

    def __init__(self, rings: Geometry, kind: np.dtype[Any]) -> None:
        """`kind`: FIGURES or VALUES."""
        self.geometry = rings
        self.rings = [Ring(step, points, kind) for step, points in rings]

    @staticmethod
    def size(rings: Geometry, kind: np.dtype[Any]) -> int:
        """Bytes that such a block takes."""
        each = np.dtype(np.float64).itemsize + kind.itemsize
        beside = 3 * np.dtype(np.int64).itemsize + LANES * np.dtype(np.uint32).itemsize
        return sum(TRACKS * (points * each + beside) for _, points in rings)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(ring.nbytes for ring in self.rings)

    def add(self, rows: Positions, times: Times, values: Points) -> None:
        """A sample of each of these tracks, no track twice."""
        for ring in self.rings:
            ring.add(rows, times, values)

    def read(self, row: int) -> tuple[Times, Points]:
        """The points of a track, the oldest first: all as they came, and before them the combined ones."""
        times, values = self.rings[0].read(row)
        if len(self.rings) == 1 or not len(times):
            return times, values
        earlier, combined = self.rings[1].read(row)
        before = earlier < times[0]
        return np.concatenate((earlier[before], times)), np.concatenate((combined[before], values))

    def fill(self, row: int, times: Times, values: Points) -> None:
        """Have these points in a track that has none, ascending; where they are too many, fewer."""
        for ring in self.rings:
            step = ring.step
            if ring is self.rings[-1] and len(times):
                step = max(step, (times[-1] - times[0]) / (ring.points - 1))
            ring.fill(row, times, values, step)

    def remade(self, rings: Geometry) -> Block:
        """The same tracks and points in other rings."""
        block = Block(rings, _kind(self.rings[0].values))
        since = self.rings[0].oldest()
        for ring in self.rings[1:]:
            for points in ring.in_order(since):
                block.add(*points)
        for points in self.rings[0].in_order(np.full(TRACKS, np.inf)):
            block.add(*points)
        return block

    def forget(self, rows: Positions) -> None:
        """These tracks have no points."""
        for ring in self.rings:
            ring.forget(rows)

    def blank(self, row: int, lane: int) -> None:
        """A lane of a track is nowhere known."""
        for ring in self.rings:
            ring.blank(row, lane)


def _known(values: Points) -> npt.NDArray[np.bool_]:
    """Which points have a value at all."""
    if _kind(values) is FIGURES:
        return np.asarray(~np.isnan(values).all(axis=1))
    return np.asarray(values["there"] > 0)


def _kind(values: Points) -> np.dtype[Any]:
    return FIGURES if values.dtype == np.float32 else VALUES
