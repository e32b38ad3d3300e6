"""What a scripted guest is between two things that happen to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from domstats.model.domain import Domain
from domstats.sources.sim.clocks import EPOCH
from domstats.sources.sim.guests import RUNNING, SHUTOFF, Guests, disk_name, image_path
from domstats.sources.sim.script import Version


@dataclass(frozen=True, slots=True)
class Device:
    """A vCPU, a disk or an interface of a guest."""

    number: int
    """Which of all that the guest ever has: its values are those of that number, whoever is attached beside it."""
    since: float | None = None
    """The guest's own time when its counters were 0; None where they began before the script."""
    name: str = ""
    """vda or vnet3; vCPUs have none, interfaces of guests that are off neither."""
    path: str = ""
    """A disk's image."""
    base: str = ""
    """The image that one is based on."""


@dataclass(frozen=True, slots=True, eq=False)
class Life:
    """A guest between two events; what changes it makes another one. Compared by identity."""

    position: int
    """Among all guests there ever are."""
    domain: Domain
    born: str
    """The name it was defined with, which its title is made of."""
    state: int
    reason: int
    vcpus: tuple[Device, ...]
    disks: tuple[Device, ...]
    nics: tuple[Device, ...]
    disks_ever: int
    """How many disks it has had so far; so with interfaces."""
    nics_ever: int
    iothreads: int
    reports_memory: bool
    """Whether its balloon driver does, while it is on."""
    memory: int
    """The most it may have, in KiB."""
    lag: float = 0.0
    """Seconds its own time is behind, because it was paused."""
    stands: float | None = None
    """Its own time (seconds since the epoch) while that stands still, because it is not running."""
    since: float | None = None
    """Its own time when the counters of the guest itself were 0; None where they began before the script."""
    title: str | None = None
    """None for the one that it was born with."""
    libvirt: Version | None = None
    """The release whose fields it has; None for all."""
    nameless: bool = False
    """Whether its interfaces have no names."""
    hung: bool = False
    """Whether its monitor does not answer."""
    slow: float = 0.0
    """Seconds each visit to its monitor takes."""
    busy: bool = False
    """Whether another job holds it, one that is not a call for statistics."""

    @property
    def active(self) -> bool:
        """Whether it is on."""
        return self.state != SHUTOFF

    def own_time(self, now: float) -> float:
        """Its own time at that simulated time."""
        return now - self.lag if self.stands is None else self.stands


def first_life(guests: Guests, position: int, libvirt: Version | None = None) -> Life:
    """What a guest is before anything happens."""
    domain, state = guests.domains[position], int(guests.state[position])
    disks, nics = int(guests.disks[position]), int(guests.nics[position])
    return Life(
        position=position,
        domain=domain,
        born=domain.name,
        state=state,
        reason=int(guests.reason[position]),
        vcpus=tuple(map(Device, range(int(guests.vcpus[position])))),
        disks=tuple(disk(domain.name, number) for number in range(disks)),
        nics=interfaces(range(nics), None if state == SHUTOFF else int(guests.first_net[position])),
        disks_ever=disks,
        nics_ever=nics,
        iothreads=int(guests.iothreads[position]),
        reports_memory=bool(guests.reports_memory[position]),
        memory=int(guests.memory[position]),
        stands=None if state == RUNNING else float(EPOCH),
        libvirt=libvirt,
    )


def disk(owner: str, number: int, target: str = "", since: float | None = None) -> Device:
    """The disk of that number of a guest of that name."""
    paths = image_path(owner, number), image_path(owner, number, "/base")
    return Device(number, since, target or disk_name(number), *paths)


def interfaces(numbers: Iterable[int], first_net: int | None, since: float | None = None) -> tuple[Device, ...]:
    """Interfaces of these numbers, whose vnet devices begin with that one; None for a guest that is off."""
    return tuple(
        Device(number, since, "" if first_net is None else f"vnet{first_net + nth}")
        for nth, number in enumerate(numbers)
    )
