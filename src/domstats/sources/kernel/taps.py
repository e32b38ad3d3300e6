"""Which network devices a process has open: taps by the name the kernel shows for their descriptor, macvtaps by number.

It takes the right to trace the process (root, CAP_SYS_PTRACE, or its own user).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domstats.sources.kernel.descriptors import numbers_below, read_below

TAPS_MAX = 4096
"""Descriptors of network devices that are looked at in one process."""
_FDINFO_BYTES = 4096
_TUN = re.compile(r"/dev/(net/)?tun(?: \(deleted\))?\Z")
_MACVTAP = re.compile(r"/dev/tap([0-9]{1,9})(?: \(deleted\))?\Z")
_NAME = re.compile(rb"^iff:\t([^\s/]{1,15})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Nic:
    """A network device of the host that belongs to a guest."""

    name: str
    is_tap: bool
    """What the guest sends a tap receives, so its counters read the other way round; a macvtap's do not."""
    number: int = 0
    """That of a macvtap, in its network namespace."""


def nics(directory: int, names: Mapping[int, str], first: Sequence[int] = ()) -> list[Nic]:
    """The network devices that the process with this directory has open, once each, however many queues they have.

    `names`: the devices of its network namespace by number; a macvtap that is not among them has no name. `first`: the
    descriptors that it was started with, in order; the others come after them, by number. Raises OSError without the
    right, OutOfFiles.
    """
    found: dict[Nic, None] = {}
    places = {number: place for place, number in enumerate(first)}
    folder, numbers = numbers_below(directory, "fd")
    try:
        for number in sorted(numbers, key=lambda number: (places.get(number, len(places)), number)):
            try:
                nic = _nic(directory, folder, number, names)
            except FileNotFoundError:  # it has been closed
                continue
            if nic is not None and len(found) < TAPS_MAX:
                found[nic] = None
    finally:
        os.close(folder)
    return list(found)


def _nic(directory: int, folder: int, number: int, names: Mapping[int, str]) -> Nic | None:
    path = os.readlink(str(number), dir_fd=folder)
    if _TUN.match(path):
        name = _NAME.search(read_below(directory, f"fdinfo/{number}", _FDINFO_BYTES))
        return Nic(name[1].decode("utf-8", "surrogateescape"), is_tap=True) if name else None
    macvtap = _MACVTAP.match(path)
    if macvtap:
        return Nic(names.get(int(macvtap[1]), ""), is_tap=False, number=int(macvtap[1]))
    return None
