"""Which kinds of figures there are, and for how many guests each can be had from where."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from domstats.catalog.groups import GROUPS
from domstats.doctor.findings import Availability, Verdict
from domstats.model.layout import RecordLayout, Shape
from domstats.sources.kernel.rights import Lack

_KVM = "needs KVM, QEMU 7.1 and libvirt 8.9, or by way of the kernel QEMU 8.1"
_LIBVIRT = "only libvirt knows it"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of figure."""

    figures: str
    """A group, or the keys in question."""
    group: str
    """The group it is in."""
    keys: re.Pattern[str]
    """A record that has a key which begins so has figures of this kind."""
    lacks: str
    """What a guest without them lacks, where nothing else is known."""
    kernel: str = ""
    """What a Lack of the kernel's calls them; empty where the kernel never has them."""
    lacking: Verdict = Verdict.MISSING
    """How a guest without them stands: OK where that is the guest's own choice."""


KINDS = (
    Kind("state", "state", re.compile(r"state\."), _LIBVIRT),
    Kind("cpu", "cpu", re.compile(r"cpu\.time\Z"), "not obtained", "cpu"),
    Kind("cpu.haltpoll", "cpu", re.compile(r"cpu\.haltpoll\."), _KVM, "cpu.haltpoll"),
    Kind("balloon.current", "balloon", re.compile(r"balloon\.current\Z"), _LIBVIRT),
    Kind("balloon.rss", "balloon", re.compile(r"balloon\.rss\Z"), "not obtained", "balloon.rss"),
    Kind(
        "balloon.usable",
        "balloon",
        re.compile(r"balloon\.(usable|unused|available)\Z"),
        "paused, or without a statistics period or balloon driver",
        lacking=Verdict.WARN,
    ),
    Kind("vcpu", "vcpu", re.compile(r"vcpu\.[0-9]+\.time\Z"), "not obtained", "vcpu.<id>"),
    Kind("vcpu.<id>.<name>", "vcpu", re.compile(r"vcpu\.[0-9]+\.[^.]+\.(sum|cur|max)\Z"), _KVM, "vcpu.<id>.<name>"),
    Kind("interface", "interface", re.compile(r"net\.count\Z"), "not obtained", "net"),
    Kind("block", "block", re.compile(r"block\.[0-9]+\.rd\.reqs\Z"), "no disk is open", lacking=Verdict.OK),
    Kind("perf", "perf", re.compile(r"perf\."), "no event is enabled (virsh perf)", lacking=Verdict.OK),
    Kind("iothread", "iothread", re.compile(r"iothread\."), "no I/O thread is defined", lacking=Verdict.OK),
    Kind("memory", "memory", re.compile(r"memory\."), "no bandwidth monitor is defined", lacking=Verdict.OK),
    Kind("dirtyrate", "dirtyrate", re.compile(r"dirtyrate\."), "needs libvirt 7.2 and QEMU 5.2"),
    Kind("vm", "vm", re.compile(r"vm\."), "needs KVM, QEMU 7.1 and libvirt 8.9"),
)
"""In the order of the groups."""

STUCK = "the guest's QEMU does not answer"
LATE = "not heard in time"
NO_LIBVIRT = "libvirt could not be asked"

_ASKED = {group.name for group in GROUPS if group.needs_monitor}
"""The groups that a guest which is stuck has no answer for."""

Held = Mapping[str, Collection[Kind]]
"""The kinds of figures that a source has of each guest, by UUID."""


def kinds_of(records: Iterable[RecordLayout]) -> dict[str, frozenset[Kind]]:
    """The kinds of figures in each record, by UUID."""
    known: dict[Shape, frozenset[Kind]] = {}
    found = {}
    for record in records:
        shape = record.shape
        if shape not in known:
            known[shape] = frozenset(kind for kind in KINDS if any(map(kind.keys.match, shape.keys)))
        found[record.domain.uuid] = known[shape]
    return found


def kernel_kinds(keys: str) -> set[Kind]:
    """The kinds that a Lack's keys (`vcpu.<id>.<name>, cpu.haltpoll`, `net[tap0]`) are about."""
    names = {name.partition("[")[0] for name in keys.split(", ")}
    return {kind for kind in KINDS if kind.kernel in names}


def availability(
    guests: Collection[str], held: Mapping[str, Held], why: Callable[[str, Kind], str]
) -> tuple[Availability, ...]:
    """A row for each kind: for how many of these guests (UUIDs) each source has it.

    `why`: given a guest and a kind that no source has, the reason.
    """
    return tuple(_row(kind, guests, held, why) for kind in KINDS) if guests else ()


def _row(
    kind: Kind, guests: Collection[str], held: Mapping[str, Held], why: Callable[[str, Kind], str]
) -> Availability:
    having = {source: {uuid for uuid in guests if kind in kinds.get(uuid, ())} for source, kinds in held.items()}
    without = set(guests).difference(*having.values())
    counts = {source: len(uuids) for source, uuids in having.items()}
    reasons = Counter(why(uuid, kind) for uuid in without)
    if len(reasons) == 1:
        text = next(iter(reasons))
    else:
        text = "; ".join(f"{count:,}: {reason}" for reason, count in reasons.most_common())
    verdict = kind.lacking if without else Verdict.OK
    # Whether such a guest has chosen to have none is not known.
    if reasons.keys() & {STUCK, LATE, NO_LIBVIRT}:
        verdict = Verdict.MISSING
    return Availability(kind.figures, verdict, counts, len(without), text)


def reason(
    kind: Kind, status: str | None, unknown: Mapping[str, str], lacks: Collection[Lack], *, libvirt: bool
) -> str:
    """Why no source has this kind of a guest.

    `status`: STUCK or LATE; None where the guest answers. `unknown`: the groups that libvirt does not know, and since
    when it does. `lacks`: what the kernel cannot tell of the guest. `libvirt`: whether it was asked.
    """
    if status is not None and (status is LATE or kind.group in _ASKED):
        return status
    if libvirt and kind.group in unknown:
        return f"unknown to this libvirt; since {unknown[kind.group]}"
    told = [lack.why for lack in lacks if kind in kernel_kinds(lack.keys)]
    if told:
        return told[0]
    return kind.lacks if libvirt else NO_LIBVIRT
