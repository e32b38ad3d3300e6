"""What each thing that can happen makes of a guest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count

from domstats.model.domain import Domain
from domstats.sources.sim.guests import IMAGES, PAUSED, RUNNING, SHUTOFF, disk_name
from domstats.sources.sim.hostile import NAMES
from domstats.sources.sim.life import Device, Life, disk, interfaces
from domstats.sources.sim.script import Event

BOOTED, UNPAUSED = 1, 5
"""Reasons of RUNNING (virDomainRunningReason)."""
BY_USER, SHUT_DOWN = 1, 1
"""Reasons of PAUSED and of SHUTOFF."""


@dataclass(slots=True)
class Moment:
    """The host when something happens."""

    now: float
    """The simulated time."""
    names: set[str]
    """Of the guests there are."""
    next_id: int
    next_net: int

    def id(self) -> int:
        """An id nobody has had."""
        self.next_id += 1
        return self.next_id - 1

    def nets(self, number: int) -> int:
        """The first of so many numbers of vnet devices nobody has had."""
        self.next_net += number
        return self.next_net - number

    def free_name(self, wanted: str, own: str) -> str:
        """That name, or one like it which no other guest has; `own`: what the guest is called, and is no more."""
        self.names.discard(own)
        name = next(name for name in _like(wanted) if name not in self.names)
        self.names.add(name)
        return name


def _like(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in count(2))


Deed = Callable[[Life, Event, Moment], Life | None]
"""The guest after the event; None if the event means nothing to it."""


def define(spare: Life, event: Event) -> Life:
    """A new guest, which is off."""
    return replace(
        spare,
        domain=Domain(event.name, spare.domain.uuid, None),
        born=event.name,
        state=SHUTOFF,
        reason=0,
        disks=tuple(disk(event.name, each.number) for each in spare.disks),
        nics=interfaces(range(len(spare.nics)), None),
    )


def _hang(life: Life, _event: Event, _moment: Moment) -> Life | None:
    return replace(life, hung=True) if life.active and not life.hung else None


def _answer(life: Life, _event: Event, _moment: Moment) -> Life | None:
    disturbed = life.hung or life.slow or life.busy
    return replace(life, hung=False, slow=0.0, busy=False) if disturbed else None


def _slow(life: Life, event: Event, _moment: Moment) -> Life | None:
    return replace(life, slow=event.seconds) if life.active else None


def _busy(life: Life, _event: Event, _moment: Moment) -> Life | None:
    return replace(life, busy=True) if life.active and not life.busy else None


def _start(life: Life, _event: Event, moment: Moment) -> Life | None:
    if life.active:
        return None
    first_net = moment.nets(len(life.nics))
    life = replace(
        life, domain=replace(life.domain, id=moment.id()), state=RUNNING, reason=BOOTED, lag=0.0, stands=None
    )
    life = replace(life, nics=interfaces([each.number for each in life.nics], first_net))
    return _reset(life, _event, moment)


def _stop(life: Life, _event: Event, moment: Moment) -> Life | None:
    if not life.active:
        return None
    return replace(
        life,
        domain=replace(life.domain, id=None),
        state=SHUTOFF,
        reason=SHUT_DOWN,
        nics=interfaces([each.number for each in life.nics], None),
        stands=life.own_time(moment.now),
        hung=False,
        slow=0.0,
        busy=False,
    )


def _pause(life: Life, _event: Event, moment: Moment) -> Life | None:
    if life.state != RUNNING:
        return None
    return replace(life, state=PAUSED, reason=BY_USER, stands=life.own_time(moment.now))


def _resume(life: Life, _event: Event, moment: Moment) -> Life | None:
    if life.state != PAUSED:
        return None
    return replace(life, state=RUNNING, reason=UNPAUSED, lag=moment.now - life.own_time(moment.now), stands=None)


def _rename(life: Life, event: Event, moment: Moment) -> Life | None:
    name = moment.free_name(event.to, life.domain.name)
    return replace(life, domain=replace(life.domain, name=name))


def _reset(life: Life, _event: Event, moment: Moment) -> Life | None:
    if not life.active:
        return None
    now = life.own_time(moment.now)
    vcpus, disks, nics = (
        tuple(replace(device, since=now) for device in devices) for devices in (life.vcpus, life.disks, life.nics)
    )
    return replace(life, since=now, vcpus=vcpus, disks=disks, nics=nics)


def _resize(life: Life, event: Event, moment: Moment) -> Life | None:
    kept = life.vcpus[: event.vcpus]
    added = range(len(kept), event.vcpus)
    now = life.own_time(moment.now)
    return replace(life, vcpus=(*kept, *(Device(number, now) for number in added)))


def _attach(life: Life, event: Event, moment: Moment) -> Life | None:
    now = life.own_time(moment.now)
    if event.device == "nic":
        first_net = moment.nets(1) if life.active else None
        nics = (*life.nics, *interfaces([life.nics_ever], first_net, now))
        return replace(life, nics=nics, nics_ever=life.nics_ever + 1)
    taken = {each.name for each in life.disks}
    target = next(name for name in map(disk_name, count()) if name not in taken)
    added = disk(life.domain.name, life.disks_ever, target, now)
    # libvirt keeps disks in the order of their targets.
    disks = sorted((*life.disks, added), key=lambda each: (len(each.name), each.name))
    return replace(life, disks=tuple(disks), disks_ever=life.disks_ever + 1)


def _detach(life: Life, event: Event, _moment: Moment) -> Life | None:
    devices = life.nics if event.device == "nic" else life.disks
    gone = len(devices) - 1 if event.number is None else event.number
    if not 0 <= gone < len(devices):
        return None
    left = devices[:gone] + devices[gone + 1 :]
    return replace(life, nics=left) if event.device == "nic" else replace(life, disks=left)


def _hostile(life: Life, event: Event, moment: Moment) -> Life | None:
    def name(nth: int) -> str:
        if not event.name:
            return NAMES[(life.position + nth) % len(NAMES)]
        return event.name if nth <= 1 else f"{event.name}-{nth}"

    domain = replace(life.domain, name=moment.free_name(name(0), life.domain.name))
    disks = tuple(
        replace(each, name=name(nth), path=f"{IMAGES}/{name(nth)}", base=f"{IMAGES}/base/{name(nth)}")
        for nth, each in enumerate(life.disks, 1)
    )
    nics = tuple(replace(each, name=name(nth)) if each.name else each for nth, each in enumerate(life.nics, 1))
    return replace(life, domain=domain, title=name(0), disks=disks, nics=nics)


def _nameless(life: Life, _event: Event, _moment: Moment) -> Life | None:
    return replace(life, nameless=True)


def _version(life: Life, event: Event, _moment: Moment) -> Life | None:
    return replace(life, libvirt=event.libvirt)


DEEDS: dict[str, tuple[Deed, str]] = {
    "hang": (_hang, "are on and answer"),
    "answer": (_answer, "hang, are slow or busy"),
    "slow": (_slow, "are on"),
    "busy": (_busy, "are on, and not busy yet"),
    "start": (_start, "are off"),
    "stop": (_stop, "are on"),
    "pause": (_pause, "are running"),
    "resume": (_resume, "are paused"),
    "rename": (_rename, "are there"),
    "reset": (_reset, "are on"),
    "resize": (_resize, "are there"),
    "attach": (_attach, "are there"),
    "detach": (_detach, "have such a device"),
    "hostile": (_hostile, "are there"),
    "nameless": (_nameless, "are there"),
    "version": (_version, "are there"),
}
"""Each deed, and which guests it is for; `define`, `undefine` and `migrate` make or end a guest, see history."""
