"""Scripts of a simulated host: what happens to which guests, and when; a TOML file, read strictly.

libvirt = "8.0"          # the release whose fields the host has; without it all of those it knows

[[event]]
at = 10.0                # seconds since the host was opened
domains = "web-*"        # a glob over names, or a list of globs
do = "hang"              # what happens; some take further keys
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from domstats.errors import UsageError

Version = tuple[int, int, int]
"""A release of libvirt."""

BYTES_MAX = 1 << 20
"""Of a script."""
EVENTS_MAX = 10_000
NAME_MAX = 100_000
"""Characters of a name: longer than anything shows, and far below the 4 MiB of a string on the wire."""
_SECONDS_MAX = 1e9


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens."""

    where: str
    """Its path in the script, such as event[3]."""
    at: float
    """Seconds since the host was opened."""
    do: str
    """One of KEYS."""
    domains: tuple[str, ...] = ()
    """Globs over the names that guests have then."""
    seconds: float = 0.0
    to: str = ""
    name: str = ""
    device: str = ""
    number: int | None = None
    vcpus: int = 0
    libvirt: Version | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """All that happens."""

    path: str
    events: tuple[Event, ...]
    """By time; those of one time in the order of the file."""
    libvirt: Version | None = None
    """The release whose fields the host has from the beginning; None for all."""

    def mistake(self, where: str, why: str) -> UsageError:
        """The error for a script that cannot be played."""
        return UsageError(f"{self.path}: {where}: {why}")


class _Rule(Protocol):
    """What a key may be; as text, in words."""

    def read(self, value: Any) -> Any:
        """The value as it is kept, or None where it may not be that."""


class _Seconds:
    def read(self, value: Any) -> float | None:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        return number if 0.0 <= number <= _SECONDS_MAX else None

    def __str__(self) -> str:
        return f"a number of seconds from 0 to {_SECONDS_MAX:.0e}"


@dataclass(frozen=True, slots=True)
class _Whole:
    low: int
    high: int

    def read(self, value: Any) -> int | None:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return value if whole and self.low <= value <= self.high else None

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"


class _Name:
    def read(self, value: Any) -> str | None:
        # libvirt's names are C strings.
        return value if isinstance(value, str) and 0 < len(value) <= NAME_MAX and "\0" not in value else None

    def __str__(self) -> str:
        return f"a text of 1 to {NAME_MAX:,} characters, none of them NUL"


class _Globs:
    def read(self, value: Any) -> tuple[str, ...] | None:
        globs = [value] if isinstance(value, str) else value
        if not isinstance(globs, list) or not globs or not all(isinstance(glob, str) and glob for glob in globs):
            return None
        return tuple(globs)

    def __str__(self) -> str:
        return "a glob over the names of guests, or a list of such"


@dataclass(frozen=True, slots=True)
class _OneOf:
    words: tuple[str, ...]

    def read(self, value: Any) -> str | None:
        return value if value in self.words else None

    def __str__(self) -> str:
        return f"one of {', '.join(self.words)}"


class _Release:
    def read(self, value: Any) -> Version | None:
        return release(value) if isinstance(value, str) and _RELEASE.fullmatch(value) else None

    def __str__(self) -> str:
        return 'a release of libvirt, such as "8.0" or "1.2.9"'


_RELEASE = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){1,2}")

KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "hang": ((), ()),
    "answer": ((), ()),
    "slow": (("seconds",), ()),
    "busy": ((), ()),
    "start": ((), ()),
    "stop": ((), ()),
    "pause": ((), ()),
    "resume": ((), ()),
    "define": (("name",), ()),
    "undefine": ((), ()),
    "migrate": ((), ()),
    "rename": (("to",), ()),
    "reset": ((), ()),
    "resize": (("vcpus",), ()),
    "attach": (("device",), ()),
    "detach": (("device",), ("number",)),
    "hostile": ((), ("name",)),
    "nameless": ((), ()),
    "version": (("libvirt",), ()),
}
"""What can happen, and the keys each takes beside `at`, `domains` and `do`: those it must have, those it may have."""

_RULES: Mapping[str, _Rule] = {
    "at": _Seconds(),
    "domains": _Globs(),
    "do": _OneOf(tuple(KEYS)),
    "seconds": _Seconds(),
    "to": _Name(),
    "name": _Name(),
    "device": _OneOf(("disk", "nic")),
    "number": _Whole(0, 1023),
    "vcpus": _Whole(1, 1024),
    "libvirt": _Release(),
}


def release(text: str) -> Version:
    """The release that a text such as 8.9.0 or 12.4 names."""
    major, minor, micro = [*map(int, text.split(".")), 0][:3]
    return major, minor, micro


def load(path: str) -> Script:
    """Read a script. Raises UsageError, which names the file, the mistake's path in it, and what is allowed there."""
    try:
        text = Path(path).read_bytes()
        if len(text) > BYTES_MAX:
            raise UsageError(f"{path}: a script has at most {BYTES_MAX:,} bytes, not {len(text):,}")
        table = tomllib.loads(text.decode("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the script {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from None
    return _script(table, Script(path, ()))


def _script(table: Mapping[str, Any], empty: Script) -> Script:
    for key in table:
        if key not in ("libvirt", "event"):
            raise empty.mistake(key, "there is no such key; allowed are libvirt and event")
    libvirt = _value(table, "libvirt", "libvirt", empty) if "libvirt" in table else None
    events = table.get("event", [])
    if not isinstance(events, list) or len(events) > EVENTS_MAX:
        raise empty.mistake("event", f"must be up to {EVENTS_MAX:,} tables, each beginning with [[event]]")
    found = [_event(event, f"event[{number}]", empty) for number, event in enumerate(events)]
    return Script(empty.path, tuple(sorted(found, key=lambda event: event.at)), libvirt)


def _event(table: Any, where: str, script: Script) -> Event:
    if not isinstance(table, dict):
        raise script.mistake(where, "must be a table, beginning with [[event]]")
    if "do" not in table:
        raise script.mistake(f"{where}.do", f"is missing; it must be {_RULES['do']}")
    do = _value(table, "do", f"{where}.do", script)
    must, may = KEYS[do]
    must = ("at", "do", *must) if do == "define" else ("at", "domains", "do", *must)
    for key in table:
        if key not in (*must, *may):
            raise script.mistake(f"{where}.{key}", f"there is no such key; allowed are {', '.join((*must, *may))}")
    for key in must:
        if key not in table:
            raise script.mistake(f"{where}.{key}", f"is missing; it must be {_RULES[key]}")
    return Event(where, **{key: _value(table, key, f"{where}.{key}", script) for key in table})


def _value(table: Mapping[str, Any], key: str, where: str, script: Script) -> Any:
    value = _RULES[key].read(table[key])
    if value is None:
        shown = repr(table[key])
        raise script.mistake(where, f"must be {_RULES[key]}, not {shown if len(shown) <= 80 else shown[:80] + '...'}")
    return value
