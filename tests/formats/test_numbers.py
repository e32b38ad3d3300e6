"""The digits that are written into places, beside those that Python writes."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.formats.numbers import (
    BLANK,
    CHUNK,
    NARROW,
    WIDTH,
    blank,
    without_blanks,
    write_decimal,
    write_digits,
    write_signed,
    write_unsigned,
)

EDGES = sorted({0, 2**63, 2**64 - 1} | {10**n + d for n in range(20) for d in (-1, 0, 1)})
unsigned = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from(EDGES), st.integers(0, 20_000))
signed = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([-(2**63), -1, 0, 2**63 - 1]))


def page(count: int, width: int, mark: bytes = b";") -> tuple[bytearray, np.ndarray]:
    """A text of so many places, each with a mark after it, and where they end."""
    text = bytearray((BLANK * width + mark) * count)
    return text, np.arange(1, count + 1, dtype=np.int64) * (width + 1) - 1


@given(st.lists(unsigned, max_size=30))
def test_unsigned(values: list[int]) -> None:
    text, ends = page(len(values), WIDTH)
    write_unsigned(np.frombuffer(text, np.uint8), ends, np.array(values, np.uint64))
    assert without_blanks(text) == b"".join(b"%d;" % value for value in values)


def test_every_edge() -> None:
    text, ends = page(len(EDGES), WIDTH)
    write_unsigned(np.frombuffer(text, np.uint8), ends, np.array(EDGES, np.uint64))
    assert without_blanks(text) == b"".join(b"%d;" % value for value in EDGES)


@given(st.lists(signed, max_size=30))
def test_signed(values: list[int]) -> None:
    text, ends = page(len(values), WIDTH)
    write_signed(np.frombuffer(text, np.uint8), ends, np.array(values, np.int64))
    assert without_blanks(text) == b"".join(b"%d;" % value for value in values)


@given(st.lists(unsigned, max_size=30), st.sampled_from([3, 9]))
def test_decimals(values: list[int], decimals: int) -> None:
    text = bytearray((BLANK * (WIDTH + 1 + decimals) + b";") * len(values))
    points = np.arange(len(values), dtype=np.int64) * (WIDTH + decimals + 2) + WIDTH
    write_decimal(np.frombuffer(text, np.uint8), points, np.array(values, np.uint64), decimals)
    written = without_blanks(text).decode().split(";")[:-1]
    assert [Decimal(each).scaleb(decimals) for each in written] == values
    assert all(each.partition(".")[2][-1:] != "0" for each in written)
    assert all(each[-1] != "." for each in written)


def test_narrow_places() -> None:
    text, ends = page(NARROW, 1)
    write_digits(np.frombuffer(text, np.uint8), ends, np.arange(NARROW, dtype=np.uint64))
    assert text == b"0;1;2;3;4;5;6;7;8;9;"


@pytest.mark.parametrize("width", [CHUNK, WIDTH])
def test_a_place_made_blank_again_leaves_its_neighbours(width: int) -> None:
    text = bytearray((b"9" * width + b";") * 3)
    blank(np.frombuffer(text, np.uint8), np.array([2 * (width + 1) - 1]), width)
    assert text == b"9" * width + b";" + BLANK * width + b";" + b"9" * width + b";"


def test_values_are_left_as_they_were() -> None:
    values = np.array([12345678901, 5, 2**64 - 1], np.uint64)
    kept = values.copy()
    text, ends = page(3, WIDTH)
    before = ends.copy()
    write_unsigned(np.frombuffer(text, np.uint8), ends, values)
    write_signed(np.frombuffer(text, np.uint8), ends, values.view(np.int64))
    assert (values == kept).all()
    assert (ends == before).all()
