"""What is shipped for Prometheus and Grafana: rules that work, queries that parse, metrics that exist."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from domstats.catalog.fields import FIELDS
from domstats.formats.metrics import host, plan, service
from domstats.formats.metrics.families import Family, metric_of

SHARE = Path(__file__).parents[2] / "share"
RULES = SHARE / "prometheus" / "domstats-alerts.yaml"
RULES_TEST = SHARE / "prometheus" / "domstats-alerts-test.yaml"
PAGE = SHARE.parent / "docs" / "prometheus.md"
DASHBOARD = SHARE / "grafana" / "domstats-guests.json"
VARIABLES = {"$__rate_interval": "5m", "$instance": ".*", "$domain": ".*"}


def emitted() -> set[str]:
    """Names of all the series there can be whose names the catalogue knows."""
    families: list[Family] = [plan.INFO, plan.STATUS, plan.SAMPLE_AGE, plan.STATE_INFO]
    families += (*host.FAMILIES, *service.FAMILIES)
    for field in FIELDS:
        metric = metric_of(re.sub(r"<(i|j|id)>", "0", field.pattern))
        if metric is not None:  # the hypervisor's own words have no names that are known before
            families.append(metric.family)
    return {family.sample for family in families}


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\bdomstats_\w+", text))


def queries() -> Iterator[str]:
    """What the dashboard asks Prometheus, with something in the place of its variables."""
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        for target in panel["targets"]:
            query: str = target["expr"]
            for variable, value in VARIABLES.items():
                query = query.replace(variable, value)
            yield query


def test_the_rules_are_good(promtool: Callable[..., str]) -> None:
    assert "SUCCESS" in promtool("check", "rules", RULES)


def test_the_rules_fire_when_they_should(promtool: Callable[..., str]) -> None:
    assert "SUCCESS" in promtool("test", "rules", RULES_TEST)


def test_every_rule_is_tested() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8"))
    assert len(alerts) == 7
    fired = re.findall(r"alertname: (\w+)\n +exp_alerts:\n", RULES_TEST.read_text(encoding="utf-8"))
    assert set(fired) == set(alerts)


def test_the_dashboard_asks_what_can_be_answered(promtool: Callable[..., str], tmp_path: Path) -> None:
    """Each query is one that Prometheus's own parser takes: as the expression of a rule."""
    found = list(queries())
    assert len(found) >= 15
    assert not any("$" in query for query in found)
    rules: list[dict[str, Any]] = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(found)]
    path = tmp_path / "queries.json"  # JSON is YAML
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(found)} rules found" in promtool("check", "rules", path)


@pytest.mark.parametrize("path", [RULES, RULES_TEST, DASHBOARD], ids=lambda path: path.name)
def test_only_metrics_that_exist_are_named(path: Path) -> None:
    named = names_in(path.read_text(encoding="utf-8"))
    assert named
    assert named <= emitted()


def test_the_dashboard_is_one() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert dashboard["uid"] == "domstats-guests"
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    variables = [each["name"] for each in dashboard["templating"]["list"]]
    assert variables == ["datasource", "instance", "domain"]


def test_both_are_part_of_the_package() -> None:
    project = (SHARE.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert 'share = "share/domstats"' in project.partition("shared-data]")[2]


@pytest.mark.parametrize(("code", "left"), [(0, "new\n"), (3, "new\n"), (1, "old\n"), (137, "old\n")])
def test_the_line_for_cron_never_leaves_half_a_file(tmp_path: Path, code: int, left: str) -> None:
    (line,) = re.findall(r"^    \* \* \* \* \* root (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert "/var/lib/prometheus/node-exporter" in line
    assert "/usr/local/bin/domstats" in line
    command = line.replace("/var/lib/prometheus/node-exporter", str(tmp_path))
    command = command.replace("/usr/local/bin/domstats", f"sh -c 'echo new; exit {code}'")
    (tmp_path / "domstats.prom").write_text("old\n")
    subprocess.run(["sh", "-c", command], check=True, timeout=60)
    assert (tmp_path / "domstats.prom").read_text() == left
