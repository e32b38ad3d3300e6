"""What identifies a domain."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from domstats.model.description import Description

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z", re.IGNORECASE)


def is_uuid(text: str) -> bool:
    """Whether the text has a UUID's form, 36 characters with hyphens."""
    return _UUID.match(text) is not None


@dataclass(frozen=True, slots=True)
class Domain:
    """A guest, as libvirt names it."""

    name: str
    uuid: str
    """Lower-case text with hyphens."""
    id: int | None
    """The number of the running instance, new at each start; None when the domain is off."""
    info: Description | None = field(default=None, compare=False, repr=False)
    """What its definition says of it; None where that has not been read."""
