"""The reply of libvirt's daemon that holds the same: the bytes of remote_connect_get_all_domain_stats_ret, as RFC 4506
(XDR) has them. It has no place for times and statuses."""

from __future__ import annotations

from domstats.formats.options import NO_OPTIONS, Options
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.bulk.encoder import encode_reply


def encode(snapshot: Snapshot, _options: Options = NO_OPTIONS) -> bytes:
    """The reply's body. Raises LimitExceeded for what no reply may hold."""
    return encode_reply(snapshot)


def decode(data: bytes | bytearray) -> Snapshot:
    """The snapshot in a reply's body, as if taken at time 0. Raises Truncated, LimitExceeded, BadValue."""
    return ReplyDecoder().decode(data)
