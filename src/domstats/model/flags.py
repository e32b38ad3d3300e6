"""The flags of the bulk call, with libvirt's values (virDomainStatsTypes, virConnectGetAllDomainStatsFlags)."""

from __future__ import annotations

from enum import IntFlag


class StatsGroup(IntFlag):
    """Which statistics groups to ask for; 0 asks for all that the hypervisor has."""

    STATE = 1 << 0
    CPU = 1 << 1
    BALLOON = 1 << 2
    VCPU = 1 << 3
    INTERFACE = 1 << 4
    BLOCK = 1 << 5
    PERF = 1 << 6
    IOTHREAD = 1 << 7
    MEMORY = 1 << 8
    DIRTYRATE = 1 << 9
    VM = 1 << 10


class DomainFilter(IntFlag):
    """Which domains, by state, and how to ask. Within one line both or neither mean no filter; lines are combined."""

    ACTIVE = 0x1
    INACTIVE = 0x2

    PERSISTENT = 0x4
    TRANSIENT = 0x8

    RUNNING = 0x10
    PAUSED = 0x20
    SHUTOFF = 0x40
    OTHER = 0x80

    NOWAIT = 1 << 29
    """Do not wait for a domain's job: leave out what needs it."""
    BACKING = 1 << 30
    """Block: an entry for every image of a disk's backing chain."""
    ENFORCE = 1 << 31
    """Fail when a group asked for is not supported, instead of leaving it out."""


NO_FILTERS = DomainFilter(0)
"""Every domain, asked in the plain way."""
