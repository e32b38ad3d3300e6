"""What a format may be told beside the snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domstats.collector.cost import Cost
    from domstats.formats.metrics.options import MetricsOptions
    from domstats.formats.metrics.service import Service
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
    color: bool = False
    """Whether the terminal shows colors."""
    table: str = ""
    """The one table asked for, of model.tables.TABLES, where a format has tables; empty for the whole."""
    columns: Sequence[str] = ()
    """The columns that are asked for, in this order; all when empty."""
    sort: str = ""
    """The column that the rows are sorted by: text ascending, numbers descending, a `-` before it turns that round."""
    top: int | None = None
    """The most rows there may be; the first ones stay."""
    metrics: MetricsOptions | None = None
    """What of the snapshot the metrics texts show, and with which labels; all that has a meaning when None."""
    cost: Cost | None = None
    """What collecting has cost, for the metrics texts."""
    service: Service | None = None
    """How the service is that serves the metrics texts."""


NO_OPTIONS = Options()
