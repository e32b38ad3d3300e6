"""Telling what happens at a scripted host while it happens, as libvirt's domain events do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from math import inf

from domstats.sources import DomainEvent, OnDomainEvent
from domstats.sources.sim.guests import RUNNING
from domstats.sources.sim.history import History
from domstats.sources.sim.life import Life

_DEFINED, _UNDEFINED, _STARTED, _SUSPENDED, _RESUMED, _STOPPED = range(6)
"""Of virDomainEventType."""
_RENAMED = 2
"""Of virDomainEventDefinedDetailType."""


class Teller:
    """Calls somebody with each event from now on, until it is stopped."""

    def __init__(self, history: History, opened: float, now: float, on_event: OnDomainEvent) -> None:
        """`opened`: the loop's time when the script began. `now`: the script's time."""
        self._history, self._opened, self._on_event = history, opened, on_event
        self._timer: asyncio.TimerHandle | None = None
        self._wait(now)

    def stop(self) -> None:
        """Tell nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, now: float) -> None:
        at = self._history.next_change(now)
        if at < inf:
            self._timer = asyncio.get_running_loop().call_at(self._opened + at, self._tell, at)

    def _tell(self, at: float) -> None:
        self._wait(at)
        for before, after in self._history.changed(at):
            for event in _events(before, after):
                self._on_event(event)


def _events(before: Life | None, after: Life | None) -> Iterator[DomainEvent]:
    """What libvirt says of a guest that was the one and is the other; of most changes nothing."""
    if after is None:
        if before is not None:
            what = _STOPPED if before.active else _UNDEFINED  # one that is on becomes transient, and goes with its end
            yield DomainEvent(replace(before.domain, id=None), lifecycle=True, described=False, what=what)
        return
    if before is None or before.domain.name != after.domain.name:
        # It was defined; a new name is told so, too.
        detail = 0 if before is None else _RENAMED
        yield DomainEvent(after.domain, lifecycle=True, described=True, what=_DEFINED, detail=detail)
    if before is not None and before.state != after.state:
        described = after.active and not before.active
        yield DomainEvent(after.domain, lifecycle=True, described=described, what=_what(before, after))
    if before is not None and before.active and after.active and _devices(before) != _devices(after):
        yield DomainEvent(after.domain, lifecycle=False, described=True)


def _what(before: Life, after: Life) -> int:
    """Which event tells that a guest's state is another."""
    if not after.active:
        return _STOPPED
    if not before.active:
        return _STARTED
    return _RESUMED if after.state == RUNNING else _SUSPENDED


def _devices(life: Life) -> list[tuple[int, str]]:
    """What there is to attach and detach."""
    return [(device.number, device.name) for device in (*life.disks, *life.nics)]
