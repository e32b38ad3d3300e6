"""wire.failure: libvirt's error reports, against captured ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.errors import (
    AccessDenied,
    BadValue,
    NoDomain,
    NoSupport,
    ProtocolError,
    RemoteError,
    ReplyTooLarge,
    StatsUnsupported,
    Truncated,
)
from domstats.wire.failure import decode_failure, encode_failure

NO_DOMAIN = (
    bytes.fromhex("0000002a 0000000a 00000001 00000035")
    + b"Domain not found: no domain with matching name 'nope'\0\0\0"
    + bytes.fromhex("00000002 00000000 00000001 00000014")
    + b"Domain not found: %s"
    + bytes.fromhex("00000001 00000023")
    + b"no domain with matching name 'nope'\0"
    + bytes.fromhex("00000000 ffffffff ffffffff 00000000")
)
"""Captured from libvirtd 9.0.0."""
UNKNOWN = (
    bytes.fromhex("00000027 00000007 00000001 00000017")
    + b"unknown procedure: 9999\0"
    + bytes.fromhex("00000002 00000000 00000001 00000002 25730000 00000001 00000017")
    + b"unknown procedure: 9999\0"
    + bytes.fromhex("00000000 ffffffff ffffffff 00000000")
)
"""Captured from libvirtd 9.0.0."""


def test_a_captured_miss() -> None:
    error = decode_failure(NO_DOMAIN)
    assert isinstance(error, NoDomain)
    assert (error.code, error.domain) == (42, 10)
    assert str(error) == "libvirt: Domain not found: no domain with matching name 'nope' (error 42)"


def test_a_captured_report_is_written_byte_for_byte() -> None:
    assert encode_failure(39, 7, "unknown procedure: 9999") == UNKNOWN
    error = decode_failure(UNKNOWN)
    assert (type(error), error.code, error.domain, error.text) == (RemoteError, 39, 7, "unknown procedure: 9999")


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (3, "this function is not supported", NoSupport),
        (29, "read only access prevents", AccessDenied),
        (45, "authentication failed", AccessDenied),
        (74, "stats types bits 0x800 are not supported", StatsUnsupported),
        (39, "Unable to encode message payload", ReplyTooLarge),
        (38, "system error", RemoteError),
        (-5, "", RemoteError),
    ],
)
def test_codes_choose_the_class(code: int, text: str, kind: type[RemoteError]) -> None:
    assert type(decode_failure(encode_failure(code, 10, text))) is kind


def test_every_optional_field_may_be_there() -> None:
    domain = bytes.fromhex("00000001 00000004 74657374 6695eb01f6a4830479aa97f2502e193f 00000001")
    network = bytes.fromhex("00000001 00000004 74657374 6695eb01f6a4830479aa97f2502e193f")
    text = bytes.fromhex("00000001 00000001 61000000")
    payload = bytes.fromhex("00000001 00000007") + text + bytes(4) + domain + text + text + text + bytes(8) + network
    assert decode_failure(payload).text == "a"


def test_a_report_without_text() -> None:
    assert decode_failure(bytes.fromhex("00000001 00000007") + bytes(36)).text == "unknown error"


def test_a_report_cut_off_anywhere() -> None:
    for end in range(len(NO_DOMAIN)):
        with pytest.raises(Truncated):
            decode_failure(NO_DOMAIN[:end])


def test_bytes_left_over() -> None:
    with pytest.raises(BadValue):
        decode_failure(NO_DOMAIN + bytes(4))


@given(st.binary(max_size=100))
def test_any_bytes_give_an_error_or_a_documented_exception(data: bytes) -> None:
    try:
        error = decode_failure(data)
    except ProtocolError:
        return
    assert isinstance(error, RemoteError)
