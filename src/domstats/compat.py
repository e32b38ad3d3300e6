"""For code written against libvirt-python: its domain objects and its form of the statistics."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter
from domstats.model.params import Value
from domstats.model.record import Record


@dataclass(frozen=True, slots=True)
class LibvirtDomain:
    """A domain with the methods of libvirt-python's virDomain that statistics code uses."""

    domain: Domain

    def name(self) -> str:
        """The domain's name."""
        return self.domain.name

    def UUIDString(self) -> str:  # noqa: N802  libvirt-python's name
        """The UUID as text."""
        return self.domain.uuid

    def UUID(self) -> bytes:  # noqa: N802  libvirt-python's name
        """The UUID as 16 bytes."""
        return uuid.UUID(self.domain.uuid).bytes

    def ID(self) -> int:  # noqa: N802  libvirt-python's name
        """The id, -1 for a domain that is off."""
        return -1 if self.domain.id is None else self.domain.id


LibvirtStats = list[tuple[LibvirtDomain, dict[str, Value]]]


def libvirt_stats(records: Iterable[Record]) -> LibvirtStats:
    """Records in libvirt-python's form."""
    return [(LibvirtDomain(record.domain), dict(record.items())) for record in records]


def libvirt_flags(flags: int) -> DomainFilter:
    """libvirt's flags as ours; its Python binding has bit 31 as a negative number in some versions."""
    return DomainFilter(flags & 0xFFFFFFFF)
