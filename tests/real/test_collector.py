"""The collector on a real libvirtd: guests that come, go and change, and a daemon that is restarted and killed."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

import domstats
from domstats.catalog.groups import GROUPS
from domstats.model.snapshot import Snapshot
from hypervisor import Hypervisor, own

PATIENCE = 30.0
QUICKLY = {group.name: 0.2 for group in GROUPS}
GUESTS = 6
RESTARTS = 20
CLOSED = 40
"""Collectors, after different times. At the worst moments connections were left open in one of twelve."""
PAGE = 4096
LOOKS, LOOKS_PAUSE = 10, 0.02


@pytest.fixture(scope="module")
def spare(hypervisor: Hypervisor) -> Iterator[Hypervisor]:
    """One of its own, for tests that change guests and the daemon."""
    spare = own("collected")
    spare.start()
    spare.add_plain(GUESTS)
    yield spare
    spare.stop()


async def until(collector: domstats.Collector, condition: Callable[[Snapshot], bool]) -> list[Snapshot]:
    """The snapshots until one fulfils the condition, that one included."""
    seen: list[Snapshot] = []
    async with asyncio.timeout(PATIENCE), aclosing(aiter(collector)) as snapshots:
        async for snapshot in snapshots:
            seen.append(snapshot)
            if condition(snapshot):
                return seen
    raise AssertionError("the collector ended")


def all_fresh(snapshot: Snapshot) -> bool:
    return len(snapshot) == GUESTS and not snapshot.problems


def all_since(snapshot: Snapshot, time: float) -> bool:
    """Whether every group of every guest has been sampled since then."""
    ages = [record.age for record in snapshot]
    return all_fresh(snapshot) and all(age is not None and snapshot.time - age >= time for age in ages)


@pytest.fixture
async def collector(spare: Hypervisor) -> AsyncIterator[domstats.Collector]:
    async with domstats.collect(spare.uri, plan=QUICKLY, share=1.0) as collector:
        await until(collector, all_fresh)
        yield collector


async def virsh(spare: Hypervisor, *args: str) -> str:
    return await asyncio.to_thread(spare.virsh, *args, write=True)


async def test_everything_is_known_and_described(spare: Hypervisor, collector: domstats.Collector) -> None:
    *_, snapshot = await until(collector, lambda snapshot: all(domain.info for domain in snapshot.domains))
    assert {domain.name for domain in snapshot.domains} == set(spare.names())
    for record in snapshot:
        info = record.domain.info
        assert info is not None
        assert [device.target for device in info.devices] == [
            record[f"block.{number}.name"] for number in range(record["block.count"])
        ]
    await until(collector, lambda now: now.rates(collector.previous)["vm0000"].get("cpu.time") is not None)
    assert collector.cost.calls > 0
    assert set(collector.cost.seconds_by_group) == {group.name for group in GROUPS}


async def test_a_guest_that_is_destroyed_and_comes_back(spare: Hypervisor, collector: domstats.Collector) -> None:
    xml = await virsh(spare, "dumpxml", "vm0001")
    (spare.run_directory / "vm0001.xml").write_text(xml)
    old = collector.latest["vm0001"].domain
    going = asyncio.create_task(until(collector, lambda snapshot: "vm0001" not in snapshot))
    await virsh(spare, "destroy", "vm0001")
    seen = await going
    statuses = [snapshot["vm0001"].status.label for snapshot in seen if "vm0001" in snapshot]
    assert statuses.count("gone") == 1
    assert statuses[-1] == "gone"
    before = collector.latest
    await virsh(spare, "create", "/run/vm0001.xml", "--paused")
    *_, back = await until(collector, all_fresh)
    new = back["vm0001"].domain
    assert (new.uuid, new.id == old.id) == (old.uuid, False)
    assert back.rates(seen[0])["vm0001"].reason("cpu.time") == "restarted"
    assert back.rates(before)["vm0001"].reason("cpu.time") == "no earlier sample"


async def test_a_guest_that_is_renamed(spare: Hypervisor, collector: domstats.Collector) -> None:
    (spare.run_directory / "other.xml").write_text(
        "<domain type='kvm'><name>other</name><memory>1024</memory><os><type>hvm</type></os></domain>"
    )
    await virsh(spare, "define", "/run/other.xml")
    *_, snapshot = await until(collector, lambda snapshot: "other" in snapshot and not snapshot.problems)
    uuid = snapshot["other"].domain.uuid
    await virsh(spare, "domrename", "other", "another")
    seen = await until(collector, lambda snapshot: "another" in snapshot)
    assert seen[-1]["another"].domain.uuid == uuid
    assert "other" not in seen[-1]
    assert all(len(each) == GUESTS + 1 for each in seen)
    await virsh(spare, "undefine", "another")
    await until(collector, all_fresh)


NIC = "<interface type='ethernet'><target dev='dsnew0'/><model type='virtio'/></interface>"


async def test_a_disk_and_a_nic_that_are_attached(spare: Hypervisor, collector: domstats.Collector) -> None:
    image = "/var/lib/libvirt/images/more.qcow2"
    await asyncio.to_thread(spare.inside, "qemu-img", "create", "-q", "-f", "qcow2", image, "1M")
    (spare.run_directory / "nic.xml").write_text(NIC)
    *_, before = await until(collector, lambda now: all_fresh(now) and all(domain.info for domain in now.domains))
    disks = before["vm0002"]["block.count"]
    await virsh(spare, "attach-disk", "vm0002", image, "vdx", "--subdriver", "qcow2", "--live")
    await virsh(spare, "attach-device", "vm0002", "/run/nic.xml", "--live")

    def has_them(snapshot: Snapshot) -> bool:
        info = snapshot["vm0002"].domain.info
        named = [device.target for device in info.devices] if info is not None else []
        record = snapshot["vm0002"]
        return "block[vdx].rd.reqs" in record and "net[dsnew0].rx.bytes" in record and len(named) == disks + 2

    await until(collector, has_them)
    # A rate needs an interval that is long against the uncertainty of its samples' times.
    *_, snapshot = await until(collector, lambda now: now.rates(before)["vm0002"].get("block[vda].rd.reqs") is not None)
    rates = snapshot.rates(before)["vm0002"]
    assert rates.reason("block[vdx].rd.reqs") == rates.reason("net[dsnew0].rx.bytes") == "no earlier sample"
    assert rates.reason("block[vda].rd.reqs") == ""
    others = [record for record in snapshot if record.domain.name != "vm0002"]
    assert all(record.layout is before[record.domain.uuid].layout for record in others)


async def test_a_daemon_that_is_restarted_again_and_again(spare: Hypervisor, collector: domstats.Collector) -> None:
    before = await resources(collector)
    for number in range(RESTARTS):
        await through_a_restart(spare, collector, signal.SIGKILL if number % 2 else signal.SIGTERM)
        if number == 1:  # what is loaded and kept by the first two is not a leak
            before = await resources(collector)
    descriptors, memory = await resources(collector)
    assert descriptors <= before[0]
    assert memory - before[1] < 4 << 20
    assert collector.cost.reconnects >= RESTARTS
    assert len(asyncio.all_tasks()) < 20


async def test_what_is_closed_in_the_middle_of_its_work_leaves_no_connection(hypervisor: Hypervisor) -> None:
    before = sockets()
    for number in range(CLOSED):
        async with domstats.collect(hypervisor.uri) as collector:
            refreshing = asyncio.create_task(collector.refresh(PATIENCE, since=collector.clock()))
            await asyncio.sleep(number * 0.4 / CLOSED)
        await refreshing
    assert sockets() == before


def sockets() -> int:
    """How many this process has open."""
    return sum(name.startswith("socket:") for _, name in descriptors())


def descriptors() -> Iterator[tuple[str, str]]:
    """Number and name of each that is open."""
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with suppress(FileNotFoundError):  # that of the listing itself, and what a thread has just closed
            yield number, str(Path("/proc/self/fd", number).readlink())


async def through_a_restart(spare: Hypervisor, collector: domstats.Collector, how: signal.Signals) -> None:
    """libvirtd ends and comes back; nothing of what was known is lost, and then all of it is new."""
    reconnects, sweeps = collector.cost.reconnects, collector.cost.sweeps
    restart = asyncio.create_task(asyncio.to_thread(spare.restart_daemon, how))
    meanwhile = await until(collector, lambda _: collector.cost.reconnects > reconnects)
    await restart
    restarted = collector.clock()
    meanwhile += await until(collector, lambda each: collector.cost.sweeps > sweeps + 1 and all_since(each, restarted))
    assert all(len(each) == GUESTS for each in meanwhile), "what was known stays"
    assert all(record.domain.id is not None for each in meanwhile for record in each)
    assert collector.trouble is None


async def resources(collector: domstats.Collector) -> tuple[int, int]:
    """What is held when no guest is being asked: open descriptors but for the connections kept for that; and bytes."""
    lanes = collector._reach.lanes
    async with asyncio.timeout(PATIENCE):
        while lanes._busy or lanes.hung:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.001)
    assert len(lanes._all) == len(lanes._free) <= lanes.width
    gc.collect()
    kept = sum(not source.lost for source in lanes._free)
    return len(held()) - kept, memory()


def held() -> set[tuple[str, str]]:
    """The descriptors that stay open while the loop does nothing.

    Threads go on meanwhile, and have a file of some process open for the moment in which they read it.
    """
    looks = []
    for _ in range(LOOKS):
        looks.append(set(descriptors()))
        time.sleep(LOOKS_PAUSE)
    return set.intersection(*looks)


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
