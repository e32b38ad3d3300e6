"""The QEMU processes of this host, as far as /proc shows them: the one place that finds the guests among them.

A look at 1,000 guests among 2,000 processes takes 20 ms where the state of each is asked for, most of it the kernel's;
a look at who is there takes 2 ms.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from domstats.sources.command_line import CommandLine, parse

STOPPED = (b"T", b"t")
"""States of a process that is stopped, by a signal or a debugger (proc(5))."""
STAT_BYTES = 1024
"""More than the 52 numbers of /proc/PID/stat and a name take."""
PARENT, START_TIME = 1, 19
"""Which of `stat_fields` are the number of the process's parent, and the time the process or thread began."""
STARTING_UP = 60
"""Seconds in which a process often becomes a guest (libvirt's child becomes QEMU only after it has been set up), and in
which a guest's threads get their names."""
TICKS = os.sysconf("SC_CLK_TCK")
"""In a second."""
FULL = (errno.EMFILE, errno.ENFILE)
"""What an error is where this process, or the whole system, may open no more files."""
_LOOKS, _SECONDS = 64, 60.0
"""In so many looks, and in so much time, all processes that are no guests are looked at again: 8 us each."""


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
    line: int = 0
    """A hash of the whole command line."""

    @property
    def age(self) -> tuple[int, int]:
        """What the older of two processes has less of."""
        return int(self.started), self.number


class Processes:
    """Knows the guests' processes by number, so that a look costs one small read each.

    Other processes are looked at each time until they are a minute old, later once a minute (or once in 64 looks, where
    these take less).
    """

    def __init__(self, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic) -> None:
        self._proc, self._clock = str(proc), clock
        self._last = clock()
        """When some of the others were looked at again."""
        self._others: dict[str, tuple[bytes, bytes]] = {}
        """What are no guests: by number, the name and the start time they had."""
        self._again: list[str] = []
        """Those of the others that are still to be looked at again in this turn."""
        self._guests: dict[str, GuestProcess] = {}
        """By number."""
        self._by_uuid: dict[str, set[str]] = {}
        """The numbers of the guests with that UUID: any user can start a process with the UUID of another's guest."""

    def look(self) -> tuple[list[GuestProcess], bool]:
        """Those that are there, in the order they were found, and whether the processes can be listed at all.

        While this process may open no more files they are those that were there before.
        """
        try:
            numbers = {name for name in os.listdir(self._proc) if name.isdigit()}  # noqa: PTH208  four times as fast
        except OSError as error:
            if error.errno in FULL:
                return list(self._guests.values()), True
            self._guests.clear()
            self._by_uuid.clear()
            return [], False
        for number in self._others.keys() - numbers:
            del self._others[number]
        for number in self._guests.keys() - numbers:
            self._forget(number)
        self._look_again()
        self._find(numbers - self._others.keys() - self._guests.keys())
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
            if self._is_stopped(uuid):
                found.add(uuid)
        return found

    def _is_stopped(self, uuid: str) -> bool:
        """Whether the oldest process with that UUID is."""
        while numbers := self._by_uuid.get(uuid):
            number = next(iter(numbers)) if len(numbers) == 1 else min(numbers, key=lambda each: self._guests[each].age)
            _, fields = self._stat(number)
            if not fields:
                return False
            if fields[START_TIME] == self._guests[number].started:
                return fields[0] in STOPPED
            self._forget(number)
        return False

    def _look_again(self) -> None:
        """Forget those of a share of the others that have become something else: after hours a shell may become QEMU.

        That shows in their names: reading a command line waits for whoever has locked the process's memory.
        """
        now = self._clock()
        part = min(max((now - self._last) / _SECONDS, 1 / _LOOKS), 1.0)
        self._last = now
        share = 1 + int(len(self._others) * part)
        if len(self._again) < share:
            self._again = [*self._others, *self._again]
        for number in self._again[-share:]:
            if number in self._others and self._stat(number)[0] != self._others[number]:
                del self._others[number]
        del self._again[-share:]

    def _find(self, numbers: set[str]) -> None:
        """See which of these are guests, the oldest first."""
        if not numbers:
            return
        others: dict[str, tuple[bytes, bytes]] = {}
        found: dict[str, tuple[GuestProcess, str, tuple[bytes, bytes]]] = {}
        for number in numbers:
            known, fields = self._stat(number)
            text = self._read(f"{number}/cmdline", os.sysconf("SC_ARG_MAX")) if fields else None
            if text is None:  # it has ended
                continue
            command = parse(text)
            if command is None:
                others[number] = known
            else:
                guest = GuestProcess(int(number), known[1], command, hash(text))
                found[number] = guest, fields[PARENT].decode(), known
        guests = self._guests | {number: each[0] for number, each in found.items()}
        for guest, parent, known in sorted(found.values(), key=lambda each: each[0].age):
            number = str(guest.number)
            if parent in guests and guests[parent].line == guest.line:
                # QEMU's `-run-with async-teardown=on` has such a child, which only outlives it.
                others[number] = known
                continue
            self._guests[number] = guest
            if guest.command.uuid:
                self._by_uuid.setdefault(guest.command.uuid, set()).add(number)
        old = self.old_before()
        self._others |= {number: known for number, known in others.items() if int(known[1]) < old}

    def _forget(self, number: str) -> None:
        uuid = self._guests.pop(number).command.uuid
        if uuid:
            self._by_uuid[uuid].discard(number)
            if not self._by_uuid[uuid]:
                del self._by_uuid[uuid]

    def old_before(self) -> int:
        """The start time, in clock ticks, before which a process has been there for longer than `STARTING_UP`."""
        seconds = (self._read("uptime", STAT_BYTES) or b"").partition(b".")[0]
        return (int(seconds) - STARTING_UP) * TICKS if seconds.isdigit() else 0

    def _stat(self, number: str) -> tuple[tuple[bytes, bytes], list[bytes]]:
        """Name and start time, and `stat_fields`; nothing where it has ended."""
        text = self._read(f"{number}/stat", STAT_BYTES) or b""
        fields = stat_fields(text)
        if len(fields) <= START_TIME or not fields[START_TIME].isdigit():
            return (b"", b""), []
        return (text[: text.rfind(b")")], fields[START_TIME]), fields

    def _read(self, path: str, size: int) -> bytes | None:
        """The beginning of a file in /proc; None if its process has ended, or it cannot be opened."""
        try:
            file = os.open(f"{self._proc}/{path}", os.O_RDONLY)
            try:
                return os.read(file, size)
            finally:
                os.close(file)
        except OSError:
            return None
