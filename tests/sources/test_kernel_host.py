"""kernel:/// on trees like those of hosts with systemd, with cgroups of both versions, and of Proxmox."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from domstats.errors import BadUri, DeadlineExceeded, StatsUnsupported, UnknownDomain
from domstats.model.flags import NO_FILTERS, DomainFilter, StatsGroup
from domstats.model.snapshot import Snapshot
from domstats.sources.kernel.source import KernelSource
from domstats.sources.kernel.uri import parse
from domstats.sources.registry import open_source
from kvm_machine import KVM, Machine
from proc_trees import FakeGuest, FakeThread, write_files

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
LIBVIRT = ("/usr/bin/qemu-system-x86_64", "-name", "guest=web,debug-threads=on", "-smp", "2,maxcpus=4", "-uuid", UUID)
PROXMOX = ("/usr/bin/kvm", "-id", "100", "-name", "pve,debug-threads=on", "-smbios", f"type=1,uuid={UUID}")
DEVICES = " vnet0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\nmacvtap0: 11 12 13 14 0 0 0 0 15 16 17 18 0 0 0 0\n"
DEADLINE = 10.0
TICK, NS = 100, 1_000_000_000


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[KernelSource]:
    write_files(tmp_path, {"proc/uptime": "100000.0 1.0\n", "sys/devices/system/cpu/online": "0-2,5\n"})
    opened = KernelSource.open(f"kernel:///?proc={tmp_path}/proc&sys={tmp_path}/sys")
    yield opened
    await opened.aclose()


async def poll(source: KernelSource, groups: int = 0, flags: DomainFilter = NO_FILTERS) -> Snapshot:
    return await source.stats([], groups, flags, DEADLINE)


def params(snapshot: Snapshot, key: Any) -> dict[str, Any]:
    return {param.name: param.value for param in snapshot[key].params}


def vcpus(**what: Any) -> dict[int, FakeThread]:
    return {
        70: FakeThread("IO mon_iothread", user=99),
        71: FakeThread("CPU 0/KVM", user=1, system=2, delay=7, **what),
        72: FakeThread("CPU 1/KVM", user=3, system=4, delay=8, **what),
    }


async def test_everything_of_a_guest(source: KernelSource, tmp_path: Path) -> None:
    guest = FakeGuest(
        7, (*LIBVIRT, "-netdev", "tap,fd=30", "-netdev", "tap,fd=21"), vcpus(), user=11, system=22, pages=3,
        files={1: "/dev/null", 30: "/dev/net/tun", 31: "/dev/net/tun", 21: "/dev/tap9", 5: "/dev/tap99"},
        fdinfo={30: "pos:\t0\niff:\tvnet0\n", 31: "iff:\tvnet0\n", 21: "pos:\t0\n"}, devices=DEVICES,
        igmp="Idx\tDevice    : Count Querier\tGroup\n9\tmacvtap0  :     1      V3\n\t\t\t010000E0     1\n",
    )  # fmt: skip
    guest.write(tmp_path / "proc")
    snapshot = await poll(source)
    assert [(domain.name, domain.uuid, domain.id) for domain in snapshot.domains] == [("web", UUID, 7)]
    assert snapshot.host_cpus == 4
    assert params(snapshot, UUID) == {
        "cpu.time": 33 * NS // TICK, "cpu.user": 11 * NS // TICK, "cpu.system": 22 * NS // TICK, "balloon.rss": 12,
        "vcpu.current": 2, "vcpu.maximum": 4,
        "vcpu.0.state": 1, "vcpu.0.time": 3 * NS // TICK, "vcpu.0.wait": 0, "vcpu.0.delay": 7,
        "vcpu.1.state": 1, "vcpu.1.time": 7 * NS // TICK, "vcpu.1.wait": 0, "vcpu.1.delay": 8,
        "net.count": 2,
        "net.0.name": "vnet0", "net.0.rx.bytes": 5, "net.0.rx.pkts": 6, "net.0.rx.errs": 7, "net.0.rx.drop": 8,
        "net.0.tx.bytes": 1, "net.0.tx.pkts": 2, "net.0.tx.errs": 3, "net.0.tx.drop": 4,
        "net.1.name": "macvtap0", "net.1.rx.bytes": 11, "net.1.rx.pkts": 12, "net.1.rx.errs": 13,
        "net.1.rx.drop": 14, "net.1.tx.bytes": 15, "net.1.tx.pkts": 16, "net.1.tx.errs": 17, "net.1.tx.drop": 18,
    }  # fmt: skip


SCOPE = "machine.slice/machine-qemu\\x2d1\\x2dweb.scope"
CPU_STAT = "usage_usec 5000\nuser_usec 2000\nsystem_usec 3000\nnr_periods 0\n"
VERSION2 = (5_000_000, 2_000_000, 3_000_000)
VERSION1 = {"cpuacct.usage": "123456789\n", "cpuacct.stat": "user 4\nsystem 5\n"}
TICKS = (30 * NS // TICK, 10 * NS // TICK, 20 * NS // TICK)


@pytest.mark.parametrize(
    ("cgroup", "files", "times"),
    [
        (f"0::/{SCOPE}/libvirt/emulator\n", {f"{SCOPE}/libvirt/cpu.stat": CPU_STAT}, VERSION2),
        (f"0::/{SCOPE}/emulator\n", {f"{SCOPE}/cpu.stat": CPU_STAT}, VERSION2),
        ("0::/machine/qemu-1-web.libvirt-qemu/emulator\n",
         {"machine/qemu-1-web.libvirt-qemu/cpu.stat": CPU_STAT}, VERSION2),
        ("0::/qemu.slice/100.scope\n", {"qemu.slice/100.scope/cpu.stat": CPU_STAT}, VERSION2),
        (f"4:cpu,cpuacct:/{SCOPE}/emulator\n1:name=systemd:/{SCOPE}\n0::/{SCOPE}\n",
         {f"cpu,cpuacct/{SCOPE}/{name}": text for name, text in VERSION1.items()},
         (123456789, 4 * NS // TICK, 5 * NS // TICK)),
        (f"5:cpuacct:/{SCOPE}/emulator\n", {f"cpuacct/{SCOPE}/{name}": text for name, text in VERSION1.items()},
         (123456789, 4 * NS // TICK, 5 * NS // TICK)),
        (f"0::/{SCOPE}/libvirt/emulator\n", {f"{SCOPE}/libvirt/cpu.stat": "nr_periods 0\n"}, TICKS),
        (f"0::/{SCOPE}/libvirt/emulator\n", {}, TICKS),
        ("0::/\n", {"cpu.stat": CPU_STAT}, TICKS),
        ("0::/user.slice/session-1.scope\n", {"user.slice/session-1.scope/cpu.stat": CPU_STAT}, TICKS),
        (f"0::/../{SCOPE}\n", {f"{SCOPE}/cpu.stat": CPU_STAT}, TICKS),
        ("", {}, TICKS),
    ],
)  # fmt: skip
async def test_processor_time(
    source: KernelSource, tmp_path: Path, cgroup: str, files: dict[str, str], times: tuple[int, ...]
) -> None:
    write_files(tmp_path / "sys/fs/cgroup", files)
    FakeGuest(7, LIBVIRT, vcpus(), cgroup=cgroup, user=10, system=20).write(tmp_path / "proc")
    found = params(await poll(source, StatsGroup.CPU), UUID)
    assert found == dict(zip(("cpu.time", "cpu.user", "cpu.system"), times, strict=True))


async def test_proxmox(source: KernelSource, tmp_path: Path) -> None:
    FakeGuest(7, PROXMOX, vcpus()).write(tmp_path / "proc")
    snapshot = await poll(source, StatsGroup.VCPU)
    assert snapshot[UUID].domain.name == "pve"
    assert snapshot[UUID]["vcpu.1.time"] == 7 * NS // TICK


async def test_wait_where_the_kernel_writes_it(source: KernelSource, tmp_path: Path) -> None:
    FakeGuest(7, LIBVIRT, vcpus(wait="12.000345")).write(tmp_path / "proc")
    assert (await poll(source))[UUID]["vcpu.1.wait"] == 12_000_345


async def test_without_names_a_vcpu_is_known_by_its_call(source: KernelSource, tmp_path: Path) -> None:
    threads = {
        71: FakeThread("qemu", user=1, syscall="16 0xe 0xae80 0x0 0x0 0x0 0x0 0x7ffe 0x7f"),
        72: FakeThread("qemu", user=2, syscall="202 0xe 0xae80 0x0 0x0 0x0 0x0 0x7ffe 0x7f"),
        73: FakeThread("CPU x/KVM", user=3, syscall="running"),
        74: FakeThread("CPU 123456/KVM", user=3, syscall="-1 0x7ffe 0x7f"),
    }
    FakeGuest(7, LIBVIRT, threads, files={14: "anon_inode:kvm-vcpu:1"}).write(tmp_path / "proc")
    found = params(await poll(source, StatsGroup.VCPU), UUID)
    assert found["vcpu.1.time"] == NS // TICK
    assert (found["vcpu.current"], "vcpu.0.time" in found) == (1, False)


async def test_unknown_vcpus_are_missing_with_a_reason(source: KernelSource, tmp_path: Path) -> None:
    FakeGuest(7, LIBVIRT, {71: FakeThread("qemu")}).write(tmp_path / "proc")
    snapshot = await poll(source, StatsGroup.VCPU)
    assert params(snapshot, UUID) == {"vcpu.maximum": 4}
    assert [lack.keys for lack in source.lacking() if lack.domain and "haltpoll" not in lack.keys] == ["vcpu.<id>"]


async def test_what_only_the_monitor_knows_is_missing(source: KernelSource, tmp_path: Path) -> None:
    FakeGuest(7, LIBVIRT, vcpus()).write(tmp_path / "proc")
    snapshot = await poll(source, StatsGroup.STATE | StatsGroup.BLOCK)
    assert len(snapshot) == 1
    assert params(snapshot, UUID) == {}
    assert {"state", "block"} <= {lack.keys for lack in source.lacking()}
    with pytest.raises(StatsUnsupported):
        await poll(source, StatsGroup.BLOCK, DomainFilter.ENFORCE)


@pytest.mark.parametrize(
    ("flags", "count"),
    [("ACTIVE", 1), ("INACTIVE", 0), ("RUNNING", 0), ("PAUSED", 0), ("OTHER", 1), ("PERSISTENT", 0)],
)
async def test_filters(source: KernelSource, tmp_path: Path, flags: str, count: int) -> None:
    FakeGuest(7, LIBVIRT, vcpus()).write(tmp_path / "proc")
    assert len(await poll(source, 0, DomainFilter[flags])) == count


async def test_guests_come_and_go(source: KernelSource, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    FakeGuest(7, LIBVIRT, vcpus(), user=1).write(proc)
    first = await poll(source)
    assert (await poll(source)).layout is first.layout, "nothing is made anew while nothing changes"
    FakeGuest(8, PROXMOX, vcpus(), user=2, started=9).write(proc)
    assert {domain.name for domain in (await poll(source)).domains} == {"web", "pve"}
    shutil.rmtree(proc / "7")
    after = await poll(source)
    assert [domain.name for domain in after.domains] == ["pve"]


async def test_a_number_used_again_is_another_guest(source: KernelSource, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    FakeGuest(7, LIBVIRT, vcpus(), user=1).write(proc)
    await poll(source)
    FakeGuest(7, PROXMOX, vcpus(), user=2, started=6).write(proc)
    again = await poll(source)
    assert [domain.name for domain in again.domains] in ([], ["pve"])
    assert [domain.name for domain in (await poll(source)).domains] == ["pve"]


async def test_a_process_that_has_ended_is_gone(source: KernelSource, tmp_path: Path) -> None:
    FakeGuest(7, LIBVIRT, vcpus()).write(tmp_path / "proc")
    assert len(await poll(source)) == 1
    FakeGuest(7, LIBVIRT, vcpus(), state="Z").write(tmp_path / "proc")
    assert len(await poll(source)) == 0


async def test_vcpus_come_and_go(source: KernelSource, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    FakeGuest(7, LIBVIRT, vcpus()).write(proc)
    assert (await poll(source))[UUID]["vcpu.current"] == 2
    FakeGuest(7, LIBVIRT, vcpus() | {73: FakeThread("CPU 2/KVM", user=9)}).write(proc)
    found = params(await poll(source), UUID)
    assert (found["vcpu.current"], found["vcpu.2.time"]) == (3, 9 * NS // TICK)
    shutil.rmtree(proc / "7/task/72")
    FakeGuest(7, LIBVIRT, {k: v for k, v in vcpus().items() if k != 72} | {73: FakeThread("CPU 2/KVM")}).write(proc)
    assert [key for key in params(await poll(source), UUID) if key.endswith(".time")][1:] == [
        "vcpu.0.time",
        "vcpu.2.time",
    ]


async def test_a_child_of_libvirt_becomes_a_guest(source: KernelSource, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    FakeGuest(7, ("/usr/sbin/libvirtd",), started=100_000 * TICK - 5).write(proc)
    FakeGuest(8, ("/usr/sbin/libvirtd",), started=5).write(proc)
    assert len(await poll(source)) == 0
    FakeGuest(7, LIBVIRT, vcpus(), started=100_000 * TICK - 5).write(proc)
    assert [domain.id for domain in (await poll(source)).domains] == [7]


async def test_two_guests_never_share_a_uuid(source: KernelSource, tmp_path: Path) -> None:
    FakeGuest(9, LIBVIRT, vcpus(), user=1, started=3).write(tmp_path / "proc")
    FakeGuest(8, PROXMOX, vcpus(), user=2, started=4).write(tmp_path / "proc")
    FakeGuest(6, ("qemu-system-x86_64",), started=7).write(tmp_path / "proc")
    snapshot = await poll(source)
    assert snapshot[UUID].domain.name == "web", "the oldest keeps it"
    assert len({domain.uuid for domain in snapshot.domains}) == 3
    assert {domain.name for domain in snapshot.domains} == {"web", "pve", "qemu-6"}


async def test_a_device_elsewhere_is_not_the_guests(source: KernelSource, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    tap = {"files": {30: "/dev/net/tun"}, "fdinfo": {30: "iff:\tvnet0\n"}}
    FakeGuest(7, LIBVIRT, vcpus(), devices=DEVICES, **tap).write(proc)
    (proc / "8/ns").mkdir(parents=True)
    (proc / "8/ns/net").symlink_to("net:[5]")
    FakeGuest(8, PROXMOX, vcpus(), devices=" vnet0: 0 0 0 0 0 0 0 0 77 0 0 0 0 0 0 0\n", started=9, **tap).write(proc)
    FakeGuest(9, ("kvm", "-name", "none"), vcpus(), devices=DEVICES, started=10, **tap).write(proc)
    (proc / "9/ns/net").unlink()
    snapshot = await poll(source, StatsGroup.INTERFACE)
    assert (snapshot["web"]["net.0.rx.bytes"], snapshot["pve"]["net.0.rx.bytes"]) == (5, 77)
    assert params(snapshot, "none") == {"net.count": 1, "net.0.name": "vnet0"}
    assert [lack.domain.name for lack in source.lacking() if lack.keys == "net[vnet0]" and lack.domain] == ["none"]


async def test_hostile_files_harm_nothing(source: KernelSource, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    hostile = FakeGuest(7, ("qemu-system-x86_64", "-name", "a\nb) R 1 (c", "-uuid", "\x01" * 100_000),
                        {71: FakeThread("CPU 0/KVM) R 9"), 72: FakeThread("CPU 0/KVM\nCPU 1/KVM")})  # fmt: skip
    hostile.write(proc)
    FakeGuest(8, PROXMOX, vcpus(), started=9).write(proc)
    (proc / "8/task/71/schedstat").write_text("nonsense")
    (proc / "8/net/dev").write_bytes(b"\xff\n\n vnet0: 1 2\n:\n")
    for name, text in {"9/stat": "9 (half", "10/stat": "10 (x) S 1 2", "11/cmdline": "kvm\0"}.items():
        write_files(proc, {name: text})
    snapshot = await poll(source)
    assert {domain.name for domain in snapshot.domains} == {"a\nb) R 1 (c", "pve"}
    assert snapshot["pve"]["vcpu.0.delay"] == 0


async def test_beyond_the_budget_files_are_opened_each_time(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    for number in range(20):
        command = ("kvm", "-name", f"g{number},debug-threads=on")
        FakeGuest(100 + number, command, vcpus(), user=number, started=number + 1).write(proc)
    for budget, held in ((0, 0), (20, 18), (1000, 120)):
        source = KernelSource.open(f"kernel:///?proc={proc}&sys={tmp_path}/sys&descriptors={budget}")
        snapshot = await poll(source)
        assert [int(snapshot[f"g{number}"]["cpu.user"]) for number in range(20)] == [
            number * NS // TICK for number in range(20)
        ]
        assert source.held == held
        await source.aclose()
        assert source.held == 0


def links(folder: Path) -> dict[int, str]:
    return {int(link.name): str(link.readlink()) for link in folder.iterdir()}


@pytest.mark.skipif(not KVM.exists(), reason=f"there is no {KVM}")
async def test_what_kvm_says(source: KernelSource, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    (proc / "self").parent.mkdir(exist_ok=True)
    (proc / "self").symlink_to(str(os.getpid()))
    with Machine([0, 2]) as machine:
        FakeGuest(machine.pid, LIBVIRT, vcpus(), files=links(Path(f"/proc/{machine.pid}/fd"))).write(proc)
        machine.run(2, 5)
        found = params(await poll(source), UUID)
        assert (found["vcpu.0.fpu_reload.sum"], found["vcpu.1.fpu_reload.sum"]) == (0, 5)
        for vcpu, number in ((0, 0), (1, 2)):
            theirs = machine.figures(number)
            mine = {key: found[f"vcpu.{vcpu}.{key}.sum"] for key in theirs if f"vcpu.{vcpu}.{key}.sum" in found}
            assert len(mine) > 20
            assert mine == {key: theirs[key][0] for key in mine}
        assert (found["cpu.haltpoll.success.time"], found["vcpu.1.guest_mode.cur"]) == (0, False)
        assert found["vcpu.1.time"] == 7 * NS // TICK
        machine.end()
        again = params(await poll(source), UUID)
    assert [key for key in again if key.endswith(".sum")] == []
    assert again["vcpu.1.time"] == 7 * NS // TICK
    assert "cpu.haltpoll.success.time" not in again


async def test_look_ups(source: KernelSource, tmp_path: Path) -> None:
    FakeGuest(7, LIBVIRT, vcpus()).write(tmp_path / "proc")
    for name in ("web", UUID.upper(), "7", 7):
        assert (await source.find(name, DEADLINE)).uuid == UUID
    for name in ("nobody", 8):
        with pytest.raises(UnknownDomain):
            await source.find(name, DEADLINE)


async def test_a_clock_that_is_set_while_the_files_are_read(tmp_path: Path) -> None:
    FakeGuest(7, LIBVIRT, vcpus()).write(tmp_path / "proc")
    times, offsets = iter([1000.0, 4603.0]), iter([70.0, 3670.0])
    source = KernelSource(f"kernel:///?proc={tmp_path}/proc&sys={tmp_path}", lambda: next(times), lambda: next(offsets))
    sampling = (await poll(source)).sampling
    assert (sampling.times[0, 0], sampling.uncertainty[0, 0], sampling.offset) == (4601.5, 1.5, 3670.0)
    await source.aclose()


async def test_no_proc_at_all(tmp_path: Path) -> None:
    source = await open_source(f"kernel:///?proc={tmp_path}/none", {}, DEADLINE)
    assert isinstance(source, KernelSource)
    assert len(await poll(source)) == 0
    assert "every key" in {lack.keys for lack in source.lacking()}
    await source.aclose()


def hanging(tmp_path: Path) -> Path:
    """A file of a guest that cannot be read until somebody opens it to write."""
    FakeGuest(7, LIBVIRT, vcpus()).write(tmp_path / "proc")
    command = tmp_path / "proc/7/cmdline"
    command.unlink()
    os.mkfifo(command)
    return command


async def test_a_read_that_hangs_is_closed_behind(tmp_path: Path) -> None:
    command = hanging(tmp_path)
    source = KernelSource.open(f"kernel:///?proc={tmp_path}/proc&sys={tmp_path}/sys")
    with pytest.raises(DeadlineExceeded):
        await source.stats([], 0, NO_FILTERS, 0.05)
    ended = asyncio.Event()
    loop, close = asyncio.get_running_loop(), source._host.close

    def close_and_tell() -> None:
        close()
        loop.call_soon_threadsafe(ended.set)

    source._host.close = close_and_tell  # type: ignore[method-assign]
    async with asyncio.timeout(DEADLINE):
        await source.aclose()
        assert not ended.is_set()
        with command.open("wb"):
            command.unlink()
        await ended.wait()
    assert source.held == 0


_ASK_AND_END = """
import asyncio, sys
import domstats.aio
from domstats.errors import DeadlineExceeded

async def ask():
    async with await domstats.aio.connect(sys.argv[1]) as host:
        try:
            await host.stats(deadline=0.1)
        except DeadlineExceeded:
            print("late")

asyncio.run(ask())
"""


def test_a_read_that_hangs_keeps_no_process_from_ending(tmp_path: Path) -> None:
    hanging(tmp_path)
    uri = f"kernel:///?proc={tmp_path}/proc&sys={tmp_path}/sys"
    command = [sys.executable, "-c", _ASK_AND_END, uri]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=3 * DEADLINE, check=True)
    assert (ended.stdout, ended.stderr) == ("late\n", "")


@pytest.mark.parametrize(
    "uri",
    ["kernel://host/", "kernel:///path", "kernel:///?x=1", "kernel:///?proc=a", "kernel:///?proc=/a&proc=/b",
     "kernel:///?descriptors=-1", "kernel:///?descriptors=99999999", "kernel:///?sys=/a%00", "sim:///", "kernel://["],
)  # fmt: skip
def test_bad_uris(uri: str) -> None:
    with pytest.raises(BadUri):
        parse(uri)
