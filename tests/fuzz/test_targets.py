"""The fuzz targets let nothing through: for a while with random bytes, and with damaged real ones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captures import CAPTURES, capture

sys.path.insert(0, str(Path(__file__).parents[2]))

from fuzz.targets import TARGETS

REAL = capture(CAPTURES[0])[:4096]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.tuples(st.binary(max_size=40), st.integers(0, 4000)).map(
            lambda p: b"\xff" + REAL[: p[1]] + p[0] + REAL[p[1] :]
        ),
    )
)
def test_nothing_but_documented_errors(target: Callable[[bytes], None], data: bytes) -> None:
    target(data)
