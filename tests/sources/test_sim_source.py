"""sources.sim.source: a simulated host asked as any other."""

from __future__ import annotations

import pytest

from domstats.catalog.groups import GROUPS, group_bits
from domstats.errors import BadUri, DeadlineExceeded, StatsUnsupported, UnknownDomain
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter, StatsGroup
from domstats.model.snapshot import Snapshot
from domstats.sources import Source
from domstats.sources.sim.clocks import EPOCH
from domstats.sources.sim.source import SimSource
from domstats.sources.sim.uri import TIME_MAX

RUNNING, PAUSED, SHUTOFF = 1, 3, 5
F = DomainFilter
NONE = F(0)
NOW = 1_790_000_000.0
LONG = 600.0

source: Source = SimSource("sim:///?domains=100&time=1790000000")


async def poll(groups: int = 0, flags: DomainFilter = NONE, domains: list[Domain] | None = None) -> Snapshot:
    return await source.stats(domains or (), groups, flags, LONG)


async def test_it_is_a_source() -> None:
    assert SimSource.open("sim:///").uri == "sim:///"
    snapshot = await poll()
    assert snapshot.domains == await source.domains(LONG)
    assert (source.cpus, snapshot.host_cpus, snapshot.time) == (64, 64, NOW)
    assert snapshot.records[0].sources["state"] == source.uri
    await source.aclose()
    await source.aclose()


@pytest.mark.parametrize(
    ("flags", "states"),
    [
        (NONE, {RUNNING, PAUSED, SHUTOFF}),
        (F.ACTIVE, {RUNNING, PAUSED}),
        (F.INACTIVE, {SHUTOFF}),
        (F.ACTIVE | F.INACTIVE, {RUNNING, PAUSED, SHUTOFF}),
        (F.PERSISTENT, {RUNNING, PAUSED, SHUTOFF}),
        (F.TRANSIENT, set()),
        (F.PERSISTENT | F.TRANSIENT, {RUNNING, PAUSED, SHUTOFF}),
        (F.RUNNING, {RUNNING}),
        (F.PAUSED, {PAUSED}),
        (F.SHUTOFF, {SHUTOFF}),
        (F.OTHER, set()),
        (F.RUNNING | F.PAUSED, {RUNNING, PAUSED}),
        (F.RUNNING | F.OTHER, {RUNNING}),
        (F.ACTIVE | F.SHUTOFF, set()),
        (F.INACTIVE | F.SHUTOFF | F.PERSISTENT, {SHUTOFF}),
        (F.NOWAIT, {RUNNING, PAUSED, SHUTOFF}),
    ],
)
async def test_filters(flags: DomainFilter, states: set[int]) -> None:
    everything = await poll()
    filtered = await poll(flags=flags)
    assert filtered.domains == [record.domain for record in everything if record["state.state"] in states]
    for record in filtered:
        assert record.params == everything[record.domain.uuid].params


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
async def test_each_group_alone(group: object) -> None:
    everything = await poll()
    alone = await poll(group_bits(group.name))  # type: ignore[attr-defined]
    assert alone.domains == everything.domains
    for record in alone:
        prefix = group.prefix + "."  # type: ignore[attr-defined]
        assert record.params == [
            param for param in everything[record.domain.uuid].params if param.name.startswith(prefix)
        ]


async def test_several_groups_and_bits_that_are_not_known() -> None:
    both = await poll(StatsGroup.STATE | StatsGroup.BLOCK | 1 << 20)
    assert {key.partition(".")[0] for record in both for key in record} == {"state", "block"}
    assert both.layout is (await poll(StatsGroup.STATE | StatsGroup.BLOCK)).layout
    nothing = await poll(1 << 20)
    assert len(nothing) == 100
    assert nothing.layout.size == 0


async def test_groups_that_are_not_known_can_be_an_error() -> None:
    with pytest.raises(StatsUnsupported) as caught:
        await poll(1 << 20 | 1 << 25 | StatsGroup.STATE, F.ENFORCE)
    assert (caught.value.code, caught.value.domain) == (74, 10)
    assert "bits 0x2100000 are not supported" in caught.value.text
    assert len(await poll(0x7FF, F.ENFORCE)) == 100


async def test_chosen_domains_by_uuid_in_their_order_duplicates_too() -> None:
    domains = await source.domains(LONG)
    renamed = Domain("another name", domains[7].uuid, 12345)
    unknown = Domain(domains[3].name, "00000000-0000-4000-8000-000000000000", domains[3].id)
    snapshot = await poll(domains=[domains[9], renamed, unknown, domains[9], domains[2]])
    assert snapshot.domains == [domains[9], domains[7], domains[9], domains[2]]
    everything = await poll()
    for position in (0, 1, 2, 3):
        record = snapshot.records[position]
        assert record.params == everything[record.domain.uuid].params


async def test_a_choice_that_comes_to_nothing_is_not_everything() -> None:
    off = next(domain for domain in await source.domains(LONG) if domain.id is None)
    assert len(await poll(flags=F.ACTIVE, domains=[off])) == 0
    assert len(await poll(domains=[Domain("x", "00000000-0000-4000-8000-000000000000", None)])) == 0


async def test_the_same_question_has_the_same_layout() -> None:
    domains = (await source.domains(LONG))[10:20]
    assert (await poll(2, F.ACTIVE)).layout is (await poll(2, F.ACTIVE)).layout
    assert (await poll(domains=domains)).layout is (await poll(domains=domains)).layout
    assert (await poll(domains=domains)).layout is not (await poll()).layout


async def test_find_by_id_uuid_and_name() -> None:
    on = next(domain for domain in await source.domains(LONG) if domain.id is not None)
    for name in (str(on.id), on.uuid, on.uuid.upper(), on.name):
        assert await source.find(name, LONG) == on
    for name in ("", "0", "99999999999999999999", "web-0", "00000000-0000-4000-8000-000000000000", "٣"):
        with pytest.raises(UnknownDomain):
            await source.find(name, LONG)


async def test_a_frozen_clock() -> None:
    one, other = await poll(), await poll()
    assert one.values.tolist() == other.values.tolist()
    thawed = SimSource("sim:///?domains=100", clock=lambda: NOW)
    assert (await thawed.stats((), 0, NONE, LONG)).values.tolist() == one.values.tolist()


@pytest.mark.parametrize(
    ("speed", "real", "simulated"),
    [
        ("1", NOW, NOW),
        ("1", EPOCH - 50.0, EPOCH - 50.0),
        ("10", EPOCH + 50.0, EPOCH + 500.0),
        ("0.5", EPOCH + 50.0, EPOCH + 25.0),
        ("1e300", NOW, TIME_MAX),
        ("1e308", NOW, TIME_MAX),
        ("1e300", EPOCH - 1.0, 0.0),
    ],
)
async def test_a_clock_of_another_speed(speed: str, real: float, simulated: float) -> None:
    at_speed = SimSource(f"sim:///?speed={speed}", clock=lambda: real)
    frozen = SimSource(f"sim:///?time={simulated}")
    shown, expected = await at_speed.stats((), 0, NONE, LONG), await frozen.stats((), 0, NONE, LONG)
    assert shown.time == expected.time == simulated
    assert shown.values.tolist() == expected.values.tolist()


async def test_a_deadline_that_has_passed() -> None:
    with pytest.raises(DeadlineExceeded):
        await source.stats((), 0, NONE, 0.0)


def test_bad_uris() -> None:
    with pytest.raises(BadUri, match="domains must be"):
        SimSource.open("sim:///?domains=x")
    with pytest.raises(BadUri, match="can be simulated") as caught:
        SimSource.open("sim:///?domains=10000&vcpus=1024")
    assert caught.value.uri == "sim:///?domains=10000&vcpus=1024"
