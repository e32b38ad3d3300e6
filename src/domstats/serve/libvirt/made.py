"""What a simulated host says beside its statistics: its versions, its capabilities, and the XML of its domains.

It is as invented as the host; what a real daemon would say more of is left out.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from domstats.collector.collector import Collector
from domstats.errors import NoDomain, RemoteError, UnknownDomain
from domstats.model.description import Description, Device, DeviceKind
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter
from domstats.model.record import Record
from domstats.serve.freshness import Freshness
from domstats.serve.libvirt.lists import Rolls, record_of
from domstats.serve.libvirt.refusals import unsupported
from domstats.sources import Source
from domstats.wire.procedures import PROCEDURES, Procedure, decode_args, encode_values
from domstats.wire.structures import BlockInfo, JobInfo, NodeInfo, VcpuInfo
from domstats.wire.xdr import Buffer

HOSTNAME = "simulated"
LIBVIRT, QEMU = 12_004_000, 10_002_000
"""Versions, as libvirt writes them: major * 1,000,000 + minor * 1,000 + micro."""
NODES, CORES, THREADS = 2, 16, 2
MEMORY = 1 << 30
"""Of the host, in KiB: 1 TiB."""
MHZ = 2600
ASKING = 2.0
"""Seconds that reading a description may take."""
_SAVED_OR_AUTOSTARTED = 0x100 | 0x400 | 0x1000 | 0x4000
"""Flags of virConnectListAllDomains that ask for domains that have something which none has here: a saved state,
autostart, snapshots, checkpoints. The flag for those without is the next bit."""
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML has no way to write; libvirt leaves it out."""


class Made:
    """A Behind for a host that has no daemon."""

    def __init__(self, collector: Collector, source: Source, freshness: Freshness, rolls: Rolls) -> None:
        """`source`: a connection of its own to the host."""
        self._collector, self._source, self._freshness, self._rolls = collector, source, freshness, rolls
        self._answers: dict[int, Callable[..., Awaitable[tuple[Any, ...]]]] = {
            Procedure.DOMAIN_GET_XML_DESC: self._xml,
            Procedure.DOMAIN_GET_VCPUS: self._vcpus,
            Procedure.DOMAIN_GET_BLOCK_INFO: self._block_info,
            Procedure.CONNECT_LIST_ALL_DOMAINS: self._list,
            Procedure.NODE_GET_INFO: self._node_info,
            Procedure.NODE_GET_CPU_MAP: self._cpu_map,
            Procedure.CONNECT_GET_CAPABILITIES: self._capabilities,
        }
        self._constant: dict[int, tuple[Any, ...]] = {
            Procedure.CONNECT_GET_TYPE: ("QEMU",),
            Procedure.CONNECT_GET_VERSION: (QEMU,),
            Procedure.CONNECT_GET_LIB_VERSION: (LIBVIRT,),
            Procedure.CONNECT_GET_HOSTNAME: (HOSTNAME,),
            Procedure.CONNECT_GET_URI: (collector.uri,),
            Procedure.CONNECT_IS_SECURE: (True,),
            Procedure.CONNECT_LIST_ALL_STORAGE_POOLS: ([], 0),
        }
        self._of_domains: dict[int, tuple[Any, ...]] = {
            Procedure.DOMAIN_GET_AUTOSTART: (False,),
            Procedure.DOMAIN_GET_OS_TYPE: ("hvm",),
            Procedure.DOMAIN_IS_PERSISTENT: (True,),
            Procedure.DOMAIN_HAS_MANAGED_SAVE_IMAGE: (False,),
            Procedure.DOMAIN_GET_JOB_INFO: (JobInfo(*[0] * 12),),
        }

    async def ask(self, number: int, payload: Buffer) -> Buffer:
        """See Behind."""
        if number not in PROCEDURES:
            raise unsupported(number)
        procedure = PROCEDURES[number]
        args = decode_args(procedure, payload)
        if number in self._of_domains:
            await self._record(args[0])
            return encode_values(procedure, *self._of_domains[number])
        if number in self._constant:
            return encode_values(procedure, *self._constant[number])
        if number not in self._answers:
            raise unsupported(number)
        return encode_values(procedure, *(await self._answers[number](*args)))

    async def domains(self, flags: int) -> list[Domain]:
        """See Behind."""
        found: list[Domain] = (await self._list(1, flags))[0]
        return found

    def forget(self, uuid: str) -> None:
        """Nothing is remembered."""

    async def aclose(self) -> None:
        """See Behind."""
        await self._source.aclose()

    async def _record(self, domain: Domain) -> Record:
        snapshot = await self._freshness.snapshot()
        return record_of(snapshot, self._rolls.of(snapshot), domain)

    async def _list(self, need_results: int, flags: int) -> tuple[list[Domain], int]:
        """Those that pass the filters for what none has here, or all have; the others are the snapshot's to apply."""
        found = self._rolls.of(self._collector.latest).domains
        if flags & DomainFilter.TRANSIENT and not flags & DomainFilter.PERSISTENT:
            found = []
        having = flags & _SAVED_OR_AUTOSTARTED
        if having & ~(flags >> 1):
            found = []
        return (list(found) if need_results else []), len(found)

    def _node(self) -> NodeInfo:
        cpus = self._collector.latest.host_cpus or NODES * CORES * THREADS
        return NodeInfo("x86_64", MEMORY, cpus, MHZ, NODES, 1, max(1, cpus // (NODES * THREADS)), THREADS)

    async def _node_info(self) -> tuple[NodeInfo]:
        return (self._node(),)

    async def _cpu_map(self, need_map: int, need_online: int, _flags: int) -> tuple[bytes, int, int]:
        cpus = self._node().cpus
        every = ((1 << cpus) - 1).to_bytes(-(-cpus // 8), "little")
        return (every if need_map else b""), (cpus if need_online else 0), cpus

    async def _capabilities(self) -> tuple[str]:
        return (_capabilities(self._node()),)

    async def _vcpus(self, domain: Domain, limit: int, length: int) -> tuple[list[VcpuInfo], bytes]:
        """Each vCPU on the host's processor of its number; it may run on any."""
        record = await self._record(domain)
        if record.domain.id is None:
            text = "Requested operation is not valid: cannot retrieve vcpu information for inactive domain"
            raise RemoteError(55, 10, text)
        cpus = self._collector.latest.host_cpus or 1
        found = []
        for number in range(min(limit, int(record.get("vcpu.current", 0)))):
            state, time = record.get(f"vcpu.{number}.state", 0), record.get(f"vcpu.{number}.time", 0)
            found.append(VcpuInfo(number, int(state), int(time), number % cpus))
        length = max(0, min(length, -(-cpus // 8)))
        everywhere = ((1 << min(cpus, 8 * length)) - 1).to_bytes(length, "little")
        return found, everywhere * len(found)

    async def _block_info(self, domain: Domain, path: str, _flags: int) -> tuple[BlockInfo]:
        record = await self._record(domain)
        for key in record:
            prefix, _, tail = key.rpartition(".")
            if prefix.startswith("block.") and tail in ("name", "path") and record[key] == path and path:
                sizes = (int(record.get(f"{prefix}.{size}", 0)) for size in ("allocation", "capacity", "physical"))
                return (BlockInfo(*sizes),)
        raise RemoteError(8, 10, f"invalid argument: invalid path {path} not assigned to domain")

    async def _xml(self, domain: Domain, _flags: int) -> tuple[str]:
        record = await self._record(domain)
        try:
            description = await self._source.describe(record.domain, ASKING)
        except UnknownDomain:
            raise NoDomain(42, 10, f"Domain not found: no domain with matching uuid '{domain.uuid}'") from None
        return (domain_xml(record, description),)


def domain_xml(record: Record, description: Description) -> str:
    """The document that virDomainGetXMLDesc gives, as far as the statistics and the description go."""
    domain = record.domain
    number = "" if domain.id is None else f" id='{domain.id}'"
    metadata = "".join(text for _, text in description.metadata)
    vcpus, most = record.get("vcpu.current"), record.get("vcpu.maximum")
    lines = [
        f"<domain type='kvm'{number}>",
        f"  <name>{_text(domain.name)}</name>",
        f"  <uuid>{domain.uuid}</uuid>",
        f"  <title>{_text(description.title)}</title>" if description.title else "",
        f"  <description>{_text(description.description)}</description>" if description.description else "",
        f"  <metadata>{metadata}</metadata>" if metadata else "",
        _number("memory unit='KiB'", "memory", record.get("balloon.maximum")),
        _number("currentMemory unit='KiB'", "currentMemory", record.get("balloon.current")),
        _number(f"vcpu placement='static' current='{vcpus}'", "vcpu", most),
        _number("iothreads", "iothreads", record.get("iothread.count") or None),
        "  <os>\n    <type arch='x86_64'>hvm</type>\n  </os>",
        "  <devices>",
        *map(_device, description.devices),
        "  </devices>",
        "</domain>\n",
    ]
    return "\n".join(line for line in lines if line)


def _capabilities(node: NodeInfo) -> str:
    """The least that clients look for: the host's processor, its topology, and what guests may be."""
    topology = f"<topology sockets='{node.sockets}' dies='1' cores='{node.cores}' threads='{node.threads}'/>"
    return (
        "<capabilities>\n"
        f"  <host>\n    <cpu>\n      <arch>x86_64</arch>\n      {topology}\n    </cpu>\n  </host>\n"
        "  <guest>\n    <os_type>hvm</os_type>\n    <arch name='x86_64'>\n      <wordsize>64</wordsize>\n"
        "      <domain type='kvm'/>\n    </arch>\n  </guest>\n"
        "</capabilities>\n"
    )


def _number(begin: str, end: str, value: object) -> str:
    return "" if value is None else f"  <{begin}>{value}</{end}>"


def _device(device: Device) -> str:
    is_disk = device.kind is DeviceKind.DISK
    source, what = ("file", " device='disk'") if is_disk else ("bridge", "")  # without it virsh takes it for broken
    parts = [
        f"    <{device.kind} type={_attribute(device.type)}{what}>",
        f"      <mac address={_attribute(device.mac)}/>" if device.mac else "",
        f"      <source {source}={_attribute(device.source)}/>",
        f"      <target dev={_attribute(device.target)}/>" if device.target else "",
        f"      <alias name={_attribute(device.alias)}/>" if device.alias else "",
        f"    </{device.kind}>",
    ]
    return "\n".join(part for part in parts if part)


def _text(text: str) -> str:
    return escape(_UNWRITABLE.sub("", text))


def _attribute(text: str) -> str:
    return quoteattr(_UNWRITABLE.sub("", text), {"\n": "&#10;", "\t": "&#9;", "\r": "&#13;"})
