"""The payload of a reply that reports an error, in both directions."""

from __future__ import annotations

from domstats.errors import RemoteError, remote_error
from domstats.wire.codecs import DOMAIN, I32, STRING, UUID, optional, structure
from domstats.wire.structures import StoragePool
from domstats.wire.xdr import Buffer, Reader, Writer

RPC_DOMAIN = 7
"""virErrorDomain of the RPC layer."""
_LEVEL_ERROR = 2
"""VIR_ERR_ERROR; 1 would be a warning."""
_NO_NUMBER = -1
"""What libvirtd puts into the two numbers no error uses."""

_TEXT = optional(STRING)
_DOMAIN = optional(DOMAIN)
_NETWORK = optional(structure(StoragePool, STRING, UUID))  # a network is identified as a storage pool is


def encode_failure(code: int, domain: int, text: str) -> bytes:
    """The payload that reports an error, each field filled as libvirtd does."""
    writer = Writer()
    I32.write(writer, code, "error code")
    I32.write(writer, domain, "error domain")
    _TEXT.write(writer, text, "error message")
    I32.write(writer, _LEVEL_ERROR, "error level")
    _DOMAIN.write(writer, None, "error dom")
    _TEXT.write(writer, "%s", "error str1")
    _TEXT.write(writer, text, "error str2")
    _TEXT.write(writer, None, "error str3")
    I32.write(writer, _NO_NUMBER, "error int1")
    I32.write(writer, _NO_NUMBER, "error int2")
    _NETWORK.write(writer, None, "error net")
    return writer.getvalue()


def decode_failure(payload: Buffer) -> RemoteError:
    """The exception for an error the peer reports; it is returned, not raised.

    Raises Truncated, LimitExceeded or BadValue when the payload is no such report.
    """
    reader = Reader(payload)
    code = I32.read(reader, "error code")
    domain = I32.read(reader, "error domain")
    text = _TEXT.read(reader, "error message")
    I32.read(reader, "error level")
    _DOMAIN.read(reader, "error dom")
    for name in ("error str1", "error str2", "error str3"):
        _TEXT.read(reader, name)
    I32.read(reader, "error int1")
    I32.read(reader, "error int2")
    _NETWORK.read(reader, "error net")
    reader.end("error")
    return remote_error(code, domain, text or "unknown error")
