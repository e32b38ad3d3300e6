"""The whole examination: the host that a URI names and this machine's kernel, at the same time."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Mapping, Sequence

from domstats.doctor.asking import QUICK, Asked, ask, ask_libvirt
from domstats.doctor.features import FEATURES
from domstats.doctor.figures import LATE, STUCK, Held, Kind, availability, kinds_of, reason
from domstats.doctor.findings import Availability, Finding, Part, Report
from domstats.doctor.guests import is_on
from domstats.doctor.processes import KernelView, lacks_of, look_at_processes, who_is_there
from domstats.doctor.rights import RIGHTS, open_files
from domstats.doctor.within import in_thread, tried
from domstats.errors import BadUri
from domstats.model.sampling import Status
from domstats.sources.kernel.rights import Lack
from domstats.sources.kernel.uri import KernelConfig
from domstats.sources.kernel.uri import parse as parse_kernel
from domstats.sources.registry import OF_PROCESSES, blamed, chosen_uri

LIBVIRT, KERNEL, SIM = "libvirt", "kernel", "sim"
"""The sources, as the report calls them."""
_STATUSES = {Status.BLOCKED: STUCK, Status.STALE: LATE}


async def examine(
    uri: str | None,
    environment: Mapping[str, str],
    *,
    deadline: float,
    kernel: KernelConfig | None = None,
    limits: tuple[int, int] | None = None,
) -> Report:
    """Everything there is to say of a host.

    `uri`: as for `domstats.connect`. `environment`: where a URI may be, and what says where sockets are. `deadline`:
    seconds that asking all guests may take; every other check has 5 at most. `kernel`: the roots of procfs and sysfs,
    this host's by default. `limits`: how many files may be open, soft and hard; this process's by default.

    Raises BadUri. Everything else that goes wrong is a finding.
    """
    chosen, variable = chosen_uri(uri, environment)
    try:
        return await _examine(chosen, environment, deadline, kernel, limits)
    except BadUri as error:
        raise blamed(error, variable) from None


async def _examine(
    uri: str,
    environment: Mapping[str, str],
    deadline: float,
    kernel: KernelConfig | None,
    limits: tuple[int, int] | None,
) -> Report:
    scheme = uri.partition(":")[0]
    if scheme == SIM:
        return _report(uri, SIM, await ask(uri, environment, deadline), [], None)
    if scheme == KERNEL:
        findings, view = await _look_at_kernel(kernel or parse_kernel(uri), deadline)
        return _report(uri, None, Asked(), findings, view, limits)
    if scheme not in OF_PROCESSES:  # the kernel knows nothing of the guests of libvirt's other drivers
        return _report(uri, LIBVIRT, await ask_libvirt(uri, environment, deadline), [], None)
    asked, (findings, view) = await asyncio.gather(
        ask_libvirt(uri, environment, deadline), _look_at_kernel(kernel or KernelConfig(), deadline)
    )
    return _report(uri, LIBVIRT, asked, findings, view, limits)


async def _look_at_kernel(kernel: KernelConfig, deadline: float) -> tuple[list[Finding], KernelView | None]:
    """What the kernel can tell, and what it tells of the guests; None where they could not be looked at."""
    quick = min(QUICK, deadline)

    async def look(check: Callable[[KernelConfig], Finding]) -> Sequence[Finding]:
        return [await in_thread(lambda: check(kernel), quick)]

    parts = ((Part.KERNEL, FEATURES), (Part.RIGHTS, RIGHTS))
    checks = [tried(part, name, look(check), quick) for part, listed in parts for name, check in listed]
    view: list[KernelView] = []

    async def see() -> Sequence[Finding]:
        view.append(await in_thread(lambda: look_at_processes(kernel), deadline))
        return []

    found = await asyncio.gather(*checks, tried(Part.KERNEL, "guests", see(), deadline))
    return [finding for findings in found for finding in findings], view[0] if view else None


def _report(
    uri: str,
    name: str | None,
    asked: Asked,
    kernel: Sequence[Finding],
    view: KernelView | None,
    limits: tuple[int, int] | None = None,
) -> Report:
    """Put together; `name`: what the source is called that was asked, None where none was."""
    findings = [*asked.findings, *kernel]
    on = None
    if asked.snapshot is not None:
        on = {record.domain.uuid: record.domain.name for record in asked.snapshot if is_on(record)}
    seen = [] if view is None else [record.domain.uuid for record in view.records]
    guests = seen if on is None else list(on)
    held: dict[str, Held] = {}
    if name is not None:
        held[name] = {} if asked.snapshot is None else kinds_of(asked.snapshot.layout.records)
    if view is not None:
        held[KERNEL] = kinds_of(view.records)
        findings += who_is_there(view, on)
        findings += lacks_of(view, guests, {} if name is None else held[name])
        findings.append(open_files(len(seen), view.vcpus, limits or resource.getrlimit(resource.RLIMIT_NOFILE)))
    order = list(Part)
    findings.sort(key=lambda finding: order.index(finding.part))
    figures = _figures(guests, held, asked, view)
    return Report(uri, tuple(findings), len(guests), tuple(held), figures, asked.listens)


def _figures(
    guests: Sequence[str], held: Mapping[str, Held], asked: Asked, view: KernelView | None
) -> tuple[Availability, ...]:
    statuses = {
        record.domain.uuid: _STATUSES[record.status] for record in asked.snapshot or () if record.status in _STATUSES
    }
    unknown = {group.name: group.since for group in asked.unknown}
    lacks: dict[str, list[Lack]] = {}
    for lack in view.lacks if view is not None else ():
        if lack.domain is not None:
            lacks.setdefault(lack.domain.uuid, []).append(lack)

    def why(uuid: str, kind: Kind) -> str:
        libvirt = asked.snapshot is not None
        return reason(kind, statuses.get(uuid), unknown, lacks.get(uuid, ()), libvirt=libvirt)

    return availability(guests, held, why)
