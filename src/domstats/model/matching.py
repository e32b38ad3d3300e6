"""Which value of an earlier record is the same statistic of the same device.

A position in a key (`block.1`) moves when a device is attached or removed, so devices are matched by name: the n-th
entry of a name is the n-th entry of that name in the other record. One without a name is matched by its position, where
no device was attached or removed. vCPUs and I/O threads carry their id in the key.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from domstats.model.layout import Positions, RecordLayout, Shape
from domstats.model.names import name_slots

Entries = dict[str, tuple[str, str, int]]
_NUMBERED = ("net.", "block.")
"""What stands before the positions of devices."""


def earlier_slots(record: RecordLayout, earlier: RecordLayout) -> tuple[Positions, npt.NDArray[np.bool_]]:
    """For each slot of `record`, the slot in `earlier` (-1: none), and whether another device stood in its place."""
    entries = device_entries(record)
    if record.shape is earlier.shape and entries == device_entries(earlier):
        return np.arange(len(record.shape), dtype=np.int64), np.zeros(len(record.shape), np.bool_)
    places = {device: entry for entry, device in device_entries(earlier).items()}
    numbers, old_numbers = _numbers(record.shape), _numbers(earlier.shape)
    moved = tuple(prefix for prefix in _NUMBERED if numbers[prefix] != old_numbers[prefix])
    slots = np.full(len(record.shape), -1, np.int64)
    replaced = np.zeros(len(record.shape), np.bool_)
    for slot, (key, kind) in enumerate(zip(record.shape.keys, record.shape.types, strict=True)):
        old_key: str | None = key
        entry = _entry_of(key, entries)
        if entry:
            place = places.get(entries[entry])
            old_key = None if place is None else place + key[len(entry) :]
            replaced[slot] = place is None and key in earlier.shape.slots
        elif key.startswith(moved) or _entry_of(key, device_entries(earlier)):
            old_key = None
        old = earlier.shape.slots.get(old_key) if old_key else None
        if old is not None and earlier.shape.types[old] == kind:
            slots[slot] = old
    return slots, replaced


def _numbers(shape: Shape) -> dict[str, set[str]]:
    """The positions at which there are devices, by what stands before them."""
    found: dict[str, set[str]] | None = shape.derived.get("numbers")
    if found is None:
        found = {prefix: set() for prefix in _NUMBERED}
        for key in shape.keys:
            if key.startswith(_NUMBERED):
                prefix, number, _ = f"{key}.".split(".", 2)
                if number.isdigit():
                    found[f"{prefix}."].add(number)
        shape.derived["numbers"] = found
    return found


def device_entries(record: RecordLayout) -> Entries:
    """The named devices of a record: key prefix (`block.1`) to what identifies the device."""
    found: Entries | None = record.derived.get("entries")
    if found is None:
        found = {}
        seen: dict[tuple[str, str], int] = {}
        for prefix, entry, number in name_slots(record.shape):
            name = record.strings[number]
            nth = seen[prefix, name] = seen.get((prefix, name), 0) + 1
            found[entry] = (prefix, name, nth)
        record.derived["entries"] = found
    return found


def _entry_of(key: str, entries: Entries) -> str:
    """The device entry (`block.1`) a key stands under, or nothing."""
    end = key.find(".", key.find(".") + 1)
    while end > 0:
        if key[:end] in entries:
            return key[:end]
        end = key.find(".", end + 1)
    return ""
