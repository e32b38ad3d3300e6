"""JSON, one domain's object a line; each line can be read alone.

It has the members of a domain in the `json` document, after `time` and `source` of the poll. Its `types` holds the keys
whose wire type the value does not show: where there is none, `true` and `false` are a boolean, text (or base64) is a
string, and a number is a ullong, as most are.
"""

from __future__ import annotations

import msgspec

from domstats.errors import BadDocument
from domstats.formats import document
from domstats.formats.document_reader import DomainObject, Text, reading, record_of, text
from domstats.formats.options import NO_OPTIONS, Options
from domstats.formats.rebuild import ReadRecord, snapshot_of
from domstats.model.layout import Shape
from domstats.model.params import ParamType
from domstats.model.snapshot import Snapshot

_SHOWN = (ParamType.ULLONG.label, ParamType.STRING.label, ParamType.BOOLEAN.label)


def encode(snapshot: Snapshot, _options: Options = NO_OPTIONS) -> bytes:
    """A line a domain, in the snapshot's order."""
    ends = {shape: _end(shape) for shape, _ in snapshot.layout.by_shape()}
    start = b"{%b," % document.poll(snapshot)
    return document.objects(snapshot, document.STATS, document.Frame(b"", start, ends, b"", b""))


class _Line(DomainObject, kw_only=True):
    time: float
    source: Text


def decode(data: bytes | bytearray | str) -> Snapshot:
    """The snapshot that the lines were made of; they must be of one poll, and blank ones are none. Raises
    BadDocument."""
    decoder = msgspec.json.Decoder(_Line)
    poll: tuple[float, Text] = (0.0, "")
    records: list[ReadRecord] = []
    raw = data.encode() if isinstance(data, str) else bytes(data)
    for number, line in enumerate(raw.splitlines(), 1):
        if not line.strip():
            continue
        where = f"line {number}"
        with reading("ndjson", where):
            read = decoder.decode(line)
            records.append(record_of(read, {}))
        if len(records) == 1:
            poll = (read.time, read.source)
        elif poll != (read.time, read.source):
            raise BadDocument("ndjson", where, "it is of another poll than the first line")
    with reading("ndjson"):
        return snapshot_of(records, poll[0], text(poll[1]))


def _end(shape: Shape) -> bytes:
    """The end of a line, after the values."""
    end: bytes | None = shape.derived.get("ndjson end")
    if end is None:
        types = {key: label for key, label in document.types(shape).items() if label not in _SHOWN}
        end = shape.derived["ndjson end"] = b',"types":%b}\n' % document.as_json(types)
    return end
