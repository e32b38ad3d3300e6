"""Collecting from a real libvirtd with as many real guests as fit: wall time, beside virsh, and with guests stopped."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

import domstats
from domstats.catalog.groups import GROUPS
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from hypervisor import Hypervisor

PATIENCE = 600.0
STOPPED = (1, 10, 25)
POLLS, ROUNDS = 3, 3


def get(host: Hypervisor, *args: str, deadline: float = PATIENCE) -> tuple[dict[str, Any], float, str]:
    """What `domstats get` says as JSON, the seconds it took, and what it said on stderr."""
    command = [
        sys.executable,
        "-m",
        "domstats",
        "get",
        "-c",
        host.uri,
        "-f",
        "json",
        "--deadline",
        f"{deadline}",
        *args,
    ]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    took = time.monotonic() - began
    assert done.returncode in (0, 3), done.stderr
    return json.loads(done.stdout), took, done.stderr.decode()


def statuses(document: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for domain in document["domains"]:
        found.setdefault(domain["status"], []).append(domain["name"])
    return found


def test_full_polls(benchmark: Any, host: Hypervisor) -> None:
    """All groups of all guests, by virsh and by our whole command in turn, since the machine's pace changes."""

    def both() -> tuple[float, float]:
        began = time.monotonic()
        text = host.virsh("domstats", deadline=PATIENCE)
        theirs = time.monotonic() - began
        document, ours, said = get(host)
        assert statuses(document).keys() == {"fresh"}
        assert said == ""
        assert len(document["domains"]) == text.count("Domain: ")
        return theirs, ours

    found = benchmark.pedantic(lambda: [both() for _ in range(POLLS)], rounds=1)
    theirs, ours = zip(*found, strict=True)
    benchmark.extra_info |= {"virsh": min(theirs), "ours": min(ours), "guests": len(host.names())}


@pytest.mark.parametrize("count", STOPPED)
def test_get_with_guests_stopped(
    benchmark: Any, host: Hypervisor, stop: Callable[[int], list[str]], count: int
) -> None:
    """All healthy guests are fresh and the stopped ones named, before the deadline; meanwhile others are served."""
    _, undisturbed, _ = get(host)
    deadline = max(5.0, 2.5 * undisturbed)
    stopped = stop(count)
    document, took, said = benchmark.pedantic(lambda: get(host, deadline=deadline), rounds=1)
    found = statuses(document)
    assert sorted(found["blocked"]) == sorted(stopped)
    assert found.keys() == {"fresh", "blocked"}
    assert all(f"{name!r} is blocked" in said for name in stopped)
    assert took <= deadline
    benchmark.extra_info |= {"deadline": deadline, "undisturbed": undisturbed, "took": took}
    healthy = next(name for name in sorted(host.names()) if name not in stopped)
    assert stopped[0] in host.virsh("list", "--all", deadline=10.0)
    assert "state.state" in host.virsh("domstats", healthy, deadline=10.0)


def test_collector_rounds(benchmark: Any, host: Hypervisor, stop: Callable[[int], list[str]]) -> None:
    """Rounds one after another, as fast as they go; with none stopped, then with 1, 10 and 25, then with none again."""
    figures = benchmark.pedantic(lambda: asyncio.run(rounds(host, stop)), rounds=1)
    benchmark.extra_info |= figures


async def rounds(host: Hypervisor, stop: Callable[[int], list[str]]) -> dict[str, float]:
    """Seconds of a round with so many stopped, the worst ratio, rounds until all are fresh again, and the costs."""
    plan = {group.name: 1.0 for group in GROUPS}
    async with domstats.collect(host.uri, plan=plan, share=1.0, deadline=120.0) as collector:
        await sweeps(collector, 1)
        cpu = time.process_time()
        before = await quickest(collector)
        cpu = (time.process_time() - cpu) / (ROUNDS + 1)
        figures = {"round_0": before, "cpu_a_round": cpu}
        for count in STOPPED:
            stopped = await asyncio.to_thread(stop, count)
            await sweeps(collector, 1)  # the one under way may have met them
            figures[f"round_{count}"] = await quickest(collector)
            found = {record.domain.name for record in collector.latest if record.status is Status.BLOCKED}
            assert found == set(stopped)
            assert not [each for each in collector.latest.problems if each.status is not Status.BLOCKED]
            listed = time.monotonic()
            assert stopped[0] in await asyncio.to_thread(host.virsh, "list", "--all", deadline=10.0)
            figures["virsh_list"] = time.monotonic() - listed
            await asyncio.to_thread(stop.undo)  # type: ignore[attr-defined]
            begun = collector.cost.sweeps
            await until(collector, lambda snapshot: not snapshot.problems)
            figures[f"rounds_until_fresh_{count}"] = collector.cost.sweeps - begun
            assert collector.cost.sweeps - begun <= 2 + 1  # the one that was under way is not one of two
        figures["worst"] = max(figures[f"round_{count}"] for count in STOPPED) / before
    figures["rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures


async def sweeps(collector: domstats.Collector, number: int) -> float:
    """Wait for the end of so many more sweeps; the seconds that the last took."""
    wanted = collector.cost.sweeps + number
    await until(collector, lambda _: collector.cost.sweeps >= wanted)
    return collector.cost.sweep_seconds


async def quickest(collector: domstats.Collector) -> float:
    """Seconds of the least disturbed of the next sweeps but for the one under way."""
    await sweeps(collector, 1)
    return min([await sweeps(collector, 1) for _ in range(ROUNDS)])


async def until(collector: domstats.Collector, condition: Callable[[Snapshot], bool]) -> None:
    async with asyncio.timeout(PATIENCE), aclosing(aiter(collector)) as snapshots:
        async for snapshot in snapshots:
            if condition(snapshot):
                return
