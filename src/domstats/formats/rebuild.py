"""A snapshot from what a document says of it. Everything is checked: documents come from anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from domstats.formats.overlaid import flags_of
from domstats.model.domain import Domain, is_uuid
from domstats.model.layout import DomainKey, Layout, RecordLayout, Shape
from domstats.model.params import ParamType, TypedParameter, Value
from domstats.model.sampling import COLUMN_NAMES, Sampling, Status
from domstats.model.snapshot import Snapshot

_SHOWN_MAX = 60
"""Characters of a key that an error shows."""
STATUSES = {status.label: status for status in Status}
TYPES = {kind.label: kind for kind in ParamType}
_COLUMNS = {name: number for number, name in enumerate(COLUMN_NAMES)}
KEY_MAX = 512
"""Characters of a key. libvirt's have at most 79 bytes, what KVM says of a vCPU may have a name of 256; of one that is
much longer, formats that nest its parts would make what nobody can read."""
_DOMAIN_IDS = range(-(1 << 31), 1 << 31)
_PYTHON_TYPES: dict[ParamType, type] = {ParamType.STRING: str, ParamType.BOOLEAN: bool, ParamType.DOUBLE: float}


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """What a document says of one domain."""

    domain: Domain
    params: Sequence[TypedParameter]
    status: Status
    ages: Mapping[str, float]
    """Seconds since each group was sampled, and what of it came from the kernel instead."""
    overlaid: Sequence[str] = ()
    """Which values came from the kernel; see formats.overlaid."""


def snapshot_of(records: Sequence[ReadRecord], time: float, source: str) -> Snapshot:
    """The snapshot; its host's processors are not known. Raises ValueError."""
    if not math.isfinite(time):
        raise ValueError(f"{time} is no time")
    uuids: set[DomainKey] = set()
    for number, record in enumerate(records):
        if record.domain.uuid in uuids:
            raise ValueError(f"domain number {number} has the UUID of another, {record.domain.uuid}")
        uuids.add(record.domain.uuid)
    sampling = Sampling.of_one_poll(len(records), math.nan, source)
    times, status = np.array(sampling.times), np.array([record.status for record in records], np.uint8)
    for row, record in zip(times, records, strict=True):
        for group, age in record.ages.items():
            if group not in _COLUMNS or not math.isfinite(age):
                raise ValueError(f"domain {record.domain.name!r} has an age of {age} for a group {group!r}")
            row[_COLUMNS[group]] = time - age
    snapshot = Snapshot.of_params(((record.domain, record.params) for record in records), time=time)
    layout = Layout(list(map(_overlaid, snapshot.layout.records, records)))
    sampling = Sampling(status, times, sampling.sources, sampling.source_names, sampling.uncertainty)
    return Snapshot(layout, snapshot.values, time, sampling, None)


def _overlaid(layout: RecordLayout, record: ReadRecord) -> RecordLayout:
    if not record.overlaid:
        return layout
    shape = layout.shape
    return RecordLayout(
        layout.domain, Shape.of(shape.keys, shape.types, flags_of(shape.keys, record.overlaid)), layout.strings
    )


def domain_of(name: str, uuid: str, number: int | None) -> Domain:
    """The domain. Raises ValueError."""
    if not is_uuid(uuid):
        raise ValueError(f"{uuid!r} is no UUID")
    if number is not None and number not in _DOMAIN_IDS:
        raise ValueError(f"{number} is no id of a domain")
    return Domain(name, uuid.lower(), number)


def param_of(name: str, type_name: str, value: Value) -> TypedParameter:
    """The typed parameter, if the value can be one of that type, and the name a key. Raises ValueError."""
    if len(name) > KEY_MAX:
        raise ValueError(f"a key over {KEY_MAX} characters, {name[:_SHOWN_MAX]!r}...")
    kind = TYPES.get(type_name)
    if kind is None:
        raise ValueError(f"there is no type {type_name!r}")
    if kind == ParamType.DOUBLE and type(value) is int:
        value = float(value)
    if type(value) is not _PYTHON_TYPES.get(kind, int):
        raise ValueError(f"{value!r} is no {type_name}")
    return TypedParameter(name, kind, value)
