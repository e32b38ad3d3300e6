"""All guests of a host: who comes and who goes, and a poll of their figures."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from domstats.model.columns import Values
from domstats.model.domain import Domain
from domstats.model.layout import Layout
from domstats.sources.kernel import devices, rights
from domstats.sources.kernel.descriptors import Descriptors, make_room
from domstats.sources.kernel.devices import Counters
from domstats.sources.kernel.guest import Changed, Ended, Guest
from domstats.sources.kernel.keys import INTERFACE, Plan
from domstats.sources.kernel.uri import KernelConfig
from domstats.sources.processes import GuestProcess, Processes

_EVERY = 256
"""Of so many guests one is looked at thoroughly each poll, though nothing seems to have changed: 0.5 ms."""
_OFTEN = 4
"""And so many polls apart each is looked at for whether it has more or fewer files open, thus network devices: 6 us."""
_NAMESPACE = uuid.UUID("7d3a8f60-1c7e-5a55-9d0b-6f1f5c5e2a11")
"""For the UUIDs of guests that have none."""


@dataclass(slots=True)
class _Namespace:
    counters: Mapping[str, Counters]
    names: Mapping[int, str] | None = None


class KernelHost:
    """Not to be used by two threads at once."""

    def __init__(self, config: KernelConfig) -> None:
        self._config = config
        self._processes = Processes(config.proc)
        self._descriptors = Descriptors(make_room(config.descriptors))
        self._guests: dict[GuestProcess, Guest] = {}
        self._layouts: dict[tuple[int, ...], tuple[tuple[Plan, ...], Layout, Values]] = {}
        self._namespaces: dict[str, _Namespace] = {}
        """Of this poll."""
        self._polls = 0
        self._listed = True

    @property
    def held(self) -> int:
        """Files held open."""
        return self._descriptors.held

    def close(self) -> None:
        """Hold nothing; safe to call twice."""
        for guest in self._guests.values():
            guest.close()
        self._guests.clear()

    def look(self) -> list[Guest]:
        """Who is there now, in the order they were found."""
        there, self._listed = self._processes.look()
        present = set(there)
        for process in self._guests.keys() - present:
            self._guests.pop(process).close()
        for process in there:
            if process not in self._guests:
                self._meet(process)
        return list(self._guests.values())

    def _meet(self, process: GuestProcess) -> None:
        guest = Guest(process, self._domain(process), self._config.proc, self._config.sys, self._descriptors)
        try:
            guest.look_at_threads()
        except (OSError, Ended):
            guest.close()
            self._processes.forget(process)
            return
        self._guests[process] = guest

    def _domain(self, process: GuestProcess) -> Domain:
        """Its identity. A guest without a UUID, or with one that is taken, gets one that stays with the process."""
        command = process.command
        name = command.name or f"qemu-{process.number}"
        identity = command.uuid
        if not identity and command.name:
            identity = str(uuid.uuid5(_NAMESPACE, name.encode("utf-8", "surrogateescape").hex()))
        if not identity or any(guest.domain.uuid == identity for guest in self._guests.values()):
            identity = str(uuid.uuid5(_NAMESPACE, f"{process.number} {process.started.decode()}"))
        return Domain(name, identity, process.number)

    def poll(self, guests: Sequence[Guest], groups: int) -> tuple[Layout, Values]:
        """The records of these guests with these groups (bits); those that end meanwhile are left out."""
        self._namespaces = {}
        self._polls += 1
        there = [guest for number, guest in enumerate(guests) if self._looked_at(guest, number, groups)]
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

    def _looked_at(self, guest: Guest, number: int, groups: int) -> bool:
        """Look whether a guest is as it was; False if it has ended."""
        turn = number + self._polls
        surely = turn % _EVERY == 0
        try:
            if surely:
                guest.look_at_threads()
            if groups & INTERFACE:
                if surely or guest.nics is None or turn % _OFTEN == 0:
                    guest.look_at_nics(self._names, surely=surely)
                self._find_counters(guest)
        except (OSError, Ended):
            self._end(guest)
            return False
        return True

    def _end(self, guest: Guest) -> None:
        self._processes.forget(guest.process)
        if self._guests.get(guest.process) is guest:
            del self._guests[guest.process]
        guest.close()

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
            guest = guests[number]
            try:
                guest.look_at_threads()
                counters = self._counters(guest, groups)
                plans[number] = guest.plan(groups, counters)
                parts[number] = np.array(plans[number].template, np.uint64)
                flat = memoryview(parts[number])  # type: ignore[arg-type]  # an array is a buffer
                guest.read(plans[number], counters, flat, 0)
            except (OSError, Ended):
                self._end(guest)
                del parts[number]
            except Changed:
                del parts[number]
        layout, _ = self._layout([plans[number] for number in sorted(parts)])
        return layout, np.concatenate([np.empty(0, np.uint64), *(parts[number] for number in sorted(parts))])

    def lacking(self) -> list[rights.Lack]:
        """What cannot be had, of the host and of the guests that were there at the last look, and why."""
        found = list(rights.ALWAYS)
        if not self._listed:
            found.append(rights.Lack("every key", rights.NO_PROCESSES))
        for guest in self._guests.values():
            found += guest.lacking()
        return found


def _ignore(_value: object) -> None:
    """Done for what it leaves behind."""
