"""Metrics that are of no domain: of the program, of the host, and of what collecting costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from domstats.catalog.groups import GROUP_NAMES
from domstats.collector.cost import Cost
from domstats.formats.metrics.dialect import Dialect
from domstats.formats.metrics.families import ALWAYS, PREFIX, Family, FamilyType
from domstats.formats.metrics.service import Labels, Service, Values, service_families
from domstats.formats.metrics.writing import double
from domstats.model.snapshot import Snapshot
from domstats.version import __version__

COUNTER, GAUGE, INFO = FamilyType.COUNTER, FamilyType.GAUGE, FamilyType.INFO


def _family(name: str, kind: FamilyType, unit: str, text: str) -> Family:
    return Family((0, 0, ""), PREFIX + name, kind, unit, ALWAYS, text)


BUILD = _family("build", INFO, "", "The domstats that wrote this.")
CPUS = _family("host_cpus", GAUGE, "", "Processors of the host.")
DROPPED = _family("series_dropped", GAUGE, "", "Series left out to keep to the greatest number allowed.")
GROUP_SECONDS = _family(
    "collector_group_seconds", COUNTER, "seconds", "Time spent waiting for answers, by the groups asked for."
)
COSTS: Mapping[str, Family] = {
    "calls": _family("collector_calls", COUNTER, "", "Calls that were answered."),
    "bytes": _family("collector_reply_bytes", COUNTER, "bytes", "Bytes of their answers."),
    "seconds": _family("collector_call_seconds", COUNTER, "seconds", "Time between calls and their answers."),
    "sweeps": _family("collector_sweeps", COUNTER, "", "Sweeps over all guests."),
    "sweep_seconds": _family("collector_last_sweep_seconds", GAUGE, "seconds", "Time the last sweep took."),
    "hung_calls": _family("collector_hung_calls", GAUGE, "", "Calls whose answer is late, now."),
    "hung_total": _family("collector_calls_hung", COUNTER, "", "Calls whose answer was late."),
    "reconnects": _family("collector_reconnects", COUNTER, "", "Connections that were lost and opened anew."),
    "kernel_polls": _family("collector_kernel_polls", COUNTER, "", "Polls of the host's kernel, beside libvirt."),
    "kernel_seconds": _family("collector_kernel_seconds", COUNTER, "seconds", "Time these polls took."),
    "cpu_seconds": _family("collector_cpu_seconds", COUNTER, "seconds", "Processor time of this process."),
    "memory_bytes": _family("collector_memory_peak_bytes", GAUGE, "bytes", "Most memory this process has occupied."),
}
"""By the attributes of Cost."""
FAMILIES = (BUILD, CPUS, DROPPED, GROUP_SECONDS, *COSTS.values())


def host_lines(
    snapshot: Snapshot, dropped: Sequence[int], cost: Cost | None, service: Service | None, dialect: Dialect
) -> bytes:
    """The families of no domain. `dropped`: series left out, for each of GROUP_NAMES; `cost`: the collector's;
    `service`: what serves this."""
    return b"".join(
        dialect.header(family) + b"".join(_line(family, labels, value) for labels, value in values)
        for family, values in _families(snapshot, dropped, cost, service)
    )


def _families(
    snapshot: Snapshot, dropped: Sequence[int], cost: Cost | None, service: Service | None
) -> Iterator[tuple[Family, Values]]:
    yield BUILD, [((("version", __version__),), 1)]
    if snapshot.host_cpus is not None:
        yield CPUS, [((), snapshot.host_cpus)]
    yield DROPPED, [((("group", name),), count) for name, count in zip(GROUP_NAMES, dropped, strict=True)]
    if cost is not None:
        for attribute, family in COSTS.items():
            yield family, [((), getattr(cost, attribute))]
        yield GROUP_SECONDS, [((("group", name),), spent) for name, spent in sorted(cost.seconds_by_group.items())]
    if service is not None:
        yield from service_families(service)


def _line(family: Family, labels: Labels, value: float) -> bytes:
    """The labels' values are words of our own."""
    written = ",".join(f'{name}="{word}"' for name, word in labels)
    number = double(value).decode() if isinstance(value, float) else str(int(value))
    return f"{family.sample}{f'{{{written}}}' if labels else ''} {number}\n".encode()
