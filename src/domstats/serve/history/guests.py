"""Which series of a guest stands in which lane of which track."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from domstats.model.layout import Positions, RecordLayout
from domstats.serve.history.fields import DERIVED, PLAIN, Series
from domstats.serve.history.rings import LANES
from domstats.serve.history.store import Store

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

    def __init__(self) -> None:
        self.record: RecordLayout | None = None
        """The last one seen."""
        self.placed: Sequence[Series] | None = None
        """The series that it has and that have their lanes; None where there was no room for all of them."""
        self.pieces: tuple[Piece, Piece] = (_piece([], set()), _piece([], set()))
        self._tracks: tuple[list[Track], list[Track]] = ([], [])

    def place(self, series: Sequence[Series], stores: Sequence[Store], paces: Positions) -> bool:
        """Give each of the series a lane; those that had one keep it. Whether there was room for all of them.

        `paces`: for each of GROUP_NAMES, which of the stores' periods it is sampled with.
        """
        complete = True
        for kind, store in enumerate(stores):
            now = {each.name: each for each in series if each.kind == kind}
            placed = self._keep(kind, store, now)
            missing: dict[int, list[Series]] = {}
            for each in now.values():
                if each.name not in placed:
                    missing.setdefault(each.group, []).append(each)
            for group, new in missing.items():
                lanes = self._lanes(kind, store, group, int(paces[group]), placed)
                complete = _fill(lanes, new, placed) and complete
        names = {each.name for each in series}
        self.pieces = (_piece(self._tracks[DERIVED], names), _piece(self._tracks[PLAIN], names))
        self.placed = series if complete else None
        return complete

    def _keep(self, kind: int, store: Store, now: dict[str, Series]) -> set[str]:
        """The names of the series that have a lane; one whose wire type is another now loses it."""
        placed = set()
        for track in self._tracks[kind]:
            for lane, old in enumerate(track.lanes):
                new = now.get(old.name) if old is not None else None
                if old is None or new is None:
                    continue
                if new.type == old.type:
                    track.lanes[lane] = new
                    placed.add(new.name)
                else:
                    track.lanes[lane] = None
                    store.blank(track.number, lane)
        return placed

    def _lanes(self, kind: int, store: Store, group: int, pace: int, placed: set[str]) -> Iterator[tuple[Track, int]]:
        """Lanes for new series: empty ones, then those whose series are no more, then those of new tracks."""
        own = [track for track in self._tracks[kind] if track.group == group]
        for track in own:
            yield from ((track, lane) for lane, old in enumerate(track.lanes) if old is None)
        for track in own:
            for lane, old in enumerate(track.lanes):
                if old is not None and old.name not in placed:
                    store.blank(track.number, lane)
                    yield track, lane
        while (number := store.allocate(pace)) is not None:
            track = Track(number, group)
            self._tracks[kind].append(track)
            yield from ((track, lane) for lane in range(LANES))

    def release(self, stores: Sequence[Store]) -> None:
        """Let go of everything."""
        for tracks, store in zip(self._tracks, stores, strict=True):
            store.release([track.number for track in tracks])
            tracks.clear()

    def series(self) -> list[tuple[Series, int, int]]:
        """Each series that has a lane, its track and its lane; in the order of the fields."""
        found = [
            (series, track.number, lane)
            for tracks in self._tracks
            for track in tracks
            for lane, series in enumerate(track.lanes)
            if series is not None
        ]
        return sorted(found, key=lambda each: (each[0].kind, each[0].field, each[0].place))


def _fill(lanes: Iterator[tuple[Track, int]], new: Sequence[Series], placed: set[str]) -> bool:
    """Give each of the series one of the lanes; whether there were enough."""
    for series in new:
        place = next(lanes, None)
        if place is None:
            return False
        track, lane = place
        track.lanes[lane] = series
        placed.add(series.name)
    return True


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
