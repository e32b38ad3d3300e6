"""Parquet: what `arrow` makes of a snapshot, as a file compressed with zstd."""

from __future__ import annotations

from domstats.formats import arrow, libarrow
from domstats.formats.options import NO_OPTIONS, Options
from domstats.model.snapshot import Snapshot


def encode(snapshot: Snapshot, options: Options = NO_OPTIONS) -> bytes:
    """The file; the options as in `arrow`. Raises UnknownGroup, UnknownField."""
    return libarrow.to_parquet(arrow.selected(snapshot, options))
