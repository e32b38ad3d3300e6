"""The libvirt socket and the real virsh, over a simulated host that stands still."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from domstats.catalog.groups import GROUPS
from domstats.formats import raw
from domstats.model.flags import NO_FILTERS, DomainFilter
from domstats.model.record import Record
from domstats.sources.sim.source import SimSource
from serving import FROZEN, Serving, serving, virsh

HOST = f"sim:///?domains=30&{FROZEN}"
DEADLINE = 60.0


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(HOST, tmp_path / "sock") as served:
        await served.swept()
        yield served


async def texts(groups: int = 0, flags: DomainFilter = NO_FILTERS, names: Sequence[str] = ()) -> str:
    """What virsh should print of the host."""
    source = SimSource(HOST)
    domains = [await source.find(name, DEADLINE) for name in names]
    return raw.encode(await source.stats(domains, groups, flags, DEADLINE)).decode()


def first(served: Serving, *, active: bool = True) -> Record:
    return next(record for record in served.collector.latest if (record.domain.id is not None) == active)


class TestDomstats:
    async def test_everything(self, served: Serving) -> None:
        assert await virsh(served.uri, "domstats") == (await texts(), "")

    @pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
    async def test_one_group(self, served: Serving, group: object) -> None:
        bit, option = next((each.bit, each.option) for each in GROUPS if each == group)
        assert await virsh(served.uri, "domstats", f"--{option}") == (await texts(1 << bit), "")

    @pytest.mark.parametrize(
        ("options", "flags"),
        [
            ("--list-active", DomainFilter.ACTIVE),
            ("--list-inactive", DomainFilter.INACTIVE),
            ("--list-running --list-paused", DomainFilter.RUNNING | DomainFilter.PAUSED),
            ("--list-shutoff", DomainFilter.SHUTOFF),
            ("--list-other", DomainFilter.OTHER),
            ("--list-persistent", DomainFilter.PERSISTENT),
            ("--list-transient", DomainFilter.TRANSIENT),
            ("--list-persistent --list-transient", DomainFilter.PERSISTENT | DomainFilter.TRANSIENT),
            ("--nowait", DomainFilter.NOWAIT),
            ("--backing", DomainFilter.BACKING),
            ("--backing --list-inactive", DomainFilter.BACKING | DomainFilter.INACTIVE),
            ("--enforce", DomainFilter.ENFORCE),
        ],
    )
    async def test_options(self, served: Serving, options: str, flags: DomainFilter) -> None:
        expected = await texts(0, flags) or "\n"  # of no domains virsh prints a line without any
        assert await virsh(served.uri, "domstats", *options.split()) == (expected, "")

    async def test_a_list(self, served: Serving) -> None:
        names = [record.domain.name for record in served.collector.latest][7:2:-2]
        asked = [*names, names[0]]
        assert await virsh(served.uri, "domstats", "--raw", *asked) == (await texts(names=asked), "")

    async def test_a_domain_that_is_not_there(self, served: Serving) -> None:
        assert "failed to get domain 'nobody'" in (await virsh(served.uri, "domstats", "nobody"))[1]


class TestLists:
    @pytest.mark.parametrize(
        ("option", "active"), [("--all", {True, False}), ("--inactive", {False}), ("--state-running", {True})]
    )
    async def test_list(self, served: Serving, option: str, active: set[bool]) -> None:
        names = (await virsh(served.uri, "list", "--name", option))[0].split()
        running = {r.domain.name for r in served.collector.latest if r["state.state"] == 1}
        expected = {r.domain.name for r in served.collector.latest if (r.domain.id is not None) in active}
        assert set(names) == (expected & running if option == "--state-running" else expected)
        assert len(names) == len(set(names)) > 0

    async def test_list_with_states(self, served: Serving) -> None:
        rows = {
            line.split(None, 2)[1]: line for line in (await virsh(served.uri, "list", "--all"))[0].splitlines()[2:-1]
        }
        for record in served.collector.latest:
            words = {1: "running", 3: "paused", 5: "shut off"}
            assert rows[record.domain.name].endswith(words[int(record["state.state"])])

    @pytest.mark.parametrize("option", ["--transient", "--with-snapshot", "--with-managed-save", "--autostart"])
    async def test_what_none_of_them_has(self, served: Serving, option: str) -> None:
        assert (await virsh(served.uri, "list", "--all", "--name", option))[0].split() == []

    @pytest.mark.parametrize("option", ["--persistent", "--without-snapshot", "--without-managed-save"])
    async def test_what_all_of_them_have(self, served: Serving, option: str) -> None:
        assert len((await virsh(served.uri, "list", "--all", "--name", option))[0].split()) == 30


class TestOneDomain:
    async def test_dominfo(self, served: Serving) -> None:
        record = first(served)
        for name in (record.domain.name, record.domain.uuid, str(record.domain.id)):
            said = dict(
                line.split(":", 1) for line in (await virsh(served.uri, "dominfo", name))[0].splitlines() if line
            )
            found = {key: value.strip() for key, value in said.items()}
            assert found["UUID"] == record.domain.uuid
            assert found["CPU(s)"] == str(record["vcpu.current"])
            assert found["Max memory"] == f"{record['balloon.maximum']} KiB"
            assert found["Used memory"] == f"{record['balloon.current']} KiB"
            assert found["CPU time"] == f"{int(record['cpu.time']) / 1e9:.1f}s"
            assert (found["Persistent"], found["Autostart"], found["Managed save"]) == ("yes", "disable", "no")

    async def test_states(self, served: Serving) -> None:
        assert (await virsh(served.uri, "domstate", "--reason", first(served).domain.name))[0] == "running (booted)\n\n"
        off = first(served, active=False).domain.name
        assert (await virsh(served.uri, "domstate", off))[0] == "shut off\n\n"
        assert (await virsh(served.uri, "domcontrol", first(served).domain.name))[0] == "ok\n\n"
        assert "domain is not running" in (await virsh(served.uri, "domcontrol", off))[1]

    async def test_devices(self, served: Serving) -> None:
        record = next(r for r in served.collector.latest if "net.0.name" in r and "block.1.name" in r)
        name, disk, nic = record.domain.name, str(record["block.1.name"]), str(record["net.0.name"])
        said = dict(
            re.findall(r"^\S+ (\S+) (\d+)$", (await virsh(served.uri, "domblkstat", name, disk))[0], re.MULTILINE)
        )
        assert said["rd_req"] == str(record["block.1.rd.reqs"])
        assert said["flush_total_times"] == str(record["block.1.fl.times"])
        both = re.findall(r"^ (rd_bytes) (\d+)$", (await virsh(served.uri, "domblkstat", name))[0], re.MULTILINE)
        total = sum(int(value) for key, value in record.items() if key.endswith(".rd.bytes"))
        assert both == [("rd_bytes", str(total))]
        assert f"tx_packets {record['net.0.tx.pkts']}" in (await virsh(served.uri, "domifstat", name, nic))[0]
        assert "invalid path: none" in (await virsh(served.uri, "domblkstat", name, "none"))[1]
        assert "'none' is not a known interface" in (await virsh(served.uri, "domifstat", name, "none"))[1]
        assert str(record["block.1.physical"]) in (await virsh(served.uri, "domblkinfo", name, disk))[0]

    async def test_an_interface_by_its_address(self, tmp_path: Path) -> None:
        async with serving(HOST, tmp_path / "sock", state=0.1) as served:
            async for snapshot in served.collector:
                if served.collector.swept and all(record.domain.info for record in snapshot):
                    break
            record = next(r for r in served.collector.latest if "net.0.name" in r)
            listed = (await virsh(served.uri, "domiflist", record.domain.name))[0]
            address = re.findall(r"52(?::[0-9a-f]{2}){5}", listed)[0]
            said = await virsh(served.uri, "domifstat", record.domain.name, address.upper())
            assert f"tx_packets {record['net.0.tx.pkts']}" in said[0]

    async def test_memory(self, served: Serving) -> None:
        record = next(r for r in served.collector.latest if "balloon.usable" in r)
        lines = (await virsh(served.uri, "dommemstat", record.domain.name))[0].split("\n")
        assert lines[0] == f"actual {record['balloon.current']}"
        assert f"usable {record['balloon.usable']}" in lines
        assert f"rss {record['balloon.rss']}" in lines

    async def test_vcpus(self, served: Serving) -> None:
        record = first(served)
        said = (await virsh(served.uri, "vcpuinfo", record.domain.name))[0]
        assert said.count("VCPU:") == record["vcpu.current"]
        assert f"CPU time:       {int(record['vcpu.0.time']) / 1e9:.1f}s" in said

    async def test_definition(self, served: Serving) -> None:
        record = first(served)
        xml = (await virsh(served.uri, "dumpxml", record.domain.name))[0]
        assert f"<uuid>{record.domain.uuid}</uuid>" in xml
        assert f"<target dev='{record['block.0.name']}'/>".replace("'", '"') in xml.replace("'", '"')
        details = (await virsh(served.uri, "domblklist", "--details", record.domain.name))[0]
        assert re.search(rf"^ file +disk +{record['block.0.name']} +/", details, re.MULTILINE)
        assert "with secure flag" in (await virsh(served.uri, "dumpxml", "--security-info", record.domain.name))[1]


class TestTheHost:
    async def test_what_it_is(self, served: Serving) -> None:
        assert "CPU(s):              64\n" in (await virsh(served.uri, "nodeinfo"))[0]
        assert "Running hypervisor: QEMU 10.2.0" in (await virsh(served.uri, "version"))[0]
        assert (await virsh(served.uri, "uri"))[0].strip() == served.uri
        assert (await virsh(served.uri, "hostname"))[0].strip() == "simulated"
        assert "<os_type>hvm</os_type>" in (await virsh(served.uri, "capabilities"))[0]

    @pytest.mark.parametrize("command", ["shutdown", "destroy", "suspend", "undefine", "reset", "managedsave", "start"])
    async def test_nothing_can_be_changed(self, served: Serving, command: str) -> None:
        name = first(served, active=command != "start").domain.name
        for options in ((), ("-r",)):
            assert "read only access prevents virDomain" in (await virsh(served.uri, *options, command, name))[1]

    async def test_what_there_is_not(self, served: Serving) -> None:
        assert "not supported by the connection driver" in (await virsh(served.uri, "net-list"))[1]
