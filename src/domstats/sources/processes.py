"""The QEMU processes of this host, as far as /proc shows them: which guests are stopped and cannot answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

STOPPED = ("T", "t")
"""States of a process that is stopped, by a signal or a debugger (proc(5))."""


@dataclass(frozen=True, slots=True)
class _Guest:
    started: str
    """Start time in clock ticks; another process with the same number has another."""
    uuid: str
    """Empty for a process that is no guest."""


class Processes:
    """Knows the guests' processes by number, so that a look costs one small read each."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._known: dict[str, _Guest] = {}
        self._numbers_of: dict[str, str] = {}
        """Of the guests' processes, by UUID."""

    def stopped_guests(self) -> set[str]:
        """UUIDs of the guests whose QEMU is stopped; empty where /proc shows none of them."""
        found: set[str] = set()
        known: dict[str, _Guest] = {}
        for number in self._numbers():
            stat = self._stat(number)
            if stat is None:
                continue
            state, started = stat
            guest = self._known.get(number)
            if guest is None or guest.started != started:
                guest = _Guest(started, self._uuid(number))
            known[number] = guest
            if guest.uuid and state in STOPPED:
                found.add(guest.uuid)
        self._known = known
        self._numbers_of = {guest.uuid: number for number, guest in known.items() if guest.uuid}
        return found

    def stopped_among(self, uuids: Iterable[str]) -> set[str]:
        """Which of these guests are stopped, of those whose processes the last look at all of them has found."""
        found: set[str] = set()
        for uuid in uuids:
            number = self._numbers_of.get(uuid)
            stat = self._stat(number) if number is not None else None
            if number is None or stat is None:
                continue
            state, started = stat
            if state in STOPPED and started == self._known[number].started:
                found.add(uuid)
        return found

    def _numbers(self) -> list[str]:
        try:
            return [path.name for path in self._proc.iterdir() if path.name.isdigit()]
        except OSError:
            return []

    def _stat(self, number: str) -> tuple[str, str] | None:
        """State and start time: the 3rd and the 22nd field; the 2nd, the name, may hold anything, brackets too."""
        try:
            text = (self._proc / number / "stat").read_text(errors="replace")
        except OSError:
            return None
        fields = text.rpartition(")")[2].split()
        return (fields[0], fields[19]) if len(fields) > 19 else None

    def _uuid(self, number: str) -> str:
        """What follows `-uuid` on QEMU's command line."""
        try:
            words = (self._proc / number / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return ""
        if b"-uuid" not in words[:-1]:
            return ""
        return words[words.index(b"-uuid") + 1].decode("ascii", "replace").lower()
