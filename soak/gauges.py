"""What a process holds, sampled by /proc, and whether it grows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

PARTS = 15
"""What is looked at is cut into so many parts; of each the median counts, since what is in use for a moment, or is not,
is no leak. Of 20 minutes a part is two rounds of the script, and its median of memory differs from the line by 1.1 MiB,
the growth by 0.9 from run to run; its least, which waits for a moment at which nothing is under way, by 5.8 and 4.8."""
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
    def usual(self) -> npt.NDArray[np.float64]:
        """The median of each part after the warm-up."""
        after = np.array(self.samples[int(WARM_UP * len(self.samples)) :])
        return np.array([np.median(part) for part in np.array_split(after, PARTS)])

    @property
    def growth(self) -> float:
        """Of the line that fits best, from the first part to the last."""
        slope = np.polyfit(np.arange(PARTS), self.usual, 1)[0]
        return float(slope * (PARTS - 1))

    @property
    def is_flat(self) -> bool:
        """Whether it grows by no more than it may."""
        return self.growth <= self.most


class Gauges:
    """Those of one process."""

    def __init__(self, pid: int) -> None:
        self._proc = Path(f"/proc/{pid}")
        self.memory = Gauge("memory", "MiB", 8.0)
        self.descriptors = Gauge("descriptors", "", 2.0)
        self.threads = Gauge("threads", "", 0.5)

    @property
    def all(self) -> Sequence[Gauge]:
        """Every gauge."""
        return self.memory, self.descriptors, self.threads

    @property
    def cpu(self) -> float:
        """Seconds of processor time the process has used."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def sample(self) -> None:
        """Look once. Raises OSError when the process has ended."""
        lines = (line.partition(":") for line in (self._proc / "status").read_text().splitlines())
        status = {name: text for name, _, text in lines}
        self.memory.samples.append(int(status["RssAnon"].split()[0]) / 1024)
        self.threads.samples.append(int(status["Threads"]))
        self.descriptors.samples.append(len(list((self._proc / "fd").iterdir())))
