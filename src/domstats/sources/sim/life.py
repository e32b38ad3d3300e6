"""What a scripted guest is between two things that happen to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from domstats.model.domain import Domain
from domstats.sources.sim.clocks import EPOCH
from domstats.sources.sim.guests import IMAGES, RUNNING, SHUTOFF, Guests, disk_name
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


def first_lives(guests: Guests, libvirt: Version | None) -> list[Life]:
    """What the guests are before anything happens."""
    nets = 0
    lives = []
    for position, domain in enumerate(guests.domains):
        state = int(guests.state[position])
        nics = int(guests.nics[position])
        first_net = None if state == SHUTOFF else nets
        nets += 0 if first_net is None else nics
        lives.append(
            Life(
                position,
                domain,
                state,
                int(guests.reason[position]),
                tuple(map(Device, range(int(guests.vcpus[position])))),
                tuple(disk(domain.name, number) for number in range(int(guests.disks[position]))),
                interfaces(range(nics), first_net),
                int(guests.disks[position]),
                nics,
                int(guests.iothreads[position]),
                bool(guests.reports_memory[position]),
                int(guests.memory[position]),
                stands=None if state == RUNNING else float(EPOCH),
                libvirt=libvirt,
            )
        )
    return lives


def disk(owner: str, number: int, target: str = "", since: float | None = None) -> Device:
    """The disk of that number of a guest of that name."""
    image = f"{owner}-{number}.qcow2"
    return Device(number, since, target or disk_name(number), f"{IMAGES}/{image}", f"{IMAGES}/base/{image}")


def interfaces(numbers: Iterable[int], first_net: int | None, since: float | None = None) -> tuple[Device, ...]:
    """Interfaces of these numbers, whose vnet devices begin with that one; None for a guest that is off."""
    return tuple(
        Device(number, since, "" if first_net is None else f"vnet{first_net + nth}")
        for nth, number in enumerate(numbers)
    )
