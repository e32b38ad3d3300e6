"""What a process holds, and whether it grows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

PARTS = 15
"""What is looked at is cut into so many parts; of each the least counts, since what is in use for a moment is no leak,
and the median. Of 20 minutes a part is two rounds of the script; looked at five times a second the least of memory
differs from the line by 5.8 MiB, and its growth by 4.8 from run to run; the median by 1.1, and its growth by 0.9."""
WARM_UP = 0.25
"""Part of the time in which caches fill, and threads begin."""
LEAST = 2 * PARTS
"""Samples without which nothing can be said."""
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Gauge:
    """One figure over time."""

    name: str
    unit: str
    most: float
    """By how much it may grow, by the line that fits best, from the end of the warm-up to the end."""
    samples: list[float] = field(default_factory=list)

    @property
    def least(self) -> npt.NDArray[np.float64]:
        """The least of each part after the warm-up."""
        return np.array([part.min() for part in self._parts])

    @property
    def medians(self) -> npt.NDArray[np.float64]:
        """The median of each part after the warm-up."""
        return np.array([np.median(part) for part in self._parts])

    @property
    def growth(self) -> float:
        """That of the least or that of the median, whichever is more."""
        return max(_growth(self.least), _growth(self.medians))

    @property
    def is_flat(self) -> bool:
        """Whether it grows by no more than it may."""
        return self.growth <= self.most

    @property
    def _parts(self) -> list[npt.NDArray[np.float64]]:
        return np.array_split(np.array(self.samples[int(WARM_UP * len(self.samples)) :]), PARTS)


def _growth(of_parts: npt.NDArray[np.float64]) -> float:
    """From the first part to the last, by the line that fits best."""
    return float(np.polyfit(np.arange(PARTS), of_parts, 1)[0] * (PARTS - 1))


class Gauges:
    """Those of one process."""

    def __init__(self, pid: int) -> None:
        self._proc = Path(f"/proc/{pid}")
        self.memory = Gauge("memory", "MiB", 8.0)
        self.descriptors = Gauge("descriptors", "", 2.0)
        self.threads = Gauge("threads", "", 0.5)
        self.tasks = Gauge("tasks", "", 10.0)  # 35 to 61 as clients come and go; one left by each would be thousands

    @property
    def all(self) -> Sequence[Gauge]:
        """Every gauge."""
        return self.memory, self.descriptors, self.threads, self.tasks

    @property
    def cpu(self) -> float:
        """Seconds of processor time the process has used."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def take(self, looks: Path) -> None:
        """What has been seen: the lines of soak.looking."""
        for line in looks.read_text(encoding="ascii").splitlines():
            memory, threads, descriptors = line.split()
            self.memory.samples.append(float(memory))
            self.threads.samples.append(int(threads))
            self.descriptors.samples.append(int(descriptors))
