"""The history in memory of 1,024 captured guests: CPU time of a sample, and the bytes of an hour."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import domstats
from domstats.catalog.groups import GROUP_NAMES, GROUPS
from domstats.model.layout import Layout, RecordLayout
from domstats.model.sampling import COLUMN_NAMES, Sampling
from domstats.model.snapshot import Snapshot
from domstats.serve.history.answers import Question, encode, find
from domstats.serve.history.history import History

pytestmark = pytest.mark.benchmark(timer=time.process_time)
FREE = [group.bit for group in GROUPS if not group.needs_monitor]
PERIODS = [2.0 if column in FREE else 15.0 for column in range(len(GROUP_NAMES))] + [1.0] * len(GROUP_NAMES)
ROUNDS = 40
SLICES = 7
EPOCH = 1_800_000_000.0


@pytest.fixture(scope="module")
def polls(bodies: tuple[bytes, bytes]) -> Iterator[Snapshot]:
    """Two polls in turn, one every 15 s."""
    decoder = domstats.ReplyDecoder()
    both = [decoder.decode(body) for body in bodies]

    def endless() -> Iterator[Snapshot]:
        for number in itertools.count():
            poll = both[number % 2]
            at = EPOCH + 15.0 * number
            yield Snapshot.of_one_poll(poll.layout, poll.values, time=at, source="", host_cpus=2)

    return endless()


@pytest.fixture(scope="module")
def an_hour(polls: Iterator[Snapshot]) -> History:
    history = History(periods=PERIODS)
    for _ in range(250):
        history.add(next(polls))
    return history


def test_history_sample(benchmark: Any, an_hour: History, polls: Iterator[Snapshot]) -> None:
    benchmark.pedantic(an_hour.add, setup=lambda: ((next(polls),), {}), rounds=ROUNDS)
    kept = an_hour.kept()
    assert (kept.guests, kept.waiting, kept.seconds) == (1024, 0, 3600.0)
    benchmark.extra_info["bytes"] = float(kept.bytes)


def test_history_slice(benchmark: Any, an_hour: History, polls: Iterator[Snapshot]) -> None:
    """What a collector gives most often: the groups that need no guest, and a slice of the guests."""
    state: dict[str, Any] = {"poll": next(polls), "number": 0}

    def snapshot() -> Any:
        poll, number = state["poll"], state["number"]
        state["number"] += 1
        now = poll.time + 2.0 * number
        times = np.where(np.isnan(poll.sampling.times), np.nan, state.get("times", poll.sampling.times))
        times[:, FREE] = now
        times[np.arange(len(poll)) % SLICES == number % SLICES] = now
        state["times"] = times
        sampling: Sampling = replace(poll.sampling, times=times)
        return (Snapshot(poll.layout, poll.values + np.uint64(number), now, sampling, 2),), {}

    assert next(polls).sampling.times.shape[1] == len(COLUMN_NAMES)
    benchmark.pedantic(an_hour.add, setup=snapshot, rounds=ROUNDS, warmup_rounds=1)


def test_history_one_changed(benchmark: Any, polls: Iterator[Snapshot]) -> None:
    """A guest in the middle of the host gets another id each time, as if it were started anew."""
    history = History(periods=PERIODS)

    def changed() -> Any:
        poll = next(polls)
        records = list(poll.layout.records)
        guest = records[500]
        domain = domstats.Domain(guest.domain.name, guest.domain.uuid, 10_000 + int(poll.time - EPOCH))
        layout = Layout([*records[:500], RecordLayout(domain, guest.shape, guest.strings), *records[501:]])
        return (Snapshot.of_one_poll(layout, poll.values, time=poll.time, source="", host_cpus=2),), {}

    benchmark.pedantic(history.add, setup=changed, rounds=20, warmup_rounds=2)


def test_history_answer(benchmark: Any, an_hour: History, polls: Iterator[Snapshot]) -> None:
    uuids = itertools.cycle([domain.uuid for domain in next(polls).domains])
    benchmark.pedantic(lambda: encode(find(an_hour, Question(next(uuids)))), rounds=ROUNDS, warmup_rounds=2)
