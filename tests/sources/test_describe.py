"""sources.libvirt.describe: real documents, shapes made by hand, and documents that lie."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.errors import BadValue, LimitExceeded
from domstats.model.description import Description, Device, DeviceKind
from domstats.sources.libvirt import describe
from domstats.sources.libvirt.describe import parse_description

DATA = Path(__file__).parent.parent / "data"
DISK, INTERFACE = DeviceKind.DISK, DeviceKind.INTERFACE
NOVA = "http://openstack.org/xmlns/libvirt/nova/1.1"
HOSTILE = "</title><script>alert('1')</script> & \"ü\" \x9b31m\u202e ]]> {}"


def domain(inside: str, attributes: str = "type='kvm' id='3'") -> Description:
    return parse_description(f"<domain {attributes}><name>vm</name>{inside}</domain>")


def devices(*elements: str) -> list[Device]:
    return list(domain(f"<devices><emulator>/usr/bin/qemu</emulator>{''.join(elements)}</devices>").devices)


def metadata(*elements: str, around: str = "") -> list[tuple[str, str]]:
    return list(domain(f"<metadata {around}>{''.join(elements)}</metadata>").metadata)


def meaning(element: ET.Element) -> tuple[Any, ...]:
    """What an element says: names with their namespaces, attributes, text and what follows each child."""
    children = [(meaning(child), child.tail or "") for child in element]
    return element.tag, element.attrib, element.text or "", children


def same(one: str, other: str) -> bool:
    """Whether two texts are the same XML."""
    return meaning(ET.fromstring(one)) == meaning(ET.fromstring(other))


def written(name: str, declared: dict[str, str], attributes: dict[str, str], inside: list[str]) -> str:
    """An element as text; `inside` is text already."""
    pairs = "".join(f" {key}={quoteattr(value)}" for key, value in (declared | attributes).items())
    return f"<{name}{pairs}>{''.join(inside)}</{name}>"


def test_nothing_of_it_is_loaded_before_it_is_needed() -> None:
    code = "import sys; import domstats.sources.libvirt.source; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "domstats.sources.libvirt.source" in loaded
    assert not {"pyexpat", "xml", describe.__name__} & set(loaded)


class TestRealDocuments:
    def test_a_domain_that_is_on(self) -> None:
        found = parse_description((DATA / "domain-running.xml").read_text())
        assert found == Description(
            metadata=found.metadata,
            devices=(
                Device(DISK, "vda", "virtio-disk0", "file", "/srv/vm/disk/rich0.qcow2"),
                Device(INTERFACE, "tap0x0", "net0", "ethernet", "", "52:54:00:00:00:00"),
            ),
        )
        ((namespace, text),) = found.metadata
        assert namespace == NOVA
        assert text.startswith(f'<nova:instance xmlns:nova="{NOVA}">')
        instance = ET.fromstring(text)
        assert instance.findtext(f"{{{NOVA}}}name") == "srv0"
        assert instance.find(f".//{{{NOVA}}}project").attrib == {"uuid": "p0"}  # type: ignore[union-attr]

    def test_a_domain_that_is_off(self) -> None:
        found = parse_description((DATA / "domain-shutoff.xml").read_text())
        assert found.devices == (
            Device(DISK, "vda", "", "file", "/srv/vm/disk/rich19.qcow2"),
            Device(INTERFACE, "tap19x0", "", "ethernet", "", "52:54:00:00:13:00"),
            Device(INTERFACE, "tap19x1", "", "ethernet", "", "52:54:00:00:13:01"),
        )
        assert [namespace for namespace, _ in found.metadata] == [NOVA]


class TestTexts:
    def test_title_and_description(self) -> None:
        found = domain("<title> Web &amp; Mail  </title><description>two\nlines, <![CDATA[<raw>]]></description>")
        assert (found.title, found.description) == (" Web & Mail  ", "two\nlines, <raw>")

    def test_there_need_not_be_any(self) -> None:
        assert domain("") == domain("<title/><description></description><metadata/><devices/>") == Description()

    def test_only_those_of_the_domain_itself(self) -> None:
        found = domain("<os><title>no</title></os><metadata><title>no</title></metadata><devices><title/></devices>")
        assert (found.title, found.description) == ("", "")

    def test_hostile_ones(self) -> None:
        found = domain(f"<title>{escape(HOSTILE)}</title><description>{escape(HOSTILE)}</description>")
        assert (found.title, found.description) == (HOSTILE, HOSTILE)


@pytest.mark.parametrize(
    ("type_", "source", "expected"),
    [
        ("file", "<source file='/images/a.qcow2' index='1'/>", "/images/a.qcow2"),
        ("block", "<source dev='/dev/vg/lv'/>", "/dev/vg/lv"),
        ("dir", "<source dir='/srv/floppy'/>", "/srv/floppy"),
        (
            "network",
            (
                "<source protocol='rbd' name='volumes/volume-1'><host name='ceph1' port='6789'/><auth username='u'>"
                "<secret type='ceph' uuid='0'/></auth></source>"
            ),
            "volumes/volume-1",
        ),
        ("network", "<source protocol='nbd'><host name='h' port='10809'/></source>", ""),
        ("volume", "<source pool='default' volume='a.img' mode='host'/>", "a.img"),
        (
            "vhostuser",
            "<source type='unix' path='/run/vhost.sock'><reconnect enabled='no'/></source>",
            "/run/vhost.sock",
        ),
        ("vhostvdpa", "<source dev='/dev/vhost-vdpa-0'/>", "/dev/vhost-vdpa-0"),
        (
            "nvme",
            (
                "<source type='pci' managed='yes' namespace='1'><address domain='0x0000' bus='0x01' slot='0x00' "
                "function='0x0'/></source>"
            ),
            "nvme://0000:01:00.0/1",
        ),
        ("nvme", "<source type='pci' namespace='1'/>", ""),
        ("of the future", "<source file='/a' dev='/b'/>", ""),
        ("file", "<source dev='/dev/sda'/>", ""),
        ("file", "<source startupPolicy='optional'/>", ""),
        ("file", "", ""),
    ],
)
def test_disks(type_: str, source: str, expected: str) -> None:
    (disk,) = devices(
        f"<disk type='{type_}' device='disk'><driver name='qemu'/>{source}<backingStore type='file'>"
        "<source file='/images/base.qcow2'/><backingStore/></backingStore><mirror type='file'>"
        "<source file='/images/copy.qcow2'/></mirror><target dev='vdb' bus='virtio'/><alias name='virtio-disk1'/>"
        "<address type='pci' domain='0x0000' bus='0x00' slot='0x04' function='0x0'/></disk>"
    )
    assert disk == Device(DISK, "vdb", "virtio-disk1", type_, expected)


@pytest.mark.parametrize(
    ("type_", "source", "expected"),
    [
        ("bridge", "<source bridge='br0'/>", "br0"),
        ("bridge", "<source network='lan' portid='0' bridge='br0'/>", "br0"),
        ("network", "<source network='default' portid='0' bridge='virbr0'/>", "default"),
        ("direct", "<source dev='eth0' mode='bridge'/>", "eth0"),
        ("ethernet", "", ""),
        ("user", "<source dev='eth0'/><backend type='passt'/>", "eth0"),
        ("internal", "<source name='switch'/>", "switch"),
        ("vhostuser", "<source type='unix' path='/run/openvswitch/vhu1' mode='client'/>", "/run/openvswitch/vhu1"),
        ("vdpa", "<source dev='/dev/vhost-vdpa-0'/>", "/dev/vhost-vdpa-0"),
        ("vds", "<source switchid='12345678-0' portid='6' portgroupid='p' connectionid='1'/>", "12345678-0"),
        ("mcast", "<source address='230.0.0.1' port='5558'/>", "230.0.0.1:5558"),
        ("server", "<source port='5558'/>", "5558"),
        ("udp", "<source address='1.2.3.4' port='1'><local address='5.6.7.8' port='2'/></source>", "1.2.3.4:1"),
        (
            "hostdev",
            ("<driver/><source><address type='pci' domain='0x0000' bus='0x3b' slot='0x10' function='0x7'/></source>"),
            "0000:3b:10.7",
        ),
        ("hostdev", "", ""),
        ("null", "", ""),
        ("of the future", "<source bridge='br0'/>", ""),
    ],
)
def test_interfaces(type_: str, source: str, expected: str) -> None:
    (interface,) = devices(
        f"<interface type='{type_}'><mac address='52:54:00:AA:bb:cc'/>{source}<target dev='vnet7'/>"
        "<model type='virtio'/><alias name='ua-net'/>"
        "<address type='pci' domain='0x0000' bus='0x00' slot='0x04' function='0x0'/></interface>"
    )
    assert interface == Device(INTERFACE, "vnet7", "ua-net", type_, expected, "52:54:00:AA:bb:cc")


class TestDevices:
    def test_in_the_order_of_the_document(self) -> None:
        disk, nic = "<disk type='file'><target dev='{}'/></disk>", "<interface><target dev='{}'/></interface>"
        found = devices(disk.format("vdb"), nic.format("vnet0"), "<hostdev/>", disk.format("vda"), nic.format("vnet1"))
        assert [device.target for device in found] == ["vdb", "vnet0", "vda", "vnet1"]

    def test_an_empty_drive_and_one_without_anything(self) -> None:
        found = devices("<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>", "<disk/>")
        assert found == [Device(DISK, "sda", "", "file"), Device(DISK, "")]

    def test_only_those_of_the_domain(self) -> None:
        disk = "<disk type='file'><source file='/a'/><target dev='vda'/></disk>"
        nested = f"{disk}<metadata>{disk}<devices>{disk}</devices></metadata><devices><x>{disk}</x></devices>"
        assert domain(f"{nested}<devices xmlns='u'>{disk}</devices>").devices == ()

    def test_the_first_of_what_there_should_be_only_one(self) -> None:
        (disk,) = devices("<disk type='file'><source file='/a'/><source file='/b'/><target dev='vda'/></disk>")
        assert disk.source == "/a"

    def test_hostile_names(self) -> None:
        value = quoteattr(HOSTILE)
        (nic,) = devices(
            f"<interface type='bridge'><mac address={value}/><source bridge={value}/><target dev={value}/></interface>"
        )
        assert nic == Device(INTERFACE, HOSTILE, "", "bridge", HOSTILE, HOSTILE)


class TestMetadata:
    def test_of_several_applications(self) -> None:
        nova = (
            f'<nova:instance xmlns:nova="{NOVA}"><nova:package version="27.0.0"/><nova:name>web ü</nova:name>'
            '<nova:owner><nova:user uuid="u1">admin</nova:user><nova:project uuid="p1">shop</nova:project></nova:owner>'
            '<nova:root type="image" uuid="i1"/></nova:instance>'
        )
        kubevirt = (
            '<kubevirt xmlns="http://kubevirt.io"><uid>a-b-c</uid><graceperiod><deletionGracePeriodSeconds>30'
            "</deletionGracePeriodSeconds></graceperiod></kubevirt>"
        )
        osinfo = (
            '<libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0">\n'
            '  <libosinfo:os id="http://debian.org/debian/12"/>\n</libosinfo:libosinfo>'
        )
        assert metadata("\n  ", nova, "\n  ", kubevirt, osinfo) == [
            (NOVA, nova),
            ("http://kubevirt.io", kubevirt),
            ("http://libosinfo.org/xmlns/libvirt/domain/1.0", osinfo),
        ]

    def test_an_element_declares_what_it_uses_and_no_more(self) -> None:
        around = 'xmlns:a="http://a" xmlns:b="http://b" xmlns:unused="http://u"'
        elements = (
            '<a:x b:k="1" k="2"/>',
            '<x><a:y xmlns:a="http://other"/><a:z/></x>',
            '<x xmlns="http://d"><b:y xmlns:b="http://b"/><y b:k=""/></x>',
            '<a:x xmlns:a="http://a"><y xmlns=""/></a:x>',
        )
        assert metadata(*elements, around=around) == [
            ("http://a", '<a:x xmlns:a="http://a" xmlns:b="http://b" b:k="1" k="2"/>'),
            ("", '<x xmlns:a="http://a"><a:y xmlns:a="http://other"/><a:z/></x>'),
            ("http://d", '<x xmlns:b="http://b" xmlns="http://d"><b:y xmlns:b="http://b"/><y b:k=""/></x>'),
            ("http://a", '<a:x xmlns:a="http://a"><y xmlns=""/></a:x>'),
        ]

    def test_two_prefixes_of_one_namespace(self) -> None:
        element = '<x xmlns="u" xmlns:p="u" p:a="1" a="2"/>'
        assert metadata(element) == [("u", element)]

    def test_characters_that_have_to_be_written_otherwise(self) -> None:
        element = (
            '<x xmlns="u" a="&quot;&#9;&#10;&#13;&lt;&amp;&apos;" xml:space="preserve">&lt;&amp;&gt;]]&gt;&#13;</x>'
        )
        ((_, text),) = metadata(element)
        assert same(text, element)
        assert ET.fromstring(text).attrib["a"] == "\"\t\n\r<&'"

    def test_comments_go_and_text_stays(self) -> None:
        element = '<x xmlns="u"><!-- <y/> -->a<?php b?><![CDATA[<c> & ]]>d</x>'
        assert metadata("stray", element, "<!-- stray -->") == [("u", '<x xmlns="u">a&lt;c&gt; &amp; d</x>')]

    def test_hostile_text(self) -> None:
        uri = HOSTILE.rstrip(" {}")  # ElementTree takes no URI with a brace
        element = f"<x xmlns={quoteattr(uri)} a={quoteattr(HOSTILE)}>{escape(HOSTILE)}</x>"
        ((namespace, text),) = metadata(element)
        assert namespace == uri
        assert same(text, element)


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=6)
NAMES = st.tuples(st.sampled_from(["", "a:", "b:"]), st.sampled_from(["x", "domain", "metadata", "disk"])).map("".join)
KEYS = st.sampled_from(["k", "a:k", "xml:lang"])
URIS = st.sampled_from(["u", "v", 'urn:ü&<"'])
DECLARED = st.dictionaries(st.sampled_from(["xmlns", "xmlns:a", "xmlns:b"]), URIS, max_size=3)
CHILDREN = st.recursive(
    TEXTS.map(escape),
    lambda inside: st.builds(written, NAMES, DECLARED, st.dictionaries(KEYS, TEXTS), st.lists(inside, max_size=4)),
    max_leaves=12,
)
ELEMENTS = st.builds(written, NAMES, DECLARED, st.dictionaries(KEYS, TEXTS), st.lists(CHILDREN, max_size=4))


@given(URIS, st.lists(ELEMENTS, max_size=3))
def test_any_metadata_mean_the_same_on_their_own(uri: str, inside: list[str]) -> None:
    around = written("metadata", {"xmlns:a": uri, "xmlns:b": "of b"}, {}, inside)
    found = domain(around).metadata
    in_place = ET.fromstring(around)
    assert [meaning(ET.fromstring(text)) for _, text in found] == [meaning(element) for element in in_place]
    assert [f"{{{namespace}}}" if namespace else "" for namespace, _ in found] == [
        element.tag[: element.tag.rfind("}") + 1] for element in in_place
    ]


class TestDocumentsThatLie:
    @pytest.mark.parametrize(
        ("xml", "why"),
        [
            ("", "no element found"),
            ("<domain>", "no element found"),
            ("<domain></damion>", "mismatched tag"),
            ("<domain/><domain/>", "junk after document element"),
            ("<domain a='1' a='2'/>", "duplicate attribute"),
            ("<domain><x:y/></domain>", "unbound prefix"),
            ("<domain>&nbsp;</domain>", "undefined entity"),
            ("<domain>\0</domain>", "invalid token"),
            ("<domain>\udcff</domain>", "invalid token"),
            ("<domain>&#0;</domain>", "invalid character number"),
            ("<domstatus><domain/></domstatus>", "not a <domain>"),
            ("<domain xmlns='u'/>", "not a <domain>"),
            ("<!DOCTYPE domain><domain/>", "document type"),
            ("<!DOCTYPE domain SYSTEM 'file:///etc/passwd'><domain/>", "document type"),
            (
                "<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><domain><title>&e;</title></domain>",
                "document type",
            ),
        ],
    )
    def test_are_refused(self, xml: str, why: str) -> None:
        with pytest.raises(BadValue, match=why) as caught:
            parse_description(xml)
        assert caught.value.field == "domain XML"
        assert 0 <= caught.value.offset <= len(xml.encode("utf-8", "surrogatepass"))

    def test_what_they_call_their_encoding_does_not_count(self) -> None:
        title = "<domain><title>ü</title></domain>"
        assert parse_description(f"<?xml version='1.0' encoding='iso-8859-1'?>{title}").title == "ü"

    def test_entities_in_entities(self) -> None:
        names = "abcdefghij"
        laughs = "".join(f"<!ENTITY {name} '{f'&{below};' * 10}'>" for below, name in pairwise(names))
        xml = f"<!DOCTYPE d [<!ENTITY a '{'ha' * 1000}'>{laughs}]><domain><title>&j;</title></domain>"
        with pytest.raises(BadValue, match="document type"):
            parse_description(xml)

    @pytest.mark.parametrize(
        ("inside", "limit"),
        [
            (f"<devices>{'<disk/>' * 4097}</devices>", "4096 devices"),
            (f"<metadata>{'<x/>' * 257}</metadata>", "256 elements of metadata"),
            (f"<metadata><x>{'&gt;' * 1_048_577}</x></metadata>", "metadata over 4194304 characters"),
            (f"<metadata xmlns:a='{'u' * 100_000}'>{'<a:x/>' * 50}</metadata>", "metadata over 4194304 characters"),
            ("<x>" * 256, "256 deep"),
            (written("x", {f"xmlns:n{number}": "u" for number in range(257)}, {}, []), "256 namespaces"),
        ],
        ids=["devices", "metadata", "text", "namespace", "depth", "namespaces"],
    )
    def test_are_limited(self, inside: str, limit: str) -> None:
        with pytest.raises(LimitExceeded, match=limit):
            domain(inside)

    def test_limits_that_are_just_kept(self) -> None:
        assert len(devices("<disk/>" * describe.DEVICES_MAX)) == describe.DEVICES_MAX
        assert len(metadata("<x/>" * describe.METADATA_MAX)) == describe.METADATA_MAX
        deep = describe.DEPTH_MAX - 2
        ((_, text),) = metadata("<x>" * deep + "</x>" * deep)
        assert text.count("<x>") == deep - 1

    @given(st.sampled_from(["domain-running.xml", "domain-shutoff.xml"]), st.data())
    def test_a_damaged_document_gives_a_description_or_a_documented_error(self, name: str, data: st.DataObject) -> None:
        real = (DATA / name).read_text()
        start = data.draw(st.integers(0, len(real)))
        end = data.draw(st.integers(start, min(start + 40, len(real))))
        instead = data.draw(st.sampled_from(["", "<", "</domain>", "<!DOCTYPE x>", "&x;", "\0", "\udcff", "xmlns=''"]))
        with suppress(BadValue):
            assert isinstance(parse_description(real[:start] + instead + real[end:]), Description)
