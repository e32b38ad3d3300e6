"""Simulated hosts with a script, in fast time."""

from __future__ import annotations

from pathlib import Path

from domstats.model.domain import Domain
from domstats.model.flags import NO_FILTERS, DomainFilter
from domstats.model.record import Record
from domstats.model.snapshot import Snapshot
from domstats.sources.sim.source import SimSource
from fast_time import clock

LONG = 86_400.0


class Scripted:
    """A simulated host of 20 guests, unless the URI's parameters say otherwise."""

    def __init__(self, folder: Path, script: str, parameters: str = "domains=20") -> None:
        file = folder / "script.toml"
        file.write_text(script, encoding="utf-8")
        self.uri = f"sim:///?{parameters}&script={file}"
        self.source = SimSource(self.uri, clock)

    async def stats(
        self, names: str = "", groups: int = 0, flags: DomainFilter = NO_FILTERS, deadline: float = LONG
    ) -> Snapshot:
        """One poll; `names`: of guests that are there, separated by commas."""
        domains = [await self.find(name) for name in names.split(",") if name]
        return await self.source.stats(domains, groups, flags, deadline)

    async def find(self, name: str) -> Domain:
        """The guest of that name."""
        return await self.source.find(name, LONG)

    async def names(self) -> list[str]:
        """Of all guests there are."""
        return [domain.name for domain in await self.source.domains(LONG)]

    async def occupied(self, seconds: float = 0.0) -> list[str]:
        """Names of the guests whose monitor has been occupied for so long."""
        return [each.name for each in await self.source.occupied(await self.source.domains(LONG), seconds)]


def device_names(record: Record, prefix: str) -> list[str]:
    """The names of its disks (`block.`) or interfaces (`net.`), in their order."""
    return [value for key, value in record.items() if key.startswith(prefix) and key.endswith(".name")]


def events(*lines: str) -> str:
    """A script of events, each written as `at; what it does; name = value; ...`, such as `10; hang web-1`."""
    tables = []
    for line in lines:
        at, what, *others = line.split("; ")
        do, _, domains = what.partition(" ")
        tables.append("\n".join(["[[event]]", f"at = {at}", f"do = '{do}'", *others]))
        if domains:
            tables[-1] += f"\ndomains = '{domains}'"
    return "\n\n".join(tables)
