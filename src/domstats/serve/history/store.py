"""Tracks in blocks of rings, within a budget of bytes.

Where the budget does not do, everything is kept coarser: the budget's `squeeze` is doubled, and block after block is
made anew with fewer points. Where there is room again, the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from domstats.model.layout import Positions
from domstats.serve.history.rings import TRACKS, VALUES, Block, Geometry, Points, Times, geometry

SQUEEZE_MAX = 16
"""Beyond that, whoever comes has no history until there is room."""
LAPSE = 3
"""A track without a sample for so many periods gets a point at which nothing is known."""
_NEVER = -np.inf
_RELAXED = 0.7
"""The part of the budget that what is kept finer may take: not all, or it would be coarser soon again."""


class Budget:
    """The bytes that all stores of a history may take together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.squeeze = 1
        """See rings.geometry."""
        self.stores: list[Store] = []

    def has_room(self, size: int) -> bool:
        """Whether there may be another block of that size, and still be room to make any block anew."""
        reserve = max(store.largest(self.squeeze) for store in self.stores)
        return self.used + size + max(size, reserve) <= self.limit


class Store:
    """The tracks of one kind. A track's number is that of its block times TRACKS, and its row in it."""

    def __init__(self, kind: np.dtype[Any], periods: Sequence[float], budget: Budget) -> None:
        """`kind`: rings.FIGURES or VALUES; `periods`: those there are, in seconds; a track is of one of them."""
        self.kind, self.periods, self._budget = kind, tuple(periods), budget
        budget.stores.append(self)
        self.last: Times = np.empty(0)
        """The time of each track's last sample, by its number; -inf without one."""
        self._lapsed: npt.NDArray[np.bool_] = np.empty(0, np.bool_)
        self._blocks: list[Block | None] = []
        self._pace: list[int] = []
        """Of each block, which of the periods its tracks are of."""
        self._owned: list[int] = []
        """Of each block, how many of its tracks have an owner."""
        self._free: list[list[int]] = [[] for _ in self.periods]
        """Tracks without an owner, by period."""

    @property
    def blocks(self) -> list[Block]:
        """Those that are there."""
        return [block for block in self._blocks if block is not None]

    @property
    def is_settled(self) -> bool:
        """Whether every block is as coarse as it should be."""
        blocks = zip(self._blocks, self._pace, strict=True)
        return all(block is None or block.geometry == self._rings(pace) for block, pace in blocks)

    @property
    def nothing(self) -> Points:
        """A point at which nothing is known."""
        return np.zeros(1, VALUES) if self.kind is VALUES else np.full((1, self.kind.shape[0]), np.nan, np.float32)

    def allocate(self, pace: int) -> int | None:
        """A track without points, or None where there is no room for one. `pace`: which of the periods it is of."""
        if not self._free[pace] and not self._add_block(pace):
            return None
        track = self._free[pace].pop()
        self._owned[track // TRACKS] += 1
        return track

    def release(self, tracks: Sequence[int]) -> None:
        """Nobody owns these tracks any more; a block without a track that is owned is let go of."""
        for track in tracks:
            number, row = divmod(track, TRACKS)
            self._block(track).forget(np.array([row]))
            self._owned[number] -= 1
            self.last[track], self._lapsed[track] = _NEVER, False
            self._free[self._pace[number]].append(track)
        for number in {track // TRACKS for track in tracks}:
            if not self._owned[number]:
                self._let_go(number)

    def add(self, tracks: Positions, times: Times, values: Points) -> None:
        """A sample of each of these tracks, ascending, no track twice, each later than the track's last one."""
        self.last[tracks], self._lapsed[tracks] = times, False
        self._write(tracks, times, values)

    def lapse(self, tracks: Positions, time: float) -> None:
        """See which of these tracks (ascending) have had no sample for too long: it is not known what came since."""
        self.end(tracks[time - self.last[tracks] > LAPSE * self._periods_of(tracks)])

    def end(self, tracks: Positions) -> None:
        """What comes after the last sample of each of these tracks (ascending) is not known."""
        tracks = tracks[(self.last[tracks] > _NEVER) & ~self._lapsed[tracks]]
        self._lapsed[tracks] = True
        self._write(tracks, self.last[tracks] + self._periods_of(tracks), self.nothing.repeat(len(tracks), axis=0))

    def _periods_of(self, tracks: Positions) -> Times:
        return np.array(self.periods)[np.array(self._pace, np.int64)[tracks // TRACKS]]

    def read(self, track: int) -> tuple[Times, Points]:
        """The points of a track, the oldest first."""
        return self._block(track).read(track % TRACKS)

    def blank(self, track: int, lane: int) -> None:
        """A lane of a track is nowhere known: another series begins in it."""
        self._block(track).blank(track % TRACKS, lane)

    def copy(self, origin: int, track: int, lanes: Mapping[int, int]) -> None:
        """The points of another track, in one that has none; `lanes`: which lane is which of the other's."""
        times, values = self.read(origin)
        copied = self.nothing.repeat(len(times), axis=0)
        for lane, old in lanes.items():
            if self.kind is VALUES:
                copied["bits"][:, lane] = values["bits"][:, old]
                copied["there"] |= (values["there"] >> old & 1) << np.uint8(lane)
            else:
                copied[:, lane] = values[:, old]
        self._block(track).fill(track % TRACKS, times, copied)
        self.last[track], self._lapsed[track] = self.last[origin], self._lapsed[origin]

    def remake_one(self) -> bool:
        """Make a block anew that is coarser or finer than it should be; whether there was one, and room to do it."""
        for number, block in enumerate(self._blocks):
            if block is None:
                continue
            rings = self._rings(self._pace[number])
            if rings != block.geometry and self._budget.used + Block.size(rings, self.kind) <= self._budget.limit:
                self._blocks[number] = block.remade(rings)
                self._budget.used += Block.size(rings, self.kind) - block.nbytes
                return True
        return False

    def size_if(self, squeeze: int) -> int:
        """Bytes that the blocks would take."""
        return sum(self._sizes(squeeze))

    def largest(self, squeeze: int) -> int:
        """Bytes that the largest of them would take."""
        return max(self._sizes(squeeze), default=0)

    def _sizes(self, squeeze: int) -> list[int]:
        paces = [pace for block, pace in zip(self._blocks, self._pace, strict=True) if block is not None]
        return [Block.size(geometry(self.periods[pace], squeeze), self.kind) for pace in paces]

    def _write(self, tracks: Positions, times: Times, values: Points) -> None:
        numbers = tracks // TRACKS
        cuts = np.flatnonzero(np.diff(numbers)) + 1
        for begin, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(tracks)], strict=True):
            if begin < end:
                here = slice(begin, end)
                self._block(int(tracks[begin])).add(tracks[here] % TRACKS, times[here], values[here])

    def _rings(self, pace: int) -> Geometry:
        return geometry(self.periods[pace], self._budget.squeeze)

    def _block(self, track: int) -> Block:
        block = self._blocks[track // TRACKS]
        assert block is not None  # nobody asks for a track without one
        return block

    def _add_block(self, pace: int) -> bool:
        rings = self._rings(pace)
        size = Block.size(rings, self.kind)
        if not self._budget.has_room(size):
            return False
        block = Block(rings, self.kind)
        self._budget.used += block.nbytes
        number = next((number for number, each in enumerate(self._blocks) if each is None), len(self._blocks))
        if number == len(self._blocks):
            self._blocks.append(block)
            self._pace.append(pace)
            self._owned.append(0)
            self.last = np.concatenate((self.last, np.full(TRACKS, _NEVER)))
            self._lapsed = np.concatenate((self._lapsed, np.zeros(TRACKS, np.bool_)))
        else:
            self._blocks[number], self._pace[number] = block, pace
        self._free[pace].extend(range((number + 1) * TRACKS - 1, number * TRACKS - 1, -1))
        return True

    def _let_go(self, number: int) -> None:
        tracks = range(number * TRACKS, (number + 1) * TRACKS)
        self._budget.used -= self._block(tracks[0]).nbytes
        self._blocks[number] = None
        pace = self._pace[number]
        self._free[pace] = [track for track in self._free[pace] if track not in tracks]


class Room:
    """The stores of a history, and their budget."""

    def __init__(self, limit: int, kinds: Sequence[np.dtype[Any]], periods: Sequence[float]) -> None:
        """`limit`: bytes; a store for each of the kinds."""
        self.budget = Budget(limit)
        self.stores = [Store(kind, periods, self.budget) for kind in kinds]

    def repace(self, periods: Sequence[float]) -> None:
        """Each of the periods is another now; `settle` makes the blocks anew."""
        for store in self.stores:
            store.periods = tuple(periods)
        while not self._fits(self.budget.squeeze, self.budget.limit) and self.budget.squeeze < SQUEEZE_MAX:
            self.budget.squeeze *= 2

    def squeeze(self) -> None:
        """Keep everything coarser, unless that is under way or has gone as far as it may."""
        if self._is_settled and self.budget.squeeze < SQUEEZE_MAX:
            self.budget.squeeze *= 2

    def settle(self) -> bool:
        """A step towards how it should be; whether there was one. Takes no longer than making one block anew."""
        if any(store.remake_one() for store in self.stores):
            return True
        finer = self.budget.squeeze // 2
        if finer and self._is_settled and self._fits(finer, _RELAXED * self.budget.limit):
            self.budget.squeeze = finer
            return True
        return False

    def _fits(self, squeeze: int, limit: float) -> bool:
        """Whether all blocks would take no more than that, and leave room to make any of them anew."""
        size = sum(store.size_if(squeeze) for store in self.stores)
        largest = max(store.largest(squeeze) for store in self.stores)
        return size <= limit and size + largest <= self.budget.limit

    @property
    def _is_settled(self) -> bool:
        return all(store.is_settled for store in self.stores)
