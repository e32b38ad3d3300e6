"""Which records and values a poll is to have, and the layout it shares with every other that asks for the same."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from domstats.catalog.groups import GROUPS
from domstats.errors import StatsUnsupported
from domstats.model.flags import DomainFilter
from domstats.model.layout import Layout, Positions, RecordLayout, Shape
from domstats.sources.sim import keys
from domstats.sources.sim.dice import Flags, Ints, Words
from domstats.sources.sim.guests import PAUSED, RUNNING, SHUTOFF, Guests
from domstats.sources.sim.program import Chosen, Program

ALL_GROUPS = sum(1 << group.bit for group in GROUPS)
"""The bits of all groups, those without values (perf, memory) included."""
_ARGUMENT_UNSUPPORTED, _FROM_QEMU = 74, 10
"""virErrorNumber and virErrorDomain of libvirt's report."""
RECORD = 100
"""What a record of a selection that is kept counts, beside its values: about as much memory as so many of them."""
_KEPT_LEAST = 1 << 22
"""Values and records that are kept of a small fleet; of a large one, twice what the whole of it counts."""


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What a poll is to have."""

    layout: Layout
    chosen: Chosen | None
    """Where the values are among the fleet's; None for all records as they stand."""
    guests: Ints | None
    """Positions of the guests that it has; None for all of them."""
    string_slots: Positions
    string_numbers: Words
    """Which values of the poll are strings, and what they are set to."""


class Selector:
    """Makes selections, and keeps those asked for lately. Takes 4 bytes a value, and 1 KB or so a domain."""

    def __init__(self, guests: Guests, program: Program) -> None:
        self._guests, self._program = guests, program
        self._everyone = np.arange(program.guests)
        counts = np.stack([guests.counts[name] for name in keys.COUNTS], axis=1)
        _, self._examples, kinds = np.unique(counts, axis=0, return_index=True, return_inverse=True)
        self._kinds: Ints = kinds.reshape(-1)
        """Guests of one kind have the same keys."""
        self._kept: OrderedDict[tuple[int, bool, bytes], Selection] = OrderedDict()
        self._used = 0
        """What those that are kept count together."""
        self._room = max(_KEPT_LEAST, 2 * (program.size + RECORD * program.guests))

    def select(self, positions: Ints, groups: int, *, backing: bool) -> Selection:
        """The records of the guests at these positions, in this order, with these groups (bits, not 0)."""
        key = (groups & ALL_GROUPS, backing, positions.tobytes())
        selection = self._kept.get(key)
        if selection is None:
            selection = self._kept[key] = self._make(positions, groups, backing=backing)
            self._used += cost(selection.layout)
            while len(self._kept) > 1 and self._used > self._room:
                self._used -= cost(self._kept.popitem(last=False)[1].layout)
        self._kept.move_to_end(key)
        return selection

    def _make(self, positions: Ints, groups: int, *, backing: bool) -> Selection:
        kinds = self._kinds[positions]
        plans: dict[int, tuple[Shape, Positions]] = {}
        for kind in np.unique(kinds).tolist():
            counts = self._guests.counts_of(int(self._examples[kind]))
            plans[kind] = keys.shape(counts, groups, backing=backing)
        layout = Layout(
            [
                RecordLayout(
                    self._guests.domains[position],
                    plans[kind][0],
                    self._guests.strings(position, groups, backing=backing),
                )
                for position, kind in zip(positions.tolist(), kinds.tolist(), strict=True)
            ]
        )
        everybody = np.array_equal(positions, self._everyone)
        whole = not backing and groups & ALL_GROUPS == ALL_GROUPS and everybody
        chosen = None if whole else np.empty(layout.size, np.int32)
        slots, numbers = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)]
        for kind, (shape, places) in plans.items():
            members = np.flatnonzero(kinds == kind)
            first = layout.starts[members, np.newaxis]
            if chosen is not None:
                chosen[first + np.arange(len(shape))] = self._places(positions[members], kind, places)
            strings = np.array(shape.string_slots, np.int64)
            slots.append((first + strings).ravel())
            numbers.append(np.tile(np.arange(len(strings), dtype=np.uint64), len(members)))
        guests = None if everybody else positions
        return Selection(layout, chosen, guests, np.concatenate(slots), np.concatenate(numbers))

    def _places(self, positions: Ints, kind: int, slots: Positions) -> Ints:
        """Where among the fleet's values those slots of these guests are; a row each."""
        width = keys.size(keys.RECORD, self._guests.counts_of(int(self._examples[kind])))
        records, beside = (starts[positions, np.newaxis] for starts in self._program.starts())
        places: Ints = slots + np.where(slots < width, records, beside - width)
        return places


def cost(layout: Layout) -> int:
    """What a poll with this layout counts while it is kept: about as much memory as so many values."""
    return layout.size + RECORD * (1 + len(layout))


def check_groups(groups: int, flags: DomainFilter, supported: int) -> None:
    """Raise StatsUnsupported for bits that are not supported, if the flags say that this is an error."""
    unknown = groups & ~supported
    if unknown and flags & DomainFilter.ENFORCE:
        text = f"argument unsupported: Stats types bits 0x{unknown:x} are not supported by this daemon or QEMU"
        raise StatsUnsupported(_ARGUMENT_UNSUPPORTED, _FROM_QEMU, text)


def passing(state: Ints, flags: DomainFilter) -> Flags:
    """True for the guests in these states that pass the state filters; all of them are persistent."""
    active, every = state != SHUTOFF, np.ones(len(state), np.bool_)
    lines = (
        ((DomainFilter.ACTIVE, active), (DomainFilter.INACTIVE, ~active)),
        ((DomainFilter.PERSISTENT, every), (DomainFilter.TRANSIENT, ~every)),
        (
            (DomainFilter.RUNNING, state == RUNNING),
            (DomainFilter.PAUSED, state == PAUSED),
            (DomainFilter.SHUTOFF, state == SHUTOFF),
            (DomainFilter.OTHER, ~np.isin(state, (RUNNING, PAUSED, SHUTOFF))),
        ),
    )
    passes = every.copy()
    for line in lines:
        asked = [guests for flag, guests in line if flag in flags]
        if asked:
            passes &= np.logical_or.reduce(asked)
    return passes
