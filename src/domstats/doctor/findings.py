"""What the doctor finds: a verdict on each thing that was tried, and where each kind of figure can be had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a thing stands."""

    OK = "ok"
    """Nothing is to be done."""
    WARN = "warn"
    """All figures can be had, but some have only one source, are not kept by the host, or could not be tried."""
    MISSING = "missing"
    """Because of this some figures cannot be had."""


class Part(StrEnum):
    """What a check is about."""

    LIBVIRT = "libvirt"
    GUESTS = "guests"
    KERNEL = "kernel"
    RIGHTS = "rights"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found."""

    part: Part
    check: str
    """A word or two."""
    verdict: Verdict
    text: str
    """What is so, in one line."""
    advice: str = ""
    """What to do next; empty where there is nothing to do."""
    domains: tuple[str, ...] = ()
    """Names of the guests it is about; hostile. Empty where it is about the host, or about all guests."""


@dataclass(frozen=True, slots=True)
class Availability:
    """Where one kind of figure can be had."""

    figures: str
    """A group, or the keys in question (`balloon.usable`)."""
    verdict: Verdict
    """OK, too, where guests lack only what they have not been given, such as I/O threads."""
    counts: Mapping[str, int]
    """For how many guests, by source."""
    neither: int
    """For how many guests it can be had from no source."""
    why: str = ""
    """What is missing for those."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found."""

    uri: str
    """The host."""
    findings: tuple[Finding, ...]
    """In the order of the parts."""
    guests: int
    """How many guests are on."""
    sources: tuple[str, ...]
    """Where figures come from, in the order of the table's columns."""
    figures: tuple[Availability, ...]
    """Empty where no guest is on."""
    daemon: bool = True
    """False where a libvirt daemon was looked for, and none listens."""

    @property
    def complete(self) -> bool:
        """Whether every figure can be had."""
        verdicts = [*(each.verdict for each in self.findings), *(each.verdict for each in self.figures)]
        return Verdict.MISSING not in verdicts


def plural(count: int, what: str = "guest") -> str:
    """`1 guest`, `1,026 guests`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
