"""What KVM says of one guest's vCPUs: the statistics descriptors of its QEMU, opened anew when these change."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from domstats.errors import ProtocolError
from domstats.sources.kernel.descriptors import Descriptors, pidfd_of, read_below
from domstats.sources.kernel.kvm_layout import StatsLayout
from domstats.sources.kernel.kvm_stats import KvmFigures, KvmStats, NoStats
from domstats.sources.processes import START_TIME, STAT_BYTES, GuestProcess, stat_fields

OTHER_NUMBERS = "the processes have other numbers here than in that /proc"
UNREADABLE = "the bytes of its statistics descriptors are no statistics"


def same_numbers(proc: Path) -> bool:
    """Whether processes have the numbers there that this process knows them by."""
    try:
        return os.readlink(proc / "self") == str(os.getpid())  # noqa: PTH115  as text
    except OSError:
        return False


class GuestKvm:
    """Holds a descriptor of the process, and one a vCPU; where the budget does not allow them there are no figures."""

    def __init__(self, process: GuestProcess, proc: Path, descriptors: Descriptors) -> None:
        self.why = ""
        """Why there are no figures; empty where there are."""
        self._process, self._proc, self._descriptors = process, proc, descriptors
        self._vcpus: tuple[int, ...] = ()
        self._stats: KvmStats | None = None
        self._shown: StatsLayout | None = None
        """The layout at the last look."""
        self._pidfd: int | None = None
        self._counted = 0

    @property
    def layout(self) -> StatsLayout | None:
        """What is known of each vCPU; None where nothing is."""
        return self._stats.layout if self._stats is not None and self._stats.rows(self._vcpus) else None

    def look(self, directory: int, vcpus: Collection[int]) -> bool:
        """Open the statistics of these vCPUs, unless they are open. Whether anything is another than before.

        `directory`: that of the process. Raises OSError where the process has ended.
        """
        before = self._shown
        if self._stats is None or self._vcpus != tuple(vcpus):
            self.close()
            self._vcpus = tuple(vcpus)
            self._open(directory)
        self._shown = self.layout
        return before is not self._shown

    def _open(self, directory: int) -> None:
        count = len(self._vcpus) + 2  # the process, and the machine as a whole
        if not same_numbers(self._proc):
            self.why = OTHER_NUMBERS
        elif not self._descriptors.take(count):
            self.why = NoStats.TOO_MANY.text
        else:
            self._counted = count
            try:
                opened = self._opened(directory, count - 1)
            except ProtocolError:
                self.why = UNREADABLE
            else:
                if isinstance(opened, KvmStats):
                    self._stats, self.why = opened, ""
                    return
                self.why = opened.text
            self.close()

    def _opened(self, directory: int, hold: int) -> KvmStats | NoStats:
        try:
            self._pidfd = pidfd_of(self._process.number)
        except ProcessLookupError:
            return NoStats.GONE
        # The directory is the guest's for ever: as long as it can be read, the number still is the guest's as well.
        if stat_fields(read_below(directory, "stat", STAT_BYTES))[START_TIME] != self._process.started:
            return NoStats.GONE
        return KvmStats.open(self._process.number, self._pidfd, hold, str(self._proc))

    def read(self) -> KvmFigures | None:
        """The figures of now; None where they are gone, and have to be opened anew."""
        figures = NoStats.CHANGED if self._stats is None else self._stats.read()
        if isinstance(figures, KvmFigures):
            return figures
        self.close()
        return None

    def rows(self) -> dict[int, int]:
        """The row of each vCPU in the figures."""
        return {} if self._stats is None else self._stats.rows(self._vcpus)

    def close(self) -> None:
        """Hold nothing; safe to call twice."""
        if self._stats is not None:
            self._stats.close()
            self._stats = None
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        self._descriptors.give(self._counted)
        self._counted = 0
