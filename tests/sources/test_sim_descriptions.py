"""sources.sim.descriptions: what simulated guests are called and have, which their statistics must agree with."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from domstats.errors import UnknownDomain
from domstats.model.description import Description, Device, DeviceKind
from domstats.model.domain import Domain
from domstats.model.flags import NO_FILTERS
from domstats.sources import DomainEvent, Source
from domstats.sources.libvirt.describe import parse_description
from domstats.sources.sim.descriptions import NOVA
from domstats.sources.sim.source import SimSource

DEADLINE = 600.0
URI = "sim:///?domains=300&time=1790000000"
ROLES = {"web", "app", "db", "cache", "warehouse", "batch", "build", "test"}
"""Of the guests that OpenStack made."""

source: Source = SimSource(URI)


async def descriptions() -> dict[str, Description]:
    """Those of all domains, by name."""
    return {each.name: await source.describe(each, DEADLINE) for each in await source.domains(DEADLINE)}


def of_kind(description: Description, kind: DeviceKind) -> list[Device]:
    return [device for device in description.devices if device.kind is kind]


async def test_devices_are_those_of_the_statistics() -> None:
    snapshot = await source.stats((), 0, NO_FILTERS, DEADLINE)
    described = await descriptions()
    off = 0
    for record in snapshot:
        domain, found = record.domain, described[record.domain.name]
        disks, nics = (of_kind(found, kind) for kind in DeviceKind)
        assert len(disks) == record["block.count"]
        for number, disk in enumerate(disks):
            assert (disk.target, disk.source) == (record[f"block.{number}.name"], record[f"block.{number}.path"])
        if domain.id is None:
            off += 1
            assert {device.alias for device in found.devices} | {nic.target for nic in nics} <= {""}
        else:
            assert [nic.target for nic in nics] == [record[f"net.{number}.name"] for number in range(len(nics))]
            assert len(nics) == record["net.count"]
            assert [disk.alias for disk in disks] == [f"virtio-disk{number}" for number in range(len(disks))]
            assert [nic.alias for nic in nics] == [f"net{number}" for number in range(len(nics))]
    assert 0 < off < len(snapshot)


async def test_interfaces_of_guests_that_are_off_are_still_defined() -> None:
    domains = {domain.name: domain for domain in await source.domains(DEADLINE)}
    nics: dict[str, dict[bool, int]] = {}
    for name, description in (await descriptions()).items():
        role = name.rpartition("-")[0]
        nics.setdefault(role, {})[domains[name].id is None] = len(of_kind(description, DeviceKind.INTERFACE))
    both = [by_state for by_state in nics.values() if len(by_state) == 2]
    assert both
    assert all(by_state[True] == by_state[False] for by_state in both)


async def test_addresses_are_local_ones_and_all_different() -> None:
    described = await descriptions()
    macs = [nic.mac for each in described.values() for nic in of_kind(each, DeviceKind.INTERFACE)]
    assert len(set(macs)) == len(macs) > 300
    for mac in macs:
        assert [len(part) for part in mac.split(":")] == [2] * 6
        assert bytes.fromhex(mac.replace(":", ""))[0] & 0b11 == 0b10


async def test_types_and_bridge() -> None:
    for each in (await descriptions()).values():
        assert {disk.type for disk in of_kind(each, DeviceKind.DISK)} == {"file"}
        for nic in of_kind(each, DeviceKind.INTERFACE):
            assert (nic.type, nic.source) == ("bridge", "br0")


async def test_openstacks_metadata_of_some() -> None:
    snapshot = await source.stats((), 0, NO_FILTERS, DEADLINE)
    projects: dict[str, str] = {}
    for name, each in (await descriptions()).items():
        assert bool(each.metadata) == (name.rpartition("-")[0] in ROLES)
        for namespace, text in each.metadata:
            assert namespace == NOVA
            assert parse_description(f"<domain><metadata>{text}</metadata></domain>").metadata == ((NOVA, text),)
            instance = ET.fromstring(text)
            tag = f"{{{NOVA}}}".__add__
            assert instance.findtext(tag("name")) == name
            assert instance.findtext(f".//{tag('vcpus')}") == str(snapshot[name]["vcpu.current"])
            memory = int(instance.findtext(f".//{tag('memory')}", ""))
            assert memory << 10 == snapshot[name]["balloon.maximum"]
            project = instance.find(f".//{tag('project')}")
            assert project is not None
            assert projects.setdefault(project.attrib["uuid"], project.text or "") == project.text
    assert sorted(projects.values()) == ["analytics", "engineering", "shop"]


async def test_titles_tell_guests_apart() -> None:
    described = await descriptions()
    assert described["web-1"].title == "Web 1"
    assert described["db-2"].title == "Database 2"
    assert len({each.title for each in described.values()}) == len(described)
    assert described["router-1"].description == "A simulated router guest"


async def test_they_depend_on_the_uri_alone() -> None:
    other = SimSource(URI)
    for domain in await other.domains(DEADLINE):
        assert await other.describe(domain, DEADLINE) == await source.describe(domain, DEADLINE)


async def test_a_domain_is_found_by_its_uuid() -> None:
    first = (await source.domains(DEADLINE))[0]
    assert await source.describe(Domain("renamed", first.uuid, 9999), DEADLINE) == await source.describe(
        first, DEADLINE
    )
    with pytest.raises(UnknownDomain) as caught:
        await source.describe(Domain(first.name, first.uuid[:-1] + "x", first.id), DEADLINE)
    assert caught.value.domain == first.name


async def test_a_host_on_which_nothing_happens_says_nothing() -> None:
    events: list[DomainEvent] = []
    await source.subscribe(events.append, DEADLINE)
    await source.stats((), 0, NO_FILTERS, DEADLINE)
    assert events == []
