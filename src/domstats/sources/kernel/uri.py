"""URIs of the kernel's own figures: `kernel:///[?proc=PATH&sys=PATH&descriptors=N]`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from domstats.errors import BadUri

DESCRIPTORS_MAX = 1_000_000
_DIGITS_MAX = 7
_PARAMETERS = ("proc", "sys", "descriptors")


@dataclass(frozen=True, slots=True)
class KernelConfig:
    """Where the kernel's figures are; the defaults are those of a bare `kernel:///`."""

    proc: Path = Path("/proc")
    """The root of procfs, another's in a container that has the host's mounted."""
    sys: Path = Path("/sys")
    """The root of sysfs; the cgroups are below it."""
    descriptors: int | None = None
    """How many files may be held open; None for as many as this process may have, less some."""


def parse(text: str) -> KernelConfig:
    """What a URI says. Raises BadUri, which names the parameter and what it may be."""
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise BadUri(text, str(error)) from None
    if parts.scheme != "kernel":
        raise BadUri(text, "the kernel's own figures begin with kernel:///")
    if parts.netloc or parts.path not in ("", "/") or parts.fragment:
        raise BadUri(text, "kernel:/// is this host, and has no name and no path")
    given: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _PARAMETERS:
            raise BadUri(text, f"unknown parameter {name!r}; there are {', '.join(_PARAMETERS)}")
        if name in given:
            raise BadUri(text, f"{name} is given twice")
        given[name] = value
    for name in ("proc", "sys"):
        if name in given and (not given[name].startswith("/") or "\0" in given[name]):
            raise BadUri(text, f"{name} must be an absolute path, not {given[name]!r}")
    return KernelConfig(
        Path(given.get("proc", "/proc")), Path(given.get("sys", "/sys")), _descriptors(text, given.get("descriptors"))
    )


def _descriptors(text: str, given: str | None) -> int | None:
    if given is None:
        return None
    if given.isascii() and given.isdigit() and len(given) <= _DIGITS_MAX and int(given) <= DESCRIPTORS_MAX:
        return int(given)
    raise BadUri(text, f"descriptors must be a whole number from 0 to {DESCRIPTORS_MAX:,}, not {given!r}")
