"""The statistics of one domain as libvirt's single calls return them, made of its record.

The errors are those of libvirt's driver for QEMU. What a record does not have is missing here, too: no call invents a 0
but where libvirt's own structure has no other place.
"""

from __future__ import annotations

from collections.abc import Iterator

from domstats.errors import RemoteError
from domstats.model.description import DeviceKind
from domstats.model.params import ParamType, TypedParameter
from domstats.model.record import Record
from domstats.model.sampling import Status
from domstats.serve.libvirt.lists import FROM_QEMU, INVALID_ARG, state_of
from domstats.wire.structures import BlockStats, DomainInfo, DomainState, InterfaceStats, MemoryStat

OPERATION_INVALID, OPERATION_TIMEOUT = 55, 68
"""Of virErrorNumber: not possible in the state the domain is in; not done in time."""
FROM_DOMAIN = 20
"""Of virErrorDomain: where an error of this kind comes from if not from the driver."""
_NONE = -1
"""What libvirt's structures say where there is no value."""

_MEMORY_KEYS = (
    (6, "balloon.current"),
    (0, "balloon.swap_in"),
    (1, "balloon.swap_out"),
    (2, "balloon.major_fault"),
    (3, "balloon.minor_fault"),
    (4, "balloon.unused"),
    (5, "balloon.available"),
    (8, "balloon.usable"),
    (9, "balloon.last-update"),
    (10, "balloon.disk_caches"),
    (11, "balloon.hugetlb_pgalloc"),
    (12, "balloon.hugetlb_pgfail"),
    (7, "balloon.rss"),
)
"""virDomainMemoryStatTags and their keys, in the order in which the driver gives them."""

_BLOCK_KEYS = (
    ("wr_bytes", "wr.bytes"),
    ("wr_operations", "wr.reqs"),
    ("rd_bytes", "rd.bytes"),
    ("rd_operations", "rd.reqs"),
    ("flush_operations", "fl.reqs"),
    ("wr_total_times", "wr.times"),
    ("rd_total_times", "rd.times"),
    ("flush_total_times", "fl.times"),
)
"""The fields of virDomainBlockStatsFlags and the tails of their keys, in the order in which the driver gives them."""
_BLOCK_STATS = ("rd.reqs", "rd.bytes", "wr.reqs", "wr.bytes")
_INTERFACE_STATS = ("rx.bytes", "rx.pkts", "rx.errs", "rx.drop", "tx.bytes", "tx.pkts", "tx.errs", "tx.drop")


def state(record: Record) -> DomainState:
    """virDomainGetState."""
    return DomainState(state_of(record), int(record.get("state.reason", 0)))


def has_info(record: Record) -> bool:
    """Whether the record has what `info` is made of."""
    wanted = ("state.state", "balloon.maximum", "balloon.current", "vcpu.current")
    return all(key in record for key in wanted) and (record.domain.id is None or "cpu.time" in record)


def info(record: Record) -> DomainInfo:
    """virDomainGetInfo; for a record that `has_info`."""
    time = 0 if record.domain.id is None else int(record["cpu.time"])
    return DomainInfo(
        state_of(record),
        int(record["balloon.maximum"]),
        int(record["balloon.current"]),
        int(record["vcpu.current"]),
        time,
    )


def memory_stats(record: Record, limit: int) -> list[MemoryStat]:
    """virDomainMemoryStats: at most so many. Raises RemoteError for a domain that is off.

    Of a guest without a balloon device, which has no last update either, only what the host sees is told.
    """
    must_be_on(record)
    keys = _MEMORY_KEYS if "balloon.last-update" in record else _MEMORY_KEYS[-1:]
    found = [MemoryStat(tag, int(record[key])) for tag, key in keys if key in record]
    return found[:limit]


def knows_disks(record: Record) -> bool:
    """Whether the record says which disks there are."""
    return "block.count" in record


def block_stats(record: Record, path: str) -> BlockStats:
    """virDomainBlockStats of a disk, or with an empty path of all of them. Raises RemoteError."""
    disks = _disks(record, path)
    rd_req, rd_bytes, wr_req, wr_bytes = (_sum(record, disks, tail) for tail in _BLOCK_STATS)
    return BlockStats(rd_req, rd_bytes, wr_req, wr_bytes, _NONE)


def block_params(record: Record, path: str) -> list[TypedParameter]:
    """virDomainBlockStatsFlags of a disk, or with an empty path of all of them. Raises RemoteError."""
    disks = _disks(record, path)
    return [
        TypedParameter(name, ParamType.LLONG, _sum(record, disks, tail))
        for name, tail in _BLOCK_KEYS
        if any(f"{disk}.{tail}" in record for disk in disks)
    ]


def interface_stats(record: Record, device: str) -> InterfaceStats:
    """virDomainInterfaceStats of an interface, named by its device on the host or its address. Raises RemoteError."""
    must_be_on(record)
    name = _device_with_address(record, device) or device
    for prefix in _entries(record, "net"):
        if name and record.get(f"{prefix}.name") == name:
            return InterfaceStats(*(int(record.get(f"{prefix}.{tail}", _NONE)) for tail in _INTERFACE_STATS))
    raise RemoteError(INVALID_ARG, FROM_DOMAIN, f"invalid argument: '{device}' is not a known interface")


def must_be_on(record: Record) -> None:
    """Raises libvirt's error of a domain that is off."""
    if record.domain.id is None:
        raise RemoteError(OPERATION_INVALID, FROM_DOMAIN, "Requested operation is not valid: domain is not running")


def _disks(record: Record, path: str) -> list[str]:
    """What the keys of a disk begin with: the one with that target or image; all with an empty path.

    None where the guest does not tell of its disks. Raises RemoteError for a disk that is not there, and where the host
    tells of none.
    """
    must_be_on(record)
    if not knows_disks(record):
        if record.status is Status.STALE:
            text = f"Timed out during operation: the disks of domain '{record.domain.name}' cannot be asked for"
            raise RemoteError(OPERATION_TIMEOUT, FROM_QEMU, text)
        return []
    entries = list(_entries(record, "block"))
    if not path:
        return entries
    for prefix in entries:
        if path in (record.get(f"{prefix}.name"), record.get(f"{prefix}.path")):
            return [prefix]
    raise RemoteError(INVALID_ARG, FROM_QEMU, f"invalid argument: invalid path: {path}")


def _entries(record: Record, group: str) -> Iterator[str]:
    """What the keys of each device begin with, as far as it has a name; the count may be of more, or of anything."""
    for key in record.layout.shape.slots:
        prefix, _, tail = key.rpartition(".")
        if tail == "name" and prefix.startswith(f"{group}.") and prefix.count(".") == 1:
            yield prefix


def _sum(record: Record, disks: list[str], tail: str) -> int:
    values = [int(record[f"{disk}.{tail}"]) for disk in disks if f"{disk}.{tail}" in record]
    return sum(values) if values else _NONE


def _device_with_address(record: Record, address: str) -> str | None:
    """The host's device of the interface with that address, where the definition is known."""
    description = record.domain.info
    for device in description.devices if description else ():
        if device.kind is DeviceKind.INTERFACE and device.mac and device.mac == address.lower():
            return device.target
    return None
