"""Where each value lives: shapes (shared by domains), record layouts (one a domain) and layouts (one a poll).

Between two polls the names hardly ever change, only the numbers do. So everything that does not change stands here,
immutable and shared from poll to poll, and a snapshot adds one flat array of 64-bit values. A value's slot holds, by
its wire type, a signed or unsigned integer, the bits of a double, 0 or 1, or a string's place among the strings of the
record.
"""

from __future__ import annotations

import uuid as uuid_module
from collections.abc import Sequence
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from domstats.catalog.groups import group_of
from domstats.errors import UnknownDomain
from domstats.model.domain import Domain, is_uuid
from domstats.model.params import ParamType
from domstats.model.sampling import OVERLAID

DomainKey = str | int | uuid_module.UUID
Positions = npt.NDArray[np.int64]


class Shape:
    """The ordered keys and types of a record. Equal shapes are the same object; a host of 1,024 guests had 11."""

    __slots__ = (
        "__weakref__", "columns", "derived", "entries", "groups", "keys", "overlaid", "slots", "string_places",
        "string_slots", "types",
    )  # fmt: skip

    keys: tuple[str, ...]
    types: bytes
    """A ParamType a slot."""
    slots: dict[str, int]
    """Slot of each key; of a duplicate key, the last."""
    entries: dict[str, tuple[int, int]]
    """Slot and type of each key, for look-ups that need both."""
    groups: bytes
    """Index into catalog.groups.GROUP_NAMES a slot."""
    overlaid: bytes
    """1 for a slot whose value the kernel gives in libvirt's place, else 0; empty where there is none."""
    columns: bytes
    """Index into model.sampling.COLUMN_NAMES a slot: where its time and source stand."""
    string_slots: tuple[int, ...]
    """Slots that hold strings, ascending."""
    string_places: dict[int, int]
    """Where among the strings of a record that of each such slot is."""
    derived: dict[Any, Any]
    """What other modules have worked out from this shape and wish to keep as long as it lives."""

    @classmethod
    def of(cls, keys: Sequence[str], types: bytes, overlaid: bytes = b"") -> Shape:
        """The shape with these keys and types; `overlaid`: a 0 or 1 a slot, or nothing where all are 0."""
        identity = (tuple(keys), types, overlaid if any(overlaid) else b"")
        shape = _shapes.get(identity)
        if shape is None:
            shape = cls.__new__(cls)
            shape.keys, shape.types, shape.overlaid = identity
            shape.slots = {key: slot for slot, key in enumerate(shape.keys)}
            shape.entries = {key: (slot, types[slot]) for key, slot in shape.slots.items()}
            shape.groups = shape.columns = bytes(map(group_of, shape.keys))
            if shape.overlaid:
                pairs = zip(shape.groups, shape.overlaid, strict=True)
                shape.columns = bytes(group + OVERLAID * other for group, other in pairs)
            shape.string_slots = tuple(slot for slot, kind in enumerate(types) if kind == ParamType.STRING)
            shape.string_places = {slot: place for place, slot in enumerate(shape.string_slots)}
            shape.derived = {}
            _shapes[identity] = shape
        return shape

    def __reduce__(self) -> tuple[Any, ...]:
        return Shape.of, (self.keys, self.types, self.overlaid)

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"<Shape of {len(self.keys)} keys>"


_shapes: WeakValueDictionary[tuple[tuple[str, ...], bytes, bytes], Shape] = WeakValueDictionary()


_numbers = count()


class RecordLayout:
    """One domain's identity, shape and strings. A new one is made only when one of the three changes."""

    __slots__ = ("__weakref__", "derived", "domain", "number", "shape", "strings")

    def __init__(self, domain: Domain, shape: Shape, strings: Sequence[str] = ()) -> None:
        self.domain = domain
        self.shape = shape
        self.strings = tuple(strings)
        self.number = next(_numbers)
        """No other record layout of this process ever has it: what is to know it again need not keep it alive."""
        self.derived: dict[Any, Any] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return RecordLayout, (self.domain, self.shape, self.strings)

    def __repr__(self) -> str:
        return f"<RecordLayout of {self.domain.name!r}, {len(self.shape)} values>"


class Layout:
    """The record layouts of a snapshot, and where each one's values begin in its array."""

    __slots__ = ("__weakref__", "_index", "derived", "records", "starts")

    def __init__(self, records: Sequence[RecordLayout]) -> None:
        self.records: tuple[RecordLayout, ...] = tuple(records)
        sizes = np.fromiter((len(record.shape) for record in self.records), np.int64, len(self.records))
        self.starts: Positions = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
        """Index of each record's first value; one more at the end, the number of values."""
        self.starts.flags.writeable = False
        self.derived: dict[Any, Any] = {}
        self._index: dict[DomainKey, int] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Layout, (self.records,)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(self.starts[-1])

    @property
    def index(self) -> dict[DomainKey, int]:
        """Position of each domain by UUID, id and (unless it looks like a UUID) name; made at the first look-up."""
        if self._index is None:
            names: dict[DomainKey, int] = {}
            uuids: dict[DomainKey, int] = {}
            for position, record in enumerate(self.records):
                domain = record.domain
                uuids[domain.uuid] = position
                if domain.id is not None:
                    uuids[domain.id] = position
                if not is_uuid(domain.name):
                    names[domain.name] = position
            self._index = names | uuids
        return self._index

    def position(self, key: DomainKey) -> int:
        """Position of the domain with this UUID (text or uuid.UUID), id (int) or name. Raises UnknownDomain."""
        normal = key
        if isinstance(key, uuid_module.UUID):
            normal = str(key)
        elif isinstance(key, str) and is_uuid(key):
            normal = key.lower()
        try:
            return self.index[normal]
        except (KeyError, TypeError):
            raise UnknownDomain(key) from None

    def by_shape(self) -> list[tuple[Shape, Positions]]:
        """Each shape of the layout with the positions of its records, ascending."""
        found: list[tuple[Shape, Positions]] | None = self.derived.get("by_shape")
        if found is None:
            members: dict[Shape, list[int]] = {}
            for position, record in enumerate(self.records):
                members.setdefault(record.shape, []).append(position)
            found = [(shape, np.array(positions, np.int64)) for shape, positions in members.items()]
            self.derived["by_shape"] = found
        return found
