"""Words for the numbers libvirt sends: states, their reasons, events.

Source: the enumerations of libvirt's API up to 12.8. Reasons and control states have the words of `virsh domstate
--reason` and `virsh domcontrol`; domain states have one word each, libvirt's own in lower case.
"""

from __future__ import annotations

DOMAIN_STATES = ("nostate", "running", "blocked", "paused", "shutdown", "shutoff", "crashed", "pmsuspended")
"""virDomainState: the values of `state.state`."""

REASONS: tuple[tuple[str, ...], ...] = (
    ("unknown",),
    (
        "unknown",
        "booted",
        "migrated",
        "restored",
        "from snapshot",
        "unpaused",
        "migration canceled",
        "save canceled",
        "event wakeup",
        "crashed",
        "post-copy",
        "post-copy failed",
    ),
    ("unknown",),
    (
        "unknown",
        "user",
        "migrating",
        "saving",
        "dumping",
        "I/O error",
        "watchdog",
        "from snapshot",
        "shutting down",
        "creating snapshot",
        "crashed",
        "starting up",
        "post-copy",
        "post-copy failed",
        "api error",
    ),
    ("unknown", "user"),
    ("unknown", "shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from snapshot", "daemon"),
    ("unknown", "panicked"),
    ("unknown",),
)
"""virDomain<State>Reason, by domain state: the values of `state.reason`."""

VCPU_STATES = ("offline", "running", "blocked")
"""virVcpuState: the values of `vcpu.<id>.state`."""

DIRTYRATE_STATUSES = ("unstarted", "measuring", "measured")
"""virDomainDirtyRateStatus: the values of `dirtyrate.calc_status`."""

LIFECYCLE_EVENTS = (
    "defined",
    "undefined",
    "started",
    "suspended",
    "resumed",
    "stopped",
    "shutdown",
    "pmsuspended",
    "crashed",
)
"""virDomainEventType: what a lifecycle event says has happened."""

CONTROL_STATES = ("ok", "background job", "occupied", "error")
"""virDomainControlState: whether the domain's monitor can be used."""


def _name(names: tuple[str, ...], number: int) -> str:
    return names[number] if 0 <= number < len(names) else str(number)


def state_name(state: int) -> str:
    """The word for a domain state; the number as text when it is not known."""
    return _name(DOMAIN_STATES, state)


def reason_name(state: int, reason: int) -> str:
    """The word for why a domain is in that state; the number as text when either is not known."""
    return _name(REASONS[state] if 0 <= state < len(REASONS) else (), reason)


def vcpu_state_name(state: int) -> str:
    """The word for a vCPU's state; the number as text when it is not known."""
    return _name(VCPU_STATES, state)


def dirtyrate_status_name(status: int) -> str:
    """The word for how far a dirty rate calculation is; the number as text when it is not known."""
    return _name(DIRTYRATE_STATUSES, status)


def lifecycle_event_name(event: int) -> str:
    """The word for a lifecycle event; the number as text when it is not known."""
    return _name(LIFECYCLE_EVENTS, event)


def control_state_name(state: int) -> str:
    """The word for the state of a domain's monitor; the number as text when it is not known."""
    return _name(CONTROL_STATES, state)
