"""The line on stderr that says how far a first sweep has come, where somebody sits at a terminal and waits."""

from __future__ import annotations

import sys
import time

PATIENCE = 1.0
"""Seconds that nobody minds waiting without a word."""
_PAUSE = 0.1
_CLEAR = "\r\x1b[K"


class ProgressLine:
    """Called with how many guests have been heard and are asked; `done` takes the line away."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._next = self._began + PATIENCE
        self._shown = False

    def __call__(self, heard: int, asked: int) -> None:
        now = time.monotonic()
        if now < self._next or not sys.stderr.isatty():
            return
        self._next = now + _PAUSE
        self._shown = True
        sys.stderr.write(f"{_CLEAR}domstats: {heard:,} of {asked:,} guests heard, {now - self._began:.0f} s")
        sys.stderr.flush()

    def done(self) -> None:
        """Take the line away, if there is one."""
        if self._shown:
            self._shown = False
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
