"""How a domain is looked up by what a user calls it."""

from __future__ import annotations

import uuid
from enum import Enum, auto

from domstats.model.domain import is_uuid
from domstats.model.layout import DomainKey

_ID_MAX = 0x7FFFFFFF
"""Ids are C ints."""
_ID_DIGITS = 10
"""Digits of the largest id."""


class By(Enum):
    """What a domain is looked up by."""

    ID = auto()
    UUID = auto()
    NAME = auto()


def lookups(name: DomainKey) -> list[tuple[By, int | str]]:
    """The look-ups to try, in this order; UUIDs in lower case.

    Text is taken as virsh takes it: as an id if it is all digits, then as a UUID if it has a UUID's form, then as a
    name. A number is an id and nothing else, a uuid.UUID a UUID.
    """
    if isinstance(name, int):
        return [(By.ID, name)] if 0 <= name <= _ID_MAX else []
    if isinstance(name, uuid.UUID):
        return [(By.UUID, str(name))]
    tries: list[tuple[By, int | str]] = []
    if name.isascii() and name.isdigit() and len(name) <= _ID_DIGITS and int(name) <= _ID_MAX:
        tries.append((By.ID, int(name)))
    if is_uuid(name):
        tries.append((By.UUID, name.lower()))
    tries.append((By.NAME, name))
    return tries
