"""The rows of a table, and its columns by the names a user types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from domstats.catalog.enums import reason_name, state_name
from domstats.catalog.fields import Kind
from domstats.errors import UnknownField
from domstats.formats.columns import column_field, columns_of
from domstats.formats.named import Named
from domstats.formats.table import cells
from domstats.formats.table.cells import Column
from domstats.formats.table.reading import by_key, gathered, listed
from domstats.formats.table.styles import state_style, status_style, steal_style
from domstats.model.columns import Gather
from domstats.model.derived import RSS, Figures
from domstats.model.devices import DeviceFigures
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot

_Form = Callable[[Any], str]
_DOMAIN_FIGURES: dict[str, tuple[str, _Form]] = {
    "cpu": ("cpu_percent", cells.percent),
    "cpu-guest": ("cpu_guest_percent", cells.percent),
    "cpu-host": ("cpu_host_percent", cells.percent),
    "steal": ("steal_percent", cells.percent),
    "total": ("memory_total", cells.bytes_text),
    "read": ("disk_read", cells.bytes_text),
    "write": ("disk_write", cells.bytes_text),
    "reads": ("disk_reads", cells.count_text),
    "writes": ("disk_writes", cells.count_text),
    "rx": ("net_receive", cells.bytes_text),
    "tx": ("net_transmit", cells.bytes_text),
}
_DEVICE_FIGURES: dict[str, tuple[str, _Form]] = {
    "cpu": ("cpu_percent", cells.percent),
    "steal": ("steal_percent", cells.percent),
    "wait": ("wait_percent", cells.percent),
    "rd-time": ("read_time", cells.time_text),
    "wr-time": ("write_time", cells.time_text),
    "fl-time": ("flush_time", cells.time_text),
}
"""The columns that are derived figures: the figure's name, and how it is written."""


class View:
    """One table of a snapshot: a row a domain, or a row a device of every domain."""

    def __init__(self, snapshot: Snapshot, table: str, before: Snapshot | None) -> None:
        """`table`: one of model.tables.TABLES, empty for `domain`; `before`: an earlier snapshot, for rates."""
        self.snapshot = snapshot
        self._name = table
        self._columns = columns_of(table)
        self._rates = snapshot.rates(before) if before is not None else None
        self._devices = snapshot.table(table) if self._columns.prefix else None
        self._records = range(len(snapshot)) if self._devices is None else self._devices.record.tolist()

    def __len__(self) -> int:
        return len(self._records)

    @cached_property
    def names(self) -> list[str]:
        """The name of each row's domain."""
        return self.by_record([domain.name for domain in self.snapshot.domains])

    @cached_property
    def figures(self) -> Figures:
        """Those of the domains."""
        return Figures(self.snapshot, self._rates)

    @cached_property
    def devices(self) -> list[int]:
        """The number of each row's device; 0 in the table of domains."""
        return [0] * len(self) if self._devices is None else self._devices.device.tolist()

    def by_name(self) -> list[int]:
        """The rows by the names of their domains, the devices of each by their numbers."""
        order = list(zip(self.names, self._records, self.devices, strict=True))
        return sorted(range(len(self)), key=order.__getitem__)

    def by_record(self, values: Sequence[Any]) -> list[Any]:
        """What is known of each record, by row."""
        return [values[record] for record in self._records]

    def column(self, name: str) -> Column:
        """The column of that name; what is none is a key that no record has."""
        named = self._columns.find(name) or Named(name, cells.text(name), key=name)
        if named.key:
            return self._of_key(named)
        make = _MAKERS.get(named.name)
        return make(self, named) if make else self._of_figure(named)

    def is_known(self, name: str) -> bool:
        """Whether there is a column of that name: it has a word, or the catalogue or a record knows the key."""
        if self._columns.find(name) is not None or column_field(self._columns, name) is not None:
            return True
        return any(value is not None for value in self.column(name).values)

    def device_values(self, tail: str) -> list[Any]:
        """The values of the devices' keys with that tail, by row."""
        gather = self._gather(tail)
        return [None] * len(self) if gather is None else gathered(self.snapshot, gather)

    def _of_figure(self, named: Named) -> Column:
        figures: Figures | DeviceFigures
        if self._devices is None:
            attribute, form = _DOMAIN_FIGURES[named.name]
            figures = self.figures
        else:
            attribute, form = _DEVICE_FIGURES[named.name]
            figures = DeviceFigures(self.snapshot, self._name, self._rates)
        values = listed(getattr(figures, attribute))
        style = steal_style if named.name == "steal" else cells.no_style
        return Column(named.heading, values, form, leave_out=named.leave_out, style=style)

    def _gather(self, key: str) -> Gather | None:
        """Where the values of a key (of devices, a tail) are; None where no record has it."""
        try:
            return self.snapshot.gather(key) if self._devices is None else self._devices.gather(key)
        except UnknownField:
            return None

    def _of_key(self, named: Named) -> Column:
        field = column_field(self._columns, named.key)
        gather = self._gather(named.key)
        heading, rate = named.heading, False
        if self._rates is not None and field is not None and field.kind is Kind.COUNTER:
            heading, rate = f"{heading}/s", True
            values = [None] * len(self) if gather is None else listed(self._rates.read(gather.index, gather.valid))
        else:
            values = self.device_values(named.key) if self._devices is not None else by_key(self.snapshot, named.key)
        texts = any(isinstance(value, str) for value in values)
        return Column(
            heading,
            values,
            cells.form_of(field, rate=rate),
            left=texts or cells.has_words(field),
            flexible=texts,
            leave_out=named.leave_out,
        )


def _text_column(named: Named, values: Sequence[str | None]) -> Column:
    return Column(named.heading, values, cells.text, left=True, flexible=True, leave_out=named.leave_out)


def _name(view: View, named: Named) -> Column:
    return _text_column(named, view.names)


def _id(view: View, named: Named) -> Column:
    return Column(named.heading, view.by_record([domain.id for domain in view.snapshot.domains]), cells.number_text)


def _memory_used(view: View, named: Named) -> Column:
    marks = ["" if source != RSS else f" {RSS}" for source in view.figures.memory_source]
    return Column(named.heading, listed(view.figures.memory_used), cells.bytes_text, marks=marks, unless="mem from")


def _uuid(view: View, named: Named) -> Column:
    uuids = view.by_record([domain.uuid for domain in view.snapshot.domains])
    return Column(named.heading, uuids, cells.text, left=True)


def _state(view: View, named: Named) -> Column:
    states = by_key(view.snapshot, "state.state")
    words = [state_name(state) if type(state) is int else None for state in states]
    return Column(named.heading, words, str, left=True, leave_out=named.leave_out, style=state_style)


def _reason(view: View, named: Named) -> Column:
    numbers = zip(by_key(view.snapshot, "state.state"), by_key(view.snapshot, "state.reason"), strict=True)
    words = [
        reason_name(state, reason) if type(state) is int and type(reason) is int else None for state, reason in numbers
    ]
    return Column(named.heading, words, str, left=True)


def _memory_source(view: View, named: Named) -> Column:
    """Who says how much memory is used, and whether that is because the balloon statistics are off, or old."""
    balloon = np.where(view.figures.balloon_off, "balloon off", np.where(view.figures.balloon_old, "balloon old", ""))
    words = zip(view.figures.memory_source, balloon.tolist(), strict=True)
    sources = [", ".join(filter(None, both)) or None for both in words]
    return Column(named.heading, sources, str, left=True, leave_out=named.leave_out)


def _status(view: View, named: Named) -> Column:
    statuses = view.by_record([Status(number) for number in view.snapshot.sampling.status.tolist()])
    leave_out = 0 if view.snapshot.problems else named.leave_out
    return Column(named.heading, statuses, _status_text, left=True, leave_out=leave_out, style=status_style)


def _age(view: View, named: Named) -> Column:
    leave_out = 0 if view.snapshot.problems else named.leave_out
    return Column(named.heading, view.by_record(listed(view.figures.age)), cells.age_text, leave_out=leave_out)


def _status_text(status: Status) -> str:
    return status.label if status is Status.FRESH else status.label.upper()


def _number(view: View, named: Named) -> Column:
    return Column(named.heading, view.devices, cells.number_text, leave_out=named.leave_out)


def _device_name(view: View, named: Named) -> Column:
    """A device's name; of the images below a disk's topmost, which have its name too, also the number."""
    names = [name if isinstance(name, str) else None for name in view.device_values("name")]
    images = view.device_values("backingIndex")
    domains = view.by_record(view.snapshot.domains)
    met: set[tuple[str, str]] = set()
    for row, name in enumerate(names):
        if name is not None and (domains[row].uuid, name) in met and images[row] is not None:
            names[row] = f"{name}[{images[row]}]"
        elif name is not None:
            met.add((domains[row].uuid, name))
    return _text_column(named, names)


_MAKERS: dict[str, Callable[[View, Named], Column]] = {
    "name": _name,
    "domain": _name,
    "id": _id,
    "uuid": _uuid,
    "state": _state,
    "reason": _reason,
    "mem": _memory_used,
    "from": _memory_source,
    "status": _status,
    "age": _age,
    "vcpu": _number,
    "iothread": _number,
    "device": _number,
    "interface": _device_name,
    "disk": _device_name,
}
"""What makes the columns that are neither keys nor figures."""
