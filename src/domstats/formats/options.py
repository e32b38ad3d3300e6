"""What a format may be told beside the snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domstats.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Options:
    """A format takes what it has a use for, and leaves the rest."""

    width: int | None = None
    """Columns of the terminal that will show the bytes, None when it is none. `raw` escapes for a terminal, which the
    others always do, and `table` fits it."""
    groups: int = 0
    """The StatsGroup bits that were asked for; 0 for all."""
    before: Snapshot | None = None
    """An earlier snapshot, for rates."""


NO_OPTIONS = Options()
