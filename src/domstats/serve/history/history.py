"""A snapshot taken in, series given out.

A group of a record is taken in when it has been sampled since the last snapshot, at the time of its sample; its rates
are those since the sample before. So a guest that does not answer gets no points, and nothing is told twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from domstats.errors import UnknownDomain, UsageError
from domstats.model.columns import DTYPES
from domstats.model.layout import DomainKey, Positions
from domstats.model.params import ParamType
from domstats.model.sampling import COLUMN_NAMES, Status
from domstats.model.snapshot import Snapshot
from domstats.serve.history.fields import DEFAULT_FIELDS, DERIVED, PLAIN, Fields, Series
from domstats.serve.history.figures import numbers, offsets
from domstats.serve.history.guests import Guest
from domstats.serve.history.rings import FIGURES, FULL, LANES, LEAST_PERIOD, SECONDS, STEP, VALUES, Times
from domstats.serve.history.store import Room

BYTES = 256 << 20
"""What the points may take when nobody says."""
LEAST_BYTES = 4 << 20
SET_BACK = 60.0
"""Seconds. A clock that was set back by less is waited for; with one set back by more the history begins anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """What is kept of one series."""

    times: Times
    """When it was sampled, in seconds since the epoch, ascending; of combined samples, the last one's."""
    values: npt.NDArray[Any]
    """Of a derived figure float64 (NaN where it is not known), of a plain value what its wire type is."""
    known: npt.NDArray[np.bool_]
    """Where there is a value."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How much there is of a history."""

    bytes: int
    """What the points take."""
    limit: int
    """What they may take."""
    guests: int
    """Guests with a history, those that are gone included."""
    waiting: int
    """Guests for which, wholly or in part, there is no room."""
    series: int
    points: int
    """Points as they came: one is all that was sampled of up to LANES series."""
    combined: int
    """Points of combined samples."""
    full_seconds: float
    """For so long every sample is kept as it came."""
    step: float
    """Seconds of one point of what is older."""
    seconds: float
    """How far back the oldest point is."""


@dataclass(frozen=True, slots=True, eq=False)
class _Gather:
    """Of one store and one layout: which tracks get what."""

    tracks: Positions
    """Ascending."""
    records: Positions
    """For each track, the position of its record."""
    cells: Positions
    """For each track, the flat index of its record and column in the sampling's arrays."""
    sources: npt.NDArray[np.int64]
    """For each lane, where its value is; -1 for nowhere."""
    there: npt.NDArray[np.uint8]
    """For each track, a bit for each lane with a value."""


class History:
    """The last hour of every guest of one host. Of one loop: nothing of it may be called from two threads."""

    def __init__(
        self,
        fields: Iterable[str] = DEFAULT_FIELDS,
        *,
        history_bytes: int = BYTES,
        periods: Sequence[float] | npt.NDArray[np.float64],
    ) -> None:
        """`periods`: seconds between two samples, for each of COLUMN_NAMES. Raises UnknownColumn, UsageError."""
        if history_bytes < LEAST_BYTES:
            raise UsageError(f"history_bytes is at least {LEAST_BYTES}, not {history_bytes!r}")
        self._fields = Fields(fields)
        each = np.maximum(np.array(periods, np.float64), LEAST_PERIOD)
        distinct, paces = np.unique(each, return_inverse=True)
        self._paces: Positions = np.asarray(paces, np.int64).reshape(len(COLUMN_NAMES))
        self._room = Room(history_bytes, (FIGURES, VALUES), distinct.tolist())
        self._guests: dict[str, Guest] = {}
        self._last: Snapshot | None = None
        self._gathers: tuple[_Gather, ...] = ()
        self._gone: dict[str, float] = {}
        """When guests were seen to be gone, in seconds since the epoch; the first comes first."""
        self._idle: dict[str, float] = {}
        """Guests with tracks into which nothing comes any more, and since when nothing has come into one of them."""
        self._unplaced: set[str] = set()
        """Guests that have not all their lanes."""
        self._place_again = False
        """Whether there may be room for them that was not there the last time."""

    def add(self, snapshot: Snapshot) -> None:
        """Take in what has been sampled since the last snapshot."""
        before = self._last
        if before is not None and snapshot.time < before.time:
            if before.time - snapshot.time < SET_BACK:
                return
            self.clear()
            before = None
        self._last = snapshot
        if self._room.settle():
            self._place_again = True
        if before is None or before.layout is not snapshot.layout or (self._unplaced and self._place_again):
            before_it, self._gathers = self._gathers, self._follow(snapshot)
            self._end(before_it)
        self._forget_old(snapshot.time)
        self._take(snapshot, before or snapshot)

    def repace(self, periods: npt.NDArray[np.float64]) -> None:
        """From now on samples come at these periods, see __init__; what there is is kept, block after block."""
        each = np.maximum(periods, LEAST_PERIOD)
        self._room.repace([each[self._paces == pace].min() for pace in range(self._paces.max() + 1)])

    def clear(self) -> None:
        """Forget everything."""
        for guest in self._guests.values():
            guest.release(self._room.stores)
        for each in (self._guests, self._gone, self._idle, self._unplaced):
            each.clear()
        self._last, self._gathers = None, ()

    @property
    def time(self) -> float:
        """The last snapshot's, in seconds since the epoch; 0 before the first."""
        return 0.0 if self._last is None else self._last.time

    def find(self, key: DomainKey) -> str:
        """The UUID of a guest with a history, by UUID or, if it is there, by name or id. Raises UnknownDomain."""
        if isinstance(key, str) and key.lower() in self._guests:
            return key.lower()
        if self._last is None:
            raise UnknownDomain(key)
        return self._last.layout.records[self._last.layout.position(key)].domain.uuid

    def fields(self, uuid: str) -> list[str]:
        """The names of a guest's series, those of devices that were detached included. Raises UnknownDomain."""
        return [series.name for series, _, _ in self._guest(uuid).series()]

    def series(self, uuid: str, names: Iterable[str], seconds: float = SECONDS) -> dict[str, Points]:
        """The points of these series of a guest, of the last so many seconds before the last snapshot.

        Names that it has no series of are left out. Raises UnknownDomain.
        """
        asked, since = set(names), self.time - min(seconds, SECONDS)
        read: dict[tuple[int, int], tuple[Times, Any]] = {}
        found = {}
        for series, track, lane in self._guest(uuid).series():
            if series.name in asked:
                kind = series.kind
                if (kind, track) not in read:
                    times, values = self._room.stores[kind].read(track)
                    read[kind, track] = times[times >= since], values[times >= since]
                found[series.name] = _points(*read[kind, track], lane, series.type)
        return found

    def kept(self) -> Kept:
        """How much there is now."""
        budget = self._room.budget
        blocks = [block for store in self._room.stores for block in store.blocks]
        oldest = min((float(ring.oldest().min()) for block in blocks for ring in block.rings), default=np.inf)
        return Kept(
            bytes=budget.used,
            limit=budget.limit,
            guests=len(self._guests),
            waiting=len(self._unplaced),
            series=sum(1 for guest in self._guests.values() for _ in guest.series()),
            points=sum(int(block.rings[0].lengths.sum()) for block in blocks),
            combined=sum(int(ring.lengths.sum()) for block in blocks for ring in block.rings[1:]),
            full_seconds=FULL / budget.squeeze,
            step=STEP * budget.squeeze,
            seconds=min(max(self.time - oldest, 0.0), SECONDS),
        )

    def _guest(self, uuid: str) -> Guest:
        try:
            return self._guests[uuid]
        except KeyError:
            raise UnknownDomain(uuid) from None

    def _follow(self, snapshot: Snapshot) -> tuple[_Gather, ...]:
        """Give every guest its lanes; and what the snapshot's values are gathered by then."""
        self._place_again = False
        there = {record.domain.uuid: position for position, record in enumerate(snapshot.layout.records)}
        for uuid in self._guests.keys() - there.keys() - self._gone.keys():
            self._gone[uuid] = snapshot.time
            self._unplaced.discard(uuid)
        for uuid in self._gone.keys() & there.keys():
            del self._gone[uuid]
        is_full = False
        for uuid, position in there.items():
            guest = self._guests.get(uuid) or self._guests.setdefault(uuid, Guest())
            record = snapshot.layout.records[position]
            if guest.record is not record or (guest.placed is None and not is_full):
                is_full = not self._place(uuid, guest, guest.see(record, self._fields)) or is_full
                if guest.is_idle:
                    self._idle.setdefault(uuid, snapshot.time)
        return tuple(_gather(snapshot, self._fields, self._guests, there, kind) for kind in (DERIVED, PLAIN))

    def _end(self, gathers: tuple[_Gather, ...]) -> None:
        """Of what was gathered so far and is no more: a guest is off or gone, a device detached."""
        for store, old, new in zip(self._room.stores, gathers, self._gathers, strict=False):
            store.end(np.setdiff1d(old.tracks, new.tracks, assume_unique=True))

    def _place(self, uuid: str, guest: Guest, series: Sequence[Series]) -> bool:
        """Give a guest the lanes it needs; whether there was room."""
        if guest.placed == series:
            return True
        self._unplaced.discard(uuid)
        while not guest.place(series, self._room.stores, self._paces):
            if not self._gone:
                self._unplaced.add(uuid)
                self._room.squeeze()
                return False
            self._forget(next(iter(self._gone)))
        return True

    def _forget_old(self, now: float) -> None:
        for uuid in [uuid for uuid, since in self._gone.items() if now - since > SECONDS]:
            self._forget(uuid)
        for uuid in [uuid for uuid, since in self._idle.items() if now - since > SECONDS]:
            left = self._guests[uuid].drop_old(self._room.stores, now - SECONDS)
            if left is None:
                del self._idle[uuid]
            else:
                self._idle[uuid] = left
            self._place_again = True

    def _forget(self, uuid: str) -> None:
        """Let go of a guest that is gone."""
        del self._gone[uuid]
        self._idle.pop(uuid, None)
        self._guests.pop(uuid).release(self._room.stores)
        self._place_again = True

    def _take(self, snapshot: Snapshot, before: Snapshot) -> None:
        """Of every track that has a newer sample, the sample."""
        for kind, gather in enumerate(self._gathers):
            store = self._room.stores[kind]
            times = snapshot.sampling.times.ravel()[gather.cells]
            new = np.flatnonzero(times > store.last[gather.tracks])
            if len(new):
                values = self._figures if kind == DERIVED else _values
                store.add(gather.tracks[new], times[new], values(snapshot, before, gather, new))
            silent = snapshot.sampling.status[gather.records] != Status.FRESH
            if silent.any():
                store.lapse(gather.tracks[silent], snapshot.time)

    def _figures(self, snapshot: Snapshot, before: Snapshot, gather: _Gather, rows: Positions) -> Any:
        return numbers(snapshot, snapshot.rates(before), self._fields.derived).take(gather.sources[rows])


def _values(snapshot: Snapshot, _before: Snapshot, gather: _Gather, rows: Positions) -> Any:
    values: Any = np.zeros(len(rows), VALUES)
    values["bits"] = snapshot.values.take(gather.sources[rows])
    values["there"] = gather.there[rows]
    return values


def _gather(
    snapshot: Snapshot, fields: Fields, guests: Mapping[str, Guest], there: Mapping[str, int], kind: int
) -> _Gather:
    """Where each track of the guests that are there finds its values; tracks without a series are left out."""
    pieces = [guests[uuid].pieces[kind] for uuid in there]
    counts = np.array([len(piece.tracks) for piece in pieces], np.int64)
    records = np.repeat(np.array(list(there.values()), np.int64), counts)
    none = np.empty((0, LANES), np.int64)
    tracks = np.concatenate([none[:, 0], *(piece.tracks for piece in pieces)])
    columns = np.concatenate([none[:, 0], *(piece.columns for piece in pieces)])
    of_field = np.concatenate([none, *(piece.fields for piece in pieces)])
    places = np.concatenate([none, *(piece.places for piece in pieces)])
    used = places >= 0
    order = np.argsort(tracks)
    order = order[used[order].any(axis=1)]
    if kind == DERIVED:
        firsts = offsets(snapshot, fields.derived)
        starts = firsts[of_field, records[:, np.newaxis]] if len(firsts) else places
    else:
        starts = snapshot.layout.starts[records][:, np.newaxis]
    sources = np.where(used, starts + places, -1)
    bits = (used << np.arange(LANES)).sum(axis=1).astype(np.uint8)
    cells = records * len(COLUMN_NAMES) + columns
    return _Gather(tracks[order], records[order], cells[order], sources[order], bits[order])


def _points(times: Times, values: Any, lane: int, wire_type: int) -> Points:
    """One lane of a track's points."""
    if not wire_type:
        figures = values[:, lane].astype(np.float64)
        return Points(times, figures, ~np.isnan(figures))
    known = (values["there"] >> lane & 1).astype(np.bool_)
    bits = np.ascontiguousarray(values["bits"][:, lane])
    dtype = DTYPES[ParamType(wire_type)]
    same_size = np.dtype(dtype).itemsize == bits.itemsize
    return Points(times, bits.view(dtype) if same_size else bits.astype(dtype), known)
