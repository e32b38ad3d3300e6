"""Reading XML documents that were laid out anew, cut off, damaged or made to harm."""

from __future__ import annotations

import base64
import re
import tracemalloc

import lxml.etree
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captures import CAPTURES, capture
from domstats.errors import BadDocument
from domstats.formats import xml
from domstats.formats.rebuild import KEY_MAX
from domstats.formats.text import HOSTILE
from domstats.formats.xml_reader import DEPTH_MAX, SHOWN_MAX
from domstats.model.sampling import COLUMN_NAMES
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.limits import PARAMS_MAX, STRING_MAX

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
ROOT = "<domainstats version='1' time='100.0' source='sim:///'>"
DOMAIN = f"<domain name='vm' uuid='{UUID}' id='1' status='fresh' age='0.5'>"
REAL = ReplyDecoder().decode(capture(CAPTURES[0]), time=1_700_000_000.25)


def document(inside: str, domain: str = DOMAIN) -> str:
    return f"{ROOT}\n{domain}{inside}</domain></domainstats>"


def params(snapshot: Snapshot) -> list[str]:
    return [repr((record.domain, record.params, record.status, record.ages)) for record in snapshot]


def fault(data: bytes | str) -> BadDocument:
    with pytest.raises(BadDocument) as found:
        xml.decode(data)
    assert found.value.form == "xml"
    return found.value


class TestOtherLayouts:
    def test_indented_with_comments_a_declaration_and_double_quotes(self) -> None:
        root = lxml.etree.fromstring(xml.encode(REAL))
        lxml.etree.indent(root, "\t")
        root[0].insert(0, lxml.etree.Comment("a comment"))
        data = lxml.etree.tostring(root, pretty_print=True, xml_declaration=True, encoding="UTF-8")
        assert data != xml.encode(REAL)
        assert params(xml.decode(data)) == params(REAL)

    def test_a_byte_order_mark(self) -> None:
        assert params(xml.decode(b"\xef\xbb\xbf" + xml.encode(REAL))) == params(REAL)

    def test_utf_16_with_its_mark(self) -> None:
        assert params(xml.decode(xml.encode(REAL).decode().encode("utf-16"))) == params(REAL)

    def test_a_comment_in_a_value_is_no_part_of_it(self) -> None:
        assert xml.decode(document("<cpu><time>1<!-- 2 -->3</time></cpu>"))["vm"]["cpu.time"] == 13

    def test_cdata_is_text(self) -> None:
        snapshot = xml.decode(document("<perf><cmt type='string'><![CDATA[<&>]]></cmt></perf>"))
        assert snapshot["vm"]["perf.cmt"] == "<&>"

    def test_base64_where_it_was_not_needed(self) -> None:
        written = base64.b64encode("ü".encode()).decode()
        domain = DOMAIN.replace("'vm'", f"'{written}' name-encoding='base64'")
        assert xml.decode(document("", domain)).domains[0].name == "ü"


class TestAges:
    def test_each_groups_time(self) -> None:
        ages = "<ages state='1.5' cpu='0.25'/><state>running</state><cpu><time>1</time></cpu>"
        snapshot = xml.decode(document(ages, DOMAIN.replace("0.5", "1.5")))
        times = dict(zip(COLUMN_NAMES, snapshot.sampling.times[0].tolist(), strict=True))
        assert (times.pop("state"), times.pop("cpu")) == (98.5, 99.75)
        assert all(time != time for time in times.values())
        assert snapshot["vm"].ages == {"state": 1.5, "cpu": 0.25}

    def test_one_age_is_that_of_the_groups_that_are_there(self) -> None:
        assert xml.decode(document("<cpu><time>1</time></cpu><param name='x' type='int'>1</param>"))["vm"].ages == {
            "cpu": 0.5,
            "other": 0.5,
        }

    def test_without_an_age_none_is_known(self) -> None:
        domain = DOMAIN.replace(" age='0.5'", "")
        assert xml.decode(document("<cpu><time>1</time></cpu>", domain))["vm"].ages == {}


class TestFaults:
    @pytest.mark.parametrize(
        ("inside", "where", "why"),
        [
            ("<cpu><time>x</time></cpu>", "line 2, column", "'cpu.time': 'x' is no ullong"),
            ("<cpu><time>-1</time></cpu>", "line 2, column", "'cpu.time': '-1' is no ullong"),
            ("<cpu>\n<time>1</time>\n<x/></cpu>", "line 4, column", "nothing in <'x'>"),
            ("<cpu><time>1<b/></time></cpu>", "line 2, column", "<'b'> inside the value of 'cpu.time'"),
            ("<cpu><x>7</x></cpu>", "line 2, column", "'7' where no value stands"),
            ("<block><disk><name>a</name></disk></block>", "line 2, column", "<'disk'> with no id, in 'block'"),
            ("<block><cpu id='0'/></block>", "line 2, column", "<'cpu'> with this id, in 'block'"),
            ("<vcpu/>", "line 2, column", "<'vcpu'> in a <domain>"),
            ("<cpu><time", "line 2, column", "not well-formed"),
            ("<cpu></cpus>", "line 2, column", "mismatched tag"),
        ],
    )
    def test_what_and_where(self, inside: str, where: str, why: str) -> None:
        found = fault(document(inside))
        assert found.where.startswith(where)
        assert why in found.why
        assert found.why in str(found)
        assert found.where in str(found)

    def test_two_domains_of_one_uuid(self) -> None:
        assert UUID in fault(f"{ROOT}{DOMAIN}</domain>{DOMAIN}</domain></domainstats>").why

    @pytest.mark.parametrize("data", ["", b"", "text", "\ud800", b"\xff", b"\0", "<domainstats", "<a:b/>"])
    def test_no_xml_at_all(self, data: bytes | str) -> None:
        assert fault(data).why

    def test_what_it_shows_is_short_and_harmless(self) -> None:
        for text in ("\x9b31m\u202e" + "x" * 1000, "\u2028", "\x7f"):
            for inside in (
                f"<cpu><time>{text}</time></cpu>",
                f"<cpu>{text}</cpu>",
                f"<param name='{text}' type='int'>x</param>",
                f"<param name='x' type='{text}'>1</param>",
                f"<vm><stat name='x' type='{text}'>1</stat></vm>",
            ):
                shown = str(fault(document(inside)))
                assert len(shown) < 4 * SHOWN_MAX
                assert not re.search(f"[{HOSTILE}]", shown)

    def test_nothing_is_read_of_a_document_that_is_cut_off(self) -> None:
        data = xml.encode(REAL)
        for length in range(0, len(data) - len("</domainstats>\n"), 997):
            fault(data[:length])


class TestHarm:
    @pytest.mark.parametrize(
        "doctype",
        [
            "<!DOCTYPE domainstats>",
            "<!DOCTYPE domainstats SYSTEM 'file:///etc/passwd'>",
            "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>",
            "<!DOCTYPE a [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;'>]>",
        ],
    )
    def test_document_types_are_refused(self, doctype: str) -> None:
        assert "document type" in fault(doctype + document("")).why

    def test_entities_that_are_not_known(self) -> None:
        assert "entity" in fault(document("<perf><cmt type='string'>&x;</cmt></perf>")).why

    @pytest.mark.parametrize("encoding", ["ISO-8859-1", "UTF-16", "rot13", "no-such", "cp037"])
    def test_other_encodings(self, encoding: str) -> None:
        assert fault(f"<?xml version='1.0' encoding='{encoding}'?>{document('')}").why

    def test_depth(self) -> None:
        inside = "<x>" * DEPTH_MAX + "</x>" * DEPTH_MAX
        assert "deep" in fault(document(f"<cpu>{inside}</cpu>")).why

    def test_long_strings(self) -> None:
        longest = "ü" * (STRING_MAX // 2) + "x" * (STRING_MAX // 2)
        value = "<param name='x' type='string'>{}</param>"
        assert xml.decode(document(value.format(longest))).records[0]["x"] == longest
        assert str(STRING_MAX) in fault(document(value.format("x" * (STRING_MAX + 1)))).why

    @pytest.mark.parametrize(
        ("inside", "key"),
        [
            ("<param name='N' type='int'>1</param>", "N"),
            ("<vm><stat name='N' type='sum'>1</stat></vm>", "vm.N.sum"),
            ("<cpu><N type='int'>1</N></cpu>", "cpu.N"),
            ("<cpu><N><x type='int'>1</x></N></cpu>", "cpu.N.x"),
        ],
    )
    def test_long_keys(self, inside: str, key: str) -> None:
        longest = "x" * (KEY_MAX - len(key) + 1)
        record = xml.decode(document(inside.replace("N", longest))).records[0]
        assert list(record) == [key.replace("N", longest)]
        assert f"a key over {KEY_MAX} characters" in fault(document(inside.replace("N", longest + "x"))).why

    def test_long_base64(self) -> None:
        written = base64.b64encode(b"\xff" * (STRING_MAX + 1)).decode()
        inside = f"<perf><cmt type='string' encoding='base64'>{written}</cmt></perf>"
        assert str(STRING_MAX) in fault(document(inside)).why

    def test_long_numbers(self) -> None:
        for text in ("9" * 100_000, "0" * 100_000, "1e" + "9" * 100_000, "0." + "1" * 100_000):
            fault(document(f"<cpu><time>{text}</time></cpu>"))
            fault(document(f"<cpu><time type='double'>{text}</time></cpu>"))

    def test_many_values(self) -> None:
        values = "<time>1</time>" * PARAMS_MAX
        assert len(xml.decode(document(f"<cpu>{values}</cpu>"))["vm"].params) == PARAMS_MAX
        assert str(PARAMS_MAX) in fault(document(f"<cpu>{values}<user>1</user></cpu>")).why

    def test_memory_stays_in_proportion(self) -> None:
        text = document("<cpu><time>1</time></cpu>" * 50_000)
        tracemalloc.start()
        try:
            xml.decode(text)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 30 * len(text)


PIECES = st.sampled_from(
    [
        "<cpu>", "</cpu>", "<time>", "</time>", "<time type='double'>", "1", "-1", "NaN", "text", " ", "&amp;", "&#0;",
        "<cpus online='1'>", "</cpus>", "<cpu id='0'>", "<state>", "</state>", "running", "<state reason='1'>",
        "<block>", "<disk id='0'>", "</disk>", "</block>", "<name>", "</name>", "<name encoding='base64'>", "/w==",
        "<vm>", "</vm>", "<stat name='x' type='sum'>", "</stat>", "<param name='x' type='string'>", "</param>",
        "<ages state='1'/>", "<!--", "-->", "<![CDATA[", "]]>", "<x>", "</x>", "<x type='int'>", "</domain>", DOMAIN,
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30))
def test_whatever_is_read_is_read_again(pieces: list[str]) -> None:
    try:
        snapshot = xml.decode(document("".join(pieces)))
    except BadDocument:
        return
    assert params(xml.decode(xml.encode(snapshot))) == params(snapshot)


SMALL = xml.encode(Snapshot.of_params([(REAL.domains[0], REAL.records[0].params[:60])], time=100.0))


@given(st.integers(0, len(SMALL)), st.integers(0, 4), st.binary(max_size=6))
def test_damage_is_noticed_or_makes_another_document(at: int, less: int, more: bytes) -> None:
    try:
        snapshot = xml.decode(SMALL[:at] + more + SMALL[at + less :])
    except BadDocument:
        return
    assert params(xml.decode(xml.encode(snapshot))) == params(snapshot)
