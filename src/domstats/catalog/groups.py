"""The statistics groups: libvirt's names and bits, the key prefix of each, and which of them can wait for a guest.

Source: libvirt's virDomainStatsTypes and the qemu driver. A group that "needs the monitor" takes the domain's job and
asks QEMU, so a guest that does not answer holds it up; the others are answered from the host.
"""

from __future__ import annotations

from dataclasses import dataclass

from domstats.errors import UnknownGroup


@dataclass(frozen=True, slots=True)
class Group:
    """One statistics group."""

    name: str
    """libvirt's name, in lower case."""
    bit: int
    """Position of its bit in the call's `stats` argument."""
    prefix: str
    """First component of its keys."""
    needs_monitor: bool
    """Whether libvirt asks the guest's QEMU (or waits for its job) to fill it."""
    since: str
    """The libvirt release that brought it."""
    option: str
    """virsh domstats' option for it."""


GROUPS: tuple[Group, ...] = (
    Group("state", 0, "state", False, "1.2.8", "state"),
    Group("cpu", 1, "cpu", True, "1.2.9", "cpu-total"),
    Group("balloon", 2, "balloon", True, "1.2.9", "balloon"),
    Group("vcpu", 3, "vcpu", True, "1.2.9", "vcpu"),
    Group("interface", 4, "net", False, "1.2.9", "interface"),
    Group("block", 5, "block", True, "1.2.9", "block"),
    Group("perf", 6, "perf", False, "1.3.3", "perf"),
    Group("iothread", 7, "iothread", True, "4.10.0", "iothread"),
    Group("memory", 8, "memory", False, "6.0.0", "memory"),
    Group("dirtyrate", 9, "dirtyrate", True, "7.2.0", "dirtyrate"),
    Group("vm", 10, "vm", True, "8.9.0", "vm"),
)
"""In libvirt's order, which is the order of the groups inside a record."""

OTHER = "other"
"""The group of keys whose prefix is not in the table: a newer libvirt's."""

GROUP_NAMES: tuple[str, ...] = (*(group.name for group in GROUPS), OTHER)
"""Names by index: a known group's bit number, then `other`."""

_BY_NAME = {group.name: group for group in GROUPS} | {"net": GROUPS[4], "cpu-total": GROUPS[1]}
_BIT_DIGITS = 2
_BITS = 32
"""Bits in the call's `stats` argument, and digits of the number of the last one."""
_BY_PREFIX = {group.prefix: group.bit for group in GROUPS}


def group_of(key: str) -> int:
    """Index into GROUP_NAMES of the group a key belongs to."""
    return _BY_PREFIX.get(key.partition(".")[0], len(GROUPS))


def group_bits(name: str) -> int:
    """The bits of a group given by name (`net` is accepted for interface) or, as a number, by bit position.

    Raises UnknownGroup when it is neither a known name nor a number from 0 to 31.
    """
    # The length comes first: Python refuses to convert thousands of digits.
    if name.isascii() and name.isdigit() and len(name) <= _BIT_DIGITS and int(name) < _BITS:
        return 1 << int(name)
    try:
        return 1 << _BY_NAME[name.lower()].bit
    except KeyError:
        raise UnknownGroup(name, tuple(group.name for group in GROUPS)) from None
