"""A real Prometheus scrapes the text, answers questions about it, and evaluates the alert rules that are shipped."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest

from captures import CAPTURES, capture
from domstats.collector.cost import Cost
from domstats.formats import openmetrics, prometheus
from domstats.formats.metrics.options import MetricsOptions
from domstats.formats.options import Options
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from prometheus_packages import Programs
from prometheus_server import scraping, until

SMALL = next(name for name in CAPTURES if "12-guests-poll" in name)


class _Page(http.server.BaseHTTPRequestHandler):
    """Serves a text, as what it is."""

    text: ClassVar[bytes]
    content_type: ClassVar[str]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", self.content_type)
        self.end_headers()
        self.wfile.write(self.text)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def served(text: bytes, content_type: str) -> Iterator[int]:
    """A port of this machine on which the text can be had."""
    page = type("Page", (_Page,), {"text": text, "content_type": content_type})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def stuck(snapshot: Snapshot) -> Snapshot:
    """The same with the first guest blocked."""
    status = np.zeros(len(snapshot), np.uint8)
    status[0] = Status.BLOCKED
    return snapshot.with_sampling(replace(snapshot.sampling, status=status))


@pytest.mark.parametrize("form", [prometheus, openmetrics])
async def test_prometheus_scrapes_it(prometheus_programs: Programs, tmp_path: Path, form: ModuleType) -> None:
    snapshot = stuck(ReplyDecoder().decode(capture(SMALL)))
    options = Options(metrics=MetricsOptions(hypervisor=True), cost=Cost(hung_calls=2))
    text = form.encode(snapshot, options)
    with served(text, form.CONTENT_TYPE) as target:
        async with scraping(prometheus_programs, tmp_path, target) as ask:
            found = await until(
                ask, lambda answer: bool(answer["result"]), "query", query="domstats_cpu_time_seconds_total"
            )
            times = {each["metric"]["domain"]: float(each["value"][1]) for each in found["result"]}
            assert times == {
                record.domain.name: record["cpu.time"] / 1e9 for record in snapshot if "cpu.time" in record
            }
            count = sum(1 for line in text.splitlines() if not line.startswith(b"#"))
            samples = await until(
                ask, lambda answer: bool(answer["result"]), "query", query="scrape_samples_post_metric_relabeling"
            )
            assert int(samples["result"][0]["value"][1]) == count
            wanted = {"DomstatsGuestStuck", "DomstatsCallsHung"}
            alerts = await until(
                ask, lambda answer: wanted <= {each["labels"]["alertname"] for each in answer["alerts"]}, "alerts"
            )
            firing = {(each["labels"]["alertname"], each["labels"].get("domain")) for each in alerts["alerts"]}
            assert firing == {("DomstatsGuestStuck", snapshot.domains[0].name), ("DomstatsCallsHung", None)}
            rules = ask("rules")["groups"][0]["rules"]
            assert {rule["health"] for rule in rules} == {"ok"}
