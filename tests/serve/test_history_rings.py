"""Rings against a plain model: the same samples in lists, nothing vectorised, nothing forgotten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.serve.history.rings import FIGURES, FULL, LANES, SECONDS, TRACKS, VALUES, Block, Geometry, geometry

ROWS = (0, 7, TRACKS - 1)
NOTHING: list[Any] = [None] * LANES
EPOCH = 1_800_000_000.0
SMALL: Geometry = ((1.0, 5), (8.0, 4))
"""Rings that are soon full."""


@dataclass
class Model:
    """Every sample of one track, in the order in which they came."""

    samples: list[tuple[float, Sequence[Any]]] = field(default_factory=list)

    def points(self, rings: Geometry) -> list[tuple[float, list[Any]]]:
        """What is to be kept of them."""
        newest = self._ring(*rings[0])
        if len(rings) == 1 or not newest:
            return newest
        return [point for point in self._ring(*rings[1]) if point[0] < newest[0][0]] + newest

    def _ring(self, step: float, points: int) -> list[tuple[float, list[Any]]]:
        steps: list[tuple[int, list[tuple[float, Sequence[Any]]]]] = []
        for time, values in self.samples:
            number = math.floor(time / step)
            if steps and values == NOTHING and self._combined(steps[-1][1]) != NOTHING:
                number = max(number, steps[-1][0] + 1)  # a gap is a point of its own
                time = max(time, number * step)
            if steps and number <= steps[-1][0]:
                steps[-1][1].append((time, values))
            else:
                steps.append((number, [(time, values)]))
        return [(max(time for time, _ in samples), self._combined(samples)) for _, samples in steps[-points:]]

    @staticmethod
    def _combined(samples: Sequence[tuple[float, Sequence[Any]]]) -> list[Any]:
        found: list[Any] = []
        for lane in range(LANES):
            known = [values[lane] for _, values in samples if values[lane] is not None]
            means = bool(known) and isinstance(known[0], float)
            found.append(sum(known) / len(known) if means else known[-1] if known else None)
        return found


figures = st.one_of(st.none(), st.floats(0, 1e6, width=32))
wholes = st.one_of(st.none(), st.integers(0, 2**64 - 1))


def samples(value: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[float, dict[int, list[Any]]]]]:
    """Seconds since the one before, and the values of some tracks."""
    lanes = st.lists(value, min_size=LANES, max_size=LANES)
    gaps = st.sampled_from([0.25, 1.0, 2.0, 2.0, 3.5, 40.0])
    return st.lists(st.tuples(gaps, st.dictionaries(st.sampled_from(ROWS), lanes, min_size=1)), max_size=40)


def packed(kind: np.dtype[Any], rows: Sequence[Sequence[Any]]) -> Any:
    if kind is FIGURES:
        return np.array([[math.nan if value is None else value for value in row] for row in rows], np.float32)
    values: Any = np.zeros(len(rows), VALUES)
    values["bits"] = [[value or 0 for value in row] for row in rows]
    values["there"] = [sum(1 << lane for lane, value in enumerate(row) if value is not None) for row in rows]
    return values


def unpacked(kind: np.dtype[Any], values: Any) -> list[list[Any]]:
    if kind is FIGURES:
        return [[None if math.isnan(value) else value for value in row] for row in values.tolist()]
    pairs = zip(values["bits"].tolist(), values["there"].tolist(), strict=True)
    return [[bits if there >> lane & 1 else None for lane, bits in enumerate(row)] for row, there in pairs]


def fill(kind: np.dtype[Any], given_samples: Any) -> tuple[Block, dict[int, Model]]:
    block, models = Block(SMALL, kind), {row: Model() for row in ROWS}
    time = EPOCH
    for gap, values in given_samples:
        time += gap
        rows = sorted(values)
        block.add(np.array(rows), np.full(len(rows), time), packed(kind, [values[row] for row in rows]))
        for row in rows:
            models[row].samples.append((time, values[row]))
    return block, models


def check(kind: np.dtype[Any], block: Block, row: int, expected: list[tuple[float, list[Any]]]) -> None:
    times, values = block.read(row)
    assert times.tolist() == [time for time, _ in expected]
    for found, (_, wanted) in zip(unpacked(kind, values), expected, strict=True):
        assert [value is None for value in found] == [value is None for value in wanted]
        pairs = zip(found, wanted, strict=True)
        assert all(a == (pytest.approx(b, rel=1e-5) if kind is FIGURES else b) for a, b in pairs if b is not None)


@given(samples(figures))
def test_figures_are_the_mean_of_what_is_known(given_samples: Any) -> None:
    block, models = fill(FIGURES, given_samples)
    for row, model in models.items():
        check(FIGURES, block, row, model.points(SMALL))


@given(samples(wholes))
def test_values_are_the_last_that_are_known_and_exact(given_samples: Any) -> None:
    block, models = fill(VALUES, given_samples)
    for row, model in models.items():
        check(VALUES, block, row, model.points(SMALL))


@given(samples(wholes), st.sampled_from([((1.0, 3), (16.0, 3)), ((1.0, 9), (4.0, 9)), ((2.0, 6),)]))
def test_a_block_made_anew_is_as_if_it_had_got_its_points(given_samples: Any, rings: Geometry) -> None:
    block, models = fill(VALUES, given_samples)
    remade = block.remade(rings)
    for row, model in models.items():
        check(VALUES, remade, row, Model(model.points(SMALL)).points(rings))


@pytest.mark.parametrize(("kind", "value"), [(FIGURES, figures), (VALUES, wholes)], ids=["figures", "values"])
@given(data=st.data(), lane=st.integers(0, LANES - 1))
def test_a_lane_that_is_blanked_is_nowhere_known(
    kind: np.dtype[Any], value: st.SearchStrategy[Any], data: st.DataObject, lane: int
) -> None:
    block, models = fill(kind, data.draw(samples(value)))
    block.blank(ROWS[1], lane)
    for row, model in models.items():
        expected = model.points(SMALL)
        if row == ROWS[1]:
            expected = [(time, [*values[:lane], None, *values[lane + 1 :]]) for time, values in expected]
        check(kind, block, row, expected)


@pytest.mark.parametrize("kind", [FIGURES, VALUES], ids=["figures", "values"])
@pytest.mark.parametrize("period", [0.1, 1.0, 2.0, 15.0, 300.0, 7200.0])
@pytest.mark.parametrize("squeeze", [1, 2, 4, 8, 16])
def test_what_the_rings_of_a_period_hold(kind: np.dtype[Any], period: float, squeeze: int) -> None:
    rings = geometry(period, squeeze)
    assert Block.size(rings, kind) == Block(rings, kind).nbytes
    assert rings[0][1] * max(period, 1.0) > FULL / squeeze
    assert rings[-1][1] * max(rings[-1][0], period) > SECONDS
    assert sum(points for _, points in rings) < 1200
