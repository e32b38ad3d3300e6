"""Patterns of names as shells have them, compiled once for whoever asks with them.

fnmatch itself keeps the last 32,768 patterns for as long as the process lives, whoever they came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate


class Globs:
    """Some patterns; they are let go of with this object."""

    def __init__(self, globs: Iterable[str]) -> None:
        self._matches = [re.compile(translate(glob)).match for glob in globs]

    def fit(self, text: str) -> bool:
        """Whether one of them fits a text, as fnmatch.fnmatchcase says."""
        return any(match(text) for match in self._matches)
