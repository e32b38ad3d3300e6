"""Reading one record of a reply body that nothing is known of, with every check. Slow, and met once a shape."""

from __future__ import annotations

from domstats.model.domain import Domain
from domstats.model.layout import RecordLayout, Shape
from domstats.model.params import ParamType
from domstats.wire.codecs import DOMAIN
from domstats.wire.limits import PARAMS_MAX, RECORD_MIN, RECORDS_MAX
from domstats.wire.typed_params import read_params
from domstats.wire.xdr import Reader


def parse_count(body: bytes) -> int:
    """Number of records of a body. Raises Truncated or LimitExceeded."""
    return Reader(body).count("records", RECORDS_MAX, RECORD_MIN)


def parse_domain(body: bytes, start: int) -> tuple[Domain, int]:
    """The domain that begins at this byte, and the byte behind it. Raises Truncated or LimitExceeded."""
    reader = Reader(body, start)
    return DOMAIN.read(reader, "domain"), reader.position


def parse_record(body: bytes, start: int) -> tuple[RecordLayout, int]:
    """The record that begins at this byte, and the byte behind it. Raises Truncated, LimitExceeded or BadValue."""
    domain, at = parse_domain(body, start)
    reader = Reader(body, at)
    params = read_params(reader, f"parameters of {domain.name!r}", PARAMS_MAX)
    shape = Shape.of([param.name for param in params], bytes(param.type for param in params))
    strings = [str(param.value) for param in params if param.type == ParamType.STRING]
    return RecordLayout(domain, shape, strings), reader.position
