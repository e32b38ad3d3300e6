"""ReplyEncoder: the same bytes as without it, and nothing kept of layouts that have had their time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from captures import POLL1, POLL2, capture
from domstats.model.domain import Domain
from domstats.model.params import TypedParameter
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.bulk.encoder import ReplyEncoder, encode_reply
from domstats.wire.bulk.plan import Plan
from strategies import hosts

Content = list[tuple[Domain, list[TypedParameter]]]


@given(st.lists(hosts, max_size=4))
def test_it_writes_what_encode_reply_writes(contents: list[Content]) -> None:
    encoder = ReplyEncoder()
    snapshots = [Snapshot.of_params(content) for content in contents]
    for snapshot in (*snapshots, *reversed(snapshots)):
        assert encoder.encode(snapshot) == encode_reply(snapshot)


def test_only_the_last_layout_keeps_its_plan() -> None:
    decoder = ReplyDecoder()
    first, second = decoder.decode(capture(POLL1)), decoder.decode(capture(POLL2))
    assert first.layout is second.layout
    others = [Snapshot.of_params((each.domain, each.params) for each in list(second)[:number]) for number in (3, 2, 1)]
    encoder = ReplyEncoder()
    encoder.encode(first)
    plan = first.layout.derived[Plan]
    encoder.encode(second)
    assert second.layout.derived[Plan] is plan
    for snapshot in others:
        encoder.encode(snapshot)
        assert [Plan in each.layout.derived for each in (second, *others)] == [
            each is snapshot for each in (second, *others)
        ]


def test_two_that_take_turns_at_a_layout() -> None:
    one, other = ReplyEncoder(), ReplyEncoder()
    snapshot = ReplyDecoder().decode(capture(POLL1))
    fewer = Snapshot.of_params((each.domain, each.params) for each in list(snapshot)[:3])
    for encoder in (one, other, one, other):
        for each in (snapshot, fewer):
            assert encoder.encode(each) == encode_reply(each)
