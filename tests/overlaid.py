"""A guest of which libvirt says some things, and the kernel others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from domstats.model.domain import Domain
from domstats.model.merge import Merger, Part
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import OVERLAID, Sampling
from domstats.model.snapshot import Snapshot

P, T = TypedParameter, ParamType
VM = Domain("vm", "00000000-0000-0000-0000-000000000001", 7)
PROCESS = replace(VM, id=4711)
KERNEL_GROUPS = 0b11110
LIBVIRT = (
    P("state.state", T.INT, 1),
    P("cpu.time", T.ULLONG, 10),
    P("cpu.cache.monitor.count", T.UINT, 0),
    P("vcpu.current", T.UINT, 2),
    P("vcpu.0.state", T.INT, 1),
    P("vcpu.0.time", T.ULLONG, 11),
    P("vcpu.1.state", T.INT, 0),
    P("net.count", T.UINT, 2),
    P("net.0.name", T.STRING, "tap-a"),
    P("net.0.rx.bytes", T.ULLONG, 12),
    P("net.3.name", T.STRING, "tap-b"),
    P("net.3.rx.bytes", T.ULLONG, 13),
)
KERNEL = (
    P("cpu.time", T.ULLONG, 100),
    P("balloon.rss", T.ULLONG, 101),
    P("vcpu.current", T.UINT, 99),
    P("vcpu.0.state", T.INT, 99),
    P("vcpu.0.time", T.ULLONG, 102),
    P("vcpu.0.exits.sum", T.ULLONG, 103),
    P("net.count", T.UINT, 99),
    P("net.0.name", T.STRING, "tap-b"),
    P("net.0.rx.bytes", T.ULLONG, 104),
    P("net.1.name", T.STRING, "tap-c"),
    P("net.1.rx.bytes", T.ULLONG, 105),
)


def poll(params: tuple[TypedParameter, ...], domain: Domain = VM, time: float = 0.0) -> Snapshot:
    return Snapshot.of_params([(domain, params)], time=time)


def laid_over(
    libvirt: tuple[TypedParameter, ...],
    kernel: tuple[TypedParameter, ...],
    *,
    groups: int = KERNEL_GROUPS,
    at: tuple[float, float] = (90.0, 99.0),
    time: float = 100.0,
) -> Snapshot:
    """What libvirt said at the first time with what the kernel said at the second."""
    rows = [[Part(poll(libvirt), 0), Part(poll(kernel, PROCESS), 0, groups, overlay=True)]]
    layout, values = Merger().merge([VM], rows)
    times = np.array([[at[0]] * OVERLAID + [at[1]] * OVERLAID])
    sampling = replace(Sampling.of_one_poll(1, time, "libvirt"), times=times)
    return Snapshot(layout, values, time, sampling, None)
