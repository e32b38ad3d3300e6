"""Printing a snapshot in the format asked for."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from domstats.cli.console import put, terminal_color, terminal_width
from domstats.formats.options import Options
from domstats.formats.registry import FORMATS

if TYPE_CHECKING:
    from domstats.model.snapshot import Snapshot


def print_snapshot(snapshot: Snapshot, form: str, options: Options) -> None:
    """All of it, at once, as stdout takes it. Raises UnknownColumn, OSError."""
    if form == "table":
        from domstats.formats.table import check_keys

        check_keys(snapshot, options)
    put(FORMATS[form].encode(snapshot, replace(options, width=terminal_width(), color=terminal_color(os.environ))))
