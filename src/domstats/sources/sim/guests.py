"""Who the simulated guests are: names, UUIDs, ids, states, sizes, and the names of their devices."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from domstats.catalog.enums import DOMAIN_STATES
from domstats.catalog.groups import group_of
from domstats.model.domain import Domain
from domstats.sources.sim.dice import Dice, Ints
from domstats.sources.sim.flavours import FLAVOURS, Activity
from domstats.sources.sim.keys import BLOCKS, COUNTS, DIRTYRATE, NETS
from domstats.sources.sim.uri import SimConfig

RUNNING, PAUSED, SHUTOFF = map(DOMAIN_STATES.index, ("running", "paused", "shutoff"))
_REASONS = {RUNNING: 1, PAUSED: 1, SHUTOFF: 1}  # booted; by the user; shut down
IMAGES = "/var/lib/libvirt/images"
"""Where disks have their images."""


@dataclass(frozen=True, slots=True, eq=False)
class Guests:
    """Arrays with a number for each guest."""

    domains: list[Domain]
    activities: list[Activity]
    state: Ints
    reason: Ints
    vcpus: Ints
    """Of the definition; so are the devices and I/O threads, also of guests that are off."""
    disks: Ints
    nics: Ints
    iothreads: Ints
    reports_memory: Ints
    """1 where the balloon driver reports memory statistics while the guest is on."""
    memory: Ints
    """The most it may have, in KiB."""
    counts: Mapping[str, Ints]
    """What there is of each of keys.COUNTS now."""
    first_net: Ints
    """Number of its first vnet device on the host."""

    @classmethod
    def of(cls, config: SimConfig, dice: Dice) -> Guests:
        """The guests of a host."""
        flavour = dice.weighted("flavour", [each.weight for each in FLAVOURS])
        state = np.array((RUNNING, PAUSED, SHUTOFF))[dice.weighted("state", (87, 3, 10))]
        active = (state != SHUTOFF).astype(np.int64)
        vcpus = _sizes([each.vcpus for each in FLAVOURS], config.vcpus)[flavour]
        disks = _sizes([each.disks for each in FLAVOURS], config.disks)[flavour]
        nics = _sizes([each.nics for each in FLAVOURS], config.nics)[flavour]
        iothreads = np.array([each.iothreads for each in FLAVOURS])[flavour]
        ids = np.cumsum(active * dice.between("id.step", 1, 3))
        reports_memory = (dice.between("memory.stats", 1, 100) <= 75).astype(np.int64)
        counts = _counts(active, 1 - active, reports_memory, vcpus, nics, disks, iothreads)
        names = _names(flavour)
        uuids = zip(dice.raw("uuid.high").tolist(), dice.raw("uuid.low").tolist(), strict=True)
        domains = [
            Domain(name, str(uuid.UUID(int=high << 64 | low, version=4)), number if on else None)
            for name, (high, low), number, on in zip(names, uuids, ids.tolist(), active.tolist(), strict=True)
        ]
        return cls(
            domains=domains,
            activities=[FLAVOURS[number].activity for number in flavour.tolist()],
            state=state,
            reason=np.array([_REASONS.get(number, 0) for number in range(len(DOMAIN_STATES))])[state],
            vcpus=vcpus,
            disks=disks,
            nics=nics,
            iothreads=iothreads,
            reports_memory=reports_memory,
            memory=np.array([each.memory << 10 for each in FLAVOURS])[flavour] << dice.weighted("memory", (2, 1)),
            counts=counts,
            first_net=np.cumsum(counts["nics"]) - counts["nics"],
        )

    def grown(self, vcpus: Ints, disks: Ints, nics: Ints) -> Guests:
        """The same guests with these many devices, on and off at once: with every value they can ever have."""
        on = np.ones_like(self.state)
        return replace(
            self,
            state=on * RUNNING,
            vcpus=vcpus,
            disks=disks,
            nics=nics,
            counts=_counts(on, on, self.reports_memory, vcpus, nics, disks, self.iothreads),
        )

    def counts_of(self, position: int) -> dict[str, int]:
        """What one guest has of each of keys.COUNTS."""
        return {name: int(self.counts[name][position]) for name in COUNTS}

    def strings(self, position: int, groups: int, *, backing: bool) -> list[str]:
        """The strings of a guest's record with these groups, in the order of its keys."""
        strings: list[str] = []
        active = bool(self.counts["active"][position])
        if groups >> group_of(NETS.prefix) & 1:
            first = int(self.first_net[position])
            strings += (f"vnet{first + nic}" for nic in range(int(self.counts["nics"][position])))
        if groups >> group_of(BLOCKS.prefix) & 1:
            name = self.domains[position].name
            for disk in range(int(self.disks[position])):
                device = disk_name(disk)
                strings += (device, image_path(name, disk))
                if backing and active:
                    strings += (device, image_path(name, disk, "/base"))
        if active and groups >> group_of(DIRTYRATE.prefix) & 1:
            strings.append("page-sampling")
        return strings


def _counts(
    on: Ints, off: Ints, reports_memory: Ints, vcpus: Ints, nics: Ints, disks: Ints, iothreads: Ints
) -> dict[str, Ints]:
    """What there is of each of keys.COUNTS; `on`, `off`: 1 for guests that have what such guests have, else 0."""
    return {
        "all": np.ones_like(on),
        "active": on,
        "memory_stats": on * reports_memory,
        "vcpus": on * vcpus,
        "nics": on * nics,
        "disks": on * disks,
        "off_disks": off * disks,
        "iothread_lists": on * (iothreads > 0),
        "iothreads": on * iothreads,
    }


def _sizes(usual: list[int], given: int | None) -> Ints:
    return np.array(usual if given is None else [given] * len(usual), np.int64)


def _names(flavour: Ints) -> list[str]:
    """Each guest's role, and its number among those of that role."""
    seen = [0] * len(FLAVOURS)
    names = []
    for number in flavour.tolist():
        seen[number] += 1
        names.append(f"{FLAVOURS[number].role}-{seen[number]}")
    return names


def image_path(name: str, disk: int, below: str = "") -> str:
    """The file of a guest's disk, in the directory of all images or in one `below` it."""
    return f"{IMAGES}{below}/{name}-{disk}.qcow2"


def disk_name(number: int) -> str:
    """vda to vdz, then vdaa and so on, as the kernel names disks."""
    letters = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        letters = chr(ord("a") + letter) + letters
    return f"vd{letters}"
