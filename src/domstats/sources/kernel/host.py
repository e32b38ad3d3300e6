"""All guests of a host: who comes and who goes, and a poll of their figures."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from domstats.errors import OutOfFiles
from domstats.model.columns import Values
from domstats.model.domain import Domain
from domstats.model.layout import Layout
from domstats.sources.kernel import devices, rights
from domstats.sources.kernel.descriptors import Descriptors, make_room
from domstats.sources.kernel.devices import Counters
from domstats.sources.kernel.guest import Changed, Ended, Guest
from domstats.sources.kernel.keys import INTERFACE, Plan
from domstats.sources.kernel.uri import KernelConfig
from domstats.sources.processes import STARTING_UP, TICKS, GuestProcess, Processes

T = TypeVar("T")
_EVERY = 256
"""Of so many guests one is looked at thoroughly each poll, though nothing seems to have changed: 0.5 ms."""
_OFTEN = 4
"""So many polls of network devices apart each is looked at for whether it has more or fewer files open: 6 us. So many
polls apart a guest with vCPUs that are not known is looked at for those: 8 us a thread."""
_TRIES = 3
"""How often a guest whose vCPUs come and go is looked at and read in one poll."""
_TOGETHER = 5
"""Seconds between the starts of two processes that are one guest's."""
_NAMESPACE = uuid.UUID("7d3a8f60-1c7e-5a55-9d0b-6f1f5c5e2a11")
"""For the UUIDs of guests that have none."""


@dataclass(slots=True)
class _Namespace:
    counters: Mapping[str, Counters]
    names: Mapping[int, str] | None = None


class KernelHost:
    """Not to be used by two threads at once, but for `lacking`."""

    def __init__(self, config: KernelConfig) -> None:
        self._config = config
        self._processes = Processes(config.proc)
        self._descriptors = Descriptors(make_room(config.descriptors))
        self._guests: dict[GuestProcess, Guest] = {}
        self._layouts: dict[tuple[int, ...], tuple[tuple[Plan, ...], Layout, Values]] = {}
        self._namespaces: dict[str, _Namespace] = {}
        """Of this poll."""
        self._met = 0
        self._uuids: set[str] = set()
        """Those of the guests."""
        self._freed: dict[str, GuestProcess] = {}
        """Those of guests that have gone since the last look."""
        self._listed = True

    @property
    def held(self) -> int:
        """Files held open."""
        return self._descriptors.held

    def close(self) -> None:
        """Hold nothing; safe to call twice."""
        for guest in list(self._guests.values()):
            self._drop(guest)

    def look(self) -> list[Guest]:
        """Who is there now, in the order they were found. Raises OutOfFiles."""
        return self._with_room(self._look)

    def _look(self) -> list[Guest]:
        there, self._listed = self._processes.look()
        for process in self._guests.keys() - set(there):
            self._drop(self._guests[process])
        self._hand_on()
        new = [process for process in there if process not in self._guests]
        old = self._processes.old_before() if new else 0
        for process in new:
            self._meet(process, old)
        return list(self._guests.values())

    def _meet(self, process: GuestProcess, old: int) -> None:
        guest = Guest(process, self._domain(process), self._config.proc, self._config.sys, self._descriptors)
        try:
            guest.look_at_threads()
        except (OSError, Ended):
            guest.close()
            self._processes.forget(process)
            return
        except OutOfFiles:
            guest.close()
            raise
        # So that not all of them are looked at in the same poll.
        guest.polls = guest.device_polls = self._met
        guest.young_until = time.monotonic() + min((int(process.started) - old) / TICKS, STARTING_UP)
        self._met += 1
        self._guests[process] = guest
        self._uuids.add(guest.domain.uuid)

    def _drop(self, guest: Guest) -> None:
        guest.close()
        if self._guests.get(guest.process) is guest:
            del self._guests[guest.process]
            self._uuids.discard(guest.domain.uuid)
            self._freed[guest.domain.uuid] = guest.process

    def _hand_on(self) -> None:
        """Give a UUID that has become free to the process that its process has started, as QEMU's `-daemonize` does.

        Nobody else gets it: those who only say that they are that guest would have it before one that starts again.
        """
        free, self._freed = self._freed, {}
        for guest in self._guests.values() if free else ():
            before = free.get(_identity(guest.process))
            if before is not None and _begun_together(before, guest.process):
                self._uuids.discard(guest.domain.uuid)
                guest.become(self._domain(guest.process))
                self._uuids.add(guest.domain.uuid)

    def _with_room(self, work: Callable[[], T]) -> T:
        """Do it; where no file may be opened hold fewer of them from now on, and do it once more."""
        try:
            return work()
        except OutOfFiles:
            self._descriptors.lower()
            for guest in reversed(self._guests.values()):
                if self._descriptors.held <= self._descriptors.budget:
                    break
                guest.let_go()
        return work()

    def _domain(self, process: GuestProcess) -> Domain:
        """Its identity. A guest without a UUID, or with one that is taken, gets one that stays with the process."""
        command = process.command
        name = command.name or f"qemu-{process.number}"
        identity = _identity(process)
        if not identity or identity in self._uuids:
            identity = str(uuid.uuid5(_NAMESPACE, f"{process.number} {process.started.decode()}"))
        return Domain(name, identity, process.number)

    def poll(self, guests: Sequence[Guest], groups: int) -> tuple[Layout, Values]:
        """The records of these guests with these groups (bits); those that end meanwhile are left out.

        Raises OutOfFiles.
        """
        return self._with_room(lambda: self._poll([guest for guest in guests if guest.process in self._guests], groups))

    def _poll(self, guests: Sequence[Guest], groups: int) -> tuple[Layout, Values]:
        self._namespaces = {}
        now = time.monotonic()
        there = [guest for guest in guests if self._looked_at(guest, groups, now)]
        counters = [self._counters(guest, groups) for guest in there]
        plans = [guest.plan(groups, counted) for guest, counted in zip(there, counters, strict=True)]
        layout, template = self._layout(plans)
        values = template.copy()
        flat = memoryview(values)  # type: ignore[arg-type]  # an array is a buffer
        again: list[int] = []
        starts = layout.starts.tolist()[:-1]
        for position, (guest, plan, counted, start) in enumerate(zip(there, plans, counters, starts, strict=True)):
            try:
                guest.read(plan, counted, flat, start)
            except (Changed, Ended):
                again.append(position)
        return self._once_more(there, groups, plans, again, values) if again else (layout, values)

    def _looked_at(self, guest: Guest, groups: int, now: float) -> bool:
        """Look whether a guest is as it was; False if it has ended."""
        guest.polls += 1
        try:
            if guest.polls % _EVERY == 0:
                guest.look_at_threads()
            elif now < guest.young_until or (guest.polls % _OFTEN == 0 and not guest.all_vcpus_known):
                guest.look_for_vcpus()
            if groups & INTERFACE:
                guest.device_polls += 1
                if guest.nics is None or guest.device_polls % _OFTEN == 0:
                    guest.look_at_nics(self._names, surely=guest.device_polls % _EVERY == 0)
                self._find_counters(guest)
        except (OSError, Ended):
            self._end(guest)
            return False
        return True

    def _end(self, guest: Guest) -> None:
        self._processes.forget(guest.process)
        self._drop(guest)

    def _names(self, namespace: str, directory: int) -> Mapping[int, str]:
        space = self._space(namespace, directory)
        if space.names is None:
            space.names = devices.numbers(directory)
        return space.names

    def _space(self, namespace: str, directory: int) -> _Namespace:
        if namespace not in self._namespaces:
            self._namespaces[namespace] = _Namespace(devices.counters(directory))
        return self._namespaces[namespace]

    def _find_counters(self, guest: Guest) -> None:
        if guest.nics and guest.namespace not in (devices.NOWHERE, *self._namespaces):
            guest.in_its_directory(lambda directory: _ignore(self._space(guest.namespace, directory)))

    def _counters(self, guest: Guest, groups: int) -> Mapping[str, Counters]:
        if not groups & INTERFACE or guest.namespace == devices.NOWHERE:
            return {}
        space = self._namespaces.get(guest.namespace)
        return {} if space is None else space.counters

    def _layout(self, plans: Sequence[Plan]) -> tuple[Layout, Values]:
        """The layout of these records, and its values with what does not change filled in; kept for the next poll."""
        key = tuple(map(id, plans))
        kept = self._layouts.get(key)
        if kept is None:
            layout = Layout([plan.layout for plan in plans])
            template = np.array([value for plan in plans for value in plan.template], np.uint64)
            # The plans are kept with it, so that no other has the identity of one of them.
            kept = (tuple(plans), layout, template)
            self._layouts = {**dict(list(self._layouts.items())[-3:]), key: kept}
        return kept[1], kept[2]

    def _once_more(
        self, guests: Sequence[Guest], groups: int, plans: list[Plan], again: Sequence[int], values: Values
    ) -> tuple[Layout, Values]:
        """Look again at those guests whose threads were others than known, and leave out those that have ended."""
        starts = np.cumsum([0, *(len(plan.template) for plan in plans)]).tolist()
        parts = {number: values[starts[number] : starts[number + 1]] for number in range(len(plans))}
        for number in again:
            del parts[number]
            for _ in range(_TRIES):
                try:
                    plans[number], parts[number] = self._anew(guests[number], groups)
                except Changed:  # a vCPU has ended since: the next look leaves it out
                    continue
                except (OSError, Ended):
                    self._end(guests[number])
                break
        layout, _ = self._layout([plans[number] for number in sorted(parts)])
        return layout, np.concatenate([np.empty(0, np.uint64), *(parts[number] for number in sorted(parts))])

    def _anew(self, guest: Guest, groups: int) -> tuple[Plan, Values]:
        guest.look_at_threads()
        counters = self._counters(guest, groups)
        chosen = guest.plan(groups, counters)
        values = np.array(chosen.template, np.uint64)
        guest.read(chosen, counters, memoryview(values), 0, looked=True)  # type: ignore[arg-type]  # it is a buffer
        return chosen, values

    def lacking(self) -> list[rights.Lack]:
        """What cannot be had, of the host and of the guests that were there at the last look, and why."""
        found = list(rights.ALWAYS)
        if not self._listed:
            found.append(rights.Lack("every key", rights.NO_PROCESSES))
        # A copy, made in one go: another thread may be polling, which changes who is there.
        for guest in list(self._guests.values()):
            found += guest.lacking()
        return found


def _identity(process: GuestProcess) -> str:
    """The UUID of a guest, as far as it says who it is; empty where it does not."""
    command = process.command
    if command.uuid or not command.name:
        return command.uuid
    return str(uuid.uuid5(_NAMESPACE, command.name.encode("utf-8", "surrogateescape").hex()))


def _begun_together(one: GuestProcess, other: GuestProcess) -> bool:
    return one.line == other.line and abs(one.age[0] - other.age[0]) <= _TOGETHER * TICKS


def _ignore(_value: object) -> None:
    """Done for what it leaves behind."""
