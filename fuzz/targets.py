"""The targets. Any exception they let through is a finding."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from domstats.errors import BadDocument, BadValue, LimitExceeded, Truncated
from domstats.formats import xml
from domstats.model.snapshot import Snapshot
from domstats.sources.libvirt.describe import parse_description
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.bulk.encoder import encode_reply
from domstats.wire.connection import ClientConnection, ServerConnection
from domstats.wire.procedures import Procedure, decode_args, decode_values

DOCUMENTED = (Truncated, LimitExceeded, BadValue)


def replies(data: bytes) -> None:
    """Several bodies, one after another, to one decoder; what was seen before must change nothing."""
    warm = ReplyDecoder()
    size = max(4, (data[0] if data else 0) * 4)
    for start in range(1, len(data), size):
        outcomes = []
        for decoder in (warm, ReplyDecoder()):
            try:
                snapshot: Snapshot = decoder.decode(data[start : start + size])
                outcomes.append(sorted(repr((record.domain, record.params)) for record in snapshot))
                encode_reply(snapshot)
            except DOCUMENTED as error:
                outcomes.append([type(error).__name__])
        assert outcomes[0] == outcomes[1]


def packets(data: bytes) -> None:
    """A stream of bytes to both ends of a connection."""
    client, server = ClientConnection(), ServerConnection()
    client.call(Procedure.CONNECT_GET_URI, b"")
    for end in (client, server):
        with suppress(*DOCUMENTED):
            end.receive_data(data)
            for _ in end.events():
                end.data_to_send()


def payloads(data: bytes) -> None:
    """A payload to the procedure its first byte chooses, as a call and as a reply."""
    procedures = list(Procedure)
    procedure = procedures[(data[0] if data else 0) % len(procedures)]
    for decode in (decode_args, decode_values):
        with suppress(*DOCUMENTED):
            decode(procedure, data[1:])


def descriptions(data: bytes) -> None:
    """A domain's XML; what it says in its metadata is XML again."""
    document = data.decode("utf-8", "surrogateescape")
    for definition in (document, f"<domain><metadata>{document}</metadata></domain>"):
        with suppress(*DOCUMENTED):
            for _, element in parse_description(definition).metadata:
                assert parse_description(f"<domain><metadata>{element}</metadata></domain>").metadata[0][1] == element


def xml_documents(data: bytes) -> None:
    """A document, and what may stand in one; whatever is read is written so that it is read again."""
    for document in (data, XML_HEAD + data + XML_END):
        with suppress(BadDocument):
            snapshot = xml.decode(document)
            again = xml.decode(xml.encode(snapshot))
            assert [repr((record.domain, record.params)) for record in again] == [
                repr((record.domain, record.params)) for record in snapshot
            ]


XML_HEAD = (
    b"<domainstats version='1' time='1.5' source=''>"
    b"<domain name='' uuid='6695eb01-f6a4-8304-79aa-97f2502e193f' status='fresh'>"
)
XML_END = b"</domain></domainstats>"

TARGETS: tuple[Callable[[bytes], None], ...] = (replies, packets, payloads, descriptions, xml_documents)
