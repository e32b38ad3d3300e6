"""What the parts of a server are told, out of a configuration: everything checked, and comparable.

Two equal settings make the same server; what differs says which part has to be told, or begun anew.
"""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from domstats.aio import Kernel
from domstats.catalog.fields import FIELDS
from domstats.catalog.groups import group_bits
from domstats.collector.plan import Plan, make_plan
from domstats.errors import BadUri, ConfigError, UsageError
from domstats.formats.metrics.options import PRESETS, MetadataLabel, MetricsOptions, metadata_label
from domstats.serve.config import Config, HistorySection, HostSection, HttpSection, LibvirtSection, MetricsSection
from domstats.serve.history.fields import DEFAULT_FIELDS, Fields
from domstats.serve.history.history import LEAST_BYTES
from domstats.serve.http.options import PORT, Address, HttpOptions, address, check_host_name, token_in
from domstats.serve.http.tls import check_certificate, tls_digest
from domstats.serve.sockets import check_path
from domstats.sources.registry import blamed, check_uri, chosen_uri

CLIENTS_MAX = 1000
"""Clients of libvirt's at a time when nobody says."""
_OCTAL = 8
_MODE_MAX = 0o777


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Who is asked, and how often."""

    uri: str | None
    groups: tuple[str, ...]
    """All when empty."""
    domains: tuple[str, ...]
    """All when empty."""
    kernel: Kernel
    periods: tuple[tuple[str, float], ...]
    """Seconds by the groups' names, as far as they are given."""
    plan: Plan
    """What comes of groups, periods and share."""
    deadline: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """The HTTP server."""

    listen: tuple[Address, ...] | None
    """None where that depends on what systemd passes."""
    options: HttpOptions
    """Of which `listen` is left empty."""
    tls: str
    """A digest of certificate and key: with other contents under the same names the server is another."""


@dataclass(frozen=True, slots=True)
class LibvirtSettings:
    """The socket for libvirt's clients."""

    path: Path | None
    mode: int
    group: str | None
    max_age: float | None
    """Seconds."""
    max_clients: int


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """What is remembered."""

    bytes: int
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is said; see config.LogSection."""

    level: str
    json: bool
    clients: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it."""

    host: HostSettings
    http: HttpSettings | None
    libvirt: LibvirtSettings | None
    history: HistorySettings | None
    """None where there is to be none."""
    metrics: MetricsOptions
    log: LogSettings


def settings(config: Config, file: str) -> Settings:
    """What that configuration means; `file`: what errors call it.

    Files it names are read, and the group looked up, but nothing is opened that another process would notice. Raises
    ConfigError.
    """
    log = config.log
    return Settings(
        _host(config.host, file),
        None if config.http is None else _http(config.http, file),
        None if config.libvirt_socket is None else _libvirt(config.libvirt_socket, file),
        _history(config.history, file),
        _metrics(config.metrics, file),
        LogSettings(log.level, log.json, log.clients),
    )


def completed(chosen: Settings, passes_http: bool, passes_libvirt: bool) -> Settings:
    """With what follows from the sockets that systemd has passed.

    Raises UsageError for nothing to serve, and for a libvirt socket that is nowhere.
    """
    http, libvirt = chosen.http, chosen.libvirt
    if http is None and passes_http:
        http = HttpSettings(None, HttpOptions(listen=()), "")
    if http is not None and http.listen is None:
        http = replace(http, listen=() if passes_http else (Address("127.0.0.1", PORT),))
    if http is not None and not (http.listen or passes_http):
        http = None
    if libvirt is None and passes_libvirt:
        libvirt = LibvirtSettings(None, 0, None, None, CLIENTS_MAX)
    if libvirt is not None and libvirt.path is None and not passes_libvirt:
        why = "there is no $.libvirt_socket.path, and systemd passes no socket: give it, or --libvirt-socket PATH"
        raise UsageError(why)
    if http is None and libvirt is None:
        raise UsageError("there is nothing to serve: give --listen HOST:PORT, --libvirt-socket PATH, or both")
    return replace(chosen, http=http, libvirt=libvirt)


@contextmanager
def _at(file: str, path: str) -> Iterator[None]:
    """What is raised in it is about that place of the file."""
    try:
        yield
    except UsageError as error:
        raise ConfigError(file, path, str(error)) from None


def _host(section: HostSection, file: str) -> HostSettings:
    with _at(file, "$.host.uri"):
        uri, variable = chosen_uri(section.uri, os.environ)
        try:
            check_uri(uri, os.environ)
        except BadUri as error:
            raise blamed(error, variable) from None
    bits = 0
    for number, name in enumerate(section.groups):
        with _at(file, f"$.host.groups[{number}]"):
            bits |= group_bits(name)
    for name, seconds in section.plan.items():
        with _at(file, f"$.host.plan.{name}"):
            make_plan(bits, {name: seconds})
    periods = tuple(sorted(section.plan.items()))
    plan = make_plan(bits, section.plan, section.share)
    return HostSettings(section.uri, section.groups, section.domains, section.kernel, periods, plan, section.deadline)


def _http(section: HttpSection, file: str) -> HttpSettings:
    listen = []
    for number, text in enumerate(section.listen or ()):
        with _at(file, f"$.http.listen[{number}]"):
            listen.append(address(text))
    for number, name in enumerate(section.hosts):
        with _at(file, f"$.http.hosts[{number}]"):
            check_host_name(name)
    token = None
    if section.token_file is not None:
        with _at(file, "$.http.token_file"):
            token = token_in(section.token_file)
    with _at(file, "$.http"):
        options = HttpOptions(
            listen=(),
            certificate=section.certificate,
            key=section.key,
            token=token,
            hosts=section.hosts,
            max_connections=section.max_connections,
            request_seconds=section.request_seconds,
            idle_seconds=section.idle_seconds,
            unread_seconds=section.unread_seconds,
            gone_seconds=section.gone_seconds,
        )
    return HttpSettings(None if section.listen is None else tuple(listen), options, _tls(section, file))


def _tls(section: HttpSection, file: str) -> str:
    if section.certificate is None:
        return ""
    with _at(file, "$.http.certificate"):
        check_certificate(section.certificate)
    with _at(file, "$.http.certificate" if section.key is None else "$.http.key"):
        return tls_digest(section.certificate, section.key)


def _libvirt(section: LibvirtSection, file: str) -> LibvirtSettings:
    digits = section.mode
    if not digits or digits.strip("01234567") or len(digits) > 4 or int(digits, _OCTAL) > _MODE_MAX:
        raise ConfigError(file, "$.libvirt_socket.mode", f"{digits!r} is no mode such as 0660")
    if section.group is not None:
        try:
            grp.getgrnam(section.group)
        except (KeyError, ValueError):  # a name with a NUL is none
            why = f"there is no group {section.group!r} on this system"
            raise ConfigError(file, "$.libvirt_socket.group", why) from None
    if section.path is not None:
        with _at(file, "$.libvirt_socket.path"):
            check_path(section.path)
    mode = int(digits, _OCTAL)
    return LibvirtSettings(section.path, mode, section.group, section.max_age, section.max_clients)


def _history(section: HistorySection, file: str) -> HistorySettings | None:
    if section.bytes == 0:
        return None
    if section.bytes < LEAST_BYTES:
        why = f"a history has at least {LEAST_BYTES} bytes (or 0, for none), not {section.bytes}"
        raise ConfigError(file, "$.history.bytes", why)
    fields = DEFAULT_FIELDS if section.fields is None else section.fields
    for number, name in enumerate(fields):
        with _at(file, f"$.history.fields[{number}]"):
            Fields((name,))
    with _at(file, "$.history.fields"):
        Fields(fields)
    return HistorySettings(section.bytes, tuple(fields))


def _metrics(section: MetricsSection, file: str) -> MetricsOptions:
    bits, labels = 0, list[MetadataLabel]()
    for number, name in enumerate(section.groups):
        with _at(file, f"$.metrics.groups[{number}]"):
            bits |= group_bits(name)
    for number, preset in enumerate(section.labels):
        if preset not in PRESETS:
            why = f"no labels {preset!r}; there are {', '.join(PRESETS)}"
            raise ConfigError(file, f"$.metrics.labels[{number}]", why)
        labels += PRESETS[preset]
    for number, text in enumerate(section.label):
        with _at(file, f"$.metrics.label[{number}]"):
            labels.append(metadata_label(text))
    for number, glob in enumerate(section.fields):
        if not any(fnmatchcase(field.pattern, glob) for field in FIELDS):
            why = f"no field fits {glob!r}; `domstats fields` lists them"
            raise ConfigError(file, f"$.metrics.fields[{number}]", why)
    with _at(file, "$.metrics"):
        return MetricsOptions(
            groups=bits,
            fields=section.fields,
            hypervisor=section.hypervisor,
            unknown=section.unknown,
            labels=tuple(labels),
            max_age=section.max_age,
            max_series=section.max_series,
        )
