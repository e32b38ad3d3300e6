"""Which series of a guest stands in which lane of which track."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from domstats.model.layout import Positions, RecordLayout
from domstats.serve.history.fields import Series
from domstats.serve.history.rings import LANES
from domstats.serve.history.store import Store

DERIVED, PLAIN = 0, 1
"""The stores: figures in 32 bits, and values as they are."""
_UNUSED = -1


@dataclass(slots=True)
class Track:
    """What a guest owns of a store."""

    number: int
    group: int
    """Index into GROUP_NAMES of what its series are sampled with."""
    lanes: list[Series | None] = field(default_factory=lambda: [None] * LANES)
    """The series in each lane; one that the guest has no longer stays until another needs its lane."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A guest's part of what a snapshot's values are gathered by, of one store: a row for each of its tracks."""

    tracks: Positions
    groups: npt.NDArray[np.int64]
    """Indexes into GROUP_NAMES."""
    fields: npt.NDArray[np.int64]
    """For each lane, the field's place among the derived ones; -1 where no series is."""
    places: npt.NDArray[np.int64]
    """For each lane, the device's place in the record, or a plain value's slot."""


class Guest:
    """One guest's tracks."""

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid
        self.record: RecordLayout | None = None
        """What the tracks are for; None until there was room for all series."""
        self.gone: float | None = None
        """When it was seen to be gone, in seconds since the epoch."""
        self.pieces: tuple[Piece, Piece] = (_piece([], set()), _piece([], set()))
        self._tracks: tuple[list[Track], list[Track]] = ([], [])

    def fits(self, record: RecordLayout) -> bool:
        """Whether the tracks are as they should be for this record layout."""
        mine = self.record
        return mine is record or (mine is not None and mine.shape is record.shape and mine.strings == record.strings)

    def place(self, record: RecordLayout, series: Sequence[Series], stores: Sequence[Store], paces: Positions) -> bool:
        """Give each of the series a lane; those that had one keep it. Whether there was room for all of them.

        `paces`: for each of GROUP_NAMES, which of the stores' periods it is sampled with.
        """
        complete = True
        for kind, store in enumerate(stores):
            now = {each.name: each for each in series if (each.field < 0) == (kind == PLAIN)}
            kept = self._keep(kind, now)
            for each in now.values():
                if each.name not in kept and not self._add(kind, store, int(paces[each.group]), each, set(now)):
                    complete = False
        names = {each.name for each in series}
        self.pieces = (_piece(self._tracks[DERIVED], names), _piece(self._tracks[PLAIN], names))
        self.record = record if complete else None
        return complete

    def _keep(self, kind: int, now: dict[str, Series]) -> set[str]:
        """The names of the series that have a lane; one whose wire type is another now has none."""
        kept = set()
        for track in self._tracks[kind]:
            for lane, old in enumerate(track.lanes):
                new = now.get(old.name) if old is not None else None
                if old is not None and new is not None and new.type == old.type and new.group == track.group:
                    track.lanes[lane] = new
                    kept.add(new.name)
        return kept

    def _add(self, kind: int, store: Store, pace: int, series: Series, now: set[str]) -> bool:
        """A lane for a new series: an empty one, one whose series is no more, or of another track."""
        own = [track for track in self._tracks[kind] if track.group == series.group]
        lanes = [(track, lane) for track in own for lane in range(LANES)]
        empty = [(track, lane) for track, lane in lanes if track.lanes[lane] is None]
        over = [(track, lane) for track, lane in lanes if _is_over(track.lanes[lane], series, now)]
        if empty or over:
            track, lane = (empty or over)[0]
            if not empty:
                store.blank(track.number, lane)
        else:
            number = store.allocate(pace)
            if number is None:
                return False
            track, lane = Track(number, series.group), 0
            self._tracks[kind].append(track)
        track.lanes[lane] = series
        return True

    def release(self, stores: Sequence[Store]) -> None:
        """Let go of everything."""
        for tracks, store in zip(self._tracks, stores, strict=True):
            store.release([track.number for track in tracks])
            tracks.clear()
        self.record = None

    def series(self) -> Iterator[tuple[str, int, Track, int]]:
        """Each series that has a lane: its name, its store, its track and its lane."""
        for kind, tracks in enumerate(self._tracks):
            for track in tracks:
                for lane, series in enumerate(track.lanes):
                    if series is not None:
                        yield series.name, kind, track, lane

    def tracks(self, kind: int) -> Iterable[int]:
        """The numbers of its tracks in a store."""
        return [track.number for track in self._tracks[kind]]


def _is_over(old: Series | None, new: Series, now: set[str]) -> bool:
    """Whether a lane's series is no more, or is what the new one is but for its type."""
    return old is not None and (old.name not in now or old.name == new.name)


def _piece(tracks: Sequence[Track], names: set[str]) -> Piece:
    here = [[series if series and series.name in names else None for series in track.lanes] for track in tracks]
    fields = [[each.field if each else _UNUSED for each in lanes] for lanes in here]
    places = [[each.place if each else _UNUSED for each in lanes] for lanes in here]
    return Piece(
        np.array([track.number for track in tracks], np.int64),
        np.array([track.group for track in tracks], np.int64),
        np.array(fields, np.int64).reshape(-1, LANES),
        np.array(places, np.int64).reshape(-1, LANES),
    )
