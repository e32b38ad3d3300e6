"""The guests as the kernel shows them: who is there, and what of them cannot be had."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from domstats.doctor.figures import Kind, kernel_kinds
from domstats.doctor.findings import Finding, Part, Verdict, plural
from domstats.model.layout import RecordLayout
from domstats.sources.kernel.host import KernelHost
from domstats.sources.kernel.keys import GROUPS
from domstats.sources.kernel.rights import ALWAYS, Lack
from domstats.sources.kernel.uri import KernelConfig


@dataclass(frozen=True, slots=True)
class KernelView:
    """One look at all guests."""

    records: tuple[RecordLayout, ...]
    """Who is there, with the keys that can be had."""
    lacks: tuple[Lack, ...]
    """What cannot be had, beside what the kernel knows of no guest."""
    vcpus: int
    """Of all guests together, as far as they are known."""


def look_at_processes(kernel: KernelConfig) -> KernelView:
    """Find the guests, and read every figure once; waits for as long as procfs does."""
    host = KernelHost(kernel)
    try:
        guests = host.look()
        layout, _ = host.poll(guests, GROUPS)
        lacks = tuple(lack for lack in host.lacking() if lack not in ALWAYS)
        return KernelView(tuple(layout.records), lacks, sum(guest.vcpus for guest in guests))
    finally:
        host.close()


def who_is_there(view: KernelView, on: Mapping[str, str] | None) -> list[Finding]:
    """Whether the guests seen are those that libvirt says are on: their names by UUID; None where it was not asked."""
    seen = {record.domain.uuid: record.domain.name for record in view.records}
    found = [Finding(Part.KERNEL, "guests", Verdict.OK, f"{plural(len(seen))} in the list of processes")]
    if on is None:
        return found
    unseen = tuple(name for uuid, name in on.items() if uuid not in seen)
    others = tuple(name for uuid, name in seen.items() if uuid not in on)
    if unseen:
        text = f"{plural(len(unseen))} of {len(on):,} without a process here: only libvirt has their figures"
        advice = "in a container, give it the host's /proc; else see hidepid"
        found.append(Finding(Part.KERNEL, "unseen", Verdict.WARN, text, advice, unseen))
    if others:
        text = f"{plural(len(others))} of this host that this libvirt does not know"
        found.append(
            Finding(Part.KERNEL, "others", Verdict.WARN, text, "domstats get -c kernel:/// has their figures", others)
        )
    return found


def lacks_of(view: KernelView, uuids: Collection[str], elsewhere: Mapping[str, Collection[Kind]]) -> list[Finding]:
    """A finding for each reason why the kernel's figures are missing for some of these guests.

    `elsewhere`: which kinds of figures libvirt has of each guest; a figure that it has is not missing.
    """
    reasons: dict[tuple[str, str], list[Lack]] = {}
    for lack in view.lacks:
        if lack.domain is None or lack.domain.uuid in uuids:
            reasons.setdefault((lack.keys.partition("[")[0], lack.why), []).append(lack)
    return [_reason(keys, why, lacks, elsewhere) for (keys, why), lacks in reasons.items()]


def _reason(keys: str, why: str, lacks: list[Lack], elsewhere: Mapping[str, Collection[Kind]]) -> Finding:
    domains = {lack.domain.uuid: lack.domain.name for lack in lacks if lack.domain is not None}
    kinds = kernel_kinds(keys)
    if not domains:
        return Finding(Part.KERNEL, "guests", Verdict.WARN, why)
    missing = {uuid: name for uuid, name in domains.items() if not kinds <= set(elsewhere.get(uuid, ()))}
    if missing:
        text = f"{keys} missing for {plural(len(missing))}: {why}"
        return Finding(Part.KERNEL, "figures", Verdict.MISSING, text, domains=tuple(missing.values()))
    text = f"{keys} of {plural(len(domains))} not from the kernel: {why}"
    return Finding(Part.KERNEL, "figures", Verdict.WARN, text, domains=tuple(domains.values()))
