"""Which guests are stuck, and when to ask them again."""

from __future__ import annotations

from dataclasses import dataclass

BACK_OFF = (2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds between two looks at a stuck guest: soon at first, since most come back soon."""


@dataclass
class _Stuck:
    since: float
    looks: int = 0
    next_look: float = 0.0
    held_by_us: bool = False
    stopped: bool = False


class Breaker:
    """Times are the caller's monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._stuck: dict[str, _Stuck] = {}

    def __contains__(self, uuid: object) -> bool:
        return uuid in self._stuck

    def __len__(self) -> int:
        return len(self._stuck)

    def trip(self, uuid: str, now: float, *, held_by_us: bool) -> None:
        """The guest is stuck. `held_by_us`: a call of ours hangs on it, so its job is taken and NOWAIT passes it."""
        stuck = self._stuck.setdefault(uuid, _Stuck(now, next_look=now + BACK_OFF[0]))
        stuck.held_by_us = stuck.held_by_us or held_by_us

    def held_by_us(self, uuid: str) -> bool:
        """Whether a call of ours hangs on it."""
        return uuid in self._stuck and self._stuck[uuid].held_by_us

    def released(self, uuid: str, now: float) -> None:
        """Our hung call has ended: the guest seems to answer again, and may be asked at once."""
        if uuid in self._stuck:
            self._stuck[uuid].held_by_us = False
            self._stuck[uuid].next_look = now

    def stopped(self, uuids: set[str], now: float) -> None:
        """The processes of these guests, and of no others, are stopped: one that goes on may be asked at once."""
        for uuid in uuids:
            self.trip(uuid, now, held_by_us=False)
        for uuid, stuck in self._stuck.items():
            if stuck.stopped and uuid not in uuids:
                stuck.next_look = now
            stuck.stopped = uuid in uuids

    def due(self, now: float) -> list[str]:
        """The stuck guests it is time to look at; each is then due again after its back-off.

        Not those that are stopped, which cannot answer, unless our own call holds their job.
        """
        found = [
            uuid
            for uuid, stuck in self._stuck.items()
            if stuck.next_look <= now and (stuck.held_by_us or not stuck.stopped)
        ]
        for uuid in found:
            stuck = self._stuck[uuid]
            stuck.looks += 1
            stuck.next_look = now + BACK_OFF[min(stuck.looks, len(BACK_OFF) - 1)]
        return found

    def reset(self, uuid: str) -> None:
        """The guest has answered fully, or is gone."""
        self._stuck.pop(uuid, None)

    def keep_only(self, uuids: set[str]) -> None:
        """There are these guests, and no others."""
        for uuid in self._stuck.keys() - uuids:
            del self._stuck[uuid]

    def keep_at_most(self, count: int) -> None:
        """Forget all guests if there are more, but for those on whom a call of ours hangs: these are few."""
        if len(self._stuck) > count:
            self._stuck = {uuid: stuck for uuid, stuck in self._stuck.items() if stuck.held_by_us}
