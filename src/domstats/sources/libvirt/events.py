"""libvirt's domain events: which ones to ask for, and what each of them says."""

from __future__ import annotations

from typing import Any

from domstats.sources import DomainEvent
from domstats.wire.procedures import Procedure

FILTERED_FEATURE = 14
"""VIR_DRV_FEATURE_REMOTE_EVENT_CALLBACK: the daemon sends a client the events it asked for, and no others."""
EVENT_IDS = (0, 15, 19, 23, 27)
"""Of virDomainEventID: lifecycle, device removed, device added, metadata change, NIC MAC change (since 11.2)."""
_DEFINED, _STARTED = 0, 2
"""Of virDomainEventType."""


def domain_event(procedure: Procedure, values: Any) -> DomainEvent | None:
    """What an event says of a domain, from what it carries; None for an event that is not among EVENT_IDS."""
    match procedure:
        case Procedure.DOMAIN_EVENT_CALLBACK_LIFECYCLE:
            _, domain, event, detail = values
            described = event in (_DEFINED, _STARTED)
            return DomainEvent(domain, lifecycle=True, described=described, what=event, detail=detail)
        case (
            Procedure.DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED
            | Procedure.DOMAIN_EVENT_CALLBACK_DEVICE_ADDED
            | Procedure.DOMAIN_EVENT_CALLBACK_METADATA_CHANGE
            | Procedure.DOMAIN_EVENT_NIC_MAC_CHANGE
        ):
            return DomainEvent(values[1], lifecycle=False, described=True)
    return None
