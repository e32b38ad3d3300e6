"""What a key is called as a metric: the name of its family, in base units, and the labels its numbers become.

    vcpu.0.time              domstats_vcpu_time_seconds_total{vcpu="0"}
    net.0.rx.pkts            domstats_interface_rx_packets_total{interface="vnet3"}
    vcpu.0.halt_poll_ns.sum  domstats_vcpu_kvm_halt_poll_seconds_total{vcpu="0"}

The names are made of the catalogue's patterns by rule, with a table of the words that read badly in a metric's name. A
word of the hypervisor's that is no good part of a name, or might be taken for another, stands in the label `word`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from domstats.catalog.fields import FIELDS, Field, Kind
from domstats.catalog.groups import GROUP_NAMES
from domstats.catalog.lookup import field_of

PREFIX = "domstats_"
ALWAYS = -1
"""In the place of a group: what is said of every domain."""


class FamilyType(StrEnum):
    """How a family's values behave, in OpenMetrics's words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    INFO = "info"
    STATESET = "stateset"
    UNKNOWN = "unknown"


_SUFFIXES = {FamilyType.COUNTER: "_total", FamilyType.INFO: "_info"}


@dataclass(frozen=True, slots=True, order=True)
class Family:
    """All series of one name."""

    order: tuple[int, int, str]
    """Where it stands: before or after the hypervisor's, by the catalogue, by the hypervisor's word."""
    name: str
    """Without `_total` and `_info`."""
    type: FamilyType
    unit: str
    """A base unit, with which the name ends; or empty."""
    group: int
    """Index into catalog.groups.GROUP_NAMES, or ALWAYS."""
    help: str

    @property
    def sample(self) -> str:
        """The name in its lines."""
        return self.name + _SUFFIXES.get(self.type, "")


@dataclass(frozen=True, slots=True)
class Scale:
    """From a value's unit to the metric's: times a number, and so many decimals."""

    times: int = 1
    decimals: int = 0


@dataclass(frozen=True, slots=True)
class Metric:
    """What one key is as a metric."""

    family: Family
    scale: Scale
    entity: str
    """The part of the key up to the device it is of (`block.0`), whose labels are found by name; empty for none."""
    labels: tuple[tuple[str, str], ...]
    """Further labels and their values, which are as they are in the key."""


_UNITS: Mapping[str, tuple[str, Scale]] = {
    "": ("", Scale()),
    "ns": ("seconds", Scale(decimals=9)),
    "s": ("seconds", Scale()),
    "bytes": ("bytes", Scale()),
    "KiB": ("bytes", Scale(times=1 << 10)),
    "bytes/s": ("bytes_per_second", Scale()),
    "MiB/s": ("bytes_per_second", Scale(times=1 << 20)),
    "packets": ("packets", Scale()),
    "requests": ("requests", Scale()),
}
_WORDS: Mapping[str, str] = {
    "net": "interface",
    "pkts": "",
    "reqs": "",
    "bytes": "",
    "megabytes_per_second": "",
    "times": "time",
    "drop": "dropped",
    "errs": "errors",
    "latency_histogram": "latency",
    "backingIndex": "backing_index",
    "poll-max-ns": "poll_max",
    "last-update": "last_update_timestamp",
}
"""What becomes of a part of a pattern; where it is empty, the unit says it."""
_WHOLE = {"state.state": "domain_state", "state.reason": "domain_state_reason"}
_LABELS = {"net": "interface", "block": "device"}
"""Labels of numbers; the others have the name of what stands before them."""
_NAMED = ("net", "block", "monitor")
"""Before the numbers of what has names of its own."""
_ENDS = {"sum": "", "cur": "_current", "max": "_max"}
"""What is added for the last part of the keys whose words are the hypervisor's."""
_PLAIN_WORD = re.compile(r"[a-z][a-z0-9_]*\Z")
_TAKEN = ("_word", "_total", "_seconds", "_current", "_max", "_count", "_sum", "_bucket", "_info", "_created")
"""A word that ends so might become the name of another."""
_RESERVED = ("_count", "_sum", "_bucket", "_total", "_info", "_created")
"""How no name may end that has no such meaning."""
_OPEN = ("<name>", "<feature>")
_POSITIONS = {field.pattern: number for number, field in enumerate(FIELDS)}
_TYPES = {Kind.COUNTER: FamilyType.COUNTER}
_OTHER = len(GROUP_NAMES) - 1

UNKNOWN = Family((3, 0, ""), f"{PREFIX}unknown", FamilyType.UNKNOWN, "", _OTHER, "A value domstats does not know.")


def metric_of(key: str) -> Metric | None:
    """What a key is as a metric; None for one the catalogue does not know."""
    field = field_of(key)
    if field is None:
        return None
    parts, pattern = key.split("."), field.pattern.split(".")
    word = next((part for part, mark in zip(parts, pattern, strict=True) if mark in _OPEN), "")
    family, scale, says_all = _family(field, word)
    entity, labels = _numbers(parts, pattern)
    return Metric(family, scale, entity, labels if says_all else (*labels, ("word", word)))


def info_family(metric: Metric, field: Field) -> Family | None:
    """The family whose label the text of an INFO field is; None for a name, which is a label of all of its device.

    None as well for the text of a field that is a number: its family is the number's, and a family has one type.
    """
    last = field.pattern.rpartition(".")[2]
    if last == "name" or "string" not in field.types:
        return None
    made = metric.family
    return Family(made.order, made.name.removesuffix(f"_{last}"), FamilyType.INFO, "", made.group, made.help)


def is_hypervisors(pattern: str) -> bool:
    """Whether the keys of a pattern hold a word of the hypervisor's, of which there are many."""
    return "<name>" in pattern


def _numbers(parts: Sequence[str], pattern: Sequence[str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The device a key is of, and the labels its other numbers become."""
    entity, labels = "", []
    for at, mark in enumerate(pattern):
        if mark not in ("<i>", "<j>", "<id>"):
            continue
        if pattern[at - 1] in _NAMED:
            entity = ".".join(parts[: at + 1])
        else:
            labels.append((pattern[at - 1], parts[at]))
    return entity, tuple(labels)


def entity_label(entity: str) -> str:
    """The label that names a device: `device` for `block.0`."""
    before = entity.split(".")[-2]
    return _LABELS.get(before, before)


@cache
def _known_family(field: Field) -> tuple[Family, Scale]:
    unit, scale = _UNITS[field.unit]
    name = _WHOLE.get(field.pattern) or "_".join(_name_words(field.pattern))
    if unit and not name.endswith(f"_{unit}"):
        name = f"{name}_{unit}"
    return _made(field, name, unit, (1, _POSITIONS[field.pattern], "")), scale


def _made(field: Field, name: str, unit: str, order: tuple[int, int, str]) -> Family:
    kind = _TYPES.get(field.kind, FamilyType.GAUGE)
    if kind is FamilyType.GAUGE and name.endswith(_RESERVED):
        name = f"{name}_value"
    return Family(order, PREFIX + name, kind, unit, GROUP_NAMES.index(field.group), field.help)


def _name_words(pattern: str) -> list[str]:
    words: list[str] = []
    for part in pattern.split("."):
        if part.startswith("<"):
            continue
        if part == "count":
            words[-1] += "s"
            continue
        word = _WORDS.get(part, part.replace("-", "_"))
        if word:
            words.append(word)
    return words


def _family(field: Field, word: str) -> tuple[Family, Scale, bool]:
    """A field's family and scale, and whether the family's name says all of the word."""
    if not any(mark in field.pattern for mark in _OPEN):
        return *_known_family(field), True
    unit, scale = _UNITS[field.unit]
    stem = word.removesuffix("_ns") if unit else word
    *before, last = field.pattern.split(".")
    clean = re.sub(r"[^a-z0-9_]", "_", stem.lower()) or "_"
    says_all = bool(_PLAIN_WORD.match(stem)) and not stem.endswith(_TAKEN)
    if not says_all:
        clean += "_word"
    if is_hypervisors(field.pattern):
        name = f"{before[0]}_kvm_{clean}{_ENDS[last]}"
    else:
        name = f"{'_'.join(_name_words(field.pattern))}_{clean}"
    if unit:
        name = f"{name}_{unit}"
    order = (2, _POSITIONS.get(field.pattern, 0), clean)
    return _made(field, name, unit, order), scale, says_all
