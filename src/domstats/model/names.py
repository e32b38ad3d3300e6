"""Names for a value beside its key: devices by their names, and the keys of the 2014 proposal.

    block[vda].rd.bytes   the topmost entry whose block.<i>.name is vda; a name ends at the last bracket
    state                 the word for state.state          cpu.online    vcpu.current
    cpu.0.state           the word for vcpu.0.state         cpu.0.time    vcpu.0.time

A key the record really has always wins, and none of these is ever listed among the keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from domstats.catalog.enums import state_name, vcpu_state_name
from domstats.model.layout import RecordLayout, Shape
from domstats.model.params import ParamType

_INTEGERS = (ParamType.INT, ParamType.UINT, ParamType.LLONG, ParamType.ULLONG)
_OLD_KEY = re.compile(r"cpu\.([0-9]+)\.(state|time)\Z")


def is_other_name(name: str) -> bool:
    """Whether a record may know the name although it has no such key."""
    return "[" in name or name in ("state", "cpu.online") or _OLD_KEY.match(name) is not None


def resolve(record: RecordLayout, name: str) -> tuple[int, Callable[[int], str] | None] | None:
    """The slot a name stands for, and what turns its number into a word if it stands for a word; None if unknown."""
    if "[" in name:
        slot = _device_slot(record, name)
        return None if slot is None else (slot, None)
    slots = record.shape.slots
    words: Callable[[int], str] | None = None
    if name == "state":
        key, words = "state.state", state_name
    elif name == "cpu.online":
        key = "vcpu.current"
    elif match := _OLD_KEY.match(name):
        key = f"v{name}"
        words = vcpu_state_name if match[2] == "state" else None
    else:
        return None
    if key not in slots or (words and record.shape.types[slots[key]] not in _INTEGERS):
        return None
    return slots[key], words


def _device_slot(record: RecordLayout, name: str) -> int | None:
    prefix, _, rest = name.partition("[")
    device, bracket, tail = rest.rpartition("]")
    entry = devices(record).get((prefix, device)) if bracket else None
    return None if entry is None else record.shape.slots.get(entry + tail)


def devices(record: RecordLayout) -> dict[tuple[str, str], str]:
    """(prefix, device name) to the device's key prefix: ("block", "vda") to "block.0"; the first of a name counts."""
    found: dict[tuple[str, str], str] | None = record.derived.get("devices")
    if found is None:
        found = {}
        for prefix, entry, string in name_slots(record.shape):
            found.setdefault((prefix, record.strings[string]), entry)
        record.derived["devices"] = found
    return found


def name_slots(shape: Shape) -> list[tuple[str, str, int]]:
    """For each key like block.0.name: its prefix (block), its entry (block.0), and which of the strings it is."""
    found: list[tuple[str, str, int]] | None = shape.derived.get("name_slots")
    if found is None:
        found = []
        for number, slot in enumerate(shape.string_slots):
            entry, _, last = shape.keys[slot].rpartition(".")
            prefix, _, index = entry.rpartition(".")
            if last == "name" and index.isascii() and index.isdigit():
                found.append((prefix, entry, number))
        shape.derived["name_slots"] = found
    return found
