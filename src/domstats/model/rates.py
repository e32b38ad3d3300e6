"""Change per second between two snapshots. A subtraction of two arrays of 64-bit integers where the record layouts
agree, and a re-keying by device name where they do not. Where there is no rate, there is a reason."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any
from weakref import ref

import numpy as np
import numpy.typing as npt

from domstats.catalog.fields import Kind
from domstats.catalog.lookup import kind_of
from domstats.errors import NoRate, NotACounter, UnknownField
from domstats.model.layout import DomainKey, Layout, Positions, RecordLayout, Shape
from domstats.model.matching import earlier_slots
from domstats.model.names import resolve
from domstats.model.params import ParamType
from domstats.model.record import Poll
from domstats.model.sampling import COLUMN_NAMES

LEAST_INTERVAL = 0.04
"""Seconds. The kernel counts processor time in ticks of 10 ms (USER_HZ is 100 on every Linux); over fewer than four of
them a rate says more about the ticks than about the guest."""
UNCERTAINTIES = 4
"""A rate over less than so many times the uncertainty of its samples' times may be off by more than a quarter."""


class Reason(IntEnum):
    """Why there is no rate."""

    NONE = 0
    NOT_A_COUNTER = 1
    NO_EARLIER_SAMPLE = 2
    DEVICE_REPLACED = 3
    RESTARTED = 4
    COUNTER_WENT_BACK = 5
    INTERVAL_TOO_SHORT = 6
    SOURCE_CHANGED = 7
    NOT_RUNNING = 8

    @property
    def text(self) -> str:
        """The words used in every format."""
        return _TEXTS[self]


_TEXTS = {
    Reason.NONE: "",
    Reason.NOT_A_COUNTER: "not a counter",
    Reason.NO_EARLIER_SAMPLE: "no earlier sample",
    Reason.DEVICE_REPLACED: "device replaced",
    Reason.RESTARTED: "restarted",
    Reason.COUNTER_WENT_BACK: "counter went back",
    Reason.INTERVAL_TOO_SHORT: "interval too short",
    Reason.SOURCE_CHANGED: "source changed",
    Reason.NOT_RUNNING: "not running",
}


class Rates:
    """Rates of every counter of the later of two snapshots; made by Snapshot.rates()."""

    def __init__(self, before: Poll, now: Poll) -> None:
        self.layout = now.layout
        """The later snapshot's."""
        earlier, reasons = _earlier_values(before, now)
        # Nothing that is off does anything; libvirt 9.0 without cgroups gives its own processor time for it.
        _mark(reasons, ~_running(now.layout), Reason.NOT_RUNNING)
        difference, went_back = _differences(before, now, earlier)
        seconds, least = _intervals(before, now)
        _mark(reasons, went_back, Reason.COUNTER_WENT_BACK)
        _mark(reasons, ~(seconds >= least), Reason.INTERVAL_TOO_SHORT)
        with np.errstate(divide="ignore", invalid="ignore"):
            rates = difference / seconds
        rates[reasons != Reason.NONE] = np.nan
        for array in (rates, reasons):
            array.flags.writeable = False
        self.per_second: npt.NDArray[np.float64] = rates
        """A rate a value of the later snapshot, in the value's unit per second; NaN where there is none."""
        self.reasons: npt.NDArray[np.uint8] = reasons
        """A Reason a value."""

    def __getitem__(self, key: DomainKey) -> RecordRates:
        """The rates of one domain, by UUID, name or id. Raises UnknownDomain."""
        return RecordRates(self, self.layout.position(key))

    def __iter__(self) -> Iterator[RecordRates]:
        return (RecordRates(self, position) for position in range(len(self.layout)))

    def __len__(self) -> int:
        return len(self.layout)

    def read(self, index: Positions, valid: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float64], Any]:
        """The rates at these positions of the later snapshot's values, and where there are any."""
        rates = self.per_second.take(index) if self.per_second.size else np.full(len(index), np.nan)
        rates[~valid] = np.nan
        return rates, ~np.isnan(rates)


class RecordRates:
    """One domain's rates, by the keys and other names its record answers to."""

    def __init__(self, rates: Rates, position: int) -> None:
        self._rates = rates
        self.layout: RecordLayout = rates.layout.records[position]
        self._start = int(rates.layout.starts[position])

    def __getitem__(self, key: str) -> float:
        """Change per second. Raises UnknownField, NotACounter, or NoRate with the reason."""
        at = self._find(key)
        reason = Reason(int(self._rates.reasons[at]))
        if reason == Reason.NOT_A_COUNTER:
            raise NotACounter(key, str(kind_of(self.layout.shape.keys[at - self._start]) or "value of unknown kind"))
        if reason != Reason.NONE:
            raise NoRate(key, reason.text)
        return float(self._rates.per_second[at])

    def get(self, key: str) -> float | None:
        """Change per second, or None where there is no rate."""
        try:
            return self[key]
        except (UnknownField, NotACounter, NoRate):
            return None

    def reason(self, key: str) -> str:
        """Why there is no rate; empty where there is one. Raises UnknownField."""
        return Reason(int(self._rates.reasons[self._find(key)])).text

    def items(self) -> list[tuple[str, float]]:
        """Keys and rates, of the counters that have one."""
        end = self._start + len(self.layout.shape)
        rates = self._rates.per_second[self._start : end].tolist()
        reasons = self._rates.reasons[self._start : end].tolist()
        slots = self.layout.shape.slots.items()
        return [(key, rates[slot]) for key, slot in slots if reasons[slot] == Reason.NONE]

    def _find(self, key: str) -> int:
        """Where the value is among all of the later snapshot's."""
        slot = self.layout.shape.slots.get(key)
        if slot is None:
            found = resolve(self.layout, key)
            if found is None:
                raise UnknownField(key, f"domain {self.layout.domain.name!r}")
            slot = found[0]
        return self._start + slot


def _mark(reasons: npt.NDArray[np.uint8], where: npt.NDArray[np.bool_], reason: Reason) -> None:
    """Give the reason where there is none yet: the first to apply is the one that is told."""
    reasons[where & (reasons == Reason.NONE)] = reason


def _earlier_values(before: Poll, now: Poll) -> tuple[Positions | None, npt.NDArray[np.uint8]]:
    """For each value, where it was among the earlier ones (None: at the same place), and what is known to spoil it."""
    reasons = np.where(_counters(now.layout), np.uint8(Reason.NONE), np.uint8(Reason.NOT_A_COUNTER))
    if before.layout is now.layout:
        return None, reasons
    earlier = np.zeros(now.layout.size, np.int64)
    before_starts, starts = before.layout.starts.tolist(), now.layout.starts.tolist()
    places = before.layout.index
    for position, record in enumerate(now.layout.records):
        here = slice(starts[position], starts[position + 1])
        place = places.get(record.domain.uuid)
        if place is None:
            _mark(reasons[here], np.ones(len(record.shape), np.bool_), Reason.NO_EARLIER_SAMPLE)
            continue
        other = before.layout.records[place]
        if other is record:
            earlier[here] = np.arange(before_starts[place], before_starts[place + 1])
            continue
        slots, replaced = _slots(record, other)
        _mark(reasons[here], replaced, Reason.DEVICE_REPLACED)
        _mark(reasons[here], slots < 0, Reason.NO_EARLIER_SAMPLE)
        if other.domain.id != record.domain.id:
            _mark(reasons[here], slots >= 0, Reason.RESTARTED)
        if other.shape.overlaid != record.shape.overlaid:
            # libvirt's counter of the same name may have begun elsewhere: at a cgroup's making, or in coarser steps.
            changed = slots >= 0
            changed[changed] = _overlaid(other.shape)[slots[changed]] != _overlaid(record.shape)[changed]
            _mark(reasons[here], changed, Reason.SOURCE_CHANGED)
        earlier[here] = np.maximum(slots, 0) + before_starts[place]
    # A value without an earlier one points at another's; there may be none at all to point at.
    return np.minimum(earlier, max(before.layout.size - 1, 0)), reasons


def _slots(record: RecordLayout, earlier: RecordLayout) -> tuple[Positions, npt.NDArray[np.bool_]]:
    """As earlier_slots, kept for the last record layout that it was asked of: it is most often the same one again."""
    kept: tuple[ref[RecordLayout], Positions, npt.NDArray[np.bool_]] | None = record.derived.get("earlier")
    if kept is None or kept[0]() is not earlier:
        # A layout that held the one before it would keep all there have ever been.
        kept = record.derived["earlier"] = (ref(earlier), *earlier_slots(record, earlier))
    return kept[1:]


def _differences(
    before: Poll, now: Poll, earlier: Positions | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Later less earlier value, exact until it is made a float, and whether it is negative."""
    if earlier is None:
        old = before.values
    else:
        old = before.values.take(earlier) if before.values.size else np.zeros_like(now.values)
    new, types = now.values, _types(now.layout)
    difference = (new - old).astype(np.float64)
    went_back = new < old
    signed = (types == ParamType.LLONG) | (types == ParamType.INT)
    if signed.any():
        went_back[signed] = new.view(np.int64)[signed] < old.view(np.int64)[signed]
    doubles = types == ParamType.DOUBLE
    if doubles.any():
        with np.errstate(invalid="ignore", over="ignore"):
            difference[doubles] = new.view(np.float64)[doubles] - old.view(np.float64)[doubles]
        went_back[doubles] = ~(difference[doubles] >= 0) | ~np.isfinite(difference[doubles])
    return difference, went_back


def _intervals(before: Poll, now: Poll) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """For each value, the time between its two samples (NaN where one is not known), and the least it must be."""
    old, new = before.sampling, now.sampling
    times, blur = old.times + old.set_by(new.offset), old.uncertainty
    if before.layout is not now.layout:
        places = before.layout.index
        rows = np.array([places.get(record.domain.uuid, -1) for record in now.layout.records], np.int64)
        there = rows >= 0
        earlier, times, blur = times, np.full_like(new.times, np.nan), np.zeros_like(new.times)
        times[there], blur[there] = earlier[rows[there]], old.uncertainty[rows[there]]
    least = np.maximum(LEAST_INTERVAL, UNCERTAINTIES * np.maximum(blur, new.uncertainty))
    cells = _cells(now.layout)
    return (new.times - times).ravel().take(cells), least.ravel().take(cells)


def _by_value(layout: Layout, name: str, of_shape: Any, dtype: Any) -> npt.NDArray[Any]:
    """An array with an entry a value, put together from an array a shape, and kept with the layout."""
    found: npt.NDArray[Any] | None = layout.derived.get(("by_value", name))
    if found is None:
        parts = [of_shape(record.shape) for record in layout.records]
        found = np.concatenate([np.empty(0, dtype), *parts])
        layout.derived["by_value", name] = found
    return found


def _types(layout: Layout) -> npt.NDArray[np.uint8]:
    return _by_value(layout, "types", lambda shape: np.frombuffer(shape.types, np.uint8), np.uint8)


def _counters(layout: Layout) -> npt.NDArray[np.bool_]:
    return _by_value(layout, "counters", _shape_counters, np.bool_)


def _running(layout: Layout) -> npt.NDArray[np.bool_]:
    """For each value, whether its domain is on."""
    found: npt.NDArray[np.bool_] | None = layout.derived.get("running")
    if found is None:
        on = np.array([record.domain.id is not None for record in layout.records], np.bool_)
        found = layout.derived["running"] = on.repeat(np.diff(layout.starts))
    return found


def _overlaid(shape: Shape) -> npt.NDArray[np.uint8]:
    return np.frombuffer(shape.overlaid or bytes(len(shape)), np.uint8)


def _shape_counters(shape: Shape) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] | None = shape.derived.get("counters")
    if found is None:
        numbers = (ParamType.BOOLEAN, ParamType.STRING)
        kinds = zip(shape.keys, shape.types, strict=True)
        flags = [kind not in numbers and kind_of(key) is Kind.COUNTER for key, kind in kinds]
        found = shape.derived["counters"] = np.array(flags, np.bool_)
    return found


def _cells(layout: Layout) -> Positions:
    """For each value, the flat index of its (record, column) in the sampling's arrays."""
    found: Positions | None = layout.derived.get("cells")
    if found is None:
        columns = _by_value(layout, "columns", lambda shape: np.frombuffer(shape.columns, np.uint8), np.uint8)
        records = np.repeat(np.arange(len(layout)), np.diff(layout.starts))
        found = layout.derived["cells"] = records * len(COLUMN_NAMES) + columns
    return found
