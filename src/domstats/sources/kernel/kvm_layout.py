"""What KVM's statistics files say of themselves: which values there are, and where. Bytes in, a layout out.

The format is described in the kernel's documentation of KVM, at KVM_GET_STATS_FD: a header, descriptors that name and
place the values, and those. libvirt's keys come from it: `halt_exits.sum` is a value that adds up, `guest_mode.cur` one
of the moment and a boolean. It reports no histograms.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from domstats.errors import BadValue, LimitExceeded, Truncated
from domstats.model.params import ParamType

Values = npt.NDArray[np.uint64]

HEADER = struct.Struct("=6I")
"""Flags, bytes of a name, number of descriptors, where the id text, the descriptors and the values begin."""
DESCRIPTOR = struct.Struct("=IhHII")
"""Flags, exponent, 64-bit words of the value, its place among the values in bytes, width of a histogram's bucket."""
WORD = 8

NAME_MAX = 256
DESCRIPTORS_MAX = 4096
WORDS_MAX = 1 << 16
PLACE_MAX = 1 << 24
"""Well above what there is: 48 bytes, 45 descriptors, 1 KiB of values of a vCPU on Linux 6.18."""

_SUFFIXES = {0x0: "sum", 0x1: "cur", 0x2: "max"}
"""What libvirt puts behind the name of a value that adds up, is of the moment, or is the highest so far."""
_TYPE_MASK, _UNIT_MASK, _BASE_MASK = 0xF, 0xF0, 0xF00
_BOOLEAN_UNIT = 0x40
_UNITS = frozenset((0x00, 0x10, 0x20, 0x30, _BOOLEAN_UNIT))
"""None, bytes, seconds, cycles, boolean."""
_BASES = frozenset((0x000, 0x100))
"""Powers of ten and of two."""

HALT_POLL = ("halt_poll_success_ns.sum", "halt_poll_fail_ns.sum")
"""What cpu.haltpoll.success.time and cpu.haltpoll.fail.time are added up from."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """One value of a vCPU or a machine."""

    name: str
    """The end of libvirt's key: `halt_exits.sum`, `guest_mode.cur`."""
    type: ParamType
    """ULLONG or BOOLEAN."""


@dataclass(frozen=True, slots=True, eq=False)
class StatsLayout:
    """Which values there are and where: the same object for all descriptors of a host that agree in it."""

    statistics: tuple[Statistic, ...]
    """Those that libvirt reports, in the kernel's order; histograms are not among them."""
    columns: npt.NDArray[np.intp]
    """For each statistic, which word of the block of values it is."""
    ceilings: Values
    """For each statistic the highest value its type can hold: 1 for a boolean."""
    place: int
    """Where the block of values begins, in bytes."""
    words: int
    """How many 64-bit words of the block are needed."""

    def keys(self, prefix: str) -> tuple[str, ...]:
        """libvirt's keys of all statistics; `prefix` is `vcpu.<number>` or `vm`."""
        return tuple(f"{prefix}.{statistic.name}" for statistic in self.statistics)

    def find(self, name: str) -> int | None:
        """The place of a statistic among the statistics; None where this kernel has none of that name."""
        names = (place for place, statistic in enumerate(self.statistics) if statistic.name == name)
        return next(names, None)

    def pick(self, block: Values) -> Values:
        """The values of the statistics out of blocks of words, as an array of their own; the last axis changes."""
        picked: Values = block[..., self.columns]
        return np.minimum(picked, self.ceilings, out=picked)


@lru_cache(maxsize=64)
def parse(header: bytes, descriptors: bytes) -> StatsLayout:
    """The layout that the header and the descriptors of a statistics file describe.

    What QEMU does not pass on, and libvirt so never sees, is left out: types, units and bases it does not know, and
    values of several words. Raises Truncated, LimitExceeded and BadValue.
    """
    name_bytes, count, _, place = check_header(header)
    step = DESCRIPTOR.size + name_bytes
    if len(descriptors) != count * step:
        raise Truncated("descriptors", len(descriptors), f"{count} descriptors are {count * step} bytes")
    found: list[tuple[Statistic, int]] = []
    for at in range(0, len(descriptors), step):
        flags, _, words, offset, _ = DESCRIPTOR.unpack_from(descriptors, at)
        if offset % WORD or offset // WORD + words > WORDS_MAX:
            raise BadValue("descriptor", at, f"{words} words at byte {offset} of the values")
        suffix = _SUFFIXES.get(flags & _TYPE_MASK)
        known = flags & _UNIT_MASK in _UNITS and flags & _BASE_MASK in _BASES
        if suffix is None or not known or words != 1:
            continue
        boolean = flags & _UNIT_MASK == _BOOLEAN_UNIT
        name = _name(descriptors[at + DESCRIPTOR.size : at + step], at)
        statistic = Statistic(f"{name}.{suffix}", ParamType.BOOLEAN if boolean else ParamType.ULLONG)
        found.append((statistic, offset // WORD))
    statistics = tuple(statistic for statistic, _ in found)
    if len({statistic.name for statistic in statistics}) < len(statistics):
        raise BadValue("descriptors", 0, "two statistics have the same name")
    highest = {ParamType.BOOLEAN: 1, ParamType.ULLONG: (1 << 64) - 1}
    return StatsLayout(
        statistics,
        np.array([word for _, word in found], np.intp),
        np.array([highest[statistic.type] for statistic in statistics], np.uint64),
        place,
        max((word + 1 for _, word in found), default=0),
    )


def check_header(header: bytes) -> tuple[int, int, int, int]:
    """Bytes of a name, number of descriptors, where these and the values begin; each within its limit."""
    if len(header) != HEADER.size:
        raise Truncated("header", len(header), f"a header is {HEADER.size} bytes")
    _, name_bytes, count, _, first, place = HEADER.unpack(header)
    for field, value, limit in (
        ("name_size", name_bytes, NAME_MAX),
        ("num_desc", count, DESCRIPTORS_MAX),
        ("desc_offset", first, PLACE_MAX),
        ("data_offset", place, PLACE_MAX),
    ):
        if value > limit:
            raise LimitExceeded(field, 0, f"{value} is over the limit of {limit}")
    return name_bytes, count, first, place


def _name(raw: bytes, at: int) -> str:
    """A descriptor's name, which a zero byte ends."""
    name, ended, _ = raw.partition(b"\0")
    if not ended or not re.fullmatch(rb"[!-~]+", name):
        raise BadValue("name", at, f"{name!r} is no name")
    return name.decode("ascii")


def halt_poll(layout: StatsLayout, vcpus: Values) -> tuple[int, int] | None:
    """cpu.haltpoll.success.time and cpu.haltpoll.fail.time in ns, as libvirt adds them up; None where KVM lacks one."""
    success, fail = (layout.find(name) for name in HALT_POLL)
    if success is None or fail is None:
        return None
    return int(vcpus[:, success].sum()), int(vcpus[:, fail].sum())
