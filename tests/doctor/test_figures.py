"""Which kinds of figures records have, and what is said of those that nobody has."""

from __future__ import annotations

import pytest

from captures import capture
from domstats.catalog.groups import GROUPS
from domstats.doctor.figures import (
    KINDS,
    LATE,
    NO_LIBVIRT,
    STUCK,
    Kind,
    availability,
    kernel_kinds,
    kinds_of,
    reason,
)
from domstats.doctor.findings import Availability, Verdict
from domstats.model.domain import Domain
from domstats.model.layout import RecordLayout, Shape
from domstats.model.params import ParamType
from domstats.sources.kernel.rights import ALWAYS, TRACE, Lack
from domstats.wire.bulk.decoder import ReplyDecoder

BY_NAME = {kind.figures: kind for kind in KINDS}
UUIDS = [f"00000000-0000-0000-0000-{number:012}" for number in range(4)]
OF_THE_KERNEL = {"cpu", "cpu.haltpoll", "balloon.rss", "vcpu", "vcpu.<id>.<name>", "interface"}


def record(number: int, *keys: str) -> RecordLayout:
    shape = Shape.of(keys, bytes([ParamType.ULLONG] * len(keys)))
    return RecordLayout(Domain(f"vm{number}", UUIDS[number], number), shape)


def test_every_group_has_a_kind() -> None:
    assert {kind.group for kind in KINDS} == {group.name for group in GROUPS}
    assert {kind.figures for kind in KINDS if kind.kernel} == OF_THE_KERNEL


def test_the_kinds_of_real_guests() -> None:
    snapshot = ReplyDecoder().decode(capture("libvirt-9.0-1024-guests-poll1"))
    kinds = kinds_of(snapshot.layout.records)
    on = [{kind.figures for kind in kinds[domain.uuid]} for domain in snapshot.domains if domain.id is not None]
    off = [{kind.figures for kind in kinds[domain.uuid]} for domain in snapshot.domains if domain.id is None]
    everything = set(BY_NAME) - {"perf", "iothread", "memory", "balloon.usable"}
    assert len(on) > 900
    assert all(everything <= names for names in on)
    assert all("vm" not in names and "balloon.rss" not in names for names in off)


@pytest.mark.parametrize(
    ("key", "figures"),
    [
        ("vcpu.3.time", "vcpu"),
        ("vcpu.3.exits.sum", "vcpu.<id>.<name>"),
        ("balloon.unused", "balloon.usable"),
        ("balloon.rss", "balloon.rss"),
        ("cpu.haltpoll.fail.time", "cpu.haltpoll"),
        ("net.count", "interface"),
        ("perf.cmt", "perf"),
        ("block.11.rd.reqs", "block"),
    ],
)
def test_the_kind_of_a_key(key: str, figures: str) -> None:
    assert kinds_of([record(0, key)]) == {UUIDS[0]: {BY_NAME[figures]}}


@pytest.mark.parametrize(
    "key",
    ["vcpu.current", "block.count", "block.0.name", "cpu.cache.monitor.count", "balloon.last-update", "newer.key"],
)
def test_keys_of_no_kind(key: str) -> None:
    assert kinds_of([record(0, key)]) == {UUIDS[0]: set()}


@pytest.mark.parametrize(
    ("keys", "figures"),
    [
        ("net", {"interface"}),
        ("net[tap0]", {"interface"}),
        ("vcpu.<id>.<name>, cpu.haltpoll", {"vcpu.<id>.<name>", "cpu.haltpoll"}),
        ("vcpu.<id>", {"vcpu"}),
        ("cpu of the cgroup", set()),
        ("every key", set()),
    ],
)
def test_the_kinds_of_a_lack(keys: str, figures: set[str]) -> None:
    assert {kind.figures for kind in kernel_kinds(keys)} == figures


def test_what_the_kernel_never_knows_is_never_expected_of_it() -> None:
    assert all(not kernel_kinds(lack.keys) for lack in ALWAYS)


def rows(why: str, having: dict[str, list[int]]) -> dict[str, Availability]:
    """The table where these guests (of four) have everything from these sources."""
    held = {source: {UUIDS[number]: KINDS for number in numbers} for source, numbers in having.items()}
    return {row.figures: row for row in availability(UUIDS, held, lambda _uuid, _kind: why)}


def test_figures_that_all_have() -> None:
    table = rows("-", {"libvirt": [0, 1], "kernel": [1, 2, 3]})
    assert set(table) == set(BY_NAME)
    assert {(tuple(row.counts.items()), row.neither, row.verdict, row.why) for row in table.values()} == {
        ((("libvirt", 2), ("kernel", 3)), 0, Verdict.OK, "")
    }


def test_figures_that_some_lack() -> None:
    table = rows("so it is", {"libvirt": [0], "kernel": [0, 2]})
    assert table["cpu"] == Availability("cpu", Verdict.MISSING, {"libvirt": 1, "kernel": 2}, 2, "so it is")
    assert table["perf"].verdict is Verdict.OK, "nobody has to have perf events"
    assert table["balloon.usable"].verdict is Verdict.WARN


@pytest.mark.parametrize("why", [STUCK, LATE, NO_LIBVIRT])
def test_what_a_guest_would_have_chosen_is_not_known(why: str) -> None:
    assert {row.verdict for row in rows(why, {"libvirt": [0]}).values()} == {Verdict.MISSING}


def test_several_reasons_are_counted() -> None:
    reasons = dict(zip(UUIDS, ("this", "that", "that", "that"), strict=True))
    table = availability(UUIDS, {"libvirt": {}}, lambda uuid, _kind: reasons[uuid])
    assert {row.why for row in table} == {"3: that; 1: this"}


def test_without_guests_there_is_no_table() -> None:
    assert availability([], {"libvirt": {}}, lambda _uuid, _kind: "") == ()


LACKS = [Lack("net", TRACE, Domain("vm", UUIDS[0], 1))]


@pytest.mark.parametrize(
    ("figures", "status", "unknown", "libvirt", "why"),
    [
        ("block", STUCK, {}, True, STUCK),
        ("perf", STUCK, {}, True, BY_NAME["perf"].lacks),
        ("perf", LATE, {}, True, LATE),
        ("vm", None, {"vm": "8.9.0"}, True, "unknown to this libvirt; since 8.9.0"),
        ("vm", None, {"vm": "8.9.0"}, False, NO_LIBVIRT),
        ("interface", None, {}, True, TRACE),
        ("interface", None, {}, False, TRACE),
        ("block", None, {}, False, NO_LIBVIRT),
        ("iothread", None, {}, True, "no I/O thread is defined"),
    ],
)
def test_the_reason(figures: str, status: str | None, unknown: dict[str, str], libvirt: bool, why: str) -> None:
    kind: Kind = BY_NAME[figures]
    assert reason(kind, status, unknown, LACKS, libvirt=libvirt) == why
