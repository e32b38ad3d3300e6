"""Every statistic of every virtual machine on a host: one call, no parsing, any value in constant time.

    import domstats
    with domstats.connect("qemu:///system") as host:
        snapshot = host.stats()
        snapshot["web-3"]["vcpu.0.time"]
        values, valid = snapshot.column("cpu.time")

The public names are found on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from domstats.version import __version__ as __version__

if TYPE_CHECKING:
    from domstats import aio, errors
    from domstats.collecting import collect
    from domstats.collector.collector import Collector
    from domstats.formats.json import decode as from_json
    from domstats.formats.ndjson import decode as from_ndjson
    from domstats.formats.xml import decode as from_xml
    from domstats.host import Host, connect
    from domstats.model.description import Description
    from domstats.model.domain import Domain
    from domstats.model.flags import DomainFilter, StatsGroup
    from domstats.model.params import ParamType, TypedParameter
    from domstats.model.rates import Rates, Reason
    from domstats.model.record import Record
    from domstats.model.sampling import Status
    from domstats.model.snapshot import Snapshot
    from domstats.wire.bulk.decoder import ReplyDecoder

__all__ = [
    "Collector", "Description", "Domain", "DomainFilter", "Host", "ParamType", "Rates", "Reason", "Record",
    "ReplyDecoder", "Snapshot", "StatsGroup", "Status", "TypedParameter", "aio", "collect", "connect", "errors",
    "from_json", "from_ndjson", "from_xml",
]  # fmt: skip

_HOMES = {
    "Collector": "collector.collector",
    "Description": "model.description",
    "Domain": "model.domain",
    "DomainFilter": "model.flags",
    "Host": "host",
    "ParamType": "model.params",
    "Rates": "model.rates",
    "Reason": "model.rates",
    "Record": "model.record",
    "ReplyDecoder": "wire.bulk.decoder",
    "Snapshot": "model.snapshot",
    "StatsGroup": "model.flags",
    "Status": "model.sampling",
    "TypedParameter": "model.params",
    "collect": "collecting",
    "connect": "host",
    "from_json": "formats.json:decode",
    "from_ndjson": "formats.ndjson:decode",
    "from_xml": "formats.xml:decode",
}
"""The module of each, and its name there where it has another."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        module, _, attribute = _HOMES[name].partition(":")
        return getattr(import_module(f"domstats.{module}"), attribute or name)
    if name in ("aio", "errors"):
        return import_module(f"domstats.{name}")
    raise AttributeError(f"module 'domstats' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
