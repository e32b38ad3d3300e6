"""What a server may be told by a file: its sections, their options, and where in the file a mistake is.

The file is TOML. `load` reads it; `settings` makes of it what the parts of a server take, and finds what has the right
form but makes no sense.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from domstats.errors import ConfigError

SIZE_MAX = 1 << 20
"""Bytes that a file may have."""
YEAR = 365 * 86_400.0
"""Seconds; the most that an option of seconds may be."""

Seconds = Annotated[float, Meta(gt=0, le=YEAR)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class HostSection(Section, frozen=True):
    """The host that is asked, and how often."""

    uri: str | None = None
    """Of the host; without it $DOMSTATS_URI, $LIBVIRT_DEFAULT_URI, or the libvirt daemon of this one."""
    groups: tuple[str, ...] = ()
    """Only these groups of statistics; all when empty."""
    domains: tuple[str, ...] = ()
    """Only these domains: names, UUIDs, or patterns of names (`web-*`); all when empty."""
    plan: Mapping[str, float] = {}
    """Seconds from one sample to the next, by the groups' names; by default 2 where no guest has to be asked, else 15.
    By the name `kernel` for what this host's kernel gives, by default 1."""
    share: Annotated[float, Meta(gt=0, le=1)] = 0.2
    """Part of libvirtd's time that collecting may take; a period is longer where it would take more."""
    deadline: Seconds = 10.0
    """Seconds that connecting may take, and that a sample may be late before its record is stale."""
    kernel: Literal["auto", "off"] = "auto"
    """With "auto", what this host's kernel measures of a guest is taken from it, with "off" everything from libvirt."""


class HttpSection(Section, frozen=True):
    """The HTTP server; there is one if this section is there, however little it says."""

    listen: tuple[str, ...] | None = None
    """Where to answer: HOST:PORT, or [::1]:PORT. By default 127.0.0.1:9177, unless systemd passes a socket for HTTP:
    that is served besides, and may be at one of these addresses."""
    certificate: Path | None = None
    """PEM file with the server's certificate and those it is signed by; TLS then."""
    key: Path | None = None
    """PEM file with its key, where that is not in the certificate's; without a pass phrase."""
    token_file: Path | None = None
    """File with the token that everybody must know who asks: a line of 16 ASCII characters or more, without spaces."""
    hosts: tuple[str, ...] = ()
    """Names, without scheme and port, by which clients may call the server beside its addresses, localhost and the
    machine's own name."""
    max_connections: Count = 1000
    """Connections at a time. Who comes then takes the place of the one that has been idle longest; half of them may be
    streams."""
    request_seconds: Seconds = 10.0
    """How long a request may take to come, and a TLS handshake."""
    idle_seconds: Seconds = 120.0
    """How long a connection may be without a request."""
    unread_seconds: Seconds = 30.0
    """How long a client may read nothing of an answer."""
    gone_seconds: Seconds = 60.0
    """How long the host may not answer before /readyz says so."""


class LibvirtSection(Section, frozen=True):
    """The socket for libvirt's own clients; there is one if this section is there."""

    path: Path | None = None
    """Where they connect; systemd's socket may be there. Without it, only at a socket that systemd passes."""
    mode: str = "0660"
    """The socket's permissions, in octal digits."""
    group: str | None = None
    """The socket's group."""
    max_age: Annotated[float, Meta(ge=0.1, le=YEAR)] | None = None
    """Leave out values older than so many seconds; by default twice the time between two samples of their group."""
    max_clients: Count = 1000
    """Turn away whoever comes when there are so many clients."""


class HistorySection(Section, frozen=True):
    """The last hour of every guest, in memory, for the page and /v1/history."""

    bytes: Annotated[int, Meta(ge=0, le=1 << 40)] = 256 << 20
    """What it may take, from 4 MiB on; older points are thinned to keep to it. 0 for no history."""
    fields: tuple[str, ...] | None = None
    """What is kept of a guest: words of the tables (`cpu`, `block.<i>.read`) or keys (`balloon.rss`); by default some
    thirty series."""


class MetricsSection(Section, frozen=True):
    """What /metrics shows when a request does not say."""

    groups: tuple[str, ...] = ()
    """Only values of these groups; all when empty."""
    labels: tuple[str, ...] = ()
    """Labels of domstats_domain_info out of what an application keeps in the domains' metadata: `nova`, `kubevirt`."""
    label: tuple[str, ...] = ()
    """More such labels, each as NAME=NAMESPACE:PATH."""
    fields: tuple[str, ...] = ()
    """Only fields whose pattern (`block.<i>.rd.bytes`) fits one of these; all when empty."""
    hypervisor: bool = False
    """Also what the hypervisor names itself: some forty values a vCPU."""
    unknown: bool = False
    """Also numbers of a newer libvirt whose meaning is not known."""
    max_age: Annotated[float, Meta(ge=0, le=YEAR)] | None = None
    """Leave out values older than so many seconds; by default twice the time between two samples of their group."""
    max_series: Annotated[int, Meta(ge=0)] | None = None
    """The most series of values; what is beyond is counted in domstats_series_dropped."""


class LogSection(Section, frozen=True):
    """What is said on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is said."""
    json: bool = False
    """A JSON document a line, instead of a plain text."""
    clients: bool = False
    """Also say who connects, and every HTTP request."""


class Config(Section, frozen=True):
    """All of a file."""

    host: HostSection = HostSection()
    http: HttpSection | None = None
    libvirt_socket: LibvirtSection | None = None
    history: HistorySection = HistorySection()
    metrics: MetricsSection = MetricsSection()
    log: LogSection = LogSection()


SECTIONS: Mapping[str, type[Section]] = {
    "host": HostSection,
    "http": HttpSection,
    "libvirt_socket": LibvirtSection,
    "history": HistorySection,
    "metrics": MetricsSection,
    "log": LogSection,
}
"""By their names in the file."""


def load(file: Path) -> Config:
    """What a file says. A relative path in it starts at the file's own folder. Raises ConfigError."""
    try:
        with file.open("rb") as opened:
            text = opened.read(SIZE_MAX + 1)
    except OSError as error:
        raise ConfigError(str(file), "", f"cannot be read: {error.strerror}") from None
    if len(text) > SIZE_MAX:
        raise ConfigError(str(file), "", f"has more than {SIZE_MAX} bytes")
    return decode(text, file)


def decode(text: bytes, file: Path) -> Config:
    """What this text of a file says. Raises ConfigError."""
    try:
        return msgspec.toml.decode(text, type=Config, dec_hook=_from(file.absolute().parent))
    except msgspec.ValidationError as error:
        raise _config_error(file, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(str(file), "", f"is not TOML: {error}") from None


def _from(folder: Path) -> Callable[[type, Any], Any]:
    """For what msgspec does not know: paths, which are relative to that folder."""

    def hook(kind: type, value: Any) -> Any:
        if kind is not Path or not isinstance(value, str) or not value or "\0" in value:
            raise ValueError("Expected a path")
        return folder / value

    return hook


_AT = re.compile(r"(?P<why>.*?)(?: - at `(?P<path>.*)`)?", re.DOTALL)
_KINDS = re.compile("`(?P<kind>[a-z]+)(?: \\| null)?`")
_WORDS: Mapping[str, str] = {
    "object": "a table",
    "array": "a list",
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "date": "a date",
    "datetime": "a date",
    "time": "a time of day",
}
"""What people who write TOML call msgspec's kinds of values."""
_UNKNOWN = re.compile("Object contains unknown field `(?P<name>.*)`", re.DOTALL)


def _config_error(file: Path, message: str) -> ConfigError:
    """The error for one of msgspec's, which ends with the place."""
    found = _AT.fullmatch(message)
    assert found is not None  # it fits everything
    why, path = found["why"], found["path"] or "$"
    unknown = _UNKNOWN.fullmatch(why)
    if unknown is not None:
        known = Config.__struct_fields__ if path == "$" else SECTIONS[path.split(".")[1]].__struct_fields__
        return ConfigError(str(file), f"{path}.{unknown['name']}", _no_option(unknown["name"], known))
    if why.startswith("Expected"):  # with nothing in it that the file says
        why = _KINDS.sub(lambda found: _WORDS.get(found["kind"], found[0]), why)
    choices = _choices(path)
    if why.startswith("Invalid enum value") and choices:
        why = f"{why}; there are {', '.join(choices)}"
    return ConfigError(str(file), path, why[:1].lower() + why[1:])


def _no_option(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    advice = f"do you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"there is no such option; {advice}"


def _choices(path: str) -> tuple[str, ...]:
    """The words of the option at that path, if it is one of a few words."""
    section, _, name = path.removeprefix("$.").partition(".")
    if section not in SECTIONS:
        return ()
    fields = {field.name: field.type for field in msgspec.structs.fields(SECTIONS[section])}
    return tuple(each for each in get_args(fields.get(name)) if isinstance(each, str))
