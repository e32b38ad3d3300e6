"""The records of scripted guests: which values of the fleet each has, and how they differ from the fleet's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from domstats.catalog.fields import Kind
from domstats.catalog.groups import group_of
from domstats.catalog.lookup import field_of
from domstats.model.domain import Domain
from domstats.model.layout import Layout, Positions, RecordLayout, Shape
from domstats.model.params import ParamType
from domstats.sources.sim import keys, kvm
from domstats.sources.sim.clocks import Clocks
from domstats.sources.sim.dice import Flags, Floats, Ints, Words
from domstats.sources.sim.guests import RUNNING
from domstats.sources.sim.keys import Section
from domstats.sources.sim.life import Device, Life
from domstats.sources.sim.program import Program
from domstats.sources.sim.script import Version, release
from domstats.sources.sim.selection import RECORD, cost

_IMAGE = ("name", "path", "backingIndex")
_WITHOUT_MONITOR: Mapping[Section, tuple[str, ...]] = {
    keys.CPU: ("time", "user", "system", "cache.monitor.count"),
    keys.VCPU: ("state", "time", "wait", "delay"),
    keys.DISK: _IMAGE,
    keys.BACKING: _IMAGE,
    **dict.fromkeys((keys.MEMORY, keys.LAST_UPDATE, keys.CACHES, keys.RSS), ()),
    **dict.fromkeys((keys.IOTHREADS, keys.IOTHREAD, keys.DIRTYRATE, keys.VM), ()),
}
"""What is left of the sections that libvirt asks a guest for, when it could not be asked; the others stay whole."""
_PARTS_A_GUEST = 6
"""Records of a guest that are kept, those used last, by what was asked; of what it was before, none."""

_DevicesByKind = dict[str, dict[int, Device]]
"""By their name in COUNTS, and by number."""
_Asked = tuple[int, bool, bool]
"""Groups; whether backing images are asked for; whether the guest could be asked, so that the record is whole."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class _Form:
    """What records have in common whose guests have the same devices."""

    shape: Shape
    sections: Ints
    """Of each value, which of the sections it is from, as an index into RECORD and BESIDE."""
    offsets: Ints
    """Where it is, counted from the beginning of its section."""
    counters: Flags
    owners: tuple[tuple[str, int, int, int], ...]
    """Values of devices: the name in COUNTS, the device's number, the first value and the one behind the last."""
    texts: tuple[tuple[str, str, int], ...]
    """Strings: the name in COUNTS, the parameter, the device's number."""
    numbers: tuple[tuple[int, str], ...]
    """Values that are not the fleet's: where, and the key."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One guest's record."""

    form: _Form
    record: RecordLayout
    places: Ints
    """Where its values are among the fleet's."""
    minus: Words
    """What counters that began within the script had then, to be taken off; 0 for the other values."""
    fixed: tuple[tuple[int, int], ...]
    """Values that are not the fleet's."""


_Draft = tuple[_Form, RecordLayout, Ints, Floats, tuple[tuple[int, int], ...]]
"""A Part to be: its form, record, places, since when each counter counts (NaN: from before the script), and its fixed
values."""


@dataclass(frozen=True, slots=True, eq=False)
class Poll:
    """Several records, as a poll has them."""

    layout: Layout
    places: npt.NDArray[np.int32]
    minus: Words
    fixed_slots: Positions
    fixed: Words


class Records:
    """Makes records of lives, and keeps them as long as they may be asked for again."""

    def __init__(self, program: Program, clocks: Clocks) -> None:
        self._program, self._clocks = program, clocks
        self._sections = {section: number for number, section in enumerate((*keys.RECORD, *keys.BESIDE))}
        self._starts = np.stack([program.section_starts(section) for section in self._sections])
        self._forms: WeakValueDictionary[object, _Form] = WeakValueDictionary()
        self._parts: list[dict[tuple[Life, _Asked], Part]] = [{} for _ in range(program.guests)]
        """By the guests' positions; what was used last comes last."""
        self._layouts: WeakValueDictionary[tuple[Domain, Shape, tuple[str, ...]], RecordLayout] = WeakValueDictionary()
        self._polls: OrderedDict[tuple[Part, ...], Poll] = OrderedDict()
        self._room = 2 * (program.size + RECORD * program.guests)

    def __len__(self) -> int:
        """How many guests there ever are."""
        return self._program.guests

    def poll(self, parts: tuple[Part, ...]) -> Poll:
        """These records as a poll; the same one when they are asked for again."""
        poll = self._polls.get(parts)
        if poll is None:
            poll = self._polls[parts] = _poll(parts)
            while len(self._polls) > 1 and sum(cost(each.layout) for each in self._polls.values()) > self._room:
                self._polls.popitem(last=False)
        self._polls.move_to_end(parts)
        return poll

    def values(self, poll: Poll, times: Floats) -> Words:
        """The values of a poll, with each guest of the fleet at a time of its own."""
        values = self._program.evaluate(*self._clocks.read_each(times), poll.places)
        values -= poll.minus
        values[poll.fixed_slots] = poll.fixed
        return values

    def parts(self, visited: Sequence[tuple[Life, bool]], groups: int, *, backing: bool) -> tuple[Part, ...]:
        """The records of guests with these groups, each whole, or only what needs no monitor."""
        asked = [(life, (groups, backing, whole)) for life, whole in visited]
        found: dict[tuple[Life, _Asked], Part] = {}
        for each in asked:
            own = self._parts[each[0].position]
            if each in own:
                found[each] = own[each] = own.pop(each)
        missing = [each for each in dict.fromkeys(asked) if each not in found]
        if missing:
            found |= self._make(missing)
        return tuple([found[each] for each in asked])

    def _make(self, asked: Sequence[tuple[Life, _Asked]]) -> dict[tuple[Life, _Asked], Part]:
        """These records; they are kept."""
        drafts = [self._draft(life, how) for life, how in asked]
        minus = self._minus([life for life, _ in asked], drafts)
        made = {}
        for each, (form, record, places, _, fixed), own in zip(asked, drafts, minus, strict=True):
            made[each] = Part(form, record, places, own, fixed)
            self._keep(each, made[each])
        return made

    def _keep(self, asked: tuple[Life, _Asked], part: Part) -> None:
        """Keep it, and nothing of what the guest was before: time does not go back."""
        life = asked[0]
        old = self._parts[life.position]
        kept = {other: each for other, each in old.items() if other[0] is life}
        kept[asked] = part
        while len(kept) > _PARTS_A_GUEST:
            del kept[next(iter(kept))]
        self._parts[life.position] = kept

    def _draft(self, life: Life, asked: _Asked) -> _Draft:
        form = self._form(life, asked)
        devices = {kind: _devices(life, kind) for kind in _DEVICES}
        strings = tuple(_text(devices, *text) for text in form.texts)
        identity = (life.domain, form.shape, strings)
        record = self._layouts.get(identity)
        if record is None:
            record = self._layouts[identity] = RecordLayout(life.domain, form.shape, strings)
        places = self._starts[form.sections, life.position] + form.offsets
        fixed = [(slot, _number(life, key, backing=asked[1])) for slot, key in form.numbers]
        fixed += zip(form.shape.string_slots, range(len(strings)), strict=True)
        since = np.full(len(places), np.nan if life.since is None else life.since)
        for kind, number, first, end in form.owners:
            began = devices[kind][number].since
            since[first:end] = np.nan if began is None else began
        since[~form.counters] = np.nan
        return form, record, places, since, tuple(fixed)

    def _minus(self, lives: Sequence[Life], drafts: Sequence[_Draft]) -> list[Words]:
        """What is to be taken off each record's values: what counters had when they began, for all guests at once.

        A guest has only one time in a round, so there are as many rounds as a guest has devices that began apart.
        """
        sizes = [len(places) for _, _, places, _, _ in drafts]
        owners = np.repeat(np.array([life.position for life in lives], np.int64), sizes)
        places = np.concatenate([places for _, _, places, _, _ in drafts])
        since = np.concatenate([since for _, _, _, since, _ in drafts])
        minus = np.zeros(len(places), np.uint64)
        while len(left := np.flatnonzero(~np.isnan(since))):
            times = np.full(self._program.guests, np.inf)
            np.minimum.at(times, owners[left], since[left])
            due = left[since[left] == times[owners[left]]]
            times[np.isinf(times)] = 0.0
            clocks = self._clocks.read_each(times)
            minus[due] = self._program.evaluate(*clocks, places[due].astype(np.int32))
            since[due] = np.nan
        return np.split(minus, np.cumsum(sizes)[:-1])

    def _form(self, life: Life, asked: _Asked) -> _Form:
        devices = _numbers(life)
        identity = (tuple(devices.values()), life.state == RUNNING, life.nameless, life.libvirt, asked)
        form = self._forms.get(identity)
        if form is None:
            form = self._forms[identity] = self._shaped(life, devices, asked)
        return form

    def _shaped(self, life: Life, devices: Mapping[str, Sequence[int]], asked: _Asked) -> _Form:
        groups, backing, whole = asked
        names: list[str] = []
        types = bytearray()
        sections: list[int] = []
        offsets: list[int] = []
        owners: list[tuple[str, int, int, int]] = []
        texts: list[tuple[str, str, int]] = []
        for section, device, number in keys.blocks(devices, backing=backing):
            if not groups >> group_of(section.prefix) & 1:
                continue
            first = len(names)
            for offset, tail, kind in _params(section, whole, life.nameless, life.libvirt):
                names.append(section.prefix.format(number) + tail)
                types.append(kind)
                offsets.append(device * len(section.params) + offset)
                if kind == ParamType.STRING:
                    texts.append((section.count, f"base {tail}" if section is keys.BACKING else tail, device))
            sections += [self._sections[section]] * (len(names) - first)
            if section.count in _DEVICES:
                owners.append((section.count, device, first, len(names)))
        shape = Shape.of(names, bytes(types))
        counters = np.array([_is_counter(name) for name in names], np.bool_)
        numbers = tuple((slot, name) for slot, name in enumerate(names) if _is_fixed(name, life))
        places = (np.array(sections, np.int64), np.array(offsets, np.int64))
        return _Form(shape, *places, counters, tuple(owners), tuple(texts), numbers)


_DEVICES = ("vcpus", "nics", "disks", "off_disks")
"""Of COUNTS, those that are devices which come and go."""


def _devices(life: Life, kind: str) -> dict[int, Device]:
    """Its devices of that kind of COUNTS, by number."""
    devices = {"vcpus": life.vcpus, "nics": life.nics, "disks": life.disks, "off_disks": life.disks}[kind]
    return {device.number: device for device in devices}


def _numbers(life: Life) -> dict[str, tuple[int, ...]]:
    """The numbers of what it has of each of COUNTS."""
    none: tuple[int, ...] = ()
    one = (0,)
    on = life.active
    return {
        "all": one,
        "active": one if on else none,
        "memory_stats": one if on and life.reports_memory else none,
        "vcpus": tuple(device.number for device in life.vcpus) if on else none,
        "nics": tuple(device.number for device in life.nics) if on else none,
        "disks": tuple(device.number for device in life.disks) if on else none,
        "off_disks": none if on else tuple(device.number for device in life.disks),
        "iothread_lists": one if on and life.iothreads else none,
        "iothreads": tuple(range(life.iothreads)) if on else none,
    }


@cache
def _params(
    section: Section, whole: bool, nameless: bool, libvirt: Version | None
) -> tuple[tuple[int, str, ParamType], ...]:
    """The parameters of a section that a record has, and where each is."""
    left = None if whole else _WITHOUT_MONITOR.get(section)
    found = []
    for offset, (tail, kind) in enumerate(section.params):
        nobody = nameless and section is keys.NET and tail == "name"
        if not nobody and (left is None or tail in left) and _has(libvirt, section.prefix.format(0) + tail):
            found.append((offset, tail, kind))
    return tuple(found)


def _has(libvirt: Version | None, key: str) -> bool:
    """Whether that release sends the key."""
    field = field_of(key)
    return libvirt is None or field is None or release(field.since) <= libvirt


@cache
def _is_counter(key: str) -> bool:
    field = field_of(key)
    return field is not None and field.kind is Kind.COUNTER


_STATES = ("state.state", "state.reason", "vcpu.current", "net.count", "block.count")
_MODES = (kvm.GUEST_MODE, kvm.BLOCKING)


def _is_fixed(key: str, life: Life) -> bool:
    """Whether the life says what the value is."""
    if key in _STATES or (key == "balloon.current" and not life.active):
        return True
    return life.state != RUNNING and key.startswith("vcpu.") and key.endswith(_MODES)


def _number(life: Life, key: str, *, backing: bool) -> int:
    match key:
        case "state.state":
            return life.state
        case "state.reason":
            return life.reason
        case "vcpu.current":
            return len(life.vcpus)
        case "net.count":
            return len(life.nics)
        case "block.count":
            return len(life.disks) * (2 if backing and life.active else 1)
        case "balloon.current":
            return life.memory
    return 0  # neither in guest mode nor blocking


def _text(devices: _DevicesByKind, kind: str, tail: str, number: int) -> str:
    if kind not in devices:
        return "page-sampling"  # dirtyrate.calc_mode, the one string that is no device's
    device = devices[kind][number]
    return {"name": device.name, "path": device.path, "base name": device.name, "base path": device.base}[tail]


def _poll(parts: Sequence[Part]) -> Poll:
    layout = Layout([part.record for part in parts])
    fixed = [
        (start + slot, number)
        for start, part in zip(layout.starts[:-1].tolist(), parts, strict=True)
        for slot, number in part.fixed
    ]
    slots, numbers = np.array(fixed, np.int64).reshape(-1, 2).T
    none = np.zeros(0, np.int64)
    return Poll(
        layout,
        np.concatenate([none, *(part.places for part in parts)]).astype(np.int32),
        np.concatenate([none.view(np.uint64), *(part.minus for part in parts)]),
        slots,
        numbers.astype(np.uint64),
    )
