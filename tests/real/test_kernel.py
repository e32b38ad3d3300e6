"""kernel:/// beside libvirt, for the real guests of the hypervisor."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comparison import Differences, domains_of
from domstats.model.flags import NO_FILTERS, StatsGroup
from domstats.model.snapshot import Snapshot
from domstats.sources.kernel.source import KernelSource
from guests import Guest
from hypervisor import Hypervisor

DEADLINE = 60.0
OPTIONS = ("--cpu-total", "--balloon", "--vcpu", "--interface")
CHURN = int(os.environ.get("DOMSTATS_CHURN", "12"))
"""Guests that are started and killed while they are polled."""
READS = 1000
CPU_AND_VCPU = int(StatsGroup.CPU | StatsGroup.VCPU)


@pytest.fixture
async def source() -> AsyncIterator[KernelSource]:
    opened = KernelSource.open("kernel:///")
    yield opened
    await opened.aclose()


async def poll(source: KernelSource) -> Snapshot:
    return await source.stats([], 0, NO_FILTERS, DEADLINE)


def processes_here(snapshot: Snapshot, hypervisor: Hypervisor) -> dict[str, Any]:
    """What is known of each guest of this hypervisor, by name: others may run on the machine."""
    space = Path(f"/proc/{hypervisor.init}/ns/pid").readlink()
    found = {}
    for record in snapshot:
        try:
            if Path(f"/proc/{record.domain.id}/ns/pid").readlink() == space:
                found[record.domain.name] = {param.name: param.value for param in record.params}
        except FileNotFoundError:  # it has just ended
            continue
    return found


def texts(hypervisor: Hypervisor) -> dict[str, dict[str, str]]:
    """What virsh says, by name."""
    said = hypervisor.virsh("domstats", *OPTIONS, "--list-active")
    return {name: dict(stats) for name, stats in domains_of(said)}


async def test_what_both_give_is_the_same(
    hypervisor: Hypervisor, differences: Differences, source: KernelSource
) -> None:
    before = texts(hypervisor)
    ours = processes_here(await poll(source), hypervisor)
    after = texts(hypervisor)
    assert ours.keys() == before.keys()
    differences.tally.calls += 1
    for name, stats in ours.items():
        assert {"cpu.time", "balloon.rss", "vcpu.current", "vcpu.maximum", "net.count"} <= stats.keys()
        differences.note(f"{name}: keys that libvirt has not", set(), stats.keys() - before[name].keys())
        mine = {key: str(value) for key, value in stats.items() if key in before[name]}
        theirs = {key: value for key, value in before[name].items() if key in mine}
        assert list(mine) == list(theirs), "in the same order"
        differences.compare(name, before[name], mine, after[name])
        expected = {key for key in before[name] if key.startswith(("net.", "vcpu.")) and key.count(".") < 3}
        differences.note(f"{name}: keys that are missing", set(), expected - stats.keys())
        nics = {key for key in before[name] if key.startswith("net.")}
        differences.note(f"{name}: net", nics, {key for key in stats if key.startswith("net.")})
    assert not differences, str(differences)


async def test_counters_never_go_back(hypervisor: Hypervisor, source: KernelSource) -> None:
    counters = re.compile(r"cpu\.(time|user|system)|vcpu\.[0-9]+\.(time|wait|delay)")
    last = await source.stats([], CPU_AND_VCPU, NO_FILTERS, DEADLINE)
    compared = 0
    for _ in range(READS):
        now = await source.stats([], CPU_AND_VCPU, NO_FILTERS, DEADLINE)
        if now.layout is last.layout:
            keys = [key for record in now.layout.records for key in record.shape.keys]
            growing = np.array([counters.fullmatch(key) is not None for key in keys])
            assert (now.values >= last.values)[growing].all()
            compared += 1
        last = now
    assert compared > READS // 2


async def test_a_stopped_guest_has_every_figure(hypervisor: Hypervisor, source: KernelSource) -> None:
    hypervisor.stop_guest("vm0001")
    try:
        guests = processes_here(await poll(source), hypervisor)
        again = processes_here(await poll(source), hypervisor)
    finally:
        hypervisor.continue_guest("vm0001")
    keys = {"cpu.time", "balloon.rss", "vcpu.0.time", "vcpu.1.delay", "net.count"}
    assert keys <= guests["vm0001"].keys() == again["vm0001"].keys()


async def test_guests_started_and_killed_meanwhile(hypervisor: Hypervisor, source: KernelSource) -> None:
    steady = processes_here(await poll(source), hypervisor)
    held, opened = source.held, open_files()
    done = threading.Event()
    failed: list[BaseException] = []
    churning = threading.Thread(target=churn, args=(hypervisor, done, failed))
    churning.start()
    names: set[str] = set()
    while not done.is_set():
        snapshot = await poll(source)
        for record in snapshot:
            if record.domain.name.startswith("churn"):
                names.add(record.domain.name)
                # Which of them it is shows in how many vCPUs it may have.
                assert record["vcpu.maximum"] == 1 + int(record.domain.name.removeprefix("churn")) % 3
    churning.join()
    assert not failed
    assert names, "some were seen"
    after = processes_here(await poll(source), hypervisor)
    assert after.keys() == steady.keys()
    await poll(source)
    assert (source.held, open_files()) == (held, opened)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def churn(hypervisor: Hypervisor, done: threading.Event, failed: list[BaseException]) -> None:
    try:
        for number in range(CHURN):
            guest = Guest(f"churn{number}", 1 + number % 3)
            hypervisor.add([guest])
            hypervisor.virsh("destroy", guest.name, write=True)
    except BaseException as error:  # noqa: BLE001  it fails the test, in the thread that waits for it
        failed.append(error)
    finally:
        done.set()


AS_NOBODY = """
import asyncio, hashlib, json, os  # Python's uuid module imports hashlib late, when its folder may not be read
from domstats.sources.kernel.source import KernelSource
from domstats.model.flags import NO_FILTERS
source = KernelSource.open("kernel:///")
async def ask():
    snapshot = await source.stats([], 0, NO_FILTERS, 60.0)
    keys = {record.domain.name: list(record.keys()) for record in snapshot}
    lacks = [[lack.keys, lack.why, lack.domain.name] for lack in source.lacking() if lack.domain]
    print(json.dumps([keys, lacks]))
    await source.aclose()
os.setgid(65534)
os.setuid(65534)
asyncio.run(ask())
"""


@pytest.mark.usefixtures("hypervisor")
def test_without_the_right_figures_are_missing_with_a_reason() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY],
        capture_output=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=DEADLINE,
        check=True,
    )
    keys, lacks = json.loads(done.stdout)
    assert {"cpu.time", "balloon.rss", "vcpu.0.time"} <= set(keys["vm0000"])
    assert [key for key in keys["vm0000"] if key.startswith("net.")] == []
    without = {key for key, why, name in lacks if name == "vm0000" and "CAP_SYS_PTRACE" in why}
    assert without == {"net", "vcpu.<id>.<name>, cpu.haltpoll"}
