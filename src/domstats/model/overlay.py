"""Laying one record over another: which values of the host's kernel stand in the place of libvirt's.

The kernel's are taken for what it measures: counters, and gauges that are no count of devices. What a domain consists
of, and its state, is for libvirt to say; the kernel's word on that counts where libvirt has said nothing. Devices are
matched by their names (a network device need not have the same number in both), and libvirt's order of keys stays. That
the kernel has a device of that name is its own word: the counters never stand there without the name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from domstats.catalog.fields import Field, Kind
from domstats.catalog.groups import GROUP_NAMES
from domstats.catalog.lookup import field_of
from domstats.model.layout import RecordLayout, Shape
from domstats.model.matching import device_entries
from domstats.model.params import ParamType

_INTERFACE = GROUP_NAMES.index("interface")
_GAUGES = ("balloon.rss", "vcpu.<id>.<name>.cur", "vcpu.<id>.<name>.max")
_NAME = "net.<i>.name"


class Chosen(NamedTuple):
    """One value of a merged record."""

    key: str
    group: int
    """Index into GROUP_NAMES."""
    part: int
    """Of which part it comes,"""
    slot: int
    """and where it is in there."""
    overlaid: int
    """1 if it is laid over the others, else 0."""


def lay_over(chosen: Sequence[Chosen], records: Sequence[RecordLayout], number: int, groups: int) -> list[Chosen]:
    """The values of a record with those of the part `number` in place of theirs.

    `records`: those of all parts, `groups`: the bits of the groups that are laid over.
    """
    over = records[number]
    fields = _fields(over.shape)
    wanted = [slot for slot, group in enumerate(over.shape.groups) if groups >> group & 1 and fields[slot]]
    theirs = _keys(over, [slot for slot in wanted if _is_the_kernels(fields[slot])], records[:number])
    there = {each.key for each in chosen}
    placed = []
    for each in chosen:
        slot = theirs.get(each.key)
        if slot is not None and records[each.part].shape.types[each.slot] == over.shape.types[slot]:
            placed.append(Chosen(each.key, each.group, number, slot, 1))
        else:
            placed.append(each)
    used = {each.slot for each in placed if each.overlaid}
    more, last = _more(over.shape, wanted, there, used)
    keys, of_group = over.shape.keys, over.shape.groups
    result = []
    for each in placed:
        result.append(each)
        if each.overlaid:
            result += [Chosen(keys[slot], each.group, number, slot, 1) for slot in more.pop(each.slot, ())]
    return result + [Chosen(keys[slot], of_group[slot], number, slot, 1) for slot in last]


def _keys(over: RecordLayout, slots: Sequence[int], records: Sequence[RecordLayout]) -> dict[str, int]:
    """These slots by the keys that their values have in the other records; without those of unknown network devices."""
    places = {device: entry for record in records for entry, device in device_entries(record).items()}
    entries = device_entries(over)
    found: dict[str, int] = {}
    for slot in slots:
        key = over.shape.keys[slot]
        if over.shape.groups[slot] == _INTERFACE:
            prefix, number, tail = key.split(".", 2)
            device = entries.get(f"{prefix}.{number}")
            if device not in places:
                continue
            key = f"{places[device]}.{tail}"
        found[key] = slot
    return found


def _more(
    shape: Shape, wanted: Sequence[int], there: set[str], used: set[int]
) -> tuple[dict[int, list[int]], list[int]]:
    """The slots whose keys nobody else has: by the slot they follow, and those that follow none of their group.

    Of network devices there are none: they are the same only by their names.
    """
    more: dict[int, list[int]] = {}
    last: list[int] = []
    before: dict[int, int] = {}
    for slot in wanted:
        group = shape.groups[slot]
        if slot in used:
            before[group] = slot
        elif group != _INTERFACE and shape.types[slot] != ParamType.STRING and shape.keys[slot] not in there:
            (more.setdefault(before[group], []) if group in before else last).append(slot)
    return more, last


def _fields(shape: Shape) -> list[Field | None]:
    """The catalogue's entry of each key; None for one it does not know, or whose letters do not go everywhere."""
    found: list[Field | None] | None = shape.derived.get("overlay fields")
    if found is None:
        plain = (key if key.isascii() and key.isprintable() and " " not in key else "" for key in shape.keys)
        found = shape.derived["overlay fields"] = [field_of(key) for key in plain]
    return found


def _is_the_kernels(field: Field | None) -> bool:
    """Whether a value is a measurement, not what a domain consists of; or the name that a device was matched by."""
    return field is not None and (field.kind is Kind.COUNTER or field.pattern in (*_GAUGES, _NAME))
