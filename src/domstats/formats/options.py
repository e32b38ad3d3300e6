"""What a format may be told beside the snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domstats.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Options:
    """A format takes what it has a use for, and leaves the rest."""

    terminal: bool = False
    """Whether a terminal will show the bytes. Only `raw` asks: the others are safe to show anyway."""
    before: Snapshot | None = None
    """An earlier snapshot, for rates."""


NO_OPTIONS = Options()
