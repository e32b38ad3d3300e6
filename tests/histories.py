"""Hosts made up for the history: guests with disks and network devices, at any time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from domstats.catalog.groups import GROUP_NAMES
from domstats.model.domain import Domain
from domstats.model.layout import Layout, RecordLayout, Shape
from domstats.model.params import ParamType, TypedParameter, Value
from domstats.model.sampling import COLUMN_NAMES, OVERLAID, Status
from domstats.model.snapshot import Snapshot
from domstats.serve.history.history import History

T = ParamType
EPOCH = 1_800_000_000.0
PERIOD = 15.0
EVERY_15 = [PERIOD] * len(COLUMN_NAMES)
FREE = tuple(GROUP_NAMES.index(name) for name in ("state", "interface", "perf", "memory"))
MIXED = [2.0 if group in FREE else 1.0 if group >= OVERLAID else PERIOD for group in range(len(COLUMN_NAMES))]
"""The periods of the plan that a collector has when nobody says."""


def uuid_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


@dataclass(frozen=True, slots=True)
class Vm:
    """A guest whose counters are so many seconds old."""

    number: int = 1
    disks: Sequence[str] = ("vda",)
    nics: Sequence[str] = ("vnet0",)
    vcpus: int = 2
    values: tuple[tuple[str, ParamType, Value], ...] = ()
    """More parameters."""
    status: Status = Status.FRESH
    run: int | None = 7
    """The domain's id; None if it is off."""

    @property
    def uuid(self) -> str:
        return uuid_of(self.number)

    def params(self, age: float) -> list[TypedParameter]:
        if self.run is None:
            return [TypedParameter("state.state", T.INT, 5), TypedParameter("balloon.current", T.ULLONG, 1 << 20)]
        ns, count = int(age * 1e9), int(age)
        found: list[tuple[str, ParamType, Value]] = [
            ("state.state", T.INT, 1),
            ("cpu.time", T.ULLONG, ns // 2),
            ("balloon.current", T.ULLONG, 1 << 20),
            ("balloon.rss", T.ULLONG, (1 << 19) + count),
            ("vcpu.current", T.UINT, self.vcpus),
        ]
        for vcpu in range(self.vcpus):
            found += [(f"vcpu.{vcpu}.time", T.ULLONG, ns // 4), (f"vcpu.{vcpu}.delay", T.ULLONG, ns // 100)]
        for position, name in enumerate(self.nics):
            found.append((f"net.{position}.name", T.STRING, name))
            found += [(f"net.{position}.{way}.bytes", T.ULLONG, count * 100) for way in ("rx", "tx")]
        for position, name in enumerate(self.disks):
            found += [
                (f"block.{position}.name", T.STRING, name),
                (f"block.{position}.path", T.STRING, f"/{self.number}/{name}"),
                *((f"block.{position}.{way}.reqs", T.ULLONG, count * 10) for way in ("rd", "wr")),
                *((f"block.{position}.{way}.bytes", T.ULLONG, count * 4096 + len(name)) for way in ("rd", "wr")),
                (f"block.{position}.rd.times", T.ULLONG, count * 10 * 2_000_000),
            ]
        return [TypedParameter(*each) for each in (*found, *self.values)]


def host(
    time: float, vms: Iterable[Vm] = (Vm(),), sampled: Mapping[int, float] | None = None, age: float | None = None
) -> Snapshot:
    """A snapshot, so many seconds after the epoch.

    `sampled`: when the groups were sampled, by their index, where that is not now; `age`: of the counters.
    """
    vms = list(vms)
    counted = time if age is None else age
    records = [(Domain(f"vm-{vm.number}", vm.uuid, vm.run), vm.params(counted + 1)) for vm in vms]
    snapshot = Snapshot.of_params(records, time=EPOCH + time, source="test", host_cpus=4)
    times = np.full((len(vms), len(COLUMN_NAMES)), EPOCH + time)
    for group, at in (sampled or {}).items():
        times[:, group] = EPOCH + at
    status = np.array([vm.status for vm in vms], np.uint8)
    return snapshot.with_sampling(replace(snapshot.sampling, times=times, status=status))


def overlaid(snapshot: Snapshot, prefixes: tuple[str, ...], at: float) -> Snapshot:
    """The same snapshot, where the values whose keys begin so are the kernel's, sampled at that time."""
    layouts = []
    for record in snapshot.layout.records:
        shape = record.shape
        flags = bytes(key.startswith(prefixes) and not key.endswith(".name") for key in shape.keys)
        layouts.append(RecordLayout(record.domain, Shape.of(shape.keys, shape.types, flags), record.strings))
    times = snapshot.sampling.times.copy()
    times[:, OVERLAID:] = EPOCH + at
    sampling = replace(snapshot.sampling, times=times)
    return Snapshot(Layout(layouts), snapshot.values.copy(), snapshot.time, sampling, snapshot.host_cpus)


def later(snapshot: Snapshot, time: float) -> Snapshot:
    """The same records with the same values, all sampled at that time."""
    return Snapshot.of_one_poll(snapshot.layout, snapshot.values, time=EPOCH + time, source="test", host_cpus=4)


def numbers(
    history: History, name: str, vm: Vm | None = None, seconds: float = 3600.0
) -> list[tuple[float, Value | None]]:
    """The points of a series: seconds since the epoch, and a value or None."""
    points = history.series((vm or Vm()).uuid, [name], seconds)[name]
    rows = zip((points.times - EPOCH).tolist(), points.values.tolist(), points.known.tolist(), strict=True)
    return [(round(time, 6), value if known else None) for time, value, known in rows]
