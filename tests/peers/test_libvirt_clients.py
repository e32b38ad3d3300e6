"""Programs of others read the libvirt socket: the values that we know, and of healthy guests when others hang.

They are Debian's packages: collectd's virt plugin, prometheus-libvirt-exporter, munin's plugins, a program with
go-libvirt, and tshark, which dissects the protocol.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

import client_packages
from domstats.model.record import Record
from domstats.model.sampling import Status
from domstats.wire.packet import Framer
from domstats.wire.procedures import Procedure
from hypervisor import Hypervisor
from hypervisor_packages import HypervisorError
from libvirt_clients import Values, build_go, collectd, exporter, go_libvirt, munin, munin_name
from recording import Exchange, pcap, recorder
from serving import FROZEN, Serving, run, serving

P = Procedure
HOST = f"sim:///?domains=1000&{FROZEN}"
EXPORTED_MAX = 512
"""Domains that the exporter has room for."""
RUNNING = 1
"""virDomainState."""
NIC_KINDS = {"octets": "bytes", "packets": "pkts", "errors": "errs", "dropped": "drop"}
"""Counters of interfaces as collectd calls them, and the tails of our keys."""
MUNIN = ("blkstat", "cputime", "ifstat", "mem")
"""Its plugins."""
MUNIN_WAYS = {"ifstat": ("net", {"rx": "rx", "tx": "tx"}), "blkstat": ("block", {"read": "rd", "write": "wr"})}
"""Of the plugins for devices: the group, and what is added up under which name."""
STUCK = [f"vm{number:04}" for number in range(25)]
GUESTS_PERIOD, MAX_AGE = 1.0, 3.0
"""Seconds: with them what a stuck guest does not say is soon too old."""
AT_ONCE = 20.0
"""Seconds in which a client must be done; one that waits for a guest is not."""
FAULTY = "libvirt.unknown || _ws.malformed || _ws.expert.severity >= 4194304"
"""tshark's filter for what cannot be dissected, or has a note, a warning or an error."""
KEY = "remote_typed_param.field"


@pytest.fixture(scope="session", autouse=True)
def _packages() -> None:
    if os.environ.get("DOMSTATS_PEERS") != "1":
        pytest.skip("programs of others are a test of their own: make peers (DOMSTATS_PEERS=1)")
    try:
        client_packages.provide()
    except HypervisorError as error:
        pytest.fail(f"{error} (DOMSTATS_PEERS=1)", pytrace=False)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(HOST, tmp_path / "sock") as served:
        await served.swept()
        yield served


def active(served: Serving) -> list[Record]:
    return [record for record in served.collector.latest if record.domain.id is not None]


def devices(record: Record, group: str) -> Iterable[tuple[str, str]]:
    """The name of each, and what its keys begin with."""
    for key in record:
        prefix, _, tail = key.rpartition(".")
        if prefix.startswith(f"{group}.") and tail == "name":
            yield str(record[key]), prefix


def counters(record: Record, group: str, tails: dict[str, str]) -> dict[str, int]:
    """By what a client calls a device's counter (with the device's name for {}), its value."""
    return {
        name.format(device): int(record[f"{prefix}.{tail}"])
        for device, prefix in devices(record, group)
        for name, tail in tails.items()
    }


def in_collectd(record: Record) -> dict[str, float]:
    """What collectd should say of a guest; it says little of one that does not run."""
    if record["state.state"] != RUNNING:
        return {"domain_state.state": int(record["state.state"])}
    vcpus = {key.split(".")[1] for key in record if key.startswith("vcpu.") and key.endswith(".time")}
    disks = {"disk_octets-{}.read": "rd.bytes", "disk_octets-{}.write": "wr.bytes"}
    disks |= {"disk_ops-{}.read": "rd.reqs", "disk_ops-{}.write": "wr.reqs"}
    nics = {f"if_{kind}-{{}}.{way}": f"{way}.{tail}" for way in ("rx", "tx") for kind, tail in NIC_KINDS.items()}
    return {
        "domain_state.state": int(record["state.state"]),
        "virt_cpu_total.value": int(record["cpu.time"]),
        "memory-total.value": 1024 * int(record["balloon.current"]),
        "memory-rss.value": 1024 * int(record["balloon.rss"]),
        **{f"virt_vcpu-{vcpu}.value": int(record[f"vcpu.{vcpu}.time"]) for vcpu in vcpus},
        **counters(record, "block", disks),
        **counters(record, "net", nics),
    }


def names_all(records: Iterable[Record]) -> Callable[[Values], bool]:
    """Whether all is there that collectd should say of them."""
    expected = {record.domain.name: in_collectd(record).keys() for record in records}
    return lambda values: all(keys <= values.get(name, {}).keys() for name, keys in expected.items())


def in_exporter(record: Record) -> dict[tuple[str, str], float]:
    """What the exporter should say of a guest that is on: by metric and device. It leaves out empty drives."""
    block = {"read_bytes": "rd.bytes", "read_requests": "rd.reqs", "write_bytes": "wr.bytes"}
    block |= {"write_requests": "wr.reqs"}
    words = {"receive": "rx", "transmit": "tx"}
    kinds = {"bytes": "bytes", "packets": "pkts", "errors": "errs", "drops": "drop"}
    net = {f"{word}_{kind}": f"{way}.{tail}" for word, way in words.items() for kind, tail in kinds.items()}
    found = {
        ("domain_state_code", ""): int(record["state.state"]),
        ("domain_info_virtual_cpus", ""): int(record["vcpu.current"]),
        ("domain_info_maximum_memory_bytes", ""): 1024 * int(record["balloon.maximum"]),
        ("domain_info_memory_usage_bytes", ""): 1024 * int(record["balloon.current"]),
        ("domain_info_cpu_time_seconds_total", ""): int(record["cpu.time"]) / 1e9,
    }
    for group, metric, tails in (("block", "block", block), ("net", "interface", net)):
        for device, prefix in devices(record, group):
            if group == "block" and f"{prefix}.path" not in record:
                continue
            for name, tail in tails.items():
                found[f"domain_{metric}_stats_{name}_total", device] = int(record[f"{prefix}.{tail}"])
    return found


def in_munin(served: Serving, records: Iterable[Record], plugin: str) -> dict[str, int]:
    """What one of munin's plugins should say of guests that are on."""
    found = {}
    for record in records:
        name = munin_name(record.domain.name)
        if plugin == "mem":
            found[f"{name}_mem"] = 1024 * int(record["balloon.current"])
        elif plugin == "cputime":
            percents = 1.0e-7 * int(record["cpu.time"]) / (served.collector.latest.host_cpus or 1)
            found[f"{name}_cputime"] = int(f"{percents:.0f}")
        else:
            group, ways = MUNIN_WAYS[plugin]
            for word, way in ways.items():
                found[f"{name}_{word}"] = sum(int(record[f"{at}.{way}.bytes"]) for _, at in devices(record, group))
    return found


class TestThousandGuests:
    """What each reads of a simulated host that stands still is what our own snapshot says."""

    async def test_collectd(self, served: Serving, tmp_path: Path) -> None:
        found = await collectd(served.uri, tmp_path / "collectd", names_all(served.collector.latest))
        assert len(found) == len(served.collector.latest) == 1000
        for record in served.collector.latest:
            assert found[record.domain.name].items() >= in_collectd(record).items()

    async def test_the_exporter(self, served: Serving) -> None:
        found = await exporter(served.uri)
        assert found["up", "", ""] == 1
        assert found["domains_number", "", ""] == EXPORTED_MAX
        compared = 0
        for record in active(served)[:EXPORTED_MAX]:
            for (metric, device), value in in_exporter(record).items():
                assert found[metric, record.domain.name, device] == pytest.approx(value, rel=1e-15)
                compared += 1
        assert compared == len(found) - 2

    @pytest.mark.parametrize("plugin", MUNIN)
    async def test_munin(self, served: Serving, plugin: str) -> None:
        found = await munin(plugin, served.uri)
        expected = in_munin(served, active(served), plugin)
        assert {name: found[name] for name in expected} == dict(expected)

    async def test_go_libvirt(self, served: Serving, tmp_path: Path) -> None:
        found = await go_libvirt(await build_go(tmp_path), served.path)
        assert [each["Name"] for each in found] == [record.domain.name for record in served.collector.latest]
        for each, record in zip(found, served.collector.latest, strict=True):
            domain = record.domain
            assert (each["UUID"], each["ID"]) == (domain.uuid.replace("-", ""), -1 if domain.id is None else domain.id)
            assert each["State"] == record["state.state"]
            assert each["Stats"] == dict(record)


async def test_a_scrape_of_the_same_guests(hypervisor: Hypervisor, tmp_path: Path) -> None:
    """The exporter says of libvirtd, of us, and of libvirtd: the same series, and values in between."""
    async with serving(hypervisor.uri, tmp_path / "sock", share=1.0) as served:
        await served.swept()
        before = await exporter(hypervisor.uri)
        await served.asked_anew()
        ours = await exporter(served.uri)
        after = await exporter(hypervisor.uri)
    assert before["up", "", ""] == ours["up", "", ""] == 1
    assert before.keys() == ours.keys() == after.keys()
    assert len(ours) > 10 * len(STUCK)
    for series, value in ours.items():
        low, high = sorted((before[series], after[series]))
        assert low <= value <= high, series


async def test_with_25_guests_stopped(hypervisor: Hypervisor, tmp_path: Path) -> None:
    """Each is answered at once, and told of the healthy guests all there is."""
    program = await build_go(tmp_path)
    periods = dict.fromkeys(("cpu", "balloon", "vcpu", "block", "iothread", "dirtyrate", "vm"), GUESTS_PERIOD)
    async with serving(hypervisor.uri, tmp_path / "sock", max_age=MAX_AGE, share=1.0, **periods) as served:
        await served.swept()
        try:
            for name in STUCK:
                hypervisor.stop_guest(name)
            await until_too_old(served)
            before = healthy(served)
            assert len(before) > len(STUCK)
            read = await at_once(collectd(served.uri, tmp_path / "collectd", names_all(before)))
            scraped = await at_once(exporter(served.uri))
            said = {plugin: await at_once(munin(plugin, served.uri)) for plugin in MUNIN}
            told = {each["Name"]: each["Stats"] for each in await at_once(go_libvirt(program, served.path))}
            await served.asked_anew()
            after = healthy(served)
        finally:
            for name in STUCK:
                hypervisor.continue_guest(name)
    for first, last in zip(before, after, strict=True):
        name = first.domain.name
        in_between(in_collectd(first), read[name], in_collectd(last))
        scrape = {(metric, device): value for (metric, domain, device), value in scraped.items() if domain == name}
        in_between(in_exporter(first), scrape, in_exporter(last))
        in_between({"cpu": int(first["cpu.time"])}, {"cpu": told[name]["cpu.time"]}, {"cpu": int(last["cpu.time"])})
    for plugin in MUNIN:
        in_between(in_munin(served, before, plugin), said[plugin], in_munin(served, after, plugin))
    assert scraped["up", "", ""] == 1
    assert not [name for name in STUCK if "balloon.current" in told[name]]


Key = TypeVar("Key")
Result = TypeVar("Result")


async def at_once(asking: Awaitable[Result]) -> Result:
    """What a client reads; it must not take long."""
    async with asyncio.timeout(AT_ONCE):
        return await asking


def healthy(served: Serving) -> list[Record]:
    """Those that are on and not stopped."""
    return [record for record in active(served) if record.domain.name not in STUCK]


def in_between(before: Mapping[Key, float], said: Mapping[Key, float], after: Mapping[Key, float]) -> None:
    """What was said lies between two of our own values; memory that the host sees may move to and fro."""
    for key, value in before.items():
        low, high = sorted((value, after[key]))
        assert low <= said[key] <= high or "memory-rss" in str(key), key


async def until_too_old(served: Serving) -> None:
    """Wait until all stopped guests are known, and what they said is too old to be served."""
    async with asyncio.timeout(60.0):
        async for snapshot in served.collector:
            blocked = [record for record in snapshot if record.status is Status.BLOCKED]
            if len(blocked) == len(STUCK) and min(record.age for record in blocked) > MAX_AGE:
                return


class TestDissected:
    """tshark, with libvirt's own plugin, understands every packet."""

    async def test_an_exchange(self, served: Serving, tmp_path: Path) -> None:
        name = active(served)[0].domain.name
        commands = ["list --all", "domstats", "domstats nobody", f"dominfo {name}", f"dumpxml {name}", "nodeinfo"]
        commands += [f"domblkstat {name} vda", f"dommemstat {name}", f"vcpuinfo {name}", f"shutdown {name}"]
        exchange = await recorded(served, tmp_path / "recorded", "; ".join([*commands, "event --all --timeout 1"]))
        capture = tmp_path / "exchange.pcap"
        capture.write_bytes(pcap(exchange))
        assert await dissected(capture, FAULTY) == []
        fields = await dissected(capture, "libvirt", "procedure", "type", "serial", "status")
        assert Counter(fields) == Counter(packets(exchange))
        assert len(fields) > 1000
        keys = await dissected(
            capture, f"libvirt.procedure == {P.CONNECT_GET_ALL_DOMAIN_STATS:d} && libvirt.type == 1", KEY
        )
        assert Counter(keys) == Counter((key,) for record in served.collector.latest for key in record)

    async def test_what_makes_no_sense_would_be_seen(self, served: Serving, tmp_path: Path) -> None:
        """The same with a name that is longer than its packet."""
        name = active(served)[0].domain.name.encode()
        exchange = await recorded(served, tmp_path / "recorded", "list --all")
        right, wrong = (struct.pack(">I", length) + name for length in (len(name), 1 << 22))
        damaged = [(client, data.replace(right, wrong)) for client, data in exchange]
        assert damaged != exchange
        capture = tmp_path / "damaged.pcap"
        capture.write_bytes(pcap(damaged))
        assert await dissected(capture, FAULTY) != []


async def recorded(served: Serving, path: Path, commands: str) -> Exchange:
    """What virsh and the server say to each other."""
    async with recorder(path, served.path) as exchange:
        await run("virsh", "-c", f"qemu+unix:///system?socket={path}", commands)
    return exchange


def packets(exchange: Exchange) -> list[tuple[str, ...]]:
    """Procedure, type, serial and status of all packets, as tshark writes them."""
    found = []
    for side in (True, False):
        framer = Framer()
        framer.receive_data(b"".join(data for client, data in exchange if client == side))
        while (packet := framer.next_packet()) is not None:
            head = packet.header
            found.append(tuple(str(int(each)) for each in (head.procedure, head.type, head.serial, head.status)))
    return found


async def dissected(capture: Path, which: str, *fields: str) -> list[tuple[str, ...]]:
    """Fields of the packets that pass the filter; packets that came together are told apart."""
    names = [f"libvirt.{field}" for field in fields] or ["frame.number"]
    options = [option for name in names for option in ("-e", name)]
    code, out, complaints = await run("tshark", "-r", str(capture), "-Y", which, "-T", "fields", *options)
    assert code == 0, complaints
    rows = [[column.split(",") for column in line.split("\t")] for line in out.splitlines()]
    return [row for columns in rows for row in zip(*columns, strict=True)]
