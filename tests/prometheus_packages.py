"""Prometheus and promtool, from Debian's package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from debian_programs import programs


@dataclass(frozen=True)
class Programs:
    """Paths of the programs."""

    promtool: Path
    prometheus: Path


def provide() -> Programs:
    """The machine's own programs, or else those of Debian's package. Raises HypervisorError with the reason."""
    return Programs(*programs("prometheus", "promtool", "prometheus"))
