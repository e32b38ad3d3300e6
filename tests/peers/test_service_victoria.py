"""VictoriaMetrics of Debian scrapes a real service, itself and by vmagent, and answers with the right values."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from debian_programs import programs
from hypervisor_packages import HypervisorError
from prometheus_server import until
from service import Service, service
from victoria_server import storing

HOST = "sim:///?domains=100&time=1800000000"


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    if os.environ.get("DOMSTATS_PEERS") != "1":
        pytest.skip("programs of others are a test of their own: make peers (DOMSTATS_PEERS=1)")
    try:
        programs("victoria-metrics", "victoria-metrics", "vmagent")
    except HypervisorError as error:
        pytest.fail(f"{error} (DOMSTATS_PEERS=1)", pytrace=False)


Times = dict[str, float]
"""Processor seconds by the names of the domains."""
QUESTION = 'domstats_cpu_time_seconds_total{domain=~".+"}'


async def told(served: Service) -> Times:
    """By the service itself."""
    document = json.loads(await served.get("/v1/stats?state=running&group=cpu"))
    return {domain["name"]: domain["stats"]["cpu.time"] / 1e9 for domain in document["domains"]}


def stored(answer: Any) -> Times:
    """By the store's answer."""
    return {each["metric"]["domain"]: float(each["value"][1]) for each in answer["result"]}


@pytest.mark.parametrize("agent", [False, True], ids=["itself", "vmagent"])
async def test_it_scrapes_and_answers(tmp_path: Path, agent: bool) -> None:
    """Of a host that stands still every value is what the service says."""
    async with service(HOST) as served, storing(tmp_path, served.port, agent=agent) as ask:
        times = await told(served)
        assert len(times) > 50
        answer = await until(ask, lambda found: times.keys() <= stored(found).keys(), "query", query=QUESTION)
        found = stored(answer)
        assert {name: found[name] for name in times} == pytest.approx(times, rel=1e-14)
        up = await until(ask, lambda found: bool(found["result"]), "query", query="up")
        assert [each["value"][1] for each in up["result"]] == ["1"]


async def test_what_moves_lies_between_two_of_our_own_values(tmp_path: Path) -> None:
    async with service("sim:///?domains=20") as served, storing(tmp_path, served.port, agent=True) as ask:
        before = await told(served)

        def all_moved(answer: Any) -> bool:
            found = stored(answer)
            return before.keys() <= found.keys() and all(found[name] > before[name] for name in before)

        found = stored(await until(ask, all_moved, "query", query=QUESTION))
        after = await told(served)
        for name in before:
            assert before[name] < found[name] <= after[name] * (1 + 1e-14), name
