"""How the two formats differ: in what is said before the lines of a family, and after the last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from domstats.formats.metrics.families import Family, FamilyType


@dataclass(frozen=True, slots=True)
class Dialect:
    """One of the formats."""

    name: str
    """Under which it is kept what has been worked out."""
    open_metrics: bool
    """Whether it has units, sets of states and an end."""
    end: bytes
    """What comes last."""

    def header(self, family: Family) -> bytes:
        """What stands before a family's lines."""
        name = family.name if self.open_metrics else family.sample
        word = family.type.value if self.open_metrics else _CLASSIC.get(family.type, family.type.value)
        lines = [f"# HELP {name} {_help(family.help)}", f"# TYPE {name} {word}"]
        if self.open_metrics and family.unit:
            lines.append(f"# UNIT {name} {family.unit}")
        return "".join(f"{line}\n" for line in lines).encode()


_CLASSIC: Mapping[FamilyType, str] = {
    FamilyType.INFO: "gauge",
    FamilyType.STATESET: "gauge",
    FamilyType.UNKNOWN: "untyped",
}


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


PROMETHEUS = Dialect("prometheus", open_metrics=False, end=b"")
OPENMETRICS = Dialect("openmetrics", open_metrics=True, end=b"# EOF\n")
