"""Which values have a color on a terminal, as the parameters of its SGR sequence."""

from __future__ import annotations

from domstats.model.sampling import Status

RED, GREEN, YELLOW, FAINT = "31", "32", "33", "2"
HIGH_STEAL, TOO_HIGH_STEAL = 10.0, 30.0
"""Percent of its time that a guest notices to lack, and that it suffers from."""

_STATES = {
    "running": GREEN,
    "blocked": GREEN,
    "paused": YELLOW,
    "pmsuspended": YELLOW,
    "crashed": RED,
    "shutdown": FAINT,
    "shutoff": FAINT,
}
_STATUSES = {Status.PARTIAL: YELLOW, Status.STALE: YELLOW, Status.BLOCKED: RED, Status.GONE: RED}


def state_style(state: str) -> str:
    """A domain's state."""
    return _STATES.get(state, "")


def status_style(status: Status) -> str:
    """A record's status."""
    return _STATUSES.get(status, "")


def steal_style(percent: float) -> str:
    """Time a guest waits for a processor."""
    return RED if percent >= TOO_HIGH_STEAL else YELLOW if percent >= HIGH_STEAL else ""
