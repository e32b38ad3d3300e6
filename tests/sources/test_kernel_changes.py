"""kernel:/// while guests change under its hands, and while files, rights or descriptors are missing; on trees."""

from __future__ import annotations

import asyncio
import itertools
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from domstats.errors import DeadlineExceeded, OutOfFiles
from domstats.model.flags import NO_FILTERS
from domstats.sources.kernel import host as kernel_host
from domstats.sources.kernel.guest import Guest
from domstats.sources.kernel.host import KernelHost
from domstats.sources.kernel.keys import GROUPS, INTERFACE
from domstats.sources.kernel.source import KernelSource
from domstats.sources.kernel.threads import Threads
from domstats.sources.kernel.uri import KernelConfig
from proc_trees import FakeGuest, FakeThread, write_files

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
LIBVIRT = ("/usr/bin/qemu-system-x86_64", "-name", "guest=web,debug-threads=on", "-smp", "2", "-uuid", UUID)
NOW = 10_000_000
"""Ticks since the boot, where the uptime is that of the trees here."""
COUNTERS = " ".join(["1"] * 16)
Reading = dict[str, dict[str, int]]


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    write_files(tmp_path, {"proc/uptime": "100000.0 1.0\n"})
    return tmp_path / "proc"


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thorough looks so often that a test sees them."""
    monkeypatch.setattr(kernel_host, "_EVERY", 8)


def opened(proc: Path, budget: int = 1000) -> KernelHost:
    return KernelHost(KernelConfig(proc, proc.parent / "sys", budget))


def poll(host: KernelHost, groups: int = GROUPS) -> Reading:
    """What each guest has, by name."""
    layout, values = host.poll(host.look(), groups)
    return {
        record.domain.name: dict(zip(record.shape.keys, values[start:].tolist(), strict=False))
        for record, start in zip(layout.records, layout.starts.tolist(), strict=False)
    }


def vcpus(**what: Any) -> dict[int, FakeThread]:
    return {71: FakeThread("CPU 0/KVM", **what), 72: FakeThread("CPU 1/KVM", **what)}


def test_a_device_is_seen_whatever_else_is_polled(proc: Path, often: None) -> None:
    def attach(taps: range) -> None:
        for number in range(4):
            FakeGuest(
                100 + number, ("kvm", "-name", f"g{number}"), {1000 + number: FakeThread("CPU 0/KVM")},
                files={30 + tap: "/dev/net/tun" for tap in taps},
                fdinfo={30 + tap: f"iff:\tvnet{tap}\n" for tap in taps},
            ).write(proc)  # fmt: skip

    attach(range(1))
    host = opened(proc)
    assert {found["net.count"] for found in poll(host, INTERFACE).values()} == {1}
    attach(range(1, 2))
    for _ in range(8):
        poll(host, GROUPS & ~INTERFACE)
        found = poll(host, INTERFACE)
    assert [found[f"g{number}"]["net.count"] for number in range(4)] == [2] * 4
    host.close()


@pytest.mark.parametrize(("age", "polls"), [(10, 1), (10_000, 8)])
def test_a_thread_that_gets_its_name_late_is_a_vcpu(proc: Path, often: None, age: int, polls: int) -> None:
    unnamed = vcpus() | {72: FakeThread("qemu-system-x86")}
    FakeGuest(7, LIBVIRT, unnamed, started=NOW - age).write(proc)
    host = opened(proc)
    assert poll(host)["web"]["vcpu.current"] == 1
    FakeGuest(7, LIBVIRT, vcpus(user=1), started=NOW - age).write(proc)
    for _ in range(polls):
        found = poll(host)
    assert (found["web"]["vcpu.current"], found["web"]["vcpu.1.time"]) == (2, 10_000_000)
    host.close()


def in_the_call(vcpu: int) -> str:
    return f"16 {20 + vcpu:#x} 0xae80 0x0 0x0 0x0 0x0 0x7ffe 0x7f"


def unnamed(proc: Path, calls: int, links: int, age: int = 10_000) -> None:
    """A guest without thread names: so many of its vCPUs wait in the call that runs them, the others run."""
    threads = {
        71 + each: FakeThread("qemu", syscall=in_the_call(each) if each < calls else "running") for each in range(8)
    }
    files = {20 + each: f"anon_inode:kvm-vcpu:{each}" for each in range(links)}
    shutil.rmtree(proc / "7/fd", ignore_errors=True)
    FakeGuest(7, ("kvm", "-name", "web", "-smp", "8"), threads, files=files, started=NOW - age).write(proc)


def of_vcpus(found: dict[str, int]) -> list[str]:
    return [key for key in found if key == "vcpu.current" or (key.startswith("vcpu.") and key.endswith(".time"))]


@pytest.mark.parametrize(("age", "polls"), [(10, 1), (10_000, 4)])
def test_how_many_vcpus_there_are_is_told_once_all_are_known(proc: Path, age: int, polls: int) -> None:
    unnamed(proc, 1, 3, age)
    host = opened(proc)
    assert of_vcpus(poll(host)["web"]) == ["vcpu.0.time"]
    assert "vcpu.current" in [lack.keys for lack in host.lacking()]
    for calls in (2, 3):
        unnamed(proc, calls, 3, age)
        for _ in range(polls):
            found = poll(host)["web"]
    assert of_vcpus(found) == ["vcpu.current", "vcpu.0.time", "vcpu.1.time", "vcpu.2.time"]
    assert found["vcpu.current"] == 3
    assert "vcpu.current" not in [lack.keys for lack in host.lacking()]
    host.close()


def test_a_vcpu_that_comes_later_is_counted_once_it_is_known(proc: Path, often: None) -> None:
    unnamed(proc, 2, 2)
    host = opened(proc)
    assert poll(host)["web"]["vcpu.current"] == 2
    unnamed(proc, 2, 3)
    for _ in range(8):
        found = poll(host)["web"]
    assert of_vcpus(found) == ["vcpu.0.time", "vcpu.1.time"]
    unnamed(proc, 3, 3)
    for _ in range(4):
        found = poll(host)["web"]
    assert found["vcpu.current"] == 3
    host.close()


def after_each(monkeypatch: pytest.MonkeyPatch, where: type, name: str, then: Callable[[], None]) -> None:
    """Have something happen after each call of a method."""
    method = getattr(where, name)

    def both(*arguments: Any) -> Any:
        result = method(*arguments)
        then()
        return result

    monkeypatch.setattr(where, name, both)


def test_threads_that_come_and_go_harm_nothing(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = itertools.count(4)

    def another_thread() -> None:
        number = next(counts)
        FakeGuest(7, LIBVIRT, vcpus() | {1000 + each: FakeThread("worker") for each in range(number)}).write(proc)

    another_thread()
    host = opened(proc)
    assert len(poll(host)) == 1
    after_each(monkeypatch, Guest, "look_at_threads", another_thread)
    another_thread()
    for _ in range(3):
        assert poll(host)["web"]["vcpu.current"] == 2
    host.close()


@pytest.mark.parametrize(
    ("where", "name", "budget"),
    [(Guest, "look_at_threads", 0), (Threads, "look", 0), (Threads, "look", 1000)],
)
def test_a_vcpu_that_goes_meanwhile_is_left_out(
    proc: Path, monkeypatch: pytest.MonkeyPatch, where: type, name: str, budget: int
) -> None:
    FakeGuest(7, LIBVIRT, vcpus()).write(proc)
    host = opened(proc, budget)
    assert poll(host)["web"]["vcpu.current"] == 2
    FakeGuest(7, LIBVIRT, vcpus() | {73: FakeThread("CPU 2/KVM")}).write(proc)
    after_each(monkeypatch, where, name, lambda: shutil.rmtree(proc / "7/task/72", ignore_errors=True))
    assert poll(host)["web"]["vcpu.current"] == 2
    assert {key for key in poll(host)["web"] if key.endswith(".delay")} == {"vcpu.0.delay", "vcpu.2.delay"}
    host.close()


def test_wait_is_there_once_the_kernel_writes_it(proc: Path, often: None) -> None:
    FakeGuest(7, LIBVIRT, vcpus()).write(proc)
    host = opened(proc)
    assert poll(host)["web"]["vcpu.0.wait"] == 0
    FakeGuest(7, LIBVIRT, vcpus(wait="12.000345")).write(proc)
    for _ in range(8):
        found = poll(host)
    assert found["web"]["vcpu.0.wait"] == 12_000_345
    host.close()


def test_a_kernel_without_multicast(proc: Path) -> None:
    FakeGuest(
        7, LIBVIRT, vcpus(), files={30: "/dev/net/tun", 31: "/dev/tap7"}, fdinfo={30: "iff:\tvnet0\n"},
        devices=f"vnet0: {COUNTERS}\n",
    ).write(proc)  # fmt: skip
    (proc / "7/net/igmp").unlink()
    host = opened(proc)
    assert (poll(host)["web"]["net.count"], poll(host)["web"]["net.0.rx.bytes"]) == (1, 1)
    host.close()


SCOPE = "machine.slice/machine-qemu\\x2d1\\x2dweb.scope"
OWN, SHARED = f"0::/{SCOPE}\n", "0::/user.slice\n"


def spent(proc: Path, seconds: int | None, cgroup: str = OWN, ticks: int = 100, threads: int = 0) -> None:
    """A guest whose process has used so many ticks, in a cgroup that has used so many seconds."""
    text = "usage_usec broken\n" if seconds is None else f"usage_usec {seconds}000000\nuser_usec 0\nsystem_usec 0\n"
    write_files(proc.parent / "sys/fs/cgroup", {f"{SCOPE}/cpu.stat": text})
    more = {100 + each: FakeThread("worker") for each in range(threads)}
    FakeGuest(7, LIBVIRT, vcpus() | more, cgroup=cgroup, user=ticks).write(proc)


def test_processor_time_stays_the_process_s_where_a_guest_gets_a_cgroup(proc: Path) -> None:
    spent(proc, 3600, SHARED)
    host = opened(proc)
    assert poll(host)["web"]["cpu.time"] == 1_000_000_000
    spent(proc, 3600, OWN, ticks=200, threads=1)
    assert poll(host)["web"]["cpu.time"] == 2_000_000_000
    host.close()


@pytest.mark.parametrize("budget", [0, 1000])
@pytest.mark.parametrize("cgroup", [SHARED, OWN.replace("x2d1", "x2d2"), "0::/qemu.slice/100.scope\n"])
def test_processor_time_is_missing_while_another_cgroup_counts_it(proc: Path, cgroup: str, budget: int) -> None:
    write_files(
        proc.parent / "sys/fs/cgroup/qemu.slice/100.scope", {"cpu.stat": "usage_usec 1\nuser_usec 1\nsystem_usec 0"}
    )
    spent(proc, 3600)
    host = opened(proc, budget)
    assert poll(host)["web"]["cpu.time"] == 3600_000_000_000
    spent(proc, 3600, cgroup, threads=1)
    found = poll(host)["web"]
    assert [key for key in found if key.startswith("cpu.")] == []
    assert (found["vcpu.1.delay"], found["vcpu.current"]) == (0, 2)
    assert "cpu, cpu.haltpoll" in [lack.keys for lack in host.lacking()]
    spent(proc, 3601, threads=2)
    assert poll(host)["web"]["cpu.time"] == 3601_000_000_000
    host.close()


def test_processor_time_is_missing_while_its_cgroup_does_not_say_it(proc: Path) -> None:
    spent(proc, 3600)
    host = opened(proc)
    assert poll(host)["web"]["cpu.time"] == 3600_000_000_000
    spent(proc, None)
    for _ in range(2):
        assert "cpu.time" not in poll(host)["web"]
    spent(proc, 3601, threads=1)
    assert poll(host)["web"]["cpu.time"] == 3601_000_000_000
    host.close()


def igmp(*devices: str) -> str:
    lines = [f"{number + 7}\t{name}  :     1      V3\n" for number, name in enumerate(devices) if name]
    return "Idx\tDevice\n" + "".join(lines)


def test_a_macvtap_keeps_its_name_while_it_is_down(proc: Path, often: None) -> None:
    devices = f"macvtap0: {COUNTERS}\n"
    FakeGuest(7, LIBVIRT, vcpus(), files={30: "/dev/tap7"}, devices=devices).write(proc)
    host = opened(proc)
    assert poll(host)["web"]["net.count"] == 0
    write_files(proc, {"7/net/igmp": igmp("macvtap0")})
    for _ in range(4):
        found = poll(host)
    assert found["web"]["net.0.rx.bytes"] == 1, "it is looked for until it has a name"
    write_files(proc, {"7/net/igmp": igmp()})
    for _ in range(16):
        assert poll(host)["web"]["net.count"] == 1
    write_files(proc, {"7/net/igmp": igmp("", "macvtap0")})
    for _ in range(16):
        found = poll(host)
    assert found["web"]["net.count"] == 0, "the name is another's"
    host.close()


@contextmanager
def at_most(more: int) -> Iterator[None]:
    """This process may open no more than so many files beside those that are open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}
    free = (number for number in itertools.count() if number not in used)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(itertools.islice(free, more, None)), limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def guests(proc: Path, count: int) -> set[str]:
    for number in range(count):
        threads = {1000 + 2 * number + each: FakeThread(f"CPU {each}/KVM") for each in range(2)}
        FakeGuest(100 + number, ("kvm", "-name", f"g{number}"), threads).write(proc)
    return {f"g{number}" for number in range(count)}


def test_guests_stay_when_others_take_the_open_files(proc: Path) -> None:
    names = guests(proc, 40)
    host = opened(proc)
    with at_most(100):
        assert poll(host).keys() == names, "files are opened for each poll"
    assert host.held < 100
    host.close()
    host = opened(proc)
    assert poll(host).keys() == names
    assert host.held == 240
    more = guests(proc, 60)
    with at_most(20):
        assert poll(host).keys() == more
        assert poll(host).keys() == more
    assert host.held < 240
    host.close()
    assert host.held == 0


def test_no_guest_has_ended_because_no_file_may_be_opened(proc: Path) -> None:
    names = guests(proc, 3)
    host = opened(proc, 0)
    assert poll(host).keys() == names
    before = [id(guest) for guest in host.look()]
    with at_most(0), pytest.raises(OutOfFiles, match="ulimit -n"):
        poll(host)
    assert [id(guest) for guest in host.look()] == before
    assert poll(host).keys() == names
    host.close()


def test_a_guest_that_goes_into_the_background_keeps_its_uuid(proc: Path) -> None:
    FakeGuest(7, LIBVIRT, vcpus(), started=5).write(proc)
    FakeGuest(8, LIBVIRT, vcpus(), started=6).write(proc)
    FakeGuest(5, (*LIBVIRT, "-S"), vcpus(), started=6).write(proc)
    FakeGuest(6, LIBVIRT, vcpus(), started=5000).write(proc)
    host = opened(proc)
    assert [guest.domain.id for guest in host.look() if guest.domain.uuid == UUID] == [7]
    shutil.rmtree(proc / "7")
    assert [guest.domain.id for guest in host.look() if guest.domain.uuid == UUID] == [8]
    assert UUID in {record.domain.uuid for record in host.poll(host.look(), GROUPS)[0].records}
    shutil.rmtree(proc / "8")
    assert [guest.domain.id for guest in host.look() if guest.domain.uuid == UUID] == [], (
        "the others are not that guest"
    )
    FakeGuest(9, LIBVIRT, vcpus(), started=6000).write(proc)
    assert [guest.domain.id for guest in host.look() if guest.domain.uuid == UUID] == [9], "it is, started again"
    host.close()


def test_what_is_lacking_is_told_while_guests_come_and_go(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guests(proc, 3)
    host = opened(proc)
    poll(host)
    FakeGuest(7, LIBVIRT, vcpus()).write(proc)
    after_each(monkeypatch, Guest, "lacking", lambda: poll(host))
    told = [lack.domain.name for lack in host.lacking() if lack.domain]
    assert {"g0", "g1", "g2"} <= set(told)
    host.close()


async def test_polls_that_were_given_up_leave_nothing_behind(proc: Path) -> None:
    FakeGuest(7, LIBVIRT, vcpus()).write(proc)
    command = proc / "7/cmdline"
    text = command.read_bytes()
    command.unlink()
    os.mkfifo(command)
    source = KernelSource.open(f"kernel:///?proc={proc}&sys={proc.parent}/sys")
    for _ in range(20):
        with pytest.raises(DeadlineExceeded):
            await source.stats([], 0, NO_FILTERS, 0.005)
    assert source._thread._queue.qsize() == 0
    with command.open("wb") as writer:
        command.unlink()
        command.write_bytes(text)
        writer.write(text)
    assert len(await source.stats([], 0, NO_FILTERS, 10.0)) == 1
    await source.aclose()


@pytest.mark.parametrize("turns", range(6))
async def test_a_poll_that_is_cancelled_as_it_ends_is_cancelled(proc: Path, turns: int) -> None:
    """Python 3.11's wait_for forgets it then, and a collector that is being closed would go on."""
    source = KernelSource.open(f"kernel:///?proc={proc}&sys={proc.parent}/sys")
    answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    async def do(_work: Any) -> list[Any]:
        return await answer

    source._thread.do = do  # type: ignore[assignment]  # a thread is done when it is done
    polling = asyncio.create_task(source.domains(10.0))
    await asyncio.sleep(0)
    answer.set_result([])
    for _ in range(turns):
        await asyncio.sleep(0)
    was_cancelled = polling.cancel()
    await asyncio.wait([polling])
    assert polling.cancelled() == was_cancelled
    await source.aclose()
