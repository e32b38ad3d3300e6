"""Hostile bytes: a reply body is a snapshot or one of three documented errors, and costs no more than its length."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.errors import BadValue, LimitExceeded, ProtocolError, Truncated
from domstats.model.domain import Domain
from domstats.model.layout import RecordLayout, Shape
from domstats.model.params import ParamType, TypedParameter
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk import scan
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.bulk.encoder import encode_reply
from domstats.wire.bulk.template import Template
from strategies import hosts

P, T = TypedParameter, ParamType
DOCUMENTED = (Truncated, LimitExceeded, BadValue)
DOMAIN = Domain("vm", "00000000-0000-0000-0000-000000000001", 1)
PARAMS = [
    P("state.state", T.INT, 1),
    P("net.0.name", T.STRING, "vnet0"),
    P("cpu.time", T.ULLONG, 5),
    P("x", T.BOOLEAN, True),
    P("y", T.DOUBLE, 0.5),
]
BODY = encode_reply(Snapshot.of_params([(DOMAIN, PARAMS), (Domain("two", DOMAIN.uuid[:-1] + "2", None), PARAMS)]))


def word(number: int) -> bytes:
    return struct.pack(">I", number)


HEAD = word(1) + word(2) + b"vm\0\0" + bytes(16) + word(1)


def decoders() -> list[ReplyDecoder]:
    """One that knows nothing, and one that knows what it will see."""
    warm = ReplyDecoder()
    warm.decode(BODY)
    return [ReplyDecoder(), warm]


@pytest.mark.parametrize("warm", [0, 1])
@pytest.mark.parametrize("end", range(len(BODY)))
def test_truncated_anywhere(end: int, warm: int) -> None:
    with pytest.raises(Truncated) as caught:
        decoders()[warm].decode(BODY[:end])
    assert 0 <= caught.value.offset <= end
    assert caught.value.field


@pytest.mark.parametrize(
    ("body", "error", "field"),
    [
        (word(16385) + bytes(16385 * 28), LimitExceeded, "records"),
        (word(2**32 - 1) + bytes(64), LimitExceeded, "records"),
        (word(16384) + bytes(64), Truncated, "records"),
        (word(0) + bytes(4), BadValue, "records"),
        (BODY + bytes(4), BadValue, "records"),
        (word(1) + word(2**32 - 1) + bytes(24), LimitExceeded, "domain name"),
        (word(1) + word(4_194_304) + bytes(24), Truncated, "domain name"),
        (HEAD + word(262_145) + bytes(64), LimitExceeded, "parameters of 'vm'"),
        (HEAD + word(2**32 - 1) + bytes(64), LimitExceeded, "parameters of 'vm'"),
        (HEAD + word(262_144) + bytes(64), Truncated, "parameters of 'vm'"),
        (HEAD + word(1) + word(80) + bytes(80) + word(1) + word(1), LimitExceeded, "parameter name"),
        (HEAD + word(1) + word(2**31) + bytes(64), LimitExceeded, "parameter name"),
        (HEAD + word(1) + word(1) + b"a\0\0\0" + word(0) + word(1), BadValue, "a"),
        (HEAD + word(1) + word(1) + b"a\0\0\0" + word(8) + word(1), BadValue, "a"),
        (HEAD + word(1) + word(1) + b"a\0\0\0" + word(2**32 - 1) + word(1), BadValue, "a"),
        (HEAD + word(1) + word(1) + b"a\0\0\0" + word(7) + word(4_194_305), LimitExceeded, "a"),
        (HEAD + word(1) + word(1) + b"a\0\0\0" + word(7) + word(2**32 - 1), LimitExceeded, "a"),
        (HEAD + word(1) + word(1) + b"a\0\0\0" + word(4) + word(1), Truncated, "a"),
    ],
)
def test_lengths_counts_and_types_that_lie(body: bytes, error: type[ProtocolError], field: str) -> None:
    for decoder in decoders():
        with pytest.raises(error) as caught:
            decoder.decode(body)
        assert caught.value.field == field
        assert field in str(caught.value)
        assert str(caught.value.offset) in str(caught.value)


def test_what_is_odd_but_allowed() -> None:
    odd = [P("a" * 79, T.INT, 1), P("twice", T.INT, 1), P("twice", T.STRING, "\udcff\udcfe"), P("", T.UINT, 2)]
    for domain in (Domain("", DOMAIN.uuid, -5), Domain("\udcff", DOMAIN.uuid, None), Domain("n\0n\n", DOMAIN.uuid, 1)):
        body = encode_reply(Snapshot.of_params([(domain, odd)]))
        record = ReplyDecoder().decode(body).records[0]
        assert record.domain == domain
        assert record.params == odd
        assert record["twice"] == "\udcff\udcfe"


@given(st.binary(max_size=400))
def test_any_bytes(body: bytes) -> None:
    for decoder in decoders():
        with contextlib.suppress(*DOCUMENTED):
            decoder.decode(body)


@given(st.data())
def test_any_change_of_a_good_reply(data: st.DataObject) -> None:
    content = data.draw(hosts)
    body = bytearray(encode_reply(Snapshot.of_params(content)))
    decoder = ReplyDecoder()
    decoder.decode(bytes(body))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) // 4 - 1)) * 4
        patch = data.draw(st.one_of(st.sampled_from([0, 1, 7, 8, 79, 80, 2**31, 2**32 - 1]), st.integers(0, 2**32 - 1)))
        body[at : at + 4] = word(patch)
    cut = data.draw(st.integers(0, len(body)))
    for wrong in (bytes(body), bytes(body[:cut])):
        outcomes = []
        for each in (ReplyDecoder(), decoder):
            try:
                outcomes.append(sorted(repr((record.domain, record.params)) for record in each.decode(wrong)))
            except DOCUMENTED as error:
                outcomes.append([type(error).__name__])
        assert outcomes[0] == outcomes[1], "what was seen before changes nothing"


def test_a_record_inside_a_string_is_not_mistaken_for_the_next_one() -> None:
    """A guest may choose its strings so that a record of another known length would end inside one."""
    victim = Domain("victim", DOMAIN.uuid[:-1] + "9", 9)
    short = Snapshot.of_params([(DOMAIN, [P("net.0.name", T.STRING, "")]), (victim, [P("cpu.time", T.ULLONG, 1)])])
    decoder = ReplyDecoder()
    decoder.decode(encode_reply(short))
    forged = encode_reply(Snapshot.of_params([(victim, [P("cpu.time", T.ULLONG, 666)])]))[4:].decode("latin-1")
    params = [P("net.0.name", T.STRING, forged)]
    real = [(DOMAIN, params), (victim, [P("cpu.time", T.ULLONG, 2)])]
    body = encode_reply(Snapshot.of_params(real))
    assert [repr((record.domain, record.params)) for record in decoder.decode(body)] == [repr(each) for each in real]


def test_a_peer_that_misleads_every_record_costs_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 300
    uuids = [f"{number:08x}-0000-0000-0000-000000000000" for number in range(count)]
    first = [(Domain(each, each, 1), [P("a", T.STRING, "x"), P("b", T.INT, 1)]) for each in uuids]
    second = [
        (Domain(each, each, 1), [P("a", T.STRING, "x" * (8 + number % 7)), P("b", T.INT, 1)])
        for number, each in enumerate(uuids)
    ]
    decoder = ReplyDecoder()
    decoder.decode(encode_reply(Snapshot.of_params(first)))
    made: list[RecordLayout] = []
    plain = Template.of
    monkeypatch.setattr(Template, "of", lambda record: made.append(record) or plain(record))
    snapshot = decoder.decode(encode_reply(Snapshot.of_params(second)))
    assert [record["a"] for record in snapshot] == [params[0].value for _, params in second]
    assert len(made) < 20 * count


def test_strings_that_are_none_are_read_a_bounded_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each record seems to have a shape with a string of 1 MiB; read once for each, that would be 2 GiB."""
    pairs = [(Domain("", f"{number:08x}-0000-0000-0000-000000000000", 1), f"k{number:03}") for number in range(400)]
    content = [
        (domain, [P(key, T.STRING, "") if number % 2 else P(key, T.UINT, 1 << 20)])
        for number, (domain, key) in enumerate(pairs)
    ]
    content.append((DOMAIN, [P("long", T.STRING, "\udcff" * (1 << 21))]))
    scans: list[scan.Scan] = []
    plain = scan.Scan._read
    monkeypatch.setattr(scan.Scan, "_read", lambda self: scans.append(self) or plain(self))
    body = encode_reply(Snapshot.of_params(content))
    assert ReplyDecoder().decode(body).records[0]["k000"] == 1 << 20
    assert 0 < scans[0]._guessed <= 4 * len(body)


@pytest.mark.parametrize(
    "body",
    [
        word(16384) + bytes(28 * 16384)[:60],
        HEAD + word(262_144) + bytes(40),
        word(1) + word(4_194_304) + bytes(40),
        HEAD + word(1) + word(1) + b"a\0\0\0" + word(7) + word(4_194_304) + bytes(16),
    ],
)
def test_memory_is_bounded_by_what_came(body: bytes) -> None:
    decoder = ReplyDecoder()
    tracemalloc.start()
    with pytest.raises(DOCUMENTED):
        decoder.decode(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 1024


def test_the_encoder_keeps_the_same_limits() -> None:
    with pytest.raises(LimitExceeded, match="79 bytes"):
        encode_reply(Snapshot.of_params([(DOMAIN, [P("é" * 40, T.INT, 1)])]))
    shape = Shape.of([str(number) for number in range(262_145)], bytes([T.INT]) * 262_145)
    with pytest.raises(LimitExceeded, match="262145 parameters"):
        Template(RecordLayout(DOMAIN, shape))
    with pytest.raises(LimitExceeded, match="16385 records"):
        encode_reply(Snapshot.of_params((DOMAIN, []) for _ in range(16_385)))


def test_a_reply_may_have_so_many_bytes_and_no_more() -> None:
    params = [P("cpu.time", T.ULLONG, 5), P("net.0.name", T.STRING, "vnet0")]
    snapshot = Snapshot.of_params((DOMAIN, params) for _ in range(3))
    length = len(encode_reply(Snapshot.of_params((DOMAIN, params) for _ in range(3))))
    with pytest.raises(LimitExceeded):
        encode_reply(snapshot, length - 1)
    assert len(encode_reply(snapshot, length)) == length
    with pytest.raises(LimitExceeded):  # now what it is put together with is known
        encode_reply(snapshot, length - 1)
