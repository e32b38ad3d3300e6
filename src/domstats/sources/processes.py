"""The QEMU processes of this host, as far as /proc shows them: the one place that finds the guests among them.

A look at 1,000 guests among 2,000 processes takes 20 ms where the state of each is asked for, most of it the kernel's;
a look at who is there takes 2 ms.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from domstats.sources.command_line import CommandLine, parse

STOPPED = (b"T", b"t")
"""States of a process that is stopped, by a signal or a debugger (proc(5))."""
STAT_BYTES = 1024
"""More than the 52 numbers of /proc/PID/stat and a name take."""
START_TIME = 19
"""Which of `stat_fields` is the time the process or thread began."""
_STARTING_UP = 60.0
"""Seconds in which a process may still become a guest: libvirt's child becomes QEMU only after it has been set up."""


def stat_fields(text: bytes) -> list[bytes]:
    """The fields of /proc/PID/stat from the third, the state; the second, the name, may hold anything, brackets too."""
    return text[text.rfind(b")") + 1 :].split(None, 22)


@dataclass(frozen=True, slots=True, eq=False)
class GuestProcess:
    """The process of a guest; there is one of it for as long as it lives, so it is compared by identity."""

    number: int
    started: bytes
    """Start time in clock ticks since the boot; another process with the same number has another."""
    command: CommandLine


class Processes:
    """Knows the guests' processes by number, so that a look costs one small read each.

    Other processes are looked at until they are a minute old: one that ends between two looks, whose number a guest
    then has, hides it.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = str(proc)
        self._others: set[str] = set()
        self._guests: dict[str, GuestProcess] = {}
        """By number."""
        self._by_uuid: dict[str, str] = {}
        """The number of the guest with that UUID; of several, the last that was found."""

    def look(self) -> tuple[list[GuestProcess], bool]:
        """Those that are there, in the order they were found, and whether the processes can be listed at all."""
        numbers = self._numbers()
        if numbers is None:
            self._guests.clear()
            self._by_uuid.clear()
            return [], False
        self._others &= numbers
        for number in self._guests.keys() - numbers:
            self._forget(number)
        self._find(numbers - self._others - self._guests.keys())
        return list(self._guests.values()), True

    def forget(self, process: GuestProcess) -> None:
        """This process has ended; whoever has its number at the next look is somebody else."""
        if self._guests.get(str(process.number)) is process:
            self._forget(str(process.number))

    def stopped_guests(self) -> set[str]:
        """UUIDs of the guests whose QEMU is stopped; empty where /proc shows none of them."""
        self.look()
        return self.stopped_among(list(self._by_uuid))

    def stopped_among(self, uuids: Iterable[str]) -> set[str]:
        """Which of these guests are stopped, of those whose processes the last look at all of them has found."""
        found: set[str] = set()
        for uuid in uuids:
            number = self._by_uuid.get(uuid, "")
            stat = self._stat(number) if number else None
            if stat is None:
                continue
            state, started = stat
            if started != self._guests[number].started:
                self._forget(number)
            elif state in STOPPED:
                found.add(uuid)
        return found

    def _find(self, numbers: set[str]) -> None:
        """See which of these are guests, the oldest first."""
        found: list[tuple[int, int, GuestProcess]] = []
        old = self._old_before() if numbers else 0
        for number in numbers:
            stat = self._stat(number)
            if stat is None:
                continue
            started = int(stat[1])
            command = parse(self._read(f"{number}/cmdline", os.sysconf("SC_ARG_MAX")))
            if command is not None:
                found.append((started, int(number), GuestProcess(int(number), stat[1], command)))
            elif started < old:
                self._others.add(number)
        for _, _, guest in sorted(found, key=lambda each: each[:2]):
            self._guests[str(guest.number)] = guest
            if guest.command.uuid:
                self._by_uuid[guest.command.uuid] = str(guest.number)

    def _forget(self, number: str) -> None:
        uuid = self._guests.pop(number).command.uuid
        if self._by_uuid.get(uuid) == number:
            del self._by_uuid[uuid]

    def _numbers(self) -> set[str] | None:
        try:
            return {name for name in os.listdir(self._proc) if name.isdigit()}  # noqa: PTH208  four times as fast
        except OSError:
            return None

    def _old_before(self) -> int:
        """The start time, in clock ticks, before which a process is too old to become a guest."""
        seconds = self._read("uptime", STAT_BYTES).partition(b".")[0]
        return int((int(seconds) - _STARTING_UP) * os.sysconf("SC_CLK_TCK")) if seconds.isdigit() else 0

    def _stat(self, number: str) -> tuple[bytes, bytes] | None:
        """State and start time."""
        fields = stat_fields(self._read(f"{number}/stat", STAT_BYTES))
        return (fields[0], fields[START_TIME]) if len(fields) > START_TIME and fields[START_TIME].isdigit() else None

    def _read(self, path: str, size: int) -> bytes:
        """The beginning of a file in /proc; nothing if its process has ended."""
        try:
            file = os.open(f"{self._proc}/{path}", os.O_RDONLY)
            try:
                return os.read(file, size)
            finally:
                os.close(file)
        except OSError:
            return b""
