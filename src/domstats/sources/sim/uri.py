"""URIs of simulated hosts: `sim:///?domains=N&seed=S[&vcpus=..&disks=..&nics=..&time=..&speed=..&script=..]`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from domstats.errors import BadUri

TIME_MAX = 253_402_300_799.0
"""The last second of the year 9999: what Python's datetime, and so most formats, can write."""


@dataclass(frozen=True, slots=True)
class SimConfig:
    """What a simulated host is like; the defaults are those of a bare `sim:///`."""

    domains: int = 20
    seed: int = 1
    vcpus: int | None = None
    """vCPUs of every guest; None for as many as suit its kind. So with disks and nics."""
    disks: int | None = None
    nics: int | None = None
    time: float | None = None
    """Where the clock stands still, in seconds since the epoch; None for a clock that runs."""
    speed: float = 1.0
    """How many simulated seconds pass in a second."""
    script: str | None = None
    """The file that says what happens to the guests; None where nothing does."""


@dataclass(frozen=True, slots=True)
class _Whole:
    low: int
    high: int

    def read(self, text: str) -> int | None:
        if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
            return None
        number = int(text)
        return number if self.low <= number <= self.high else None

    def __str__(self) -> str:
        return f"a whole number from {self.low:,} to {self.high:,}"


class _Time:
    def read(self, text: str) -> float | None:
        number = float(text) if _REAL.fullmatch(text) else math.inf
        return number if number <= TIME_MAX else None

    def __str__(self) -> str:
        return f"seconds since the epoch, from 0 to {TIME_MAX:.0f}"


class _Speed:
    def read(self, text: str) -> float | None:
        number = float(text) if _REAL.fullmatch(text) else 0.0
        return number if 0.0 < number < math.inf else None

    def __str__(self) -> str:
        return "a finite number over 0"


class _File:
    def read(self, text: str) -> str | None:
        return text if text and "\0" not in text else None

    def __str__(self) -> str:
        return "the path of a file"


_DIGITS_MAX = 20  # 2**64 - 1 has 20
_REAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?")

_PARAMETERS: dict[str, _Whole | _Time | _Speed | _File] = {
    "domains": _Whole(0, 100_000),
    "seed": _Whole(0, (1 << 64) - 1),
    "vcpus": _Whole(1, 1024),
    "disks": _Whole(0, 128),
    "nics": _Whole(0, 64),
    "time": _Time(),
    "speed": _Speed(),
    "script": _File(),
}
"""What each parameter may be."""


def parse(text: str) -> SimConfig:
    """The simulated host a URI names. Raises BadUri, which names the parameter and what it may be."""
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise BadUri(text, str(error)) from None
    if parts.scheme != "sim":
        raise BadUri(text, "simulated hosts begin with sim:///")
    if parts.netloc or parts.path not in ("", "/") or parts.fragment:
        raise BadUri(text, "a simulated host has no name and no path; write sim:/// and then ?domains=N and the like")
    chosen: dict[str, int | float | str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _PARAMETERS:
            raise BadUri(text, f"unknown parameter {name!r}; there are {', '.join(_PARAMETERS)}")
        if name in chosen:
            raise BadUri(text, f"{name} is given twice")
        number = _PARAMETERS[name].read(value)
        if number is None:
            raise BadUri(text, f"{name} must be {_PARAMETERS[name]}, not {value!r}")
        chosen[name] = number
    return SimConfig(**chosen)  # type: ignore[arg-type]  # the table gives each parameter its field's type
