"""ReplyDecoder: captured replies, slices, subsets, other orders, and records that change."""

from __future__ import annotations

import gc
import random
import struct
import uuid
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captures import CAPTURES, POLL1, POLL2, capture
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk import scan
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.bulk.encoder import encode_reply
from domstats.wire.bulk.parse import parse_count, parse_record
from strategies import hosts

P, T = TypedParameter, ParamType
Content = list[tuple[Domain, list[TypedParameter]]]


def parts_of(body: bytes) -> list[bytes]:
    """The records of a body, as bytes."""
    parts, at = [], 4
    for _ in range(parse_count(body)):
        _, end = parse_record(body, at)
        parts.append(body[at:end])
        at = end
    return parts


def body_of(parts: list[bytes]) -> bytes:
    return struct.pack(">I", len(parts)) + b"".join(parts)


def content_of(snapshot: Snapshot) -> list[str]:
    """Everything in the records, in a form that NaN does not spoil."""
    return [repr((record.domain, record.params)) for record in snapshot]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the domains whose records are parsed word by word."""
    names: list[str] = []

    def counting(body: bytes, start: int) -> object:
        found = parse_record(body, start)
        names.append(found[0].domain.name)
        return found

    monkeypatch.setattr(scan, "parse_record", counting)
    return names


@pytest.mark.parametrize("name", CAPTURES)
def test_captured_replies_come_back_to_the_same_bytes(name: str) -> None:
    body = capture(name)
    snapshot = ReplyDecoder().decode(body)
    assert encode_reply(snapshot) == body
    assert encode_reply(Snapshot.of_params((record.domain, record.params) for record in snapshot)) == body


def test_the_test_drivers_reply() -> None:
    body = bytes.fromhex(
        "00000001 00000004 74657374 6695eb01f6a4830479aa97f2502e193f 00000001 00000002"
        "0000000b 73746174652e737461746500 00000001 00000001 0000000c 73746174652e726561736f6e 00000001 00000000"
    )
    snapshot = ReplyDecoder().decode(body, time=5.0, source="test:///default", host_cpus=2)
    assert snapshot.domains == [Domain("test", "6695eb01-f6a4-8304-79aa-97f2502e193f", 1)]
    assert dict(snapshot["test"].items()) == {"state.state": 1, "state.reason": 0}
    assert (snapshot.time, snapshot["test"].sources, snapshot.host_cpus) == (5.0, {"state": "test:///default"}, 2)
    assert encode_reply(snapshot) == body


@given(hosts)
def test_anything_encoded_is_decoded(content: Content) -> None:
    snapshot = Snapshot.of_params(content)
    body = encode_reply(snapshot)
    decoder = ReplyDecoder()
    for _ in range(2):
        again = decoder.decode(body)
        assert content_of(again) == content_of(snapshot)
        assert encode_reply(again) == body


def test_the_next_reply_shares_the_layout() -> None:
    decoder = ReplyDecoder()
    first, second = decoder.decode(capture(POLL1)), decoder.decode(capture(POLL2))
    assert second.layout is first.layout
    assert content_of(second) == content_of(ReplyDecoder().decode(capture(POLL2)))
    assert len({id(record.shape) for record in first.layout.records}) == 11


def test_a_cold_reply_is_parsed_once_a_shape(parsed: list[str]) -> None:
    ReplyDecoder().decode(capture(POLL1))
    assert len(parsed) == 11


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_a_body_may_be_any_buffer(form: type) -> None:
    body = capture(CAPTURES[0])
    decoder = ReplyDecoder()
    for _ in range(2):
        assert encode_reply(decoder.decode(form(body))) == body


def test_slices_subsets_and_other_orders_keep_their_record_layouts(parsed: list[str]) -> None:
    decoder = ReplyDecoder()
    whole = decoder.decode(capture(POLL1))
    parsed.clear()
    known = {record.domain.uuid: record for record in whole.layout.records}
    expected = dict(zip(known, content_of(ReplyDecoder().decode(capture(POLL2))), strict=True))
    parsed.clear()
    parts = dict(zip(known, parts_of(capture(POLL2)), strict=True))
    chance = random.Random(1)
    for size in (1, 32, 500, 1024):
        for _ in range(3):
            chosen = chance.sample(list(known), size)
            snapshot = decoder.decode(body_of([parts[each] for each in chosen]))
            places = {each: place for place, each in enumerate(known)}
            assert [record.domain.uuid for record in snapshot] == sorted(chosen, key=places.__getitem__)
            assert all(record.layout is known[record.domain.uuid] for record in snapshot)
            assert content_of(snapshot) == [expected[record.domain.uuid] for record in snapshot]
    assert parsed == []


def test_a_slice_that_comes_again_shares_its_layout() -> None:
    decoder = ReplyDecoder()
    parts = parts_of(capture(POLL1))
    slices = [body_of(parts[start : start + 32]) for start in range(0, 1024, 32)]
    first = [decoder.decode(each).layout for each in slices]
    assert [decoder.decode(each).layout for each in slices] == first
    backwards = decoder.decode(body_of(parts[31::-1]))
    assert backwards.layout is first[0]


def test_a_domain_twice_in_a_reply_is_there_twice() -> None:
    parts = parts_of(capture(CAPTURES[0]))
    decoder = ReplyDecoder()
    for _ in range(3):
        snapshot = decoder.decode(body_of([parts[1], parts[0], parts[1]]))
        assert sorted(parts_of(encode_reply(snapshot))) == sorted([parts[1], parts[0], parts[1]])


def vm(number: int, *params: TypedParameter, name: str = "", id: int | None = 1) -> tuple[Domain, list[TypedParameter]]:  # noqa: A002
    return Domain(name or f"vm{number}", str(uuid.UUID(int=number)), id), list(params)


def texts(number: int) -> list[TypedParameter]:
    return [
        P("state.state", T.INT, -number),
        P("block.0.path", T.STRING, f"/images/{number}"),
        P("cpu.time", T.ULLONG, number),
    ]


HOST: Content = [vm(number, *texts(number)) for number in range(1, 9)]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(vm(4, *texts(4), P("net.count", T.UINT, 1)), id="a parameter more"),
        pytest.param(vm(4, *texts(4)[:2]), id="a parameter less"),
        pytest.param(vm(4), id="no parameters"),
        pytest.param(vm(4, *texts(4), id=9), id="another id"),
        pytest.param(vm(4, *texts(4), id=None), id="off"),
        pytest.param(vm(4, *texts(4), name="VM4"), id="renamed, same length"),
        pytest.param(vm(4, *texts(4), name="a much longer name"), id="renamed"),
        pytest.param(vm(4, texts(4)[0], P("block.0.path", T.STRING, "/images/X"), texts(4)[2]), id="a string"),
        pytest.param(vm(4, texts(4)[0], P("block.0.path", T.STRING, "/image"), texts(4)[2]), id="a shorter string"),
        pytest.param(vm(4, texts(4)[0], P("block.0.path", T.STRING, "/" * 99), texts(4)[2]), id="a longer string"),
        pytest.param(vm(4, texts(4)[0], P("block.0.PATH", T.STRING, "/images/4"), texts(4)[2]), id="a key"),
        pytest.param(vm(4, texts(4)[2], texts(4)[1], texts(4)[0]), id="the order of keys"),
        pytest.param(vm(4, P("state.state", T.UINT, 4), *texts(4)[1:]), id="a type of the same width"),
        pytest.param(vm(4, P("state.state", T.ULLONG, 4), *texts(4)[1:]), id="a wider type"),
        pytest.param(vm(9, *texts(4)), id="another domain"),
    ],
)
@pytest.mark.parametrize("place", [0, 3, 7])
def test_one_guest_that_changes_costs_its_own_record(changed: tuple[Domain, list[TypedParameter]], place: int) -> None:
    host = [HOST[place], *(each for each in HOST if each is not HOST[place])]
    host = [*host[1 : place + 1], HOST[3], *(each for each in host[place + 1 :] if each is not HOST[3])]
    host = [each for number, each in enumerate(host) if each not in host[:number]]
    decoder = ReplyDecoder()
    before = decoder.decode(encode_reply(Snapshot.of_params(host)))
    at = host.index(HOST[3])
    later = [*host[:at], changed, *host[at + 1 :]]
    after = decoder.decode(encode_reply(Snapshot.of_params(later)))
    found = {record.domain.uuid: repr((record.domain, record.params)) for record in after}
    assert found == {domain.uuid: repr((domain, params)) for domain, params in later}
    kept = {record.domain.uuid: record for record in before.layout.records}
    for record in after.layout.records:
        assert (kept.get(record.domain.uuid) is record) is (
            record.domain != changed[0] or record.domain.uuid != HOST[3][0].uuid
        ) or (record.domain.uuid == changed[0].uuid)


def test_everything_may_change_at_once() -> None:
    decoder = ReplyDecoder()
    decoder.decode(encode_reply(Snapshot.of_params(HOST)))
    other = [vm(number, *texts(number + 100), name="x" * number, id=number) for number in range(12, 0, -1)]
    after = decoder.decode(encode_reply(Snapshot.of_params(other)))
    assert {repr((record.domain, record.params)) for record in after} == {repr(each) for each in other}
    places = [uuid.UUID(record.domain.uuid).int for record in after]
    assert places == [*range(1, 9), 12, 11, 10, 9], "known domains keep their places, new ones come last"


@given(st.lists(hosts, max_size=5))
def test_what_was_decoded_before_never_shows_in_a_later_snapshot(replies: list[Content]) -> None:
    decoder = ReplyDecoder()
    for content in replies:
        snapshot = decoder.decode(encode_reply(Snapshot.of_params(content)))
        assert sorted(content_of(snapshot)) == sorted(repr(each) for each in content)


def test_padding_that_is_not_zero_is_no_fault() -> None:
    body = bytearray(encode_reply(Snapshot.of_params(HOST)))
    body[body.index(b"state.state") + 11] = 7
    body[body.index(b"/images/1") + 9] = 7
    decoder = ReplyDecoder()
    for _ in range(3):
        assert content_of(decoder.decode(bytes(body))) == content_of(Snapshot.of_params(HOST))


def test_domains_that_come_and_go_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domstats.wire.bulk.decoder._KNOWN_BYTES", 40_000)
    monkeypatch.setattr("domstats.wire.bulk.decoder._PLANS_WORDS", 200)
    decoder = ReplyDecoder()
    known = decoder._known
    for start in range(1, 400, 4):
        content = [vm(start + number, *texts(start + number)) for number in range(4)]
        assert len(decoder.decode(encode_reply(Snapshot.of_params(content)))) == 4
        assert known.size == sum(template.size for template in known.by_head.values())
        assert known.size + 1200 * len(known.by_head) <= 50_000


def test_more_domains_than_are_to_be_remembered_are_not_forgotten_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domstats.wire.bulk.decoder._KNOWN_BYTES", 20_000)
    decoder, forgotten = ReplyDecoder(), []
    only = decoder._known.only
    monkeypatch.setattr(scan.Known, "only", lambda _, templates: forgotten.append(1) or only(templates))
    for _ in range(3):
        for run in range(5):
            content = [vm(number, *texts(number)) for number in (*range(20), 30 + run)]
            decoder.decode(encode_reply(Snapshot.of_params(content)))
    assert len(forgotten) == 1


def test_two_questions_in_turn_keep_their_record_layouts(parsed: list[str]) -> None:
    decoder = ReplyDecoder()
    state = [(domain, params[:1]) for domain, params in HOST]
    whole, part = (
        decoder.decode(encode_reply(Snapshot.of_params(HOST))),
        decoder.decode(encode_reply(Snapshot.of_params(state))),
    )
    changed = [vm(1, *texts(1)[:2]), *HOST[1:]]
    again = decoder.decode(encode_reply(Snapshot.of_params(changed)))
    assert [a is b for a, b in zip(again.layout.records, whole.layout.records, strict=True)] == [False] + [True] * 7
    again = decoder.decode(encode_reply(Snapshot.of_params([vm(1, id=None), *state[1:]])))
    assert [a is b for a, b in zip(again.layout.records, part.layout.records, strict=True)] == [False] + [True] * 7
    for run in range(20):
        decoder.decode(encode_reply(Snapshot.of_params([vm(1, *texts(1), id=run)])))
    assert len(decoder._known.by_head) <= 8 * 4


def test_remembered_plans_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domstats.wire.bulk.decoder._PLANS_WORDS", 200)
    decoder = ReplyDecoder()
    for start in range(1, 100):
        decoder.decode(encode_reply(Snapshot.of_params([vm(start, *texts(start))])))
        assert sum(plan.words for plan in decoder._plans.values()) == decoder._words <= 200
        assert set(decoder._hints.values()) <= set(decoder._plans.values())


def test_replies_of_one_domain_each_are_all_known_again(monkeypatch: pytest.MonkeyPatch) -> None:
    params = [TypedParameter("cpu.time", ParamType.ULLONG, 1)]
    domains = [Domain(f"vm-{number}", f"00000000-0000-0000-0000-{number:012}", number) for number in range(5000)]
    bodies = [encode_reply(Snapshot.of_params([(domain, params)])) for domain in domains]
    decoder, scans = ReplyDecoder(), []
    for body in bodies:
        decoder.decode(body)
    monkeypatch.setattr("domstats.wire.bulk.decoder.Scan", lambda *args: scans.append(1) or scan.Scan(*args))
    for body in bodies:
        decoder.decode(body)
    assert not scans


def test_a_beginning_that_changes_leaves_one_hint_a_plan() -> None:
    decoder, domain = ReplyDecoder(), Domain("v", "00000000-0000-0000-0000-000000000001", 1)
    for value in range(20):
        params = [TypedParameter("a", ParamType.ULLONG, value << 32), TypedParameter("b", ParamType.ULLONG, value)]
        decoder.decode(encode_reply(Snapshot.of_params([(domain, params)])))
        assert len(decoder._hints) == len(decoder._plans) == 1


def test_plans_that_fit_nothing_any_more_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domstats.wire.bulk.decoder._PLANS_AGE", 20)
    decoder = ReplyDecoder()

    def reply(number: int) -> bytes:
        domain = Domain("vm", f"00000000-0000-0000-0000-{number:012}", 1)
        return encode_reply(Snapshot.of_params([(domain, [TypedParameter("cpu.time", ParamType.ULLONG, 1)])]))

    usual, once = reply(1), reply(2)
    kept, lost = decoder.decode(usual).layout, weakref.ref(decoder.decode(once).layout)
    for number in range(200):
        assert decoder.decode(usual).layout is kept
        if number % 10 == 0:
            decoder.decode(reply(3 + number))
    gc.collect()
    assert lost() is None
