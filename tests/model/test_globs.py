"""Patterns as shells have them."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from domstats.model.globs import Globs


@pytest.mark.parametrize("glob", ["*", "web-?", "[wW]eb*", "[!w]*", "web-1", "", "*-*-*", "[", "a\nb", "*.(x)+"])
def test_they_fit_what_fnmatch_says(glob: str) -> None:
    for text in ("web-1", "Web-12", "db", "", "a-b-c", "[", "a\nb", "web-1\n", "a.(x)+"):
        assert Globs([glob]).fit(text) is fnmatchcase(text, glob)


def test_one_of_them_is_enough() -> None:
    assert Globs(["a*", "*b"]).fit("xb")
    assert not Globs(["a*", "*b"]).fit("xc")
    assert not Globs([]).fit("")
