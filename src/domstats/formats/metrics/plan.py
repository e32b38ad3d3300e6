"""The lines of a record: what is fixed for a shape and domains that are on, or off; and the text of one domain.

A line is `name{domain="` of the family, the domain's label, the labels of its device, and the rest with a place for the
number. Only the two in the middle differ between such domains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from domstats.catalog.fields import Kind
from domstats.catalog.lookup import field_of
from domstats.formats.metrics.families import (
    ALWAYS,
    PREFIX,
    UNKNOWN,
    Family,
    FamilyType,
    Scale,
    entity_label,
    info_family,
    is_hypervisors,
    metric_of,
)
from domstats.formats.metrics.labels import escaped, label, unique_names
from domstats.formats.metrics.metadata import metadata_labels
from domstats.formats.metrics.options import MetricsOptions
from domstats.formats.metrics.writing import Writing
from domstats.formats.numbers import BLANK
from domstats.model.globs import Globs
from domstats.model.layout import Positions, RecordLayout, Shape
from domstats.model.params import ParamType
from domstats.model.sampling import OVERLAID, Status

EXTRAS = len(Status) + 1
"""What each record has beside its values: for each status whether it is that, and its age in microseconds."""
AGE = len(Status)
WORDS = 64
"""Blanks for the words of a state and its reason."""
_INTEGERS = (ParamType.INT, ParamType.UINT, ParamType.LLONG, ParamType.ULLONG)
_AGE = Writing(ParamType.ULLONG, decimals=6, may_be_unknown=True)
_FLAG = Writing(ParamType.ULLONG)
_STATES = ("state.state", "state.reason")
_OF_THE_RUNNING = ("cpu.time", "cpu.user", "cpu.system")
"""What means nothing of a domain that is off: libvirt 9.0 without cgroups gives its own processor time for it."""

INFO = Family((0, 0, ""), f"{PREFIX}domain", FamilyType.INFO, "", ALWAYS, "Who the domain is.")
STATUS = Family(
    (0, 1, ""), f"{PREFIX}domain_status", FamilyType.STATESET, "", ALWAYS, "How the domain's record stands."
)
SAMPLE_AGE = Family(
    (0, 2, ""),
    f"{PREFIX}domain_sample_age_seconds",
    FamilyType.GAUGE,
    "seconds",
    ALWAYS,
    "Time since the oldest group of the domain's values was sampled.",
)
STATE_INFO = Family(
    (0, 3, ""), f"{PREFIX}domain_state_info", FamilyType.GAUGE, "", 0, "The domain's state and its reason, as words."
)


@dataclass(frozen=True, slots=True)
class _Line:
    family: Family
    entity: int
    """Index into the record's label texts; 0 for none."""
    tail: str
    """What stands after the labels that differ."""
    slot: int = -1
    """Of the value; after the shape's slots come the EXTRAS. -1 where there is no number to write."""
    writing: Writing | None = None
    """None where words are written."""
    after: int = 0
    """Bytes after the place, but for what of the place is after the number's end."""


@dataclass(frozen=True, slots=True)
class _Words:
    """Label texts that a string of the record gives: of a device, and a label more."""

    device: int
    name: str
    string: int


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The lines of a shape and of domains that are on, or of such that are off, by family."""

    families: tuple[Family, ...]
    """One a fragment: lines of one family of a record whose values were sampled together."""
    columns: tuple[int, ...]
    """Where the sampling has the time of each fragment: an index into COLUMN_NAMES, or ALWAYS."""
    cuts: Positions
    """Index of each fragment's first line, and of the end."""
    heads: tuple[tuple[str, int, str], ...]
    """Of each line what stands before the domain's label, which of the label texts it has, and the rest."""
    lengths: Positions
    """Bytes of each line without what differs."""
    entities: Positions
    """Which of the label texts each line has."""
    devices: tuple[tuple[str, str, str, int], ...]
    """Of each device the label, its key before the number, that as text, and which string is its name (-1: none)."""
    words: tuple[_Words, ...]
    places: dict[Writing | None, tuple[Positions, Positions, Positions, Positions]]
    """By way of writing (None for words): slot, line, fragment, and bytes after the end, of each place."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordText:
    """The lines of one domain."""

    options: MetricsOptions
    label: str
    fragments: tuple[bytes, ...]
    """Its lines, by family."""
    lengths: npt.NDArray[np.int64]
    """Bytes of its label, then of each of its label texts."""


def plan_of(shape: Shape, options: MetricsOptions, *, active: bool, open_metrics: bool) -> Plan:
    """The lines of records of this shape whose domains are on, or are not; kept for the last options."""
    name = ("metrics", open_metrics, active)
    kept: tuple[MetricsOptions, Plan] | None = shape.derived.get(name)
    if kept is None or kept[0] != options:
        plan = _Planner(shape, options, active=active, open_metrics=open_metrics).plan()
        kept = shape.derived[name] = (options, plan)
    return kept[1]


def record_text(
    record: RecordLayout, domain: str, plan: Plan, options: MetricsOptions, *, open_metrics: bool
) -> RecordText:
    """The lines of one record; kept for the last options. `domain`: the value of its label, escaped."""
    name = ("metrics", open_metrics)
    kept: RecordText | None = record.derived.get(name)
    if kept is None or kept.label != domain or kept.options != options:
        labels = _label_texts(record, plan, options)
        value = f'{domain}"'
        lines = [f"{head}{value}{labels[entity]}{tail}" for head, entity, tail in plan.heads]
        fragments = tuple("".join(lines[first:end]).encode() for first, end in pairwise(plan.cuts.tolist()))
        lengths = np.array([len(each.encode()) for each in (value, *labels)], np.int64)
        kept = record.derived[name] = RecordText(options, domain, fragments, lengths)
    return kept


def _label_texts(record: RecordLayout, plan: Plan, options: MetricsOptions) -> list[str]:
    """For each of a plan's entities its labels."""
    # Monitors of all kinds have one label and often one name, but no series in common: what a record has of one kind
    # changes no labels of another.
    by_prefix: dict[str, list[tuple[str, str]]] = {}
    for _, prefix, number, string in plan.devices:
        by_prefix.setdefault(prefix, []).append((escaped(record.strings[string]) if string >= 0 else "", number))
    names = {prefix: iter(unique_names(each)) for prefix, each in by_prefix.items()}
    texts = ["", _info(record, options)]
    for name, prefix, _, _ in plan.devices:
        value, again = next(names[prefix])
        texts.append(f',{name}="{value}"' + (f',{_AGAIN.get(name, "number")}="{again}"' if again else ""))
    return texts + [texts[each.device] + label(each.name, record.strings[each.string]) for each in plan.words]


_AGAIN = {"device": "layer"}
"""What tells devices of one name apart; the images of a disk all have its name, the topmost is the first."""


def _info(record: RecordLayout, options: MetricsOptions) -> str:
    domain = record.domain
    found = [("uuid", domain.uuid)]
    if domain.id is not None:
        found.append(("id", str(domain.id)))
    if domain.info is not None and domain.info.title:
        found.append(("title", domain.info.title))
    found += metadata_labels(domain.info, options.labels)
    return "".join(label(name, value) for name, value in found)


class _Planner:
    """Makes the plan of one shape."""

    def __init__(self, shape: Shape, options: MetricsOptions, *, active: bool, open_metrics: bool) -> None:
        self._shape, self._options, self._active, self._open_metrics = shape, options, active, open_metrics
        self._fields = Globs(options.fields)
        self._lines: list[_Line] = []
        self._devices: dict[str, int] = {}
        self._words: list[_Words] = []

    def plan(self) -> Plan:
        """The lines of every key that is wanted, and those that every record has."""
        shape = self._shape
        for key in shape.slots:
            self._find_device(key)
        self._always()
        for key, (slot, kind) in shape.entries.items():
            if self._options.groups and not self._options.groups >> shape.groups[slot] & 1:
                continue
            if kind == ParamType.STRING:
                self._add_string(key, slot)
            else:
                self._add_number(key, slot, kind)
        if all(shape.entries.get(key, (0, 0))[1] in _INTEGERS for key in _STATES) and self._wanted(_STATES[0]):
            self._lines.append(_Line(STATE_INFO, 0, f',state="{BLANK.decode() * WORDS}"}} 1\n', 0, None, len('"} 1\n')))
        self._lines.sort(key=lambda line: (line.family, self._column(line)))
        return self._made()

    def _column(self, line: _Line) -> int:
        """Where the sampling has the time of a line's value."""
        group, overlaid = line.family.group, self._shape.overlaid
        return group + OVERLAID if 0 <= line.slot < len(overlaid) and overlaid[line.slot] else group

    def _wanted(self, key: str) -> bool:
        field, options = field_of(key), self._options
        if field is None:
            return options.unknown
        if options.groups and not options.groups >> self._shape.groups[self._shape.slots[key]] & 1:
            return False
        if is_hypervisors(field.pattern) and not options.hypervisor:
            return False
        if key in _OF_THE_RUNNING and not self._active:
            return False
        return not options.fields or self._fields.fit(field.pattern)

    def _find_device(self, key: str) -> None:
        metric = metric_of(key)
        if metric is not None and metric.entity and metric.entity not in self._devices:
            self._devices[metric.entity] = len(self._devices) + 2  # after none, and the domain itself

    def _always(self) -> None:
        size = len(self._shape)
        self._lines.append(_Line(INFO, 1, "} 1\n"))
        for status in Status:
            labels = label("status", status.label)
            if self._open_metrics:
                labels += label(STATUS.name, status.label)
            self._lines.append(_Line(STATUS, 0, f"{labels}}} {BLANK.decode()}\n", size + status, _FLAG, 1))
        self._lines.append(self._number(SAMPLE_AGE, 0, "", size + AGE, _AGE))

    def _number(self, family: Family, entity: int, labels: str, slot: int, writing: Writing) -> _Line:
        return _Line(family, entity, f"{labels}}} {writing.place.decode()}\n", slot, writing, 1)

    def _add_number(self, key: str, slot: int, kind: int) -> None:
        if not self._wanted(key):
            return
        metric, field = metric_of(key), field_of(key)
        if metric is None or field is None:
            self._lines.append(
                self._number(UNKNOWN, 0, label("key", key), slot, Writing.of(kind, Scale(), counter=False))
            )
            return
        if "string" in field.types:  # its number is no measure of anything
            return
        labels = "".join(label(name, value) for name, value in metric.labels)
        writing = Writing.of(kind, metric.scale, counter=metric.family.type is FamilyType.COUNTER)
        self._lines.append(self._number(metric.family, self._devices.get(metric.entity, 0), labels, slot, writing))

    def _add_string(self, key: str, slot: int) -> None:
        """Names are labels already; other strings, such as a path, get a family of their device's infos."""
        metric, field = metric_of(key), field_of(key)
        if metric is None or field is None or field.kind is not Kind.INFO or not self._wanted(key):
            return
        family = info_family(metric, field)
        if family is None:
            return
        device, name = self._devices.get(metric.entity, 0), field.pattern.rpartition(".")[2]
        self._words.append(_Words(device, name, self._shape.string_places[slot]))
        self._lines.append(_Line(family, -len(self._words), "} 1\n"))

    def _made(self) -> Plan:
        lines, first = self._lines, len(self._devices) + 2
        # The texts of words come after those of the devices.
        entities = [line.entity if line.entity >= 0 else first - line.entity - 1 for line in lines]
        heads = [f'{line.family.sample}{{domain="' for line in lines]
        of_column = [self._column(line) for line in lines]
        together = [(line.family, column) for line, column in zip(lines, of_column, strict=True)]
        starts = [at for at in range(len(lines)) if not at or together[at] != together[at - 1]]
        fragment = np.searchsorted(np.array(starts), np.arange(len(lines)), side="right") - 1
        places: dict[Writing | None, list[tuple[int, int, int, int]]] = {}
        for at, line in enumerate(lines):
            if line.slot >= 0:
                tail = 0 if line.writing is None else line.writing.tail
                places.setdefault(line.writing, []).append((line.slot, at, int(fragment[at]), line.after + tail))
        return Plan(
            tuple(lines[at].family for at in starts),
            tuple(of_column[at] for at in starts),
            np.array([*starts, len(lines)], np.int64),
            tuple((head, entity, line.tail) for head, entity, line in zip(heads, entities, lines, strict=True)),
            np.array([len((head + line.tail).encode()) for head, line in zip(heads, lines, strict=True)], np.int64),
            np.array(entities, np.int64),
            tuple(self._device(entity) for entity in self._devices),
            tuple(self._words),
            {writing: _columns(found) for writing, found in places.items()},
        )

    def _device(self, entity: str) -> tuple[str, str, str, int]:
        slot, kind = self._shape.entries.get(f"{entity}.name", (-1, 0))
        string = self._shape.string_places[slot] if kind == ParamType.STRING else -1
        prefix, _, number = entity.rpartition(".")
        return entity_label(entity), prefix, number, string


def _columns(places: Sequence[tuple[int, int, int, int]]) -> tuple[Positions, Positions, Positions, Positions]:
    slots, lines, fragments, after = np.array(places, np.int64).T
    return slots, lines, fragments, after
