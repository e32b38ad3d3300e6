"""Metrics of a service that serves many: whom it answers, what it keeps, and what it takes to do so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from domstats.formats.metrics.families import ALWAYS, PREFIX, Family, FamilyType

COUNTER, GAUGE = FamilyType.COUNTER, FamilyType.GAUGE
Labels = tuple[tuple[str, str], ...]
Values = Iterable[tuple[Labels, int | float]]


@dataclass(frozen=True, slots=True)
class Service:
    """How a service is. What it does not do is None, or empty."""

    started: float
    """Seconds since the epoch."""
    snapshot_age: float
    """Seconds since the host was last looked at."""
    host_up: bool
    """Whether the host could be asked the last time."""
    domains: Mapping[str, int]
    """How many there are, by the words of their statuses."""
    cpu_seconds: float
    """Of the process, as everything below."""
    memory_bytes: int | None
    """Resident now; None where nobody can look."""
    descriptors: int
    """Open now."""
    tasks: int
    """Of asyncio, now: those that collect, and one or more for each client."""
    reloads: Mapping[str, int]
    """How often the configuration was read anew, by how that went: `ok`, `failed`."""
    http_requests: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Answered, by what they asked for and the status code."""
    http_bytes: int | None = None
    """Of the bodies of these answers."""
    http_rendered: int | None = None
    """Answers that were not ready yet."""
    http_clients: int | None = None
    http_streams: int | None = None
    libvirt_clients: int | None = None
    libvirt_calls: int | None = None
    history_bytes: int | None = None
    history_bytes_max: int | None = None
    history_series: int | None = None
    history_points: int | None = None


def _family(name: str, kind: FamilyType, unit: str, text: str) -> Family:
    return Family((0, 0, ""), PREFIX + name, kind, unit, ALWAYS, text)


DOMAINS = _family("domains", GAUGE, "", "Domains of the host, by the status of their records.")
REQUESTS = _family("http_requests", COUNTER, "", "HTTP requests that were answered.")
RELOADS = _family("reloads", COUNTER, "", "Times the configuration was read anew.")
PLAIN: Mapping[str, Family] = {
    "started": _family("start_timestamp_seconds", GAUGE, "seconds", "When the service began, in seconds since 1970."),
    "snapshot_age": _family("snapshot_age_seconds", GAUGE, "seconds", "Time since the last snapshot was made."),
    "host_up": _family("host_up", GAUGE, "", "Whether the host could be asked the last time."),
    "cpu_seconds": _family("process_cpu_seconds", COUNTER, "seconds", "Processor time of the service."),
    "memory_bytes": _family("process_resident_memory_bytes", GAUGE, "bytes", "Memory the service occupies."),
    "descriptors": _family("process_open_fds", GAUGE, "", "File descriptors the service has open."),
    "tasks": _family("tasks", GAUGE, "", "Tasks of the service, now: its own, and those of its clients."),
    "http_bytes": _family("http_response_bytes", COUNTER, "bytes", "Bytes of the bodies of HTTP answers."),
    "http_rendered": _family("http_rendered", COUNTER, "", "HTTP answers that were put together, for all who ask."),
    "http_clients": _family("http_connections", GAUGE, "", "HTTP connections, now."),
    "http_streams": _family("http_streams", GAUGE, "", "Readers of /v1/stream, now."),
    "libvirt_clients": _family("libvirt_socket_connections", GAUGE, "", "Clients of the libvirt socket, now."),
    "libvirt_calls": _family("libvirt_socket_calls", COUNTER, "", "Calls about the host at the libvirt socket."),
    "history_bytes": _family("history_bytes", GAUGE, "bytes", "Memory that the history takes."),
    "history_bytes_max": _family("history_limit_bytes", GAUGE, "bytes", "Memory that the history may take."),
    "history_series": _family("history_series", GAUGE, "", "Series in the history."),
    "history_points": _family("history_points", GAUGE, "", "Points in the history, the combined ones included."),
}
"""By the attributes of Service."""
FAMILIES = (DOMAINS, REQUESTS, RELOADS, *PLAIN.values())


def service_families(service: Service) -> Iterator[tuple[Family, Values]]:
    """The families, each with its lines' labels and values."""
    yield DOMAINS, [((("status", word),), count) for word, count in service.domains.items()]
    yield RELOADS, [((("result", word),), count) for word, count in service.reloads.items()]
    if service.http_requests:
        requests = sorted(service.http_requests.items())
        yield REQUESTS, [((("kind", kind), ("code", code)), count) for (kind, code), count in requests]
    for attribute, family in PLAIN.items():
        value = getattr(service, attribute)
        if value is not None:
            yield family, [((), value)]
