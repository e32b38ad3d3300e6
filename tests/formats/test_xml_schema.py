"""The schema of the XML documents: that it is the catalogue's, and what it refuses."""

from __future__ import annotations

import runpy
from pathlib import Path

import lxml.etree
import pytest

from domstats.catalog.fields import FIELDS, Field
from domstats.errors import BadDocument
from domstats.formats import xml
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter, Value
from domstats.model.snapshot import Snapshot
from xml_documents import SCHEMA, valid

ROOT = Path(__file__).parents[2]
UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
VALUES: dict[str, Value] = {"double": 0.5, "boolean": True, "string": "text"}
DOMAIN = f"<domain name='vm' uuid='{UUID}' id='1' status='fresh' age='0.5'>"


def document(inside: str, domain: str = DOMAIN) -> str:
    return f"<domainstats version='1' time='1.5' source=''>{domain}{inside}</domain></domainstats>"


def accepted(text: str) -> bool:
    return bool(SCHEMA.validate(lxml.etree.fromstring(text)))


def test_it_is_current() -> None:
    made: str = runpy.run_path(str(ROOT / "tools" / "schema.py"))["schema"]()
    assert xml.schema().decode() == made, "run tools/schema.py"


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.pattern)
def test_every_field_has_its_element_with_its_type(field: Field) -> None:
    parts = ["3" if part in ("<i>", "<j>", "<id>") else part.strip("<>") for part in field.pattern.split(".")]
    key, usual = ".".join(parts), field.types[0]
    before = [] if key != "state.reason" else [TypedParameter("state.state", ParamType.INT, 1)]
    for label in field.types:
        param = TypedParameter(key, ParamType[label.upper()], VALUES.get(label, 1))
        encoded = xml.encode(Snapshot.of_params([(Domain("vm", UUID, 1), [*before, param])]))
        valid(encoded)
        assert b"<param" not in encoded
        assert (b"type='%b'" % label.encode() in encoded) == (label != usual)
    if usual not in VALUES:
        param = TypedParameter(key, ParamType[usual.upper()], 1)
        encoded = xml.encode(Snapshot.of_params([(Domain("vm", UUID, 1), [*before, param])])).decode()
        for right, wrong in ((">1<", ">1.5<"), ("='1'>", "='x'>"), (">running<", ">walking<"), (">offline<", ">on<")):
            if right in encoded.partition("fresh")[2]:
                assert not accepted(wrong.join(encoded.rsplit(right, 1))), wrong


@pytest.mark.parametrize(
    "inside",
    [
        "<cpu><later type='ullong'>5</later></cpu>",
        "<block><disk id='0'><later><than type='string' encoding='base64'>AA==</than></later></disk></block>",
        "<block><disk id='0'><later><item id='5'><than type='double'>-INF</than></item></later></disk></block>",
        "<cpu><time type='double'>5</time></cpu><cpu><time>1</time><time>2</time></cpu>",
    ],
)
def test_what_a_later_version_may_write(inside: str) -> None:
    assert accepted(document(inside))
    assert xml.decode(document(inside))


@pytest.mark.parametrize(
    "inside",
    [
        "<later><x type='int'>1</x></later>",
        "<cpu><later>5</later></cpu>",
        "<cpu><later type='ulong'>5</later></cpu>",
        "<cpu></cpu>",
        "<cpu>5</cpu>",
        "<cpu><time>5</time>text</cpu>",
        "<cpu><time>-1</time></cpu>",
        "<cpu><time>18446744073709551616</time></cpu>",
        "<cpu><time>+5</time></cpu>",
        "<cpu><time type='boolean'>1</time></cpu>",
        "<cpu><time encoding='base64'>AA==</time></cpu>",
        "<cpu id='1'><time>5</time></cpu>",
        "<cpus online='x'/>",
        "<cpus><cpu><time>5</time></cpu></cpus>",
        "<cpus><cpu id='one'><time>5</time></cpu></cpus>",
        "<cpus><cpu id='0'><state>halted</state></cpu></cpus>",
        "<state>walking</state>",
        "<state reason='none'>running</state>",
        "<vm><stat name='x' type='avg'>5</stat></vm>",
        "<vm><stat type='sum'>5</stat></vm>",
        "<param name='x'>5</param>",
        "<param type='int'>5</param>",
        "<param name='x' type='string' encoding='base32'>AA==</param>",
        "<param name='x' type='string' encoding='base64'>?</param>",
        "<domain/>",
        "<ages state='0.5' disk='1'/>",
        "<ages state='old'/>",
        "<ages state='0.5'/><ages state='0.5'/>",
    ],
)
def test_what_is_refused(inside: str) -> None:
    assert not accepted(document(inside))
    with pytest.raises(BadDocument):
        xml.decode(document(inside))


@pytest.mark.parametrize(
    "domain",
    [
        f"<domain uuid='{UUID}' status='fresh'>",
        "<domain name='vm' uuid='1' status='fresh'>",
        f"<domain name='vm' uuid='{UUID.upper()}' status='fresh'>",
        f"<domain name='vm' uuid='{UUID}'>",
        f"<domain name='vm' uuid='{UUID}' status='well'>",
        f"<domain name='vm' uuid='{UUID}' status='fresh' id='x'>",
        f"<domain name='vm' uuid='{UUID}' status='fresh' id='2147483648'>",
        f"<domain name='vm' uuid='{UUID}' status='fresh' age='NaN'>",
        f"<domain name='vm' uuid='{UUID}' status='fresh' color='red'>",
        f"<domain name='??' name-encoding='base64' uuid='{UUID}' status='fresh'>",
    ],
)
def test_what_no_domain_is(domain: str) -> None:
    assert not accepted(document("", domain))
    with pytest.raises(BadDocument):
        xml.decode(document("", domain))


@pytest.mark.parametrize(
    "root",
    [
        "<domainstats time='1.0' source=''/>",
        "<domainstats version='2' time='1.0' source=''/>",
        "<domainstats version='1' source=''/>",
        "<domainstats version='1' time='INF' source=''/>",
        "<domainstats version='1' time='1.0'/>",
        "<domains version='1' time='1.0' source=''/>",
        "<domainstats version='1' time='1.0' source=''><guest/></domainstats>",
        "<domainstats version='1' time='1.0' source=''>text</domainstats>",
        "<domainstats xmlns='urn:x' version='1' time='1.0' source=''/>",
    ],
)
def test_what_no_document_is(root: str) -> None:
    assert not accepted(root)
    with pytest.raises(BadDocument):
        xml.decode(root)
