"""xml: the form of the document, and that it is what is read back. See also test_battery."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import domstats
from domstats.catalog.fields import FIELDS, Field
from domstats.catalog.groups import GROUP_NAMES
from domstats.formats import xml
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter, Value
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from readers import check_xml
from strategies import records, texts

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
OTHER_UUID = "0d9f8a56-0000-4000-8000-00000000abcd"
P = TypedParameter
T = ParamType


def host(*params: TypedParameter, name: str = "vm") -> Snapshot:
    return Snapshot.of_params([(Domain(name, UUID, 1), params)])


def body(*params: TypedParameter) -> str:
    """What stands in the element of a domain with these values; they are read back."""
    snapshot = host(*params)
    document = xml.encode(snapshot)
    check_xml(snapshot, document)
    _, line, _ = document.decode().splitlines()
    return line.partition(">")[2].removesuffix("</domain>")


def test_the_whole_document() -> None:
    snapshot = Snapshot.of_params(
        [
            (
                Domain("web-ü", UUID, 3),
                [
                    P("state.state", T.INT, 1),
                    P("state.reason", T.INT, 5),
                    P("cpu.time", T.ULLONG, 2**64 - 1),
                    P("cpu.haltpoll.success.time", T.ULLONG, 7),
                    P("cpu.haltpoll.fail.time", T.ULLONG, 8),
                    P("balloon.last-update", T.ULLONG, 0),
                    P("vcpu.current", T.UINT, 1),
                    P("vcpu.maximum", T.UINT, 4),
                    P("vcpu.0.state", T.INT, 1),
                    P("vcpu.0.time", T.ULLONG, 10001231231),
                    P("vcpu.0.exits.sum", T.ULLONG, 11),
                    P("vcpu.0.guest_mode.cur", T.BOOLEAN, False),
                    P("net.count", T.UINT, 1),
                    P("net.0.name", T.STRING, "vnet0"),
                    P("net.0.rx.bytes", T.ULLONG, 12),
                    P("block.count", T.UINT, 1),
                    P("block.0.name", T.STRING, "vda"),
                    P("block.0.timed_group.0.rd_queue_depth_avg", T.DOUBLE, 0.5),
                    P("iothread.1.poll-grow", T.ULLONG, 2),
                    P("vm.remote_tlb_flush.sum", T.ULLONG, 13),
                    P("new.thing", T.LLONG, -1),
                ],
            ),
            (Domain("off", OTHER_UUID, None), []),
        ],
        time=1700000000.25,
        source="qemu:///system",
    )
    document = xml.encode(snapshot)
    check_xml(snapshot, document)
    first = (
        f"<domain name='web-ü' uuid='{UUID}' id='3' status='fresh' age='0.0'>"
        "<state reason='5'>running</state>"
        "<cpu><time>18446744073709551615</time>"
        "<haltpoll><success><time>7</time></success><fail><time>8</time></fail></haltpoll></cpu>"
        "<balloon><last-update>0</last-update></balloon>"
        "<cpus online='1' maximum='4'><cpu id='0'><state>running</state><time>10001231231</time>"
        "<stat name='exits' type='sum'>11</stat>"
        "<stat name='guest_mode' type='cur' value-type='boolean'>false</stat></cpu></cpus>"
        "<net><count>1</count><interface id='0'><name>vnet0</name><rx><bytes>12</bytes></rx></interface></net>"
        "<block><count>1</count><disk id='0'><name>vda</name>"
        "<timed_group><item id='0'><rd_queue_depth_avg>0.5</rd_queue_depth_avg></item></timed_group></disk></block>"
        "<iothread><iothread id='1'><poll-grow type='ullong'>2</poll-grow></iothread></iothread>"
        "<vm><stat name='remote_tlb_flush' type='sum'>13</stat></vm>"
        "<param name='new.thing' type='llong'>-1</param></domain>"
    )
    assert document.decode().splitlines() == [
        "<domainstats version='1' time='1700000000.25' source='qemu:///system'>",
        first,
        f"<domain name='off' uuid='{OTHER_UUID}' status='fresh'></domain>",
        "</domainstats>",
    ]


def test_no_domains() -> None:
    snapshot = Snapshot.of_params([], time=2.0)
    assert xml.encode(snapshot) == b"<domainstats version='1' time='2.0' source=''>\n</domainstats>\n"
    check_xml(snapshot, xml.encode(snapshot))


@pytest.mark.parametrize(
    ("key", "kind", "value", "written"),
    [
        ("cpu.time", T.ULLONG, 2**64 - 1, "<cpu><time>18446744073709551615</time></cpu>"),
        ("cpu.time", T.LLONG, -(2**63), "<cpu><time type='llong'>-9223372036854775808</time></cpu>"),
        ("dirtyrate.calc_period", T.INT, -(2**31), "<dirtyrate><calc_period>-2147483648</calc_period></dirtyrate>"),
        ("cpu.time", T.DOUBLE, 1e16, "<cpu><time type='double'>1e+16</time></cpu>"),
        ("cpu.time", T.DOUBLE, -0.0, "<cpu><time type='double'>-0.0</time></cpu>"),
        ("cpu.time", T.DOUBLE, float("nan"), "<cpu><time type='double'>NaN</time></cpu>"),
        ("cpu.time", T.DOUBLE, float("inf"), "<cpu><time type='double'>INF</time></cpu>"),
        ("cpu.time", T.DOUBLE, float("-inf"), "<cpu><time type='double'>-INF</time></cpu>"),
        ("vcpu.7.halted", T.BOOLEAN, True, "<cpus><cpu id='7'><halted>true</halted></cpu></cpus>"),
        ("cpu.time", T.STRING, "", "<cpu><time type='string'></time></cpu>"),
        (
            "net.0.name",
            T.STRING,
            " a\n\r\tb ",
            "<net><interface id='0'><name> a&#10;&#13;&#9;b </name></interface></net>",
        ),
        ("perf.cmt", T.STRING, "<&>'\"", "<perf><cmt type='string'>&lt;&amp;&gt;&apos;&quot;</cmt></perf>"),
        ("perf.cmt", T.STRING, "\x9b\u202e\x7f", "<perf><cmt type='string'>&#155;&#8238;&#127;</cmt></perf>"),
        ("perf.cmt", T.STRING, "a\0", "<perf><cmt type='string' encoding='base64'>YQA=</cmt></perf>"),
        ("perf.cmt", T.STRING, "a\udcffb", "<perf><cmt type='string' encoding='base64'>Yf9i</cmt></perf>"),
        ("perf.cmt", T.STRING, "\uffff", "<perf><cmt type='string' encoding='base64'>77+/</cmt></perf>"),
        ("vm.<&.sum", T.ULLONG, 1, "<vm><stat name='&lt;&amp;' type='sum'>1</stat></vm>"),
        ("vm.\x1b.max", T.ULLONG, 1, "<vm><stat name='Gw==' name-encoding='base64' type='max'>1</stat></vm>"),
        ("vcpu.007.time", T.ULLONG, 1, "<cpus><cpu id='007'><time>1</time></cpu></cpus>"),
    ],
)
def test_values(key: str, kind: ParamType, value: Value, written: str) -> None:
    assert body(P(key, kind, value)) == written


def test_a_part_that_is_the_kernels() -> None:
    energy = "<cpu><energy><monitor><item id='0'><pkg><item id='1'>{}</item></pkg></item></monitor></energy></cpu>"
    written = body(P("cpu.energy.monitor.0.pkg.1.core_energy", T.DOUBLE, 2.5))
    assert written == energy.format("<core_energy>2.5</core_energy>")


@pytest.mark.parametrize(
    ("key", "written"),
    [
        ("", "name=''"),
        ("vcpu", "name='vcpu'"),
        ("block.0", "name='block.0'"),
        ("block.٣.name", "name='block.٣.name'"),
        ("vm..sum", "name='vm..sum'"),
        ("state", "name='state'"),
        ("a'b", "name='a&apos;b'"),
        ("a\udcff", "name='Yf8=' name-encoding='base64'"),
        ("cpu.energy.monitor.0.pkg.0.two words", "name='cpu.energy.monitor.0.pkg.0.two words'"),
        ("cpu.energy.monitor.0.pkg.0.item", "name='cpu.energy.monitor.0.pkg.0.item'"),
        ("cpu.energy.monitor.0.pkg.0.XmlWord", "name='cpu.energy.monitor.0.pkg.0.XmlWord'"),
        ("vm." + "x" * 80 + ".sum", f"name='vm.{'x' * 80}.sum'"),
    ],
)
def test_keys_that_no_element_has(key: str, written: str) -> None:
    assert body(P(key, T.UINT, 1)) == f"<param {written} type='uint'>1</param>"


@pytest.mark.parametrize(
    ("params", "written"),
    [
        ([("state.state", T.INT, 99), ("state.reason", T.INT, -1)], "<state reason='-1'>99</state>"),
        ([("state.state", T.INT, -1)], "<state>-1</state>"),
        ([("state.state", T.ULLONG, 3)], "<state type='ullong'>paused</state>"),
        ([("state.state", T.STRING, "running")], "<state type='string'>running</state>"),
        ([("state.state", T.STRING, "\0"), ("state.reason", T.INT, 1)],
         "<state type='string' reason='1' encoding='base64'>AA==</state>"),
        ([("state.reason", T.INT, 1)], "<param name='state.reason' type='int'>1</param>"),
        ([("state.reason", T.INT, 1), ("state.state", T.INT, 1)],
         "<param name='state.reason' type='int'>1</param><state>running</state>"),
        ([("state.state", T.INT, 1), ("state.reason", T.UINT, 1)],
         "<state>running</state><param name='state.reason' type='uint'>1</param>"),
        ([("vcpu.0.state", T.UINT, 2)], "<cpus><cpu id='0'><state type='uint'>blocked</state></cpu></cpus>"),
        ([("vcpu.0.state", T.INT, 3)], "<cpus><cpu id='0'><state>3</state></cpu></cpus>"),
        ([("vcpu.current", T.UINT, 2)], "<cpus online='2'></cpus>"),
        ([("vcpu.maximum", T.UINT, 2)], "<cpus maximum='2'></cpus>"),
        ([("vcpu.maximum", T.UINT, 2), ("vcpu.current", T.UINT, 1)],
         "<cpus maximum='2'></cpus><cpus online='1'></cpus>"),
        ([("vcpu.current", T.INT, 2)], "<param name='vcpu.current' type='int'>2</param>"),
        ([("vcpu.0.time", T.ULLONG, 1), ("vcpu.current", T.UINT, 2), ("vcpu.0.wait", T.ULLONG, 3)],
         "<cpus><cpu id='0'><time>1</time></cpu></cpus><cpus online='2'><cpu id='0'><wait>3</wait></cpu></cpus>"),
    ],
)  # fmt: skip
def test_states_and_numbers_of_cpus(params: list[tuple[str, ParamType, Value]], written: str) -> None:
    assert body(*(P(*param) for param in params)) == written


def test_elements_follow_the_order_of_the_values_and_duplicates_are_kept() -> None:
    params = [
        P("net.0.rx.bytes", T.ULLONG, 1),
        P("cpu.time", T.ULLONG, 2),
        P("net.0.rx.pkts", T.ULLONG, 3),
        P("net.0.rx.pkts", T.STRING, "four"),
        P("net.1.rx.pkts", T.ULLONG, 5),
        P("x", T.INT, 6),
        P("x", T.INT, 7),
    ]
    assert body(*params) == (
        "<net><interface id='0'><rx><bytes>1</bytes></rx></interface></net>"
        "<cpu><time>2</time></cpu>"
        "<net><interface id='0'><rx><pkts>3</pkts><pkts type='string'>four</pkts></rx></interface>"
        "<interface id='1'><rx><pkts>5</pkts></rx></interface></net>"
        "<param name='x' type='int'>6</param><param name='x' type='int'>7</param>"
    )


NEVER = float("nan")


@pytest.mark.parametrize(
    ("ages", "written"),
    [
        ({"state": 0.5, "cpu": 0.5}, " age='0.5'>"),
        ({"state": 0.5, "cpu": 12.25}, " age='12.25'><ages state='0.5' cpu='12.25'/>"),
        ({"state": 0.5, "cpu": NEVER}, " age='0.5'><ages state='0.5'/>"),
        ({"state": NEVER, "cpu": NEVER}, ">"),
        ({"state": 0.1234567, "cpu": 0.1234567}, " age='0.123457'>"),
    ],
)
@pytest.mark.parametrize("status", Status)
def test_statuses_and_ages(status: Status, ages: dict[str, float], written: str) -> None:
    snapshot = Snapshot.of_params(
        [(Domain("vm", UUID, 1), [P("state.state", T.INT, 1), P("cpu.time", T.ULLONG, 1)])], time=2.0**30
    )
    times = np.full_like(snapshot.sampling.times, np.nan)
    for group, age in ages.items():
        times[0, GROUP_NAMES.index(group)] = snapshot.time - age
    late = snapshot.with_sampling(replace(snapshot.sampling, status=np.array([status], np.uint8), times=times))
    document = xml.encode(late)
    assert f" id='1' status='{status.label}'{written}<state>" in document.decode()
    check_xml(late, document)
    assert np.array_equal(xml.decode(document).sampling.times.round(5), times.round(5), equal_nan=True)


_ids = st.integers(0, 20).map(str)
_words = st.one_of(st.sampled_from(["exits", "count", "item", "stat", "xml", "name", "a-b"]), texts)


@st.composite
def catalogued(draw: st.DrawFn) -> TypedParameter:
    """A value of a field of the catalogue, of any type."""
    field: Field = draw(st.sampled_from(FIELDS))
    parts = [
        draw(_ids) if part in ("<i>", "<j>", "<id>") else draw(_words) if part.startswith("<") else part
        for part in field.pattern.split(".")
    ]
    kind = draw(st.sampled_from([*field.types, "ullong", "string"]))
    value: Any = draw({"string": texts, "double": st.floats(), "boolean": st.booleans()}.get(kind, st.integers(0, 99)))
    return P(".".join(parts), T[kind.upper()], value)


@given(st.lists(catalogued(), max_size=30), records)
def test_any_field_in_any_order(params: list[TypedParameter], record: Any) -> None:
    domain, others = record
    snapshot = Snapshot.of_params([(domain, [*params, *others, *params])], time=5.0)
    check_xml(snapshot, xml.encode(snapshot))


def test_polls_of_one_layout_are_written_as_each_alone_would_be() -> None:
    polls = [
        Snapshot.of_params(
            [
                (Domain(f"vm{number}", f"{number:08}{UUID[8:]}", number or None), [P("cpu.time", T.ULLONG, time)])
                for number in range(3)
            ],
            time=1.5,
        )
        for time in (7, 123_456, 2**64 - 1)
    ]
    first = polls[0]
    for each in polls:
        snapshot = Snapshot(first.layout, each.values, each.time, each.sampling, None)
        assert xml.encode(snapshot) == xml.encode(each)
        check_xml(snapshot, xml.encode(snapshot))


def test_a_snapshot_writes_itself_and_the_package_reads_it() -> None:
    snapshot = host(P("cpu.time", T.ULLONG, 5))
    document = snapshot.to_xml()
    assert document == xml.encode(snapshot)
    for data in (document, document.decode(), bytearray(document)):
        assert domstats.from_xml(data)["vm"]["cpu.time"] == 5
