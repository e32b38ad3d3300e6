"""Prometheus's text format 0.0.4, which everything that reads metrics knows, and node_exporter's text files are in."""

from __future__ import annotations

from domstats.formats.metrics.dialect import PROMETHEUS
from domstats.formats.metrics.render import render
from domstats.formats.options import NO_OPTIONS, Options
from domstats.model.snapshot import Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What an HTTP answer says it is."""


def encode(snapshot: Snapshot, options: Options = NO_OPTIONS) -> bytes:
    """Every value as a metric, family by family, in base units; see formats.metrics."""
    return render(snapshot, options, PROMETHEUS)
