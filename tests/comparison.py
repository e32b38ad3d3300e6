"""Comparing what domstats says with what libvirt's own tools say of the same hypervisor, a moment before and after.

A value that is the same before and after did not move, so it must be the same with us; a counter that moved must lie in
between. Only a gauge of a running domain may have moved to and fro meanwhile. A pytest plugin: it counts what is
compared, and says so at the end.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from domstats.catalog.fields import Kind
from domstats.catalog.lookup import field_of
from domstats.model.snapshot import Snapshot
from hypervisor import Hypervisor

Stats = Mapping[str, Any]


@dataclass
class Tally:
    """How much has been compared with a hypervisor's own tools."""

    calls: int = 0
    values: int = 0
    still: int = 0
    """Values that did not move, and so had to be equal."""
    differences: int = 0


_TALLIES = pytest.StashKey[dict[str, Tally]]()
"""By the versions of libvirt and QEMU."""


@dataclass
class Differences:
    """What is not the same, a line each."""

    tally: Tally
    running: Collection[str]
    """Names of the running domains."""
    lines: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lines)

    def __str__(self) -> str:
        return "\n".join([f"{len(self.lines)} differences", *self.lines[:20]])

    def note(self, where: str, theirs: object, ours: object) -> None:
        """Theirs and ours should be the same."""
        if theirs != ours:
            self.lines.append(f"{where}: theirs {theirs!r}, ours {ours!r}")
            self.tally.differences += 1

    def compare(self, domain: str, before: Stats, ours: Stats, after: Stats) -> None:
        """The values of one domain; the keys are known to be the same."""
        for key, value in ours.items():
            known = field_of(key)
            kind = known.kind if known else Kind.INFO
            self.tally.values += 1
            if before[key] == after[key] and not (kind == Kind.GAUGE and domain in self.running):
                self.tally.still += 1
                self.note(f"{domain} {key}", before[key], value)
            elif kind == Kind.COUNTER:
                low, high = sorted((int(before[key]), int(after[key])))
                if not low <= int(value) <= high:
                    self.note(f"{domain} {key}", f"{low} to {high}", value)


def same_records(before: Sequence[Any], ours: Snapshot, after: Sequence[Any], differences: Differences) -> None:
    """A snapshot beside the records of libvirt-python (before) and of libvirt's C library (after)."""
    differences.tally.calls += 1
    domains = [(record.domain.name, record.domain.uuid, record.domain.id) for record in ours]
    differences.note("domains", list(map(_identity, before)), domains)
    differences.note("domains", list(map(_identity, after)), domains)
    assert not differences, str(differences)
    for record, python, c in zip(ours, before, after, strict=True):
        name, params = record.domain.name, record.params
        differences.note(f"{name} keys", [key for key, *_ in python["stats"]], list(dict.fromkeys(record.keys())))
        kinds = [(param.name, type(param.value).__name__) for param in params]
        differences.note(f"{name} Python types", {(key, kind) for key, kind, _ in python["stats"]}, set(kinds))
        types = [(param.name, int(param.type)) for param in params]
        differences.note(f"{name} wire types", [(key, kind) for key, kind, _ in c["stats"]], types)
        assert not differences, str(differences)
        values = ({key: value for key, _, value in each["stats"]} for each in (python, c))
        differences.compare(name, next(values), {param.name: param.value for param in params}, next(values))
    assert not differences, str(differences)


def same_texts(before: str, ours: str, after: str, differences: Differences) -> None:
    """The text of `domstats get -f raw` beside that of `virsh domstats`."""
    differences.tally.calls += 1
    theirs, mine, later = (list(domains_of(text)) for text in (before, ours, after))
    for other in (theirs, later):
        keys = [(name, list(stats)) for name, stats in other]
        differences.note("domains and keys", keys, [(name, list(stats)) for name, stats in mine])
    assert not differences, str(differences)
    for (name, first), (_, stats), (_, last) in zip(theirs, mine, later, strict=True):
        differences.compare(name, first, stats, last)
    assert not differences, str(differences)


def _identity(record: Any) -> tuple[str, str, int | None]:
    return record["name"], record["uuid"], None if record["id"] == -1 else record["id"]


def domains_of(text: str) -> Iterator[tuple[str, Stats]]:
    """The domains of a text of `virsh domstats`, and their values as they are printed."""
    for name, lines in re.findall(r"^Domain: '(.*)'\n((?:  .*\n)*)\n", text, re.MULTILINE):
        yield name, dict(line[2:].split("=", 1) for line in lines.split("\n") if line)


def pytest_configure(config: pytest.Config) -> None:
    """Nothing has been compared yet."""
    config.stash[_TALLIES] = {}


@pytest.fixture
def differences(request: pytest.FixtureRequest, peer: Hypervisor) -> Differences:
    """Where to note them, for the hypervisor under test."""
    tally = request.config.stash[_TALLIES].setdefault(peer.versions, Tally())
    return Differences(tally, peer.names("--state-running"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much was compared."""
    for versions, tally in terminalreporter.config.stash[_TALLIES].items():
        counts = f"{tally.calls} calls, {tally.values} values, {tally.still} of them still"
        terminalreporter.write_line(f"compared with {versions}: {counts}; {tally.differences} differences")
