"""Descriptions and domain events of a real libvirtd, asked through its read-only socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import guests
from domstats.errors import UnknownDomain
from domstats.model.description import Description, Device, DeviceKind
from domstats.model.domain import Domain
from domstats.sources import DomainEvent
from domstats.sources.libvirt.source import LibvirtSource
from hypervisor import Hypervisor
from hypervisor_packages import HypervisorError

DEADLINE = 60.0
NOVA = "http://openstack.org/xmlns/libvirt/nova/1.1"
APPLICATION = "http://example.org/application"
TITLE, TEXT = 'Web & "Mail" <ü>', "two\nlines\tand <markup/>"
_MARK = "next answer"
_NONE = "-"


@pytest.fixture
async def source(hypervisor: Hypervisor) -> AsyncIterator[LibvirtSource]:
    source = await LibvirtSource.open(hypervisor.uri, {}, deadline=DEADLINE)
    yield source
    await source.aclose()


@pytest.fixture
def guest(hypervisor: Hypervisor) -> Iterator[str]:
    """Name of a guest of the test's own, not defined yet; it is gone afterwards."""
    name = f"described-{os.getpid()}"
    yield name
    for command in ("destroy", "undefine"):
        with suppress(HypervisorError):
            hypervisor.virsh(command, name, write=True)
    image_of(hypervisor, name).unlink(missing_ok=True)


def image_of(hypervisor: Hypervisor, name: str) -> Path:
    """The file of a disk for the guest, as it is seen outside."""
    return hypervisor.directory / f"lib/images/{name}.img"


def definition(name: str, metadata: str = "") -> str:
    """A guest with a drive that can be taken out while it runs no system."""
    devices = (
        "<controller type='scsi' model='virtio-scsi'/><disk type='file' device='cdrom'><target dev='hdc' bus='ide'/>"
        f"</disk><interface type='bridge'><source bridge='{guests.BRIDGE}'/><model type='virtio'/></interface>"
    )
    return guests.Guest(name, 1, devices=devices, metadata=metadata, persistent=True, state="off").xml("qemu")


def define(hypervisor: Hypervisor, xml: str) -> None:
    hypervisor.inside("virsh", "-c", "qemu:///system", "define", "/dev/stdin", given=xml)


def answers(hypervisor: Hypervisor, domains: list[Domain], command: str) -> dict[str, str]:
    """What virsh says to a command about each domain; {} in the command is its UUID. By UUID."""
    commands = "; ".join(f"echo '{_MARK}'; {command.format(domain.uuid)}" for domain in domains)
    said = hypervisor.virsh(f"{commands}; echo").split(f"{_MARK}\n")[1:]
    return dict(zip((domain.uuid for domain in domains), said, strict=True))


def rows(table: str) -> list[list[str]]:
    """The cells of a table of virsh, without its head."""
    lines = [line for line in table.splitlines() if line.strip()]
    return [["" if cell == _NONE else cell for cell in line.split()] for line in lines[2:]]


def meaning(element: ET.Element) -> tuple[Any, ...]:
    """What an element says, but for how it is indented."""
    return element.tag, element.attrib, (element.text or "").strip(), [meaning(child) for child in element]


def bare(said: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same without namespaces, which virsh's command for metadata leaves out."""
    name, attributes, text, children = said
    return name.rpartition("}")[2], attributes, text, [bare(child) for child in children]


def metadata_of(description: Description) -> dict[str, tuple[Any, ...]]:
    return {namespace: meaning(ET.fromstring(text)) for namespace, text in description.metadata}


class TestDescriptions:
    async def test_of_every_guest_are_what_virsh_says(self, hypervisor: Hypervisor, source: LibvirtSource) -> None:
        domains = await source.domains(DEADLINE)
        commands = ("domblklist --details {}", "domiflist {}", "desc --title {}", "desc {}", "dumpxml {}")
        disks, interfaces, titles, texts, documents = [
            await asyncio.to_thread(answers, hypervisor, domains, command) for command in commands
        ]
        for domain in domains:
            found = await source.describe(domain, DEADLINE)
            by_kind = {kind: [device for device in found.devices if device.kind is kind] for kind in DeviceKind}
            assert [[each.type, each.target, each.source] for each in by_kind[DeviceKind.DISK]] == [
                [type_, target, path] for type_, _, target, path in rows(disks[domain.uuid])
            ]
            assert [[each.target, each.type, each.source, each.mac] for each in by_kind[DeviceKind.INTERFACE]] == [
                [name, type_, path, mac] for name, type_, path, _, mac in rows(interfaces[domain.uuid])
            ]
            assert (found.title or f"No title for domain: {domain.name}") == titles[domain.uuid].strip()
            assert (found.description or f"No description for domain: {domain.name}") == texts[domain.uuid].strip()
            tree = ET.fromstring(documents[domain.uuid].strip())
            devices = [each for each in tree.iterfind("devices/*") if each.tag in set(DeviceKind)]
            aliases = [alias.attrib["name"] for each in devices for alias in each.iterfind("alias")]
            assert aliases == [each.alias for each in found.devices if each.alias]
            assert bool(aliases) == (domain.id is not None and bool(devices))
            assert metadata_of(found) == {
                child.tag[1:].partition("}")[0]: meaning(child) for child in tree.iterfind("metadata/*")
            }
        assert len(domains) > len(guests.rich())

    async def test_metadata_are_what_virsh_says(self, hypervisor: Hypervisor, source: LibvirtSource) -> None:
        described = [(each, await source.describe(each, DEADLINE)) for each in await source.domains(DEADLINE)]
        with_metadata = [domain for domain, found in described if found.metadata]
        said = await asyncio.to_thread(answers, hypervisor, with_metadata, f"metadata {{}} {NOVA}")
        assert len(with_metadata) == sum(1 for each in guests.rich() if each.metadata)
        for domain, found in described:
            if found.metadata:
                ours = {namespace: bare(element) for namespace, element in metadata_of(found).items()}
                assert ours == {NOVA: meaning(ET.fromstring(said[domain.uuid].strip()))}

    async def test_of_a_guest_with_everything(self, hypervisor: Hypervisor, source: LibvirtSource, guest: str) -> None:
        note = f'<a:note xmlns:a="{APPLICATION}" a:k="&quot;&lt;&amp;"> ü <!-- x --><b xmlns="urn:b"/></a:note>'
        title, text = (ET.Element(tag) for tag in ("title", "description"))
        title.text, text.text = TITLE, TEXT
        texts = "".join(ET.tostring(each, "unicode") for each in (title, text))
        define(
            hypervisor, definition(guest, f"{texts}<metadata>{note}<kubevirt xmlns='http://kubevirt.io'/></metadata>")
        )
        found = await source.describe(await source.find(guest, DEADLINE), DEADLINE)
        assert (found.title, found.description) == (TITLE, TEXT)
        assert metadata_of(found) == {
            APPLICATION: meaning(ET.fromstring(note)),
            "http://kubevirt.io": ("{http://kubevirt.io}kubevirt", {}, "", []),
        }
        drive, nic = found.devices
        assert (drive.target, drive.type, drive.source, drive.alias) == ("hdc", "file", "", "")
        assert (nic.target, nic.type, nic.source, nic.alias) == ("", "bridge", guests.BRIDGE, "")
        hypervisor.virsh("start", "--paused", guest, write=True)
        drive, nic = (await source.describe(await source.find(guest, DEADLINE), DEADLINE)).devices
        assert (drive.alias, nic.alias) == ("ide0-1-0", "net0")
        assert nic.target.startswith("vnet")

    async def test_of_a_guest_that_is_not_there(self, source: LibvirtSource) -> None:
        with pytest.raises(UnknownDomain):
            await source.describe(Domain("nope", "00000000-0000-4000-8000-000000000000", None), DEADLINE)


@pytest.fixture
async def default_source(hypervisor: Hypervisor) -> AsyncIterator[LibvirtSource]:
    source = await LibvirtSource.open(f"test+unix:///default?socket={hypervisor.socket}", {}, deadline=DEADLINE)
    yield source
    await source.aclose()


async def test_libvirts_test_driver(default_source: LibvirtSource) -> None:
    (domain,) = await default_source.domains(DEADLINE)
    assert (await default_source.describe(domain, DEADLINE)).devices == (
        Device(DeviceKind.DISK, "vda", type="file", source="/guest/diskimage1"),
        Device(DeviceKind.INTERFACE, "testnet0", type="network", source="default", mac="aa:bb:cc:dd:ee:ff"),
    )
    await default_source.subscribe(lambda _: None, DEADLINE)
    assert await default_source.domains(DEADLINE) == [domain]


class Watch:
    """The events of one guest, and what its description is then."""

    def __init__(self, source: LibvirtSource, hypervisor: Hypervisor, guest: str) -> None:
        self._source, self._hypervisor, self._guest = source, hypervisor, guest
        self._events: list[DomainEvent] = []
        self._came = asyncio.Event()

    def __call__(self, event: DomainEvent) -> None:
        if event.domain.name == self._guest:
            self._events.append(event)
            self._came.set()

    async def do(self, command: str, *args: str, events: int = 1) -> list[tuple[bool, bool]]:
        """Have virsh do something to the guest, and wait for so many events: (lifecycle, described) of each."""
        await asyncio.to_thread(self._hypervisor.virsh, command, self._guest, *args, write=True)
        return await self.said(events)

    async def said(self, events: int = 1) -> list[tuple[bool, bool]]:
        """What has been said since the last time, once there are so many events."""
        async with asyncio.timeout(DEADLINE):
            while len(self._events) < events:
                self._came.clear()
                await self._came.wait()
        said, self._events = self._events, []
        return [(event.lifecycle, event.described) for event in said]

    async def description(self) -> Description:
        return await self._source.describe(await self._source.find(self._guest, DEADLINE), DEADLINE)


async def test_events(hypervisor: Hypervisor, source: LibvirtSource, guest: str) -> None:
    listed, described = (True, False), (False, True)
    image = f"{guests.IMAGES}/{guest}.img"
    image_of(hypervisor, guest).write_bytes(bytes(1 << 20))
    watch = Watch(source, hypervisor, guest)
    await source.subscribe(watch, DEADLINE)
    await asyncio.to_thread(define, hypervisor, definition(guest))
    assert await watch.said() == [(True, True)]
    assert await watch.do("desc", "--title", "--config", "Off") == [described]
    assert (await watch.description()).title == "Off"
    assert await watch.do("start", "--paused", events=2) == [(True, True), listed]  # started, then suspended
    assert await watch.do("resume") == [listed]
    assert await watch.do("suspend") == [listed]

    assert await watch.do("desc", "--title", "--live", TITLE) == [described]
    assert (await watch.description()).title == TITLE
    note = f"<note xmlns='{APPLICATION}'>ü</note>"
    assert await watch.do("metadata", APPLICATION, "--live", "--key", "a", "--set", note) == [described]
    assert [namespace for namespace, _ in (await watch.description()).metadata] == [APPLICATION]

    disk = (image, "sdb", "--targetbus", "scsi", "--subdriver", "raw", "--live")
    assert await watch.do("attach-disk", *disk) == [described]
    assert image in {device.source for device in (await watch.description()).devices}
    assert await watch.do("detach-disk", "sdb", "--live") == [described]
    assert image not in {device.source for device in (await watch.description()).devices}

    assert set(await watch.do("destroy")) == {listed}  # shut down and stopped; some versions say one of them only
    assert set(await watch.do("undefine")) == {listed}
    with pytest.raises(UnknownDomain):
        await watch.description()
