"""The counters of network devices, as /proc/PID/net shows them: those of the network namespace a process is in.

A device of that name in another namespace is another device. So each namespace is read by itself, once a poll, through
a process that is in it.
"""

from __future__ import annotations

import os

from domstats.sources.kernel.descriptors import open_below

Counters = tuple[int, int, int, int, int, int, int, int]
"""Bytes, packets, errors and drops received, then the same sent; from the host's side."""
NOWHERE = "?"
"""The namespace of a process that may not be asked for it."""
_BLOCK = 1 << 20
_FIELDS = 16


def namespace(directory: int) -> str:
    """Which network namespace the process with this directory is in; NOWHERE where that may not be known."""
    try:
        return os.readlink("ns/net", dir_fd=directory)
    except OSError:
        return NOWHERE


def counters(directory: int) -> dict[str, Counters]:
    """The counters of all devices in the namespace of the process with this directory. Raises OSError, OutOfFiles."""
    found: dict[str, Counters] = {}
    for line in _read(directory, "net/dev").split("\n")[2:]:
        name, _, rest = line.partition(":")
        fields = rest.split()
        if len(fields) == _FIELDS and all(field.isdigit() for field in fields):
            numbers = [int(field) & 0xFFFFFFFFFFFFFFFF for field in fields]
            received, sent = numbers[:4], numbers[8:12]
            found[name.strip()] = (*received, *sent)  # type: ignore[assignment]  # four each
    return found


def numbers(directory: int) -> dict[int, str]:
    """The names of the devices that are up there, by number, as far as their multicast groups show them.

    None where the kernel has no multicast. Raises OSError, OutOfFiles.
    """
    found: dict[int, str] = {}
    try:
        text = _read(directory, "net/igmp")
    except FileNotFoundError:
        os.stat("net/dev", dir_fd=directory)  # this is not there either if the process has ended
        return found
    for line in text.split("\n")[1:]:
        number, _, rest = line.partition("\t")
        if number.isdigit():
            found[int(number)] = rest.partition(" ")[0].partition(":")[0].strip()
    return found


def _read(directory: int, path: str) -> str:
    """A whole file; the kernel gives it in pieces that each end with a line."""
    file = open_below(directory, path)
    try:
        pieces: list[bytes] = []
        while piece := os.read(file, _BLOCK):
            pieces.append(piece)
    finally:
        os.close(file)
    return b"".join(pieces).decode("utf-8", "surrogateescape")
