"""The catalogue against a transcript of libvirt's constants, and the form of its texts."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import get_args

import pytest

from domstats.catalog.enums import DIRTYRATE_STATUSES, DOMAIN_STATES, VCPU_STATES
from domstats.catalog.fields import FIELDS, Field, Kind, Unit
from domstats.catalog.groups import GROUPS
from domstats.model.params import ParamType

TRANSCRIPT = Path(__file__).with_name("fields.csv")
BY_PATTERN = {field.pattern: field for field in FIELDS}
PREFIXES = {group.name: group.prefix for group in GROUPS}

every_field = pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.pattern)


def test_same_fields_as_libvirt() -> None:
    with TRANSCRIPT.open(newline="") as lines:
        theirs = {row["pattern"]: (row["types"], row["kind"], row["since"]) for row in csv.DictReader(lines)}
    ours = {field.pattern: ("|".join(field.types), field.kind.value, field.since) for field in FIELDS}
    assert ours == theirs


def test_no_pattern_twice() -> None:
    assert len(BY_PATTERN) == len(FIELDS) == 154


def test_every_group_has_fields_and_in_libvirts_order() -> None:
    seen = list(dict.fromkeys(field.group for field in FIELDS))
    assert seen == [group.name for group in GROUPS]


@every_field
def test_group_is_the_prefixs(field: Field) -> None:
    assert field.pattern.startswith(PREFIXES[field.group] + ".")


@every_field
def test_vocabulary(field: Field) -> None:
    assert set(field.types) <= {kind.label for kind in ParamType}
    assert field.unit in get_args(Unit)
    assert re.fullmatch(r"\d+\.\d+\.\d+", field.since)
    assert set(re.findall(r"<.*?>", field.pattern)) <= {"<i>", "<j>", "<id>", "<name>", "<feature>"}


@every_field
def test_kind_fits_type(field: Field) -> None:
    assert ("string" in field.types) == (field.kind is Kind.INFO and field.types[0] != "uint")
    assert field.unit == "" or field.kind in (Kind.COUNTER, Kind.GAUGE, Kind.CONFIG)


@every_field
def test_texts_are_one_plain_line(field: Field) -> None:
    assert re.fullmatch(r"[A-Zv][ -~]{3,90}\.", field.help)
    assert re.fullmatch(r"(?:[A-Z0-9a-z][ -~]{3,200}\.)?", field.note)
    for text in (field.help, field.note):
        assert not set(text) & set('"\\')


@pytest.mark.parametrize(
    ("pattern", "unit"),
    [
        ("cpu.time", "ns"),
        ("balloon.current", "KiB"),
        ("balloon.last-update", "s"),
        ("balloon.major_fault", ""),
        ("net.<i>.rx.bytes", "bytes"),
        ("net.<i>.tx.pkts", "packets"),
        ("block.<i>.rd.reqs", "requests"),
        ("block.<i>.wr.times", "ns"),
        ("block.<i>.timed_group.<j>.interval", "s"),
        ("block.<i>.timed_group.<j>.rd_latency_avg", "ns"),
        ("block.<i>.latency_histogram.flush.bin.<j>.start", "ns"),
        ("perf.mbml", "bytes/s"),
        ("perf.task_clock", "ns"),
        ("iothread.<id>.poll-max-ns", "ns"),
        ("dirtyrate.megabytes_per_second", "MiB/s"),
        ("vm.<name>.sum", ""),
    ],
)
def test_units(pattern: str, unit: str) -> None:
    assert BY_PATTERN[pattern].unit == unit


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("state.state", DOMAIN_STATES),
        ("vcpu.<id>.state", VCPU_STATES),
        ("dirtyrate.calc_status", DIRTYRATE_STATUSES),
    ],
)
def test_notes_of_states_list_the_words(pattern: str, words: tuple[str, ...]) -> None:
    listed = ", ".join(f"{number} {word}" for number, word in enumerate(words))
    assert BY_PATTERN[pattern].note.startswith(listed + ".")


@pytest.mark.parametrize(
    ("pattern", "trap"),
    [
        ("balloon.last-update", "hyphen"),
        ("balloon.usable", "balloon driver"),
        ("net.<i>.rx.bytes", "from the guest"),
        ("perf.cpu_cycles", "enabled"),
        ("vcpu.<id>.halted", "s390"),
        ("vm.<name>.cur", "hypervisor"),
    ],
)
def test_traps_are_noted(pattern: str, trap: str) -> None:
    assert trap in BY_PATTERN[pattern].note
