"""Which series of a guest stands in which lane of which track."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from domstats.model.layout import Positions, RecordLayout
from domstats.serve.history.fields import DERIVED, PLAIN, Fields, Series, has_the_same
from domstats.serve.history.rings import LANES
from domstats.serve.history.store import Store

_UNUSED = -1


@dataclass(slots=True)
class Track:
    """What a guest owns of a store."""

    number: int
    column: int
    """Index into model.sampling.COLUMN_NAMES of what its series are sampled with."""
    lanes: list[Series | None] = field(default_factory=lambda: [None] * LANES)
    """The series in each lane; one that the guest has no longer stays until another needs its lane, or all of them have
    nothing left to show."""


_Lane = tuple[Track, int]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A guest's part of what a snapshot's values are gathered by, of one store: a row for each of its tracks."""

    tracks: Positions
    columns: npt.NDArray[np.int64]
    """Indexes into model.sampling.COLUMN_NAMES."""
    fields: npt.NDArray[np.int64]
    """For each lane, the field's place among the derived ones; -1 where no series is."""
    places: npt.NDArray[np.int64]
    """For each lane, the device's place in the record, or a plain value's slot."""


class Guest:
    """One guest's tracks."""

    def __init__(self) -> None:
        self.record: RecordLayout | None = None
        """The last one seen."""
        self._series: Sequence[Series] = ()
        """Those that it has."""
        self.placed: Sequence[Series] | None = None
        """The series that it has and that have their lanes; None where there was no room for all of them."""
        self.pieces: tuple[Piece, Piece] = (_piece([], set()), _piece([], set()))
        self._tracks: tuple[list[Track], list[Track]] = ([], [])
        self._names: set[str] = set()
        """Of the series that it has."""

    def see(self, record: RecordLayout, fields: Fields) -> Sequence[Series]:
        """The series that the guest has with this record, its last one from now on."""
        if self.record is None or not has_the_same(record, self.record):
            self._series = fields.of_record(record)
        self.record = record
        return self._series

    @property
    def is_idle(self) -> bool:
        """Whether there are tracks into which nothing comes any more: their devices were detached, or it is off."""
        return any(self._idle(kind) for kind in (DERIVED, PLAIN))

    def place(self, series: Sequence[Series], stores: Sequence[Store], paces: Positions) -> bool:
        """Give each of the series a lane; those that had one keep it. Whether there was room for all of them.

        `paces`: for each of COLUMN_NAMES, which of the stores' periods it is sampled with.
        """
        complete = True
        for kind, store in enumerate(stores):
            now = {each.name: each for each in series if each.kind == kind}
            placed, moving = self._keep(kind, store, now)
            missing: dict[int, list[Series]] = {}
            for each in now.values():
                if each.name not in placed:
                    missing.setdefault(each.column, []).append(each)
            old = len(self._tracks[kind])
            for column, new in missing.items():
                lanes = self._lanes(kind, store, column, int(paces[column]), placed)
                complete = _fill(lanes, new, placed) and complete
            if moving:
                _move(moving, self._tracks[kind][old:], store)
                self._drop_empty(kind, store)
        self._names = {each.name for each in series}
        self._gather()
        self.placed = series if complete else None
        return complete

    def drop_old(self, stores: Sequence[Store], since: float) -> float | None:
        """Let go of the tracks into which nothing comes any more, and nothing has come since then.

        When something came last into the oldest of those that are left; None if none is.
        """
        left: list[float] = []
        for kind, store in enumerate(stores):
            last = {track.number: float(store.last[track.number]) for track in self._idle(kind)}
            old = {number for number, time in last.items() if time < since}
            self._let_go(kind, store, old)
            left += [time for time in last.values() if time >= since]
        self._gather()
        return min(left, default=None)

    def _idle(self, kind: int) -> list[Track]:
        here = self._names
        return [track for track in self._tracks[kind] if not any(each and each.name in here for each in track.lanes)]

    def _gather(self) -> None:
        self.pieces = (_piece(self._tracks[DERIVED], self._names), _piece(self._tracks[PLAIN], self._names))

    def _keep(self, kind: int, store: Store, now: dict[str, Series]) -> tuple[set[str], dict[str, _Lane]]:
        """The names of the series that have a lane, and the lanes of those that are sampled with others now.

        One whose wire type is another now loses its lane.
        """
        placed: set[str] = set()
        moving: dict[str, _Lane] = {}
        for track in self._tracks[kind]:
            for lane, old in enumerate(track.lanes):
                new = now.get(old.name) if old is not None else None
                if old is None or new is None:
                    continue
                if new.type == old.type and new.column == track.column:
                    track.lanes[lane] = new
                    placed.add(new.name)
                    continue
                track.lanes[lane] = None
                if new.type == old.type:
                    moving[new.name] = track, lane
                else:
                    store.blank(track.number, lane)
        return placed, moving

    def _drop_empty(self, kind: int, store: Store) -> None:
        self._let_go(kind, store, {track.number for track in self._tracks[kind] if not any(track.lanes)})

    def _let_go(self, kind: int, store: Store, numbers: set[int]) -> None:
        store.release(sorted(numbers))
        self._tracks[kind][:] = [track for track in self._tracks[kind] if track.number not in numbers]

    def _lanes(self, kind: int, store: Store, column: int, pace: int, placed: set[str]) -> Iterator[_Lane]:
        """Lanes for new series: empty ones, then those whose series are no more, then those of new tracks."""
        own = [track for track in self._tracks[kind] if track.column == column]
        for track in own:
            yield from ((track, lane) for lane, old in enumerate(track.lanes) if old is None)
        for track in own:
            for lane, old in enumerate(track.lanes):
                if old is not None and old.name not in placed:
                    store.blank(track.number, lane)
                    yield track, lane
        while (number := store.allocate(pace)) is not None:
            track = Track(number, column)
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


def _fill(lanes: Iterator[_Lane], new: Sequence[Series], placed: set[str]) -> bool:
    """Give each of the series one of the lanes; whether there were enough."""
    for series in new:
        place = next(lanes, None)
        if place is None:
            return False
        track, lane = place
        track.lanes[lane] = series
        placed.add(series.name)
    return True


def _move(moving: Mapping[str, _Lane], tracks: Sequence[Track], store: Store) -> None:
    """Have the points of series that have moved in their new tracks, and nowhere else."""
    for track in tracks:
        lanes = [(lane, moving[each.name]) for lane, each in enumerate(track.lanes) if each and each.name in moving]
        if lanes:
            # What is sampled together now was most often sampled together before.
            origin = lanes[0][1][0]
            store.copy(origin.number, track.number, {lane: old for lane, (there, old) in lanes if there is origin})
    for old_track, old_lane in moving.values():
        store.blank(old_track.number, old_lane)


def _piece(tracks: Sequence[Track], names: set[str]) -> Piece:
    here = [[series if series and series.name in names else None for series in track.lanes] for track in tracks]
    fields = [[each.field if each else _UNUSED for each in lanes] for lanes in here]
    places = [[each.place if each else _UNUSED for each in lanes] for lanes in here]
    return Piece(
        np.array([track.number for track in tracks], np.int64),
        np.array([track.column for track in tracks], np.int64),
        np.array(fields, np.int64).reshape(-1, LANES),
        np.array(places, np.int64).reshape(-1, LANES),
    )
