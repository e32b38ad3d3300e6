"""Independent readers of the metrics texts, and what they should find."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

from domstats.catalog.lookup import field_of
from domstats.model.params import ParamType, Value
from domstats.model.record import Record
from domstats.model.sampling import COLUMN_NAMES, Status
from domstats.model.snapshot import Snapshot

LINE = re.compile(r'(?P<name>[a-z0-9_]+)(?:\{(?P<labels>(?:[a-z0-9_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (?P<value>\S+)')
LABEL = re.compile(r'([a-z0-9_]+)="((?:[^"\\\n]|\\["\\n])*)"')
PARSERS: dict[str, Callable[[str], Any]] = {"prometheus": parse_prometheus, "openmetrics": parse_openmetrics}
SCALES = {"ns": Decimal("1e-9"), "KiB": Decimal(1024), "MiB/s": Decimal(1 << 20)}
FACTORS = {"ns": 1e-9, "KiB": 1024.0, "MiB/s": float(1 << 20)}
AGE_MAX = 1e12
OF_THE_RUNNING = ("cpu.time", "cpu.user", "cpu.system")
"""What some libvirts give of themselves for a domain that is off."""

Series = tuple[str, frozenset[tuple[str, str]]]


def lines_of(text: bytes) -> Iterator[tuple[Series, str]]:
    """Each series and its number's text, read by hand."""
    for line in text.decode().split("\n"):
        if not line or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        assert match, line
        labels = [(name, unescaped(value)) for name, value in LABEL.findall(match["labels"] or "")]
        assert len(dict(labels)) == len(labels), line
        yield (match["name"], frozenset(labels)), match["value"]


def unescaped(value: str) -> str:
    """What a label says."""
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], value)


def read(text: bytes) -> dict[Series, str]:
    """Every series, each of which may be there but once."""
    found: dict[Series, str] = {}
    for series, number in lines_of(text):
        assert series not in found, series
        found[series] = number
    return found


def parsed(form: str, text: bytes) -> dict[Series, float]:
    """The same, read by Prometheus's own Python library."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in PARSERS[form](text.decode())
        for sample in family.samples
    }


def expected(key: str, kind: ParamType, value: Value, *, everything: bool) -> Decimal | str | None:
    """A number in its metric's unit; None where there is none to show.

    `everything`: also what the hypervisor names, and what the catalogue does not know.
    """
    field = field_of(key)
    if kind == ParamType.STRING or (field and "string" in field.types):
        return None
    if not everything and (field is None or "<name>" in field.pattern):
        return None
    unit, counter = (field.unit, field.kind == "counter") if field else ("", False)
    if kind == ParamType.DOUBLE:
        number = float(value) * FACTORS[unit] if unit != "ns" and unit in FACTORS else float(value)
        number = number / 1e9 if unit == "ns" else number
        if counter and not number >= 0:
            return None
        return comparable(repr(number))
    exact = Decimal(int(value)) * SCALES.get(unit, Decimal(1))
    return None if counter and exact < 0 else exact


def comparable(text: str) -> Decimal | str:
    """A number's text as something that is equal for equal numbers."""
    words = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
    text = words.get(text, text)
    return text if text in words.values() else Decimal(text)


def check_metrics(form: str, *, everything: bool = False, library: bool = True) -> Callable[[Snapshot, bytes], None]:
    """A check of a whole text. `library`: whether Prometheus's own has to read it, too."""

    def check(snapshot: Snapshot, encoded: bytes) -> None:
        series = read(encoded)
        if library:
            assert series.keys() == parsed(form, encoded).keys()
        assert encoded.endswith(b"# EOF\n") is (form == "openmetrics")
        rows = [dict(labels) for name, labels in series if name == "domstats_domain_info"]
        assert len(rows) == len(snapshot) == len({row["domain"] for row in rows})
        labels = {row["uuid"]: row["domain"] for row in rows}
        numbers: dict[str, Counter[Decimal | str]] = {row["domain"]: Counter() for row in rows}
        for (name, found), number in series.items():
            if "domain" in dict(found) and not _is_about(name):
                numbers[dict(found)["domain"]][comparable(number)] += 1
        for record in snapshot:
            label = labels[record.domain.uuid]
            assert numbers[label] == Counter(_expected_of(record, everything))
            _check_standing(record, label, series, form)
            _check_age(record, label, series, ahead=_is_ahead(snapshot, record))

    return check


def _is_about(name: str) -> bool:
    """Whether a metric says something of the record, and is no value of it."""
    about = ("domstats_domain_info", "domstats_domain_status", "domstats_domain_sample_age_seconds")
    return name in about or name.endswith("_info")


def _expected_of(record: Record, everything: bool) -> Iterator[Decimal | str]:
    for key, value in record.items():
        if key in OF_THE_RUNNING and record.domain.id is None:
            continue
        number = expected(key, record.type_of(key), value, everything=everything)
        if number is not None:
            yield number


def _check_standing(record: Record, label: str, series: dict[Series, str], form: str) -> None:
    for status in Status:
        named = {("domain", label), ("status", status.label)}
        if form == "openmetrics":
            named.add(("domstats_domain_status", status.label))
        assert series["domstats_domain_status", frozenset(named)] == str(int(record.status is status))


def _check_age(record: Record, label: str, series: dict[Series, str], *, ahead: bool) -> None:
    age = series["domstats_domain_sample_age_seconds", frozenset({("domain", label)})]
    if record.age is not None and not ahead:
        assert abs(float(age) - min(max(record.age, 0.0), AGE_MAX)) <= 1e-6 * max(1.0, record.age * 1e-6)
    else:
        assert age == "NaN"


def _is_ahead(snapshot: Snapshot, record: Record) -> bool:
    """Whether a group of the record is of a later time than its uncertainty, and a second, explain."""
    uncertainty = snapshot.sampling.uncertainty[snapshot.layout.position(record.domain.uuid)]
    return any(-age > uncertainty[COLUMN_NAMES.index(group)] + 1.0 for group, age in record.ages.items())
