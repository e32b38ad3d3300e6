"""What kinds of guests a simulated host has: their sizes, and how busy they are."""

from __future__ import annotations

from dataclasses import dataclass

HOST_CPUS = 64
"""Processors of the simulated host: guests of more vCPUs than that keep no more of them busy."""

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Activity:
    """How busy a guest is; every guest draws its own figures from these ranges."""

    load: Range
    """Busy part of a vCPU, in millionths."""
    swing: int
    """How far its rates go up and down around their mean, in 1/1024 of it; under 1024, or counters would go back."""
    wakes: Range
    """Wake-ups of a vCPU in a second."""
    reads: Range
    writes: Range
    """Requests of a disk in a second."""
    packets: Range
    """Packets of an interface in a second, in each direction."""
    used: Range
    """Memory in use, per cent."""


IDLE = Activity((2_000, 15_000), 300, (15, 60), (0, 2), (1, 4), (1, 10), (15, 40))
WEB = Activity((50_000, 300_000), 600, (200, 2000), (0, 30), (5, 60), (200, 8000), (30, 70))
BATCH = Activity((250_000, 550_000), 850, (30, 200), (20, 400), (20, 400), (5, 200), (40, 80))
DATABASE = Activity((100_000, 400_000), 500, (500, 4000), (50, 1500), (50, 1500), (100, 4000), (60, 85))


@dataclass(frozen=True, slots=True)
class Flavour:
    """A kind of guest."""

    role: str
    """Begins the names of its guests."""
    weight: int
    """How many there are, relative to the others."""
    vcpus: int
    memory: int
    """MiB"""
    disks: int
    nics: int
    iothreads: int
    activity: Activity


FLAVOURS: tuple[Flavour, ...] = (
    Flavour("web", 26, 2, 4096, 1, 1, 0, WEB),
    Flavour("app", 10, 4, 8192, 2, 1, 0, WEB),
    Flavour("db", 9, 4, 16384, 2, 1, 1, DATABASE),
    Flavour("warehouse", 3, 8, 32768, 3, 1, 2, DATABASE),
    Flavour("cache", 6, 2, 16384, 1, 1, 0, WEB),
    Flavour("mail", 4, 2, 4096, 2, 1, 0, WEB),
    Flavour("build", 4, 8, 16384, 2, 1, 1, BATCH),
    Flavour("batch", 4, 4, 8192, 1, 0, 0, BATCH),
    Flavour("backup", 4, 2, 4096, 3, 1, 0, BATCH),
    Flavour("dns", 4, 1, 1024, 1, 1, 0, IDLE),
    Flavour("test", 15, 1, 2048, 1, 1, 0, IDLE),
    Flavour("desktop", 6, 4, 8192, 1, 2, 0, IDLE),
    Flavour("router", 5, 2, 2048, 1, 3, 0, WEB),
)
