"""How many files may be held open, and the files of one guest: held open, or opened for each poll.

A file in /proc that is held open belongs to one process or thread for ever: when that has ended reading it fails
(ESRCH), whoever has its number then. Everything of a guest is opened below one directory, so that it is all of one
process.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence

from domstats.errors import OutOfFiles
from domstats.sources.processes import FULL

RESERVE = 256
"""Descriptors left to everything else in this process."""
BUDGET_MAX = 1 << 18
"""Held at most when nobody says how many: 1,000 guests of 2 vCPUs need 7,000."""


class Descriptors:
    """The budget of all guests together."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.held = 0

    def take(self, count: int) -> bool:
        """Whether so many more may be held; if so they count as held."""
        if self.held + count > self.budget:
            return False
        self.held += count
        return True

    def give(self, count: int) -> None:
        """So many are no longer held."""
        self.held -= count

    def lower(self) -> None:
        """The limit of open files has been reached by whatever else this process does: leave it more from now on."""
        self.budget = max(0, self.held - RESERVE)


def make_room(wanted: int | None) -> int:
    """How many descriptors may be held, at most `wanted`; the soft limit of this process is raised to that.

    Nothing is changed where the limit is high enough already, or may not be raised.
    """
    soft, hard = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = BUDGET_MAX + RESERVE
    budget = max(0, min(BUDGET_MAX if wanted is None else wanted, hard - RESERVE))
    if soft != resource.RLIM_INFINITY and soft < budget + RESERVE:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (budget + RESERVE, limits[1]))
        except (OSError, ValueError):
            return max(0, min(budget, soft - RESERVE))
    return budget


class Files:
    """The files of one process that each poll reads, in an order of the caller's; `open` gives their descriptors."""

    def __init__(self, folder: str, descriptors: Descriptors) -> None:
        self._folder = folder
        self._descriptors = descriptors
        self._paths: tuple[str, ...] = ()
        self._kept: list[int] | None = None

    @property
    def kept(self) -> bool:
        """Whether they are held open."""
        return self._kept is not None

    def choose(self, directory: int, paths: Sequence[str]) -> None:
        """These files from now on: absolute paths, or below `directory`.

        Raises OSError for one that is not there, OutOfFiles.
        """
        self.close()
        self._paths = tuple(paths)
        count = len(self._paths) + 1
        if not self._descriptors.take(count):
            return
        try:
            self._kept = _open_all(directory, (*self._paths, "."))
        except (OSError, OutOfFiles):
            self._descriptors.give(count)
            raise

    @property
    def directory(self) -> int | None:
        """The directory of the process, where they are held open."""
        return None if self._kept is None else self._kept[-1]

    def open(self) -> list[int]:
        """Their descriptors, until `release`. Raises OSError if one cannot be opened, OutOfFiles."""
        if self._kept is not None:
            return self._kept
        directory = open_directory(self._folder)
        try:
            return _open_all(directory, self._paths)
        finally:
            os.close(directory)

    def release(self, files: list[int]) -> None:
        """Reading them has ended."""
        if files is not self._kept:
            for file in files:
                os.close(file)

    def close(self) -> None:
        """Hold nothing; safe to call twice."""
        if self._kept is not None:
            for file in self._kept:
                os.close(file)
            self._descriptors.give(len(self._kept))
            self._kept = None


def open_directory(path: str) -> int:
    """A descriptor of a directory, for paths below it. Raises OSError, OutOfFiles."""
    return open_below(None, path, os.O_RDONLY | os.O_DIRECTORY)


def open_below(directory: int | None, path: str, flags: int = os.O_RDONLY) -> int:
    """A descriptor of a file below a directory. Raises OSError, OutOfFiles."""
    try:
        return os.open(path, flags, dir_fd=directory)
    except OSError as error:
        raise _fault(error, path) from None


def read_below(directory: int, path: str, size: int) -> bytes:
    """The beginning of a file below a directory. Raises OSError, OutOfFiles."""
    file = open_below(directory, path)
    try:
        return os.read(file, size)
    finally:
        os.close(file)


def numbers_below(directory: int, path: str) -> tuple[int, list[int]]:
    """A descriptor of a folder below a directory, and the names in it that are numbers. Raises OSError, OutOfFiles."""
    folder = open_below(directory, path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return folder, [int(name) for name in os.listdir(folder) if name.isdigit()]  # noqa: PTH208  it is a descriptor
    except OSError as error:
        os.close(folder)
        raise _fault(error, path) from None


def pidfd_of(process: int) -> int:
    """A descriptor of a process. Raises OSError, OutOfFiles."""
    try:
        return os.pidfd_open(process)
    except OSError as error:
        raise _fault(error, f"process {process}") from None


def _fault(error: OSError, path: str) -> OSError | OutOfFiles:
    """It is no OSError where that says nothing of the file: a guest whose file is not there has ended."""
    return OutOfFiles(path) if error.errno in FULL else error


def _open_all(directory: int, paths: Sequence[str]) -> list[int]:
    files: list[int] = []
    try:
        for path in paths:
            files.append(open_below(directory, path))  # noqa: PERF401  those opened are closed again
    except (OSError, OutOfFiles):
        for file in files:
            os.close(file)
        raise
    return files
