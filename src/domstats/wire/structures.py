"""The structures libvirt's single calls return, as values. Units and meanings are libvirt's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """The host (virNodeInfo)."""

    model: str
    """The processor's model, such as x86_64."""
    memory: int
    """In KiB."""
    cpus: int
    """Number of active processors."""
    mhz: int
    nodes: int
    """Number of NUMA cells."""
    sockets: int
    """A NUMA cell."""
    cores: int
    """A socket."""
    threads: int
    """A core."""


@dataclass(frozen=True, slots=True)
class DomainInfo:
    """A domain in short (virDomainInfo)."""

    state: int
    """A virDomainState."""
    max_memory: int
    """In KiB."""
    memory: int
    """In KiB."""
    vcpus: int
    cpu_time: int
    """In nanoseconds."""


@dataclass(frozen=True, slots=True)
class DomainState:
    """What state a domain is in, and why."""

    state: int
    """A virDomainState."""
    reason: int
    """What it means depends on the state."""


@dataclass(frozen=True, slots=True)
class ControlInfo:
    """Whether libvirtd can talk to the domain's QEMU now (virDomainControlInfo). Asking never waits for the guest."""

    state: int
    """0 ok, 1 a job is running, 2 the monitor is occupied, 3 error."""
    details: int
    """What the error is, in state 3."""
    milliseconds: int
    """How long it has been in this state; 0 in state 0."""


@dataclass(frozen=True, slots=True)
class VcpuInfo:
    """One virtual processor (virVcpuInfo)."""

    number: int
    state: int
    """0 offline, 1 running, 2 blocked."""
    cpu_time: int
    """In nanoseconds."""
    cpu: int
    """The host processor it runs on, -1 when it is offline."""


@dataclass(frozen=True, slots=True)
class MemoryStat:
    """One memory statistic (virDomainMemoryStatStruct)."""

    tag: int
    """A virDomainMemoryStatTags."""
    value: int


@dataclass(frozen=True, slots=True)
class BlockStats:
    """A disk's counters (virDomainBlockStatsStruct); -1 where there is none."""

    rd_req: int
    rd_bytes: int
    wr_req: int
    wr_bytes: int
    errs: int


@dataclass(frozen=True, slots=True)
class BlockInfo:
    """A disk's sizes in bytes (virDomainBlockInfo)."""

    allocation: int
    capacity: int
    physical: int


@dataclass(frozen=True, slots=True)
class InterfaceStats:
    """A network interface's counters, seen from the guest (virDomainInterfaceStatsStruct); -1 where there is none."""

    rx_bytes: int
    rx_packets: int
    rx_errs: int
    rx_drop: int
    tx_bytes: int
    tx_packets: int
    tx_errs: int
    tx_drop: int


@dataclass(frozen=True, slots=True)
class JobInfo:
    """The job that runs on a domain (virDomainJobInfo): times in milliseconds, amounts in bytes."""

    type: int
    """A virDomainJobType; 0 when there is none."""
    time_elapsed: int
    time_remaining: int
    data_total: int
    data_processed: int
    data_remaining: int
    mem_total: int
    mem_processed: int
    mem_remaining: int
    file_total: int
    file_processed: int
    file_remaining: int


@dataclass(frozen=True, slots=True)
class StoragePool:
    """What identifies a storage pool."""

    name: str
    uuid: str
    """Lower-case text with hyphens."""


@dataclass(frozen=True, slots=True)
class SaslStep:
    """The server's part of a step of a SASL exchange."""

    complete: bool
    nil: bool
    """Whether there is no data at all, which differs from empty data."""
    data: bytes
