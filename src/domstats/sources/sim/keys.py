"""Which values a guest has, in what order and of what types: as a real reply of libvirt 9.0 with QEMU 7.2 has them.

A record is a sequence of sections. A section has the same few parameters once, or once for each device; what differs
from guest to guest is only how many devices a section has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from domstats.catalog.groups import group_of
from domstats.model.layout import Positions, Shape
from domstats.model.params import ParamType
from domstats.sources.sim import kvm

_INT, _UINT, _LLONG, _ULLONG = ParamType.INT, ParamType.UINT, ParamType.LLONG, ParamType.ULLONG
_BOOLEAN, _STRING = ParamType.BOOLEAN, ParamType.STRING


@dataclass(frozen=True, slots=True)
class Section:
    """Parameters that stand together, once for each of something."""

    prefix: str
    """What their keys begin with; {} is the device's number."""
    count: str
    """Of what there may be several or none: a name in COUNTS."""
    params: tuple[tuple[str, ParamType], ...]
    """The rest of each key, and its type."""

    def offset(self, tail: str) -> int:
        """Position of a parameter among those of one device."""
        return [name for name, _ in self.params].index(tail)


COUNTS = ("all", "active", "memory_stats", "vcpus", "nics", "disks", "off_disks", "iothread_lists", "iothreads")
"""What is counted for each guest: 1 for all; 1 for those that are on, report memory, or have I/O threads; devices."""


def _ullongs(*names: str) -> tuple[tuple[str, ParamType], ...]:
    return tuple((name, _ULLONG) for name in names)


STATE = Section("state.", "all", (("state", _INT), ("reason", _INT)))
CPU = Section(
    "cpu.",
    "active",
    (
        *_ullongs("time", "user", "system"),
        ("cache.monitor.count", _UINT),
        *_ullongs("haltpoll.success.time", "haltpoll.fail.time"),
    ),
)
BALLOON = Section("balloon.", "all", _ullongs("current", "maximum"))
MEMORY = Section(
    "balloon.",
    "memory_stats",
    _ullongs("swap_in", "swap_out", "major_fault", "minor_fault", "unused", "available", "usable"),
)
LAST_UPDATE = Section("balloon.", "active", _ullongs("last-update"))
CACHES = Section("balloon.", "memory_stats", _ullongs("disk_caches", "hugetlb_pgalloc", "hugetlb_pgfail"))
RSS = Section("balloon.", "active", _ullongs("rss"))
VCPUS = Section("vcpu.", "all", (("current", _UINT), ("maximum", _UINT)))
VCPU = Section(
    "vcpu.{}.",
    "vcpus",
    (
        ("state", _INT),
        *_ullongs("time", "wait", "delay"),
        *((each.name, _BOOLEAN if each.name in (kvm.GUEST_MODE, kvm.BLOCKING) else _ULLONG) for each in kvm.VCPU),
    ),
)
NETS = Section("net.", "active", (("count", _UINT),))
NET = Section(
    "net.{}.",
    "nics",
    (
        ("name", _STRING),
        *_ullongs(*(f"{way}.{what}" for way in ("rx", "tx") for what in ("bytes", "pkts", "errs", "drop"))),
    ),
)
BLOCKS = Section("block.", "all", (("count", _UINT),))
_IMAGE = (("name", _STRING), ("path", _STRING), ("backingIndex", _UINT))
_SIZES = _ullongs("allocation", "capacity", "physical")
_REQUESTS = _ullongs("rd.reqs", "rd.bytes", "rd.times", "wr.reqs", "wr.bytes", "wr.times", "fl.reqs", "fl.times")
DISK = Section("block.{}.", "disks", (*_IMAGE, *_REQUESTS, *_SIZES))
OFF_DISK = Section("block.{}.", "off_disks", (("name", _STRING), ("path", _STRING), *_SIZES))
IOTHREADS = Section("iothread.", "iothread_lists", (("count", _UINT),))
IOTHREAD = Section(
    "iothread.{}.", "iothreads", (("poll-max-ns", _ULLONG), ("poll-grow", _UINT), ("poll-shrink", _UINT))
)
DIRTYRATE = Section(
    "dirtyrate.",
    "active",
    (("calc_status", _INT), ("calc_start_time", _LLONG), ("calc_period", _INT), ("calc_mode", _STRING)),
)
VM = Section("vm.", "active", _ullongs(*(each.name for each in kvm.VM)))

RECORD = (
    *(STATE, CPU, BALLOON, MEMORY, LAST_UPDATE, CACHES, RSS, VCPUS, VCPU, NETS, NET),
    *(BLOCKS, DISK, OFF_DISK, IOTHREADS, IOTHREAD, DIRTYRATE, VM),
)
"""The sections of a record, in libvirt's order."""

ALL_BLOCKS = Section("block.", "active", (("count", _UINT),))
BACKING = Section("block.{}.", "disks", (*_IMAGE, *_SIZES))
BESIDE = (ALL_BLOCKS, BACKING)
"""What stands in a record only when backing images are asked for: the count of all images, and one more a disk."""


def size(sections: tuple[Section, ...], counts: Mapping[str, int]) -> int:
    """Number of values in these sections of one guest."""
    return sum(counts[section.count] * len(section.params) for section in sections)


def shape(counts: Mapping[str, int], groups: int, *, backing: bool) -> tuple[Shape, Positions]:
    """The shape of a record with these groups, and where each of its values is among those of the guest.

    A guest's values are those of RECORD, then those of BESIDE.
    """
    starts, end = {}, 0
    for section in (*RECORD, *BESIDE):
        starts[section] = end
        end += counts[section.count] * len(section.params)
    keys: list[str] = []
    types = bytearray()
    slots: list[int] = []
    devices = {name: range(count) for name, count in counts.items()}
    for section, device, number in blocks(devices, backing=backing):
        if groups >> group_of(section.prefix) & 1:
            prefix = section.prefix.format(number)
            first = starts[section] + device * len(section.params)
            keys += (prefix + tail for tail, _ in section.params)
            types += bytes(kind for _, kind in section.params)
            slots += range(first, first + len(section.params))
    return Shape.of(keys, bytes(types)), np.array(slots, np.int64)


def blocks(devices: Mapping[str, Sequence[int]], *, backing: bool) -> Iterator[tuple[Section, int, int]]:
    """The sections in the order of their keys: the section, which of its devices, and the number in the key.

    `devices`: the numbers of those there are of each of COUNTS.
    """
    backing = backing and len(devices["active"]) > 0
    for section in RECORD:
        if section is BLOCKS and backing:
            yield ALL_BLOCKS, 0, 0
            continue
        there = devices[section.count]
        for index, device in enumerate(there):
            if section is DISK and backing:
                yield DISK, device, 2 * index
                yield BACKING, device, 2 * index + 1
            elif section is IOTHREAD:
                yield section, device, len(there) - index  # QEMU lists them last first, and their ids begin at 1
            else:
                yield section, device, index
