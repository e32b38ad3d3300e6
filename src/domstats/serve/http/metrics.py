"""/metrics: Prometheus's text or OpenMetrics of the latest snapshot; rendered and compressed once for all who ask."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import ModuleType

import numpy as np
from aiohttp import web

from domstats.catalog.fields import FIELDS
from domstats.collector.collector import Collector
from domstats.collector.cost import Cost
from domstats.errors import UsageError
from domstats.formats import openmetrics, prometheus
from domstats.formats.metrics.options import NO_METRICS_OPTIONS, PRESETS, MetricsOptions, metadata_label
from domstats.formats.metrics.service import Service
from domstats.formats.options import Options
from domstats.model.globs import Globs
from domstats.model.sampling import COLUMN_NAMES, Seconds
from domstats.serve.freshness import usual_ages
from domstats.serve.http.latest import Latest, Numbered
from domstats.serve.http.negotiation import best_type, takes_gzip
from domstats.serve.http.query import Query, checked
from domstats.serve.http.sending import send
from domstats.serve.http.workers import Renderings

PARAMETERS = (
    "group",
    "domain",
    "state",
    "field",
    "labels",
    "label",
    "hypervisor",
    "unknown",
    "max_age",
    "max_series",
)
GZIP_LEVEL = 1
"""Level 6 takes five times as long, for a text that is a third smaller."""
GZIP_LEAST = 1024
"""Bytes from which on an answer is worth compressing."""
_OFFERED = (("text/plain", "0.0.4"), ("application/openmetrics-text", "1.0.0"))
_FORMATS: Mapping[str, ModuleType] = {"text/plain": prometheus, "application/openmetrics-text": openmetrics}


class Metrics:
    """Answers scrapers."""

    def __init__(
        self,
        collector: Collector,
        latest: Latest,
        renderings: Renderings,
        max_age: Seconds | None,
        defaults: MetricsOptions,
        service: Callable[[], Service] | None,
    ) -> None:
        """`max_age`, `service`: as of server.HttpServer; `defaults`: its `metrics`."""
        self._collector, self._latest, self._renderings = collector, latest, renderings
        self._max_age, self._defaults, self._service = max_age, defaults, service
        self._told: tuple[int, Service | None] = (-1, None)
        """The number of a snapshot, and how the service was when it was first asked for."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The metrics; who wants neither text gets Prometheus's. Raises UsageError, UnknownGroup."""
        chosen = metrics_options(Query(request, PARAMETERS), self._defaults)
        form = _FORMATS[best_type(request.headers.get("Accept", ""), _OFFERED) or "text/plain"]
        zipped = takes_gzip(request.headers.get("Accept-Encoding", ""))
        numbered = self._latest.numbered
        headers = {"Content-Type": form.CONTENT_TYPE, "Vary": "Accept, Accept-Encoding"}
        body = await self._text(numbered, form, chosen)
        if zipped and len(body) >= GZIP_LEAST:
            headers["Content-Encoding"] = "gzip"
            what = (form.__name__, chosen, "gzip")
            body = await self._renderings.get(numbered.number, what, lambda: compressed(body))
        return await send(request, body, headers)

    async def _text(self, numbered: Numbered, form: ModuleType, chosen: MetricsOptions) -> bytes:
        if chosen.max_age is None:
            # How old a value may be depends on how fast the host answers; who names no age takes what comes of it.
            metrics = replace(chosen, max_age=served_age(self._collector, self._max_age))
        else:
            metrics = chosen
        options = Options(metrics=metrics, cost=cost_now(self._collector), service=self._figures(numbered))

        def render() -> bytes:
            encoded: bytes = form.encode(numbered.snapshot, options)
            return encoded

        return await self._renderings.get(numbered.number, (form.__name__, chosen), render)

    def _figures(self, numbered: Numbered) -> Service | None:
        """How the service is; looked up once for a snapshot."""
        if self._service is not None and self._told[0] != numbered.number:
            self._told = numbered.number, self._service()
        return self._told[1]


def metrics_options(query: Query, defaults: MetricsOptions = NO_METRICS_OPTIONS) -> MetricsOptions:
    """What was asked for, and of what was not named the defaults. Raises UsageError, UnknownGroup."""
    fields = checked(query.words("field"))
    for glob in fields:
        if not any(map(Globs([glob]).fit, (field.pattern for field in FIELDS))):
            raise UsageError(f"no field fits {glob!r}; /v1/fields lists them")
    presets = query.words("labels")
    for preset in presets:
        if preset not in PRESETS:
            raise UsageError(f"no labels {preset!r}; there are {', '.join(PRESETS)}")
    labels = [label for preset in presets for label in PRESETS[preset]]
    labels += map(metadata_label, query.texts("label"))
    max_age, max_series = query.seconds("max_age", 0), query.count("max_series", 0)
    return MetricsOptions(
        groups=query.groups() or defaults.groups,
        domains=checked(query.texts("domain")),
        states=query.words("state"),
        fields=fields or defaults.fields,
        hypervisor=query.flag("hypervisor") if query.has("hypervisor") else defaults.hypervisor,
        unknown=query.flag("unknown") if query.has("unknown") else defaults.unknown,
        labels=tuple(labels) or defaults.labels,
        max_age=max_age,
        max_series=defaults.max_series if max_series is None else max_series,
    )


def served_age(collector: Collector, max_age: Seconds | None) -> Seconds:
    """Seconds on the host's clock after which a value is too old; `max_age`: as of server.HttpServer."""
    ages = usual_ages(collector) if max_age is None else np.broadcast_to(max_age, len(COLUMN_NAMES))
    return tuple((ages * collector.speed).tolist())


def cost_now(collector: Collector) -> Cost:
    """What collecting has cost so far; it is rendered in another thread, while it goes on."""
    return replace(collector.cost, seconds_by_group=dict(collector.cost.seconds_by_group))


def compressed(body: bytes) -> bytes:
    """The body as gzip; equal bodies give equal bytes."""
    return gzip.compress(body, GZIP_LEVEL, mtime=0)
