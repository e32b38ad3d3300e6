"""The metrics of a host on which something goes wrong: what a collector knows of it, as promtool and alerts see it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from domstats.collector.collector import Collector
from domstats.collector.cost import Cost
from domstats.collector.plan import make_plan
from domstats.collector.reach import Reach
from domstats.formats import prometheus
from domstats.formats.metrics.options import PRESETS, MetricsOptions
from domstats.formats.options import Options
from domstats.model.flags import NO_FILTERS
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from fast_time import run_fast
from metrics_reader import check_metrics, read
from scripted import Scripted, events

HUNG = "test-2"
SCRIPT = events(
    f"5; hang {HUNG}",
    "10; hostile test-5",
    "10; nameless web-1",
    "12; undefine mail-1",
    "14; pause db-1",
    "18; detach web-2; device = 'disk'; number = 0",
    "20; attach web-3; device = 'nic'",
)
MAX_AGE = 60.0
OPTIONS = MetricsOptions(hypervisor=True, max_age=MAX_AGE, labels=PRESETS["nova"])


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Snapshot], Cost]:
    """The snapshots of three minutes, and what they cost."""
    found: list[Snapshot] = []
    costs: list[Cost] = []

    async def work() -> None:
        host = Scripted(tmp_path_factory.mktemp("collected"), SCRIPT)
        reach = Reach(host.source, width=4, sees_processes=False)
        collector = Collector(reach, make_plan(0, {}), 5.0, NO_FILTERS, lambda _: True)
        costs.append(collector.cost)
        await collector.start()
        async for snapshot in collector:
            found.append(snapshot)
            if snapshot.time - found[0].time > 180:
                break
        await collector.aclose()

    run_fast(work())
    return found, costs[0]


def values_of(snapshot: Snapshot, cost: Cost | None = None) -> dict[tuple[str, str], list[str]]:
    """The numbers of each metric and domain."""
    found: dict[tuple[str, str], list[str]] = {}
    for (name, labels), number in read(prometheus.encode(snapshot, Options(metrics=OPTIONS, cost=cost))).items():
        found.setdefault((name, dict(labels).get("domain", "")), []).append(number)
    return found


def test_a_stuck_guest_keeps_its_status_and_age_and_loses_its_old_values(
    collected: tuple[list[Snapshot], Cost],
) -> None:
    last = collected[0][-1]
    assert last[HUNG].status is Status.BLOCKED
    values = values_of(last)
    assert float(values["domstats_domain_sample_age_seconds", HUNG][0]) > 150
    assert values["domstats_domain_state", HUNG] == ["1"]  # for which no guest is asked
    assert ("domstats_cpu_time_seconds_total", HUNG) not in values
    assert ("domstats_cpu_time_seconds_total", "test-3") in values
    earlier = next(snapshot for snapshot in collected[0] if snapshot[HUNG].status is Status.BLOCKED)
    assert ("domstats_cpu_time_seconds_total", HUNG) in values_of(earlier)


def test_what_it_cost_is_there(collected: tuple[list[Snapshot], Cost]) -> None:
    values = values_of(collected[0][-1], collected[1])
    assert int(values["domstats_collector_calls_total", ""][0]) == collected[1].calls > 10
    assert len(values["domstats_collector_group_seconds_total", ""]) == len(collected[1].seconds_by_group) > 3


def test_definitions_become_labels(collected: tuple[list[Snapshot], Cost]) -> None:
    text = prometheus.encode(collected[0][-1], Options(metrics=OPTIONS)).decode()
    (line,) = [line for line in text.splitlines() if line.startswith('domstats_domain_info{domain="web-2"')]
    assert 'title="Web 2",nova_name="web-2",nova_flavor="web",nova_project="shop"' in line


def test_every_snapshot_has_everybody(collected: tuple[list[Snapshot], Cost]) -> None:
    check = check_metrics("prometheus", library=False)
    for snapshot in collected[0]:
        check(snapshot, prometheus.encode(snapshot))


def test_promtool_has_no_complaint(promtool: Callable[..., str], collected: tuple[list[Snapshot], Cost]) -> None:
    for snapshot in collected[0][::15]:
        text = prometheus.encode(snapshot, Options(metrics=OPTIONS, cost=collected[1]))
        assert promtool("check", "metrics", given=text) == ""
