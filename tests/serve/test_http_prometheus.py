"""A real Prometheus scrapes a real server and answers with the right values."""

from __future__ import annotations

from pathlib import Path

import pytest

from http_serving import http_serving
from prometheus_packages import Programs
from prometheus_server import scraping, until


@pytest.mark.parametrize("token", [None, "correct-horse-battery"])
async def test_prometheus_scrapes_it(prometheus_programs: Programs, tmp_path: Path, token: str | None) -> None:
    async with http_serving("sim:///?domains=100&time=1800000000", token=token) as serving:
        async with scraping(prometheus_programs, tmp_path, serving.port, token) as ask:
            answer = await until(
                ask, lambda found: bool(found["result"]), "query", query="domstats_cpu_time_seconds_total"
            )
        times = {each["metric"]["domain"]: float(each["value"][1]) for each in answer["result"]}
        assert len(times) > 50
        assert times == {
            record.domain.name: record["cpu.time"] / 1e9 for record in serving.collector.latest if "cpu.time" in record
        }
