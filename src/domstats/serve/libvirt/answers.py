"""The calls about the host: what the snapshot knows is answered from it, what writes is refused, the rest is passed on.

A table from procedure to method; each takes the call's arguments and gives the values of the reply, or its payload.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from domstats.collector.collector import Collector
from domstats.errors import NoDomain, RemoteError
from domstats.model.domain import Domain
from domstats.model.params import TypedParameter
from domstats.model.record import Record
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.serve.freshness import Freshness
from domstats.serve.libvirt import figures, lists
from domstats.serve.libvirt.behind import Behind
from domstats.serve.libvirt.bulk import Bulk
from domstats.serve.libvirt.lists import Roll, Rolls, check_flags
from domstats.serve.libvirt.refusals import FROM_DOMAIN, OPERATION_DENIED, RPC, denied, unknown, unsupported
from domstats.wire.failure import RPC_DOMAIN
from domstats.wire.limits import RECORDS_MAX
from domstats.wire.procedures import (
    BLOCK_STATS_MAX,
    MEMORY_STATS_MAX,
    PROCEDURES,
    Procedure,
    decode_args,
    encode_args,
    encode_values,
)
from domstats.wire.structures import BlockStats, ControlInfo, DomainState, InterfaceStats, MemoryStat
from domstats.wire.xdr import Buffer

P = Procedure
OCCUPIED = 2
"""Of virDomainControlState: a command to the guest's QEMU has not been answered."""
INTERNAL_ERROR = 1
"""Of virErrorNumber."""
_SECURE = 1
"""Flag of virDomainGetXMLDesc: with the secrets."""
_STRING_OKAY = 4
"""Flag of calls that return typed parameters: the client takes strings."""
_OF_THE_CONNECTION = frozenset({67, 68, 69, 106, 313, 314, 368, 369, 374, 375, 380, 381})
"""Calls that would change what the connection behind is told, not what this one is: SASL, and events of networks,
storage, secrets and the host's devices."""

Answer = Awaitable[Any]
"""A tuple of the reply's values, or its payload."""


class Answers:
    """Answers the calls about one host, for all clients."""

    def __init__(self, collector: Collector, freshness: Freshness, behind: Behind, rolls: Rolls, bulk: Bulk) -> None:
        self._collector, self._freshness, self._behind = collector, freshness, behind
        self._rolls, self._bulk = rolls, bulk
        self.calls = 0
        """How many there have been."""
        self._table: dict[int, Callable[..., Answer]] = {
            P.CONNECT_GET_ALL_DOMAIN_STATS: self._stats,
            P.CONNECT_LIST_ALL_DOMAINS: self._list_all,
            P.CONNECT_LIST_DOMAINS: self._ids,
            P.CONNECT_NUM_OF_DOMAINS: self._number_of_ids,
            P.CONNECT_LIST_DEFINED_DOMAINS: self._names,
            P.CONNECT_NUM_OF_DEFINED_DOMAINS: self._number_of_names,
            P.DOMAIN_LOOKUP_BY_ID: self._by_id,
            P.DOMAIN_LOOKUP_BY_NAME: self._by_name,
            P.DOMAIN_LOOKUP_BY_UUID: self._by_uuid,
            P.DOMAIN_IS_ACTIVE: self._is_active,
            P.DOMAIN_GET_STATE: self._state,
            P.DOMAIN_GET_INFO: self._info,
            P.DOMAIN_GET_CONTROL_INFO: self._control,
            P.DOMAIN_MEMORY_STATS: self._memory,
            P.DOMAIN_BLOCK_STATS: self._block,
            P.DOMAIN_BLOCK_STATS_FLAGS: self._block_flags,
            P.DOMAIN_INTERFACE_STATS: self._interface,
            P.DOMAIN_GET_XML_DESC: self._xml,
        }

    async def answer(self, number: int, payload: Buffer) -> Buffer:
        """The payload of the reply to a call. Raises RemoteError, or ProtocolError for arguments that make no sense."""
        self.calls += 1
        refusal = denied(number) or unknown(number)
        if refusal is not None:
            raise refusal
        if number in _OF_THE_CONNECTION:
            raise unsupported(number)
        if number not in self._table:
            return await self._behind.ask(number, payload)
        procedure = PROCEDURES[number]
        values = await self._table[number](*decode_args(procedure, payload))
        return encode_values(procedure, *values) if isinstance(values, tuple) else values

    async def _stats(self, domains: list[Domain], stats: int, flags: int) -> Buffer:
        return await self._bulk.reply(domains, stats, flags)

    async def _list_all(self, need_results: int, flags: int) -> tuple[list[Domain], int]:
        check_flags(flags, lists.LIST_FLAGS, "qemuConnectListAllDomains")
        snapshot, roll = await self._who()
        found = [
            domain
            for domain, position in zip(roll.domains, roll.positions, strict=True)
            if lists.passes(Record(snapshot, position), flags)
        ]
        if flags & ~lists.STATE_FLAGS:
            chosen = {domain.uuid for domain in await self._behind.domains(flags & ~lists.STATE_FLAGS)}
            found = [domain for domain in found if domain.uuid in chosen]
        if len(found) > RECORDS_MAX and need_results:
            text = f"internal error: {len(found)} domains, at most {RECORDS_MAX} fit into a reply"
            raise RemoteError(INTERNAL_ERROR, RPC_DOMAIN, text)
        return (found if need_results else []), len(found)

    async def _ids(self, most: int) -> tuple[list[int]]:
        _check_count(most, "maxids")
        return (list((await self._who())[1].by_id)[:most],)

    async def _number_of_ids(self) -> tuple[int]:
        return (len((await self._who())[1].by_id),)

    async def _names(self, most: int) -> tuple[list[str]]:
        _check_count(most, "maxnames")
        return ((await self._off())[:most],)

    async def _number_of_names(self) -> tuple[int]:
        return (len(await self._off()),)

    async def _off(self) -> list[str]:
        _, roll = await self._who()
        return [domain.name for domain in roll.domains if domain.id is None]

    async def _by_id(self, number: int) -> tuple[Domain]:
        return await self._found(lambda roll: roll.numbered(number))

    async def _by_name(self, name: str) -> tuple[Domain]:
        return await self._found(lambda roll: roll.named(name))

    async def _by_uuid(self, uuid: str) -> tuple[Domain]:
        return await self._found(lambda roll: roll.identified(uuid))

    async def _found(self, look: Callable[[Roll], Domain]) -> tuple[Domain]:
        """One that is not there may have come a moment ago."""
        _, roll = await self._who()
        try:
            return (look(roll),)
        except NoDomain:
            return (look(self._rolls.of(await self._freshness.looked_again())),)

    async def _is_active(self, domain: Domain) -> tuple[bool]:
        return ((await self._identity(domain)).domain.id is not None,)

    async def _state(self, domain: Domain, flags: int) -> tuple[DomainState]:
        check_flags(flags, 0, "qemuDomainGetState")
        return (figures.state(await self._identity(domain)),)

    async def _info(self, domain: Domain) -> Any:
        record = await self._record(domain)
        if not figures.has_info(record):
            return await self._behind.ask(P.DOMAIN_GET_INFO, encode_args(P.DOMAIN_GET_INFO, record.domain))
        return (figures.info(record),)

    async def _control(self, domain: Domain, flags: int) -> tuple[ControlInfo]:
        check_flags(flags, 0, "qemuDomainGetControlInfo")
        record = await self._identity(domain)
        figures.must_be_on(record)
        if record.status is not Status.BLOCKED:
            return (ControlInfo(0, 0, 0),)
        milliseconds = int(1000 * (record.age or 0.0) / (self._collector.speed or 1.0))
        return (ControlInfo(OCCUPIED, 0, max(0, milliseconds)),)  # below 0 where the clock has been set back

    async def _memory(self, domain: Domain, most: int, flags: int) -> tuple[list[MemoryStat]]:
        if most > MEMORY_STATS_MAX:
            text = "internal error: maxStats > REMOTE_DOMAIN_MEMORY_STATS_MAX"
            raise RemoteError(INTERNAL_ERROR, RPC_DOMAIN, text)
        check_flags(flags, 0, "qemuDomainMemoryStats")
        return (figures.memory_stats(await self._record(domain), most),)

    async def _block(self, domain: Domain, path: str) -> tuple[BlockStats]:
        """Of a guest that hangs what it last said, however old: the structure has no way to leave it out, exporters
        that get an error give up the guests that would have come next, and -1 would be a counter that began anew."""
        record = await self._record(domain)
        if not figures.knows_disks(record) and record.status is not Status.STALE:
            record = await self._identity(domain)
        return (figures.block_stats(record, path),)

    async def _block_flags(self, domain: Domain, path: str, most: int, flags: int) -> tuple[list[TypedParameter], int]:
        """With room for none, it says how many there are."""
        if not 0 <= most <= BLOCK_STATS_MAX:
            raise RemoteError(INTERNAL_ERROR, RPC_DOMAIN, "internal error: nparams too large")
        check_flags(flags, _STRING_OKAY, "qemuDomainBlockStatsFlags")
        found = figures.block_params(await self._record(domain), path)
        return (found[:most], 0) if most else ([], len(found))

    async def _interface(self, domain: Domain, device: str) -> tuple[InterfaceStats]:
        return (figures.interface_stats(await self._record(domain), device),)

    async def _xml(self, domain: Domain, flags: int) -> Buffer:
        if flags & _SECURE:
            text = "operation forbidden: virDomainGetXMLDesc with secure flag"
            raise RemoteError(OPERATION_DENIED, FROM_DOMAIN, text)
        return await self._behind.ask(P.DOMAIN_GET_XML_DESC, encode_args(P.DOMAIN_GET_XML_DESC, domain, flags))

    async def _who(self) -> tuple[Snapshot, Roll]:
        snapshot = await self._freshness.identities()
        return snapshot, self._rolls.of(snapshot)

    async def _identity(self, domain: Domain) -> Record:
        """The record of a domain with values of any age: for who it is and how it stands. Raises NoDomain."""
        snapshot, roll = await self._who()
        return lists.record_of(snapshot, roll, domain)

    async def _record(self, domain: Domain) -> Record:
        """The record of a domain, without what is too old. Raises NoDomain."""
        snapshot = await self._freshness.snapshot()
        return lists.record_of(snapshot, self._rolls.of(snapshot), domain)


def _check_count(most: int, name: str) -> None:
    if most < 0:
        raise RemoteError(RPC, RPC_DOMAIN, f"{name} must be non-negative")
    if most > RECORDS_MAX:
        raise RemoteError(RPC, RPC_DOMAIN, f"{name} > REMOTE_DOMAIN_LIST_MAX")
