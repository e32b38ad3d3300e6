"""Who is there: the domains of a snapshot as libvirt's lists and look-ups give them."""

from __future__ import annotations

from collections.abc import Sequence

from domstats.catalog.enums import DOMAIN_STATES
from domstats.errors import NoDomain, RemoteError, UnknownField
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter
from domstats.model.layout import Layout
from domstats.model.record import Record
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot

INVALID_ARG, NO_DOMAIN = 8, 42
"""Of virErrorNumber."""
FROM_QEMU = 10
"""Of virErrorDomain: libvirt's driver for QEMU, from where clients expect these errors."""
_RUNNING, _PAUSED, _SHUTOFF = (DOMAIN_STATES.index(name) for name in ("running", "paused", "shutoff"))
_STATES = DomainFilter.RUNNING | DomainFilter.PAUSED | DomainFilter.SHUTOFF | DomainFilter.OTHER
_BY_STATE = {_RUNNING: DomainFilter.RUNNING, _PAUSED: DomainFilter.PAUSED, _SHUTOFF: DomainFilter.SHUTOFF}
NOT_KNOWN_HERE = DomainFilter.PERSISTENT | DomainFilter.TRANSIENT
"""Filters that a snapshot does not answer."""
LIST_FLAGS = 0xFFFF
"""All there are of virConnectListAllDomainsFlags; the first eight are those of DomainFilter."""
STATE_FLAGS = int(DomainFilter.ACTIVE | DomainFilter.INACTIVE | _STATES)
"""The filters that a snapshot answers."""


class Roll:
    """The domains of a snapshot that are there."""

    def __init__(self, layout: Layout, positions: Sequence[int]) -> None:
        """Use `Rolls.of`."""
        self.layout = layout
        self.positions = positions
        """In the snapshot, those that are gone left out."""
        self.domains = [layout.records[position].domain for position in positions]
        self.by_uuid = {domain.uuid: position for domain, position in zip(self.domains, positions, strict=True)}
        self.by_name = {domain.name: domain for domain in self.domains}
        self.by_id = {domain.id: domain for domain in self.domains if domain.id is not None}

    def named(self, name: str) -> Domain:
        """The domain of that name. Raises NoDomain."""
        return self._found(self.by_name.get(name), f"name '{name}'")

    def numbered(self, number: int) -> Domain:
        """The domain of that id. Raises NoDomain."""
        return self._found(self.by_id.get(number), f"id {number}")

    def identified(self, uuid: str) -> Domain:
        """The domain of that UUID. Raises NoDomain."""
        position = self.by_uuid.get(uuid)
        domain = None if position is None else self.layout.records[position].domain
        return self._found(domain, f"uuid '{uuid}'")

    @staticmethod
    def _found(domain: Domain | None, what: str) -> Domain:
        if domain is None:
            raise NoDomain(NO_DOMAIN, FROM_QEMU, f"Domain not found: no domain with matching {what}")
        return domain


class Rolls:
    """Makes the roll of a snapshot, and keeps it until who is there changes."""

    def __init__(self) -> None:
        self._last: tuple[Layout, bytes, Roll] | None = None

    def of(self, snapshot: Snapshot) -> Roll:
        """Who is there."""
        there = snapshot.sampling.status != Status.GONE
        which = there.tobytes()
        if self._last is None or self._last[0] is not snapshot.layout or self._last[1] != which:
            roll = Roll(snapshot.layout, there.nonzero()[0].tolist())
            self._last = snapshot.layout, which, roll
        return self._last[2]


def record_of(snapshot: Snapshot, roll: Roll, domain: Domain) -> Record:
    """The record of a domain that a call names; as libvirt does, by its UUID alone. Raises NoDomain."""
    position = roll.by_uuid.get(domain.uuid)
    if position is None:
        text = f"Domain not found: no domain with matching uuid '{domain.uuid}' ({domain.name})"
        raise NoDomain(NO_DOMAIN, FROM_QEMU, text)
    return Record(snapshot, position)


def check_flags(flags: int, allowed: int, function: str) -> None:
    """Raise libvirt's error for flags that do not exist. `function`: the name of libvirt's that says so."""
    if flags & ~allowed:
        raise RemoteError(INVALID_ARG, FROM_QEMU, f"unsupported flags (0x{flags:x}) in function {function}")


def passes(record: Record, flags: int) -> bool:
    """Whether the record passes the filters by activity and state; of other flags nothing is known here."""
    active = record.domain.id is not None
    asked = flags & (DomainFilter.ACTIVE | DomainFilter.INACTIVE)
    if asked and not asked & (DomainFilter.ACTIVE if active else DomainFilter.INACTIVE):
        return False
    if not flags & _STATES:
        return True
    return bool(flags & _BY_STATE.get(state_of(record), DomainFilter.OTHER))


def state_of(record: Record) -> int:
    """The domain's virDomainState; 0 (no state) where it is not known."""
    try:
        return int(record["state.state"])
    except UnknownField:
        return 0
