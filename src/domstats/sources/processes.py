"""The QEMU processes of this host, as far as /proc shows them: which guests are stopped and cannot answer.

A look at 1,000 guests among 2,000 processes takes 20 ms, most of it the kernel's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

STOPPED = (b"T", b"t")
"""States of a process that is stopped, by a signal or a debugger (proc(5))."""
_STAT_BYTES = 1024
"""More than the 52 numbers of /proc/PID/stat and a name take."""


@dataclass(frozen=True, slots=True)
class _Guest:
    number: str
    started: bytes
    """Start time in clock ticks; another process with the same number has another."""
    uuid: str


class Processes:
    """Knows the guests' processes by number, so that a look costs one small read each.

    Other processes are looked at once: one that ends between two looks, whose number a guest then has, hides it.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = str(proc)
        self._others: set[str] = set()
        self._guests: dict[str, _Guest] = {}
        """By UUID."""

    def stopped_guests(self) -> set[str]:
        """UUIDs of the guests whose QEMU is stopped; empty where /proc shows none of them."""
        numbers = self._numbers()
        self._others &= numbers
        self._guests = {uuid: guest for uuid, guest in self._guests.items() if guest.number in numbers}
        known = {guest.number for guest in self._guests.values()}
        found = self.stopped_among(list(self._guests))
        for number in numbers - self._others - known:
            stat = self._stat(number)
            if stat is None:
                continue
            uuid = self._uuid(number)
            if not uuid:
                self._others.add(number)
                continue
            self._guests[uuid] = _Guest(number, stat[1], uuid)
            if stat[0] in STOPPED:
                found.add(uuid)
        return found

    def stopped_among(self, uuids: Iterable[str]) -> set[str]:
        """Which of these guests are stopped, of those whose processes the last look at all of them has found."""
        found: set[str] = set()
        for uuid in uuids:
            guest = self._guests.get(uuid)
            stat = self._stat(guest.number) if guest is not None else None
            if guest is None or stat is None:
                continue
            state, started = stat
            if started != guest.started:
                del self._guests[uuid]
            elif state in STOPPED:
                found.add(uuid)
        return found

    def _numbers(self) -> set[str]:
        try:
            return {name for name in os.listdir(self._proc) if name.isdigit()}  # noqa: PTH208  four times as fast
        except OSError:
            return set()

    def _stat(self, number: str) -> tuple[bytes, bytes] | None:
        """State and start time: the 3rd and the 22nd field; the 2nd, the name, may hold anything, brackets too."""
        text = self._read(number, "stat", _STAT_BYTES)
        fields = text.rpartition(b")")[2].split()
        return (fields[0], fields[19]) if len(fields) > 19 else None

    def _uuid(self, number: str) -> str:
        """What follows `-uuid` on QEMU's command line; empty for a process that is no guest."""
        words = self._read(number, "cmdline", os.sysconf("SC_ARG_MAX")).split(b"\0")
        if b"-uuid" not in words[:-1]:
            return ""
        return words[words.index(b"-uuid") + 1].decode("ascii", "replace").lower()

    def _read(self, number: str, name: str, size: int) -> bytes:
        """The beginning of a file of a process; nothing if that has ended."""
        try:
            file = os.open(f"{self._proc}/{number}/{name}", os.O_RDONLY)
            try:
                return os.read(file, size)
            finally:
                os.close(file)
        except OSError:
            return b""
