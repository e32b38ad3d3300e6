"""The procedures of libvirt's remote program, as one table that serves both roles, and packing by that table.

Numbers and layouts are those of libvirt's remote_protocol.x; between 8.5 and 11.7 nothing in them changed, and only
DOMAIN_EVENT_NIC_MAC_CHANGE (11.2) was added. Only reading is here: no procedure in the table changes a domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, unique
from typing import Any, Self

from domstats.wire.codecs import (
    BODY,
    BOOL,
    DOMAIN,
    I32,
    I64,
    STRING,
    U32,
    U64,
    UUID,
    Codec,
    array,
    char_text,
    chars,
    opaque,
    optional,
    params,
    small,
    structure,
)
from domstats.wire.limits import RECORDS_MAX
from domstats.wire.structures import (
    BlockInfo,
    BlockStats,
    ControlInfo,
    DomainInfo,
    DomainState,
    InterfaceStats,
    JobInfo,
    MemoryStat,
    NodeInfo,
    SaslStep,
    StoragePool,
    VcpuInfo,
)
from domstats.wire.xdr import Buffer, Reader, Writer

AUTH_TYPES_MAX = 20
"""REMOTE_AUTH_TYPE_LIST_MAX."""
SASL_DATA_MAX = 65536
"""REMOTE_AUTH_SASL_DATA_MAX."""
VCPUINFO_MAX = 16384
"""REMOTE_VCPUINFO_MAX."""
CPUMAPS_MAX = 8388608
"""REMOTE_CPUMAPS_MAX, bytes."""
CPUMAP_MAX = 2048
"""REMOTE_CPUMAP_MAX, bytes."""
MEMORY_STATS_MAX = 1024
"""REMOTE_DOMAIN_MEMORY_STATS_MAX."""
BLOCK_STATS_MAX = 16
"""REMOTE_DOMAIN_BLOCK_STATS_PARAMETERS_MAX."""
POOLS_MAX = 4096
"""REMOTE_STORAGE_POOL_LIST_MAX."""
IDENTITY_MAX = 20
"""REMOTE_CONNECT_IDENTITY_PARAMS_MAX."""
MODEL_SIZE = 32
"""Chars of virNodeInfo's model."""

Fields = Mapping[str, Codec[Any]]
"""The values of a payload, in order, by name."""
VOID: Fields = {}
"""A payload without values."""

_DOMAINS = array(DOMAIN, RECORDS_MAX)
_SASL_DATA = chars(SASL_DATA_MAX)
_SASL_STEP = structure(SaslStep, BOOL, BOOL, _SASL_DATA)
_NODE_INFO = structure(NodeInfo, char_text(MODEL_SIZE), U64, I32, I32, I32, I32, I32, I32)
_DOMAIN_INFO = structure(DomainInfo, small(8), U64, U64, small(16), U64)
_VCPUS = array(structure(VcpuInfo, U32, I32, U64, I32), VCPUINFO_MAX)
_BLOCK_STATS = structure(BlockStats, I64, I64, I64, I64, I64)
_INTERFACE_STATS = structure(InterfaceStats, I64, I64, I64, I64, I64, I64, I64, I64)
_JOB_INFO = structure(JobInfo, I32, U64, U64, U64, U64, U64, U64, U64, U64, U64, U64, U64)
_POOLS = array(structure(StoragePool, STRING, UUID), POOLS_MAX)
_DEVICE_EVENT: Fields = {"callback": I32, "domain": DOMAIN, "alias": STRING}


@unique
class Procedure(IntEnum):
    """A procedure by its number: what its arguments are, and what it returns (or, of an event, carries)."""

    args: Fields
    reply: Fields

    def __new__(cls, number: int, args: Fields, reply: Fields) -> Self:
        self = int.__new__(cls, number)
        self._value_ = number
        self.args, self.reply = args, reply
        return self

    CONNECT_OPEN = 1, {"name": optional(STRING), "flags": U32}, VOID
    CONNECT_CLOSE = 2, VOID, VOID
    CONNECT_GET_TYPE = 3, VOID, {"type": STRING}
    CONNECT_GET_VERSION = 4, VOID, {"version": U64}
    NODE_GET_INFO = 6, VOID, {"info": _NODE_INFO}
    CONNECT_GET_CAPABILITIES = 7, VOID, {"xml": STRING}
    DOMAIN_GET_XML_DESC = 14, {"domain": DOMAIN, "flags": U32}, {"xml": STRING}
    DOMAIN_GET_AUTOSTART = 15, {"domain": DOMAIN}, {"autostart": BOOL}
    DOMAIN_GET_INFO = 16, {"domain": DOMAIN}, {"info": _DOMAIN_INFO}
    DOMAIN_GET_OS_TYPE = 19, {"domain": DOMAIN}, {"type": STRING}
    DOMAIN_GET_VCPUS = (
        20,
        {"domain": DOMAIN, "maxinfo": I32, "maplen": I32},
        {"vcpus": _VCPUS, "cpumaps": opaque(CPUMAPS_MAX)},
    )
    CONNECT_LIST_DEFINED_DOMAINS = 21, {"max": I32}, {"names": array(STRING, RECORDS_MAX)}
    DOMAIN_LOOKUP_BY_ID = 22, {"id": I32}, {"domain": DOMAIN}
    DOMAIN_LOOKUP_BY_NAME = 23, {"name": STRING}, {"domain": DOMAIN}
    DOMAIN_LOOKUP_BY_UUID = 24, {"uuid": UUID}, {"domain": DOMAIN}
    CONNECT_NUM_OF_DEFINED_DOMAINS = 25, VOID, {"number": I32}
    CONNECT_LIST_DOMAINS = 37, {"max": I32}, {"ids": array(I32, RECORDS_MAX)}
    CONNECT_NUM_OF_DOMAINS = 51, VOID, {"number": I32}
    CONNECT_GET_HOSTNAME = 59, VOID, {"hostname": STRING}
    CONNECT_SUPPORTS_FEATURE = 60, {"feature": I32}, {"supported": BOOL}
    DOMAIN_BLOCK_STATS = 64, {"domain": DOMAIN, "path": STRING}, {"stats": _BLOCK_STATS}
    DOMAIN_INTERFACE_STATS = 65, {"domain": DOMAIN, "device": STRING}, {"stats": _INTERFACE_STATS}
    AUTH_LIST = 66, VOID, {"types": array(I32, AUTH_TYPES_MAX)}
    AUTH_SASL_INIT = 67, VOID, {"mechanisms": STRING}
    AUTH_SASL_START = 68, {"mechanism": STRING, "nil": BOOL, "data": _SASL_DATA}, {"step": _SASL_STEP}
    AUTH_SASL_STEP = 69, {"nil": BOOL, "data": _SASL_DATA}, {"step": _SASL_STEP}
    AUTH_POLKIT = 70, VOID, {"complete": BOOL}
    CONNECT_DOMAIN_EVENT_REGISTER = 105, VOID, {"registered": I32}
    DOMAIN_EVENT_LIFECYCLE = 107, VOID, {"domain": DOMAIN, "event": I32, "detail": I32}
    CONNECT_GET_URI = 110, VOID, {"uri": STRING}
    CONNECT_IS_SECURE = 149, VOID, {"secure": BOOL}
    DOMAIN_IS_ACTIVE = 150, {"domain": DOMAIN}, {"active": BOOL}
    DOMAIN_IS_PERSISTENT = 151, {"domain": DOMAIN}, {"persistent": BOOL}
    CONNECT_GET_LIB_VERSION = 157, VOID, {"version": U64}
    DOMAIN_MEMORY_STATS = (
        159,
        {"domain": DOMAIN, "max": U32, "flags": U32},
        {"stats": array(structure(MemoryStat, I32, U64), MEMORY_STATS_MAX)},
    )
    DOMAIN_GET_JOB_INFO = 163, {"domain": DOMAIN}, {"info": _JOB_INFO}
    CONNECT_DOMAIN_EVENT_REGISTER_ANY = 167, {"event": I32}, VOID
    CONNECT_DOMAIN_EVENT_DEREGISTER_ANY = 168, {"event": I32}, VOID
    DOMAIN_HAS_MANAGED_SAVE_IMAGE = 183, {"domain": DOMAIN, "flags": U32}, {"saved": BOOL}
    DOMAIN_GET_BLOCK_INFO = (
        194,
        {"domain": DOMAIN, "path": STRING, "flags": U32},
        {"info": structure(BlockInfo, U64, U64, U64)},
    )
    DOMAIN_GET_STATE = 212, {"domain": DOMAIN, "flags": U32}, {"state": structure(DomainState, I32, I32)}
    DOMAIN_GET_CONTROL_INFO = 229, {"domain": DOMAIN, "flags": U32}, {"info": structure(ControlInfo, U32, U32, U64)}
    DOMAIN_BLOCK_STATS_FLAGS = (
        243,
        {"domain": DOMAIN, "path": STRING, "nparams": I32, "flags": U32},
        {"params": params(BLOCK_STATS_MAX), "nparams": I32},
    )
    CONNECT_LIST_ALL_DOMAINS = 273, {"need_results": I32, "flags": U32}, {"domains": _DOMAINS, "number": U32}
    CONNECT_LIST_ALL_STORAGE_POOLS = 281, {"need_results": I32, "flags": U32}, {"pools": _POOLS, "number": U32}
    NODE_GET_CPU_MAP = (
        293,
        {"need_map": I32, "need_online": I32, "flags": U32},
        {"cpumap": opaque(CPUMAP_MAX), "online": U32, "number": I32},
    )
    CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY = (
        316,
        {"event": I32, "domain": optional(DOMAIN)},
        {"callback": I32},
    )
    CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY = 317, {"callback": I32}, VOID
    DOMAIN_EVENT_CALLBACK_LIFECYCLE = 318, VOID, {"callback": I32, "domain": DOMAIN, "event": I32, "detail": I32}
    DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED = 333, VOID, _DEVICE_EVENT
    CONNECT_GET_ALL_DOMAIN_STATS = 344, {"domains": _DOMAINS, "stats": U32, "flags": U32}, {"body": BODY}
    DOMAIN_EVENT_CALLBACK_DEVICE_ADDED = 354, VOID, _DEVICE_EVENT
    CONNECT_REGISTER_CLOSE_CALLBACK = 360, VOID, VOID
    CONNECT_UNREGISTER_CLOSE_CALLBACK = 361, VOID, VOID
    CONNECT_EVENT_CONNECTION_CLOSED = 362, VOID, {"reason": I32}
    DOMAIN_EVENT_CALLBACK_METADATA_CHANGE = (
        379,
        VOID,
        {"callback": I32, "domain": DOMAIN, "type": I32, "namespace": optional(STRING)},
    )
    CONNECT_SET_IDENTITY = 419, {"params": params(IDENTITY_MAX), "flags": U32}, VOID
    DOMAIN_EVENT_NIC_MAC_CHANGE = (
        453,
        VOID,
        {"callback": I32, "domain": DOMAIN, "alias": STRING, "old_mac": STRING, "new_mac": STRING},
    )


PROCEDURES: dict[int, Procedure] = {int(procedure): procedure for procedure in Procedure}
"""The procedures by number."""


def name_of(number: int) -> str:
    """What a procedure is called in messages; one that is not in the table by its number."""
    return PROCEDURES[number].name if number in PROCEDURES else f"procedure {number}"


EVENTS: tuple[Procedure, ...] = (
    Procedure.DOMAIN_EVENT_LIFECYCLE,
    Procedure.DOMAIN_EVENT_CALLBACK_LIFECYCLE,
    Procedure.DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED,
    Procedure.DOMAIN_EVENT_CALLBACK_DEVICE_ADDED,
    Procedure.CONNECT_EVENT_CONNECTION_CLOSED,
    Procedure.DOMAIN_EVENT_CALLBACK_METADATA_CHANGE,
    Procedure.DOMAIN_EVENT_NIC_MAC_CHANGE,
)
"""Those a server sends without being asked, as a message; as a call they do not exist."""


def encode_args(procedure: Procedure, *values: Any) -> bytes:
    """The payload of a call. Raises LimitExceeded or BadValue."""
    return _encode(procedure.args, values)


def decode_args(procedure: Procedure, payload: Buffer) -> tuple[Any, ...]:
    """The arguments of a call. As libvirtd does, what follows them is ignored.

    Raises Truncated, LimitExceeded or BadValue.
    """
    reader = Reader(payload)
    return tuple(codec.read(reader, name) for name, codec in procedure.args.items())


def encode_values(procedure: Procedure, *values: Any) -> bytes:
    """The payload of a reply or an event, from its values: none, one, or several. Raises LimitExceeded or BadValue."""
    return _encode(procedure.reply, values)


def decode_values(procedure: Procedure, payload: Buffer) -> Any:
    """What a reply returns or an event carries: None, the one value, or a tuple of several.

    The bulk statistics come as they are, as a memoryview of the payload; `wire.bulk` decodes them.
    Raises Truncated, LimitExceeded or BadValue, which is also raised for bytes left over.
    """
    reader = Reader(payload)
    values = [codec.read(reader, name) for name, codec in procedure.reply.items()]
    reader.end(procedure.name)
    if not values:
        return None
    return values[0] if len(values) == 1 else tuple(values)


def _encode(fields: Fields, values: tuple[Any, ...]) -> bytes:
    writer = Writer()
    for (name, codec), value in zip(fields.items(), values, strict=True):
        codec.write(writer, value, name)
    return writer.getvalue()
