"""OpenMetrics 1.0, which Prometheus asks for first. The names and labels are those of `prometheus`.

A set of states has its label twice: as `status`, which `prometheus` has, and under its family's name, which OpenMetrics
asks for.
"""

from __future__ import annotations

from domstats.formats.metrics.dialect import OPENMETRICS
from domstats.formats.metrics.render import render
from domstats.formats.options import NO_OPTIONS, Options
from domstats.model.snapshot import Snapshot

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""What an HTTP answer says it is."""


def encode(snapshot: Snapshot, options: Options = NO_OPTIONS) -> bytes:
    """Every value as a metric, family by family, in base units; see formats.metrics."""
    return render(snapshot, options, OPENMETRICS)
