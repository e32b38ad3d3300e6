"""What happens to the guests of a simulated host by its script, and what their records show then."""

from __future__ import annotations

import asyncio
import gc
from itertools import pairwise
from pathlib import Path

import pytest

from domstats.catalog.fields import Kind
from domstats.catalog.lookup import field_of, kind_of
from domstats.errors import StatsUnsupported, UnknownDomain
from domstats.model.flags import NO_FILTERS, DomainFilter, StatsGroup
from domstats.model.record import Record
from domstats.model.snapshot import Snapshot
from domstats.sources.sim.hostile import NAMES
from domstats.sources.sim.records import Part
from domstats.sources.sim.script import release
from domstats.sources.sim.source import SimSource
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.bulk.encoder import encode_reply
from fast_time import clock, run_fast
from scripted import LONG, Scripted, device_names, events

RUNNING, PAUSED, SHUTOFF = 1, 3, 5


def counters(record: Record) -> dict[str, int]:
    return {key: value for key, value in record.items() if kind_of(key) is Kind.COUNTER}


def next_net(snapshot: Snapshot) -> str:
    """The vnet device that comes after all there are."""
    return f"vnet{1 + max(int(name[4:]) for record in snapshot for name in device_names(record, 'net.'))}"


@pytest.mark.parametrize("parameters", ["domains=150", "domains=30&speed=100", "domains=30&time=1800000000&vcpus=5"])
def test_guests_to_which_nothing_happens_are_as_without_a_script(tmp_path: Path, parameters: str) -> None:
    async def work() -> None:
        script = events("0; hang test-1", "0; attach test-2; device = 'disk'", "5; define; name = 'new'")
        host = Scripted(tmp_path, script, parameters)
        plain = SimSource(f"sim:///?{parameters}", clock)
        disturbed = {"test-1", "test-2", "new"}
        for _ in range(2):
            for groups in (0, StatsGroup.VCPU | StatsGroup.BLOCK, StatsGroup.STATE):
                for flags in (NO_FILTERS, DomainFilter.BACKING, DomainFilter.PAUSED | DomainFilter.SHUTOFF):
                    domains = [each for each in await plain.domains(LONG) if each.name not in disturbed]
                    one = await host.source.stats(domains, groups, flags, LONG)
                    other = await plain.stats(domains, groups, flags, LONG)
                    assert one.domains == other.domains
                    assert one.time == other.time
                    assert [record.params for record in one] == [record.params for record in other]
            await asyncio.sleep(100.0)

    run_fast(work())


def test_the_same_question_has_the_same_layout_until_something_happens(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("10; rename test-1; to = 'other'"))
        first = await host.stats()
        await asyncio.sleep(5.0)
        assert (await host.stats()).layout is first.layout
        await asyncio.sleep(5.0)
        renamed = await host.stats()
        assert renamed.layout is not first.layout
        before, after = first.layout.records, renamed.layout.records
        assert [one is other for one, other in zip(before, after, strict=True)] == [False] + [True] * 19

    run_fast(work())


def test_of_what_a_guest_was_nothing_is_kept(tmp_path: Path) -> None:
    names = ["test-1" + number * "x" for number in range(21)]
    renames = [f"{10 * at}; rename {old}; to = '{new}'" for at, (old, new) in enumerate(pairwise(names), 1)]

    async def work() -> None:
        host = Scripted(tmp_path, events(*renames), "domains=40")
        for name in names:
            assert name in await host.stats()
            gc.collect()
            assert sum(isinstance(each, Part) for each in gc.get_objects()) <= 42, "those of the last two polls"
            await asyncio.sleep(10.0)

    run_fast(work())


def test_stopped_and_started_again(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("10; stop test-1", "20; start test-1", "30; start web-1"))
        first = await host.stats()
        before = first["test-1"]
        await asyncio.sleep(10.0)
        off = (await host.stats())["test-1"]
        assert off.domain.id is None
        assert off.domain.uuid == before.domain.uuid
        assert (off["state.state"], off["state.reason"]) == (SHUTOFF, 1)
        assert set(off) == set((await host.stats())["web-1"])
        assert off["balloon.current"] == off["balloon.maximum"]
        assert [domain.name for domain in (await host.stats(flags=DomainFilter.INACTIVE)).domains] == [
            "test-1",
            "web-1",
            "web-2",
        ]
        await asyncio.sleep(10.0)
        on = (await host.stats())["test-1"]
        assert (on["state.state"], on["state.reason"]) == (RUNNING, 1)
        assert on.domain.id == 33, "one more than the highest there was"
        assert set(counters(on).values()) == {0}
        assert list(on) == list(before)
        assert on["net.0.name"] == next_net(first), "the first that nobody has had"
        assert (await host.find("33")).name == "test-1"
        with pytest.raises(UnknownDomain):
            await host.find(str(before.domain.id))
        await asyncio.sleep(10.0)
        later = (await host.stats())["test-1"]
        assert 0 < later["cpu.time"] <= 10 * 10**9
        assert 0 < later["net.0.rx.pkts"] < before["net.0.rx.pkts"]
        assert (await host.stats())["web-1"].domain.id == 34
        assert set(counters((await host.stats())["web-1"]).values()) == {0}

    run_fast(work())


def test_paused_and_resumed(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("10; pause test-1", "1000; resume *-1"))
        await asyncio.sleep(9.0)
        last = (await host.stats())["test-1"]
        await asyncio.sleep(1.0)
        paused, others = (await host.stats())["test-1"], (await host.stats())["test-2"]
        assert (paused["state.state"], paused["state.reason"]) == (PAUSED, 1)
        assert paused.domain == last.domain
        assert not paused["vcpu.0.guest_mode.cur"]
        await asyncio.sleep(500.0)
        still = (await host.stats())["test-1"]
        assert counters(still) == counters(paused)
        assert (await host.stats())["test-2"]["cpu.time"] > others["cpu.time"]
        await asyncio.sleep(490.0)
        resumed = (await host.stats())["test-1"]
        assert (resumed["state.state"], resumed["state.reason"]) == (RUNNING, 5)
        assert counters(resumed) == counters(paused)
        assert (await host.stats())["mail-1"]["state.state"] == RUNNING, "it was paused before the script began"
        await asyncio.sleep(10.0)
        assert 0 < (await host.stats())["test-1"]["cpu.time"] - paused["cpu.time"] <= 10 * 10**9

    run_fast(work())


def test_counters_that_begin_again(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("10; reset test-1"))
        before = (await host.stats())["test-1"]
        await asyncio.sleep(10.0)
        after = (await host.stats())["test-1"]
        assert after.domain == before.domain
        assert after.keys() == before.keys()
        assert set(counters(after).values()) == {0}
        assert min(counters(before)["cpu.time"], counters(before)["net.0.rx.bytes"]) > 0
        assert after["balloon.maximum"] == before["balloon.maximum"]

    run_fast(work())


def test_disks_and_interfaces_come_and_go(tmp_path: Path) -> None:
    async def work() -> None:
        script = events(
            "10; detach backup-1; device = 'disk'; number = 1",
            "20; attach backup-1; device = 'disk'",
            "30; attach router-1; device = 'nic'",
            "40; detach router-1; device = 'nic'; number = 0",
            "50; detach router-1; device = 'nic'",
        )
        host = Scripted(tmp_path, script)
        first = (await host.stats())["backup-1"]
        assert device_names(first, "block.") == ["vda", "vdb", "vdc"]
        await asyncio.sleep(10.0)
        without = (await host.stats())["backup-1"]
        assert device_names(without, "block.") == ["vda", "vdc"]
        assert without["block.count"] == 2
        assert without["block.1.path"] == first["block.2.path"]
        assert without["block.1.rd.reqs"] >= first["block.2.rd.reqs"] > 0
        assert without["block[vdc].capacity"] == first["block[vdc].capacity"]
        backing = (await host.stats("backup-1", flags=DomainFilter.BACKING)).records[0]
        assert device_names(backing, "block.") == ["vda", "vda", "vdc", "vdc"]
        assert backing["block.count"] == 4
        assert backing["block.3.path"] == "/var/lib/libvirt/images/base/backup-1-2.qcow2"
        await asyncio.sleep(10.0)
        attached = (await host.stats())["backup-1"]
        assert device_names(attached, "block.") == ["vda", "vdb", "vdc"]
        assert attached["block.1.rd.reqs"] == 0
        assert attached["block.1.path"] not in (first[f"block.{disk}.path"] for disk in range(3))
        assert attached["block.2.rd.reqs"] >= without["block.1.rd.reqs"]
        snapshot = await host.stats()
        nics = snapshot["router-1"]
        await asyncio.sleep(10.0)
        four = (await host.stats())["router-1"]
        assert device_names(four, "net.") == [*device_names(nics, "net."), next_net(snapshot)]
        assert (four["net.count"], four["net.3.rx.bytes"]) == (4, 0)
        assert four["net.0.rx.bytes"] > nics["net.0.rx.bytes"]
        await asyncio.sleep(10.0)
        three = (await host.stats())["router-1"]
        assert device_names(three, "net.") == device_names(four, "net.")[1:]
        assert three["net.0.rx.bytes"] > four["net.1.rx.bytes"]
        assert three["net.2.rx.bytes"] > 0
        await asyncio.sleep(10.0)
        assert device_names((await host.stats())["router-1"], "net.") == device_names(four, "net.")[1:3]

    run_fast(work())


def test_vcpus_come_and_go(tmp_path: Path) -> None:
    async def work() -> None:
        script = events("10; resize test-1; vcpus = 64", "20; resize test-1; vcpus = 2")
        host = Scripted(tmp_path, script)
        one = (await host.stats())["test-1"]
        assert one["vcpu.current"] == 1
        await asyncio.sleep(10.0)
        many = (await host.stats())["test-1"]
        assert many["vcpu.current"] == 64
        assert {f"vcpu.{number}.time" for number in range(64)} <= set(many)
        assert (many["vcpu.1.time"], many["vcpu.63.exits.sum"]) == (0, 0)
        assert many["vcpu.0.time"] >= one["vcpu.0.time"] > 0
        assert many["cpu.time"] >= one["cpu.time"]
        await asyncio.sleep(10.0)
        few = (await host.stats())["test-1"]
        assert few["vcpu.current"] == 2
        assert "vcpu.2.time" not in few
        assert few["vcpu.1.halt_wait_ns.sum"] > 0
        assert few["cpu.time"] >= many["cpu.time"]

    run_fast(work())


def test_guests_come_and_go(tmp_path: Path) -> None:
    async def work() -> None:
        script = events(
            "10; undefine test-1",
            "10; migrate web-3",
            "20; define; name = 'test-1'",
            "30; start test-1",
            "40; rename test-1; to = 'test-9'",
            "50; undefine test-9",
        )
        host = Scripted(tmp_path, script)
        everybody = await host.names()
        before = (await host.stats())["test-1"].domain
        await asyncio.sleep(10.0)
        assert await host.names() == everybody[1:-1]
        assert len(await host.stats()) == 18
        assert len(await host.source.stats([before], 0, NO_FILTERS, LONG)) == 0
        await asyncio.sleep(10.0)
        assert await host.names() == [*everybody[1:-1], "test-1"]
        new = (await host.stats())["test-1"]
        assert (new.domain.id, new["state.state"], new["state.reason"]) == (None, SHUTOFF, 0)
        assert new.domain.uuid != before.uuid
        assert "test-1" in new["block.0.path"]
        await asyncio.sleep(10.0)
        started = (await host.stats())["test-1"]
        assert started.domain.id is not None
        assert set(counters(started).values()) == {0}
        await asyncio.sleep(10.0)
        renamed = await host.find("test-9")
        assert (renamed.uuid, renamed.id) == (started.domain.uuid, started.domain.id)
        assert (await host.stats())["test-9"]["block.0.path"] == started["block.0.path"]
        await asyncio.sleep(10.0)
        assert len(await host.stats()) == 18

    run_fast(work())


def test_hostile_names(tmp_path: Path) -> None:
    async def work() -> None:
        script = events("10; hostile *", '20; hostile backup-*; name = "\\u001b[2J\\n</b>"')
        with pytest.raises(ValueError, match="no guest has such a name then: backup-\\*"):
            Scripted(tmp_path, script)
        host = Scripted(tmp_path, events("10; hostile *", '20; hostile *; name = "\\u001b[2J\\n</b>"'))
        await asyncio.sleep(10.0)
        snapshot = await host.stats()
        names = [domain.name for domain in snapshot.domains]
        assert len(set(names)) == 20
        assert set(NAMES) <= set(names)
        assert device_names(snapshot.records[10], "block.")[0] in NAMES
        assert snapshot.records[10]["block.0.path"].startswith("/var/lib/libvirt/images/")
        assert {*device_names(snapshot.records[12], "net.")} <= set(NAMES)
        assert ReplyDecoder().decode(encode_reply(snapshot)).domains == snapshot.domains
        await asyncio.sleep(10.0)
        named = await host.stats()
        assert [domain.name for domain in named.domains][:2] == ["\x1b[2J\n</b>", "\x1b[2J\n</b>-2"]
        assert device_names(named.records[10], "block.") == ["\x1b[2J\n</b>", "\x1b[2J\n</b>-2", "\x1b[2J\n</b>-3"]
        assert [domain.uuid for domain in named.domains] == [domain.uuid for domain in snapshot.domains]

    run_fast(work())


def test_interfaces_without_names(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("10; nameless router-*"))
        before = (await host.stats())["router-1"]
        await asyncio.sleep(10.0)
        snapshot = await host.stats()
        after = snapshot["router-1"]
        assert set(before) - set(after) == {"net.0.name", "net.1.name", "net.2.name"}
        assert after["net.2.rx.bytes"] >= before["net.2.rx.bytes"]
        assert "net.0.name" in snapshot["test-1"]
        assert device_names(after, "block.") == ["vda"]

    run_fast(work())


@pytest.mark.parametrize("version", ["1.2.8", "1.2.9", "3.4", "8.0", "8.9", "12.4"])
def test_older_releases_have_fewer_fields(tmp_path: Path, version: str) -> None:
    async def work() -> None:
        plain = await SimSource("sim:///?domains=20", clock).stats((), 0, DomainFilter.BACKING, LONG)
        host = Scripted(tmp_path, f"libvirt = '{version}'")
        old = await host.stats(flags=DomainFilter.BACKING)
        assert old.domains == plain.domains
        for record, newer in zip(old, plain, strict=True):
            expected = [param for param in newer.params if release(field_of(param.name).since) <= release(version)]
            assert record.params == expected
        with_vm = release(version) >= (8, 9, 0)
        assert any("vm.pages_4k.cur" in record for record in old) == with_vm
        if with_vm:
            assert len(await host.stats(groups=StatsGroup.VM, flags=DomainFilter.ENFORCE)) == 20
        else:
            with pytest.raises(StatsUnsupported, match="bits 0x400 are not supported"):
                await host.stats(groups=StatsGroup.VM, flags=DomainFilter.ENFORCE)

    run_fast(work())


def test_a_daemon_of_another_release(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, "libvirt = '8.0'\n" + events("10; version test-*; libvirt = '12.4'"))
        assert "vm.pages_4k.cur" not in (await host.stats())["test-1"]
        await asyncio.sleep(10.0)
        snapshot = await host.stats()
        assert "vm.pages_4k.cur" in snapshot["test-1"]
        assert "vm.pages_4k.cur" not in snapshot["build-1"]

    run_fast(work())


def test_a_clock_that_stands_still(tmp_path: Path) -> None:
    async def work() -> None:
        host = Scripted(tmp_path, events("10; start web-1"), "domains=20&time=1800000000")
        first = await host.stats()
        await asyncio.sleep(20.0)
        later = await host.stats()
        assert first.time == later.time == 1_800_000_000.0
        assert later["test-1"].params == first["test-1"].params
        assert later["web-1"]["cpu.time"] == 0

    run_fast(work())


def test_the_script_goes_by_the_loops_time_and_drives_the_counters(tmp_path: Path) -> None:
    async def work() -> None:
        await asyncio.sleep(7.0)
        host = Scripted(tmp_path, events("10; rename test-1; to = 'x'"), "domains=20&speed=60")
        began = await host.stats()
        await asyncio.sleep(9.999)
        assert "test-1" in await host.names()
        await asyncio.sleep(0.001)
        assert "x" in await host.names()
        assert (await host.stats()).time - began.time == pytest.approx(600.0)

    run_fast(work())
