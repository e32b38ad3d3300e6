"""When and from where a snapshot's values came: a status a record, a time and a source for each of its groups.

Where the host's kernel is asked beside libvirt, some values of a group come from the one, at its time, and the rest
from the other: such a group has two columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from domstats.catalog.groups import GROUP_NAMES

OVERLAID = len(GROUP_NAMES)
"""The column of a group's overlaid values is so many further than the group's own."""
COLUMN_NAMES: tuple[str, ...] = (*GROUP_NAMES, *(f"{name}.kernel" for name in GROUP_NAMES))
"""The groups, and what of each comes from the kernel instead."""


AHEAD = 1.0
"""Seconds, beside its uncertainty, by which a sample may seem to be of a later time than it is."""


Seconds = float | tuple[float, ...]
"""Of all columns, or of each."""


class Status(IntEnum):
    """How a domain's record stands."""

    FRESH = 0
    """Every group asked for is no older than its period plus the deadline."""
    PARTIAL = 1
    """It answered in time, but a group that needs the guest's monitor is missing."""
    BLOCKED = 2
    """A call that asked it hangs, or its monitor has been occupied for too long."""
    STALE = 3
    """Not obtained, for a reason that is not the guest's."""
    GONE = 4
    """The domain exists no longer; said in exactly one snapshot."""

    @property
    def label(self) -> str:
        """The word used in every format: fresh, partial, blocked, stale, gone."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, eq=False)
class Sampling:
    """Arrays with a row for each record; all but `status` have a column for each of COLUMN_NAMES."""

    status: npt.NDArray[np.uint8]
    times: npt.NDArray[np.float64]
    """When the group was sampled, in seconds since the epoch; NaN where it never was."""
    sources: npt.NDArray[np.uint8]
    """Index into source_names."""
    source_names: tuple[str, ...]
    uncertainty: npt.NDArray[np.float64]
    """Seconds by which the true time may differ, either way."""
    offset: float | None = None
    """Seconds by which the clock that `times` are of is ahead of one that is never set; None where that is not known.

    Another than that of an earlier snapshot where the clock has been set in between."""

    @classmethod
    def of_one_poll(
        cls, records: int, time: float, source: str, uncertainty: float = 0.0, offset: float | None = None
    ) -> Sampling:
        """Everything fresh, at one time and from one source; takes no memory to speak of."""
        shape = (records, len(COLUMN_NAMES))
        return cls(
            np.broadcast_to(np.uint8(Status.FRESH), records),
            np.broadcast_to(np.float64(time), shape),
            np.broadcast_to(np.uint8(0), shape),
            (source,),
            np.broadcast_to(np.float64(uncertainty), shape),
            offset,
        )

    def set_by(self, offset: float | None) -> float:
        """Seconds by which the clock has been set since, if it is now ahead by `offset`: what `times` lack then."""
        return 0.0 if offset is None or self.offset is None else offset - self.offset

    def old(self, time: float, seconds: Seconds | npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Which groups were sampled over so many seconds (of each column) before `time`, at no known time, or `ahead`.

        A row for each record. Seconds since the epoch.
        """
        return ~(time - self.times <= np.asarray(seconds)) | self.ahead(time)

    def ahead(self, time: float) -> npt.NDArray[np.bool_]:
        """Which times, a row for each record, are later than `time` by more than their uncertainty and AHEAD.

        Seconds since the epoch. Such a sample was taken before the clock was set back: how old it is is not known.
        """
        return self.times - time > self.uncertainty + AHEAD
