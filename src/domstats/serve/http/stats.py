"""/v1/stats in every format, /v1/stats/DOMAIN, and /v1/fields: what the values mean."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
from aiohttp import web

from domstats.catalog.enums import DOMAIN_STATES
from domstats.catalog.lookup import field_of, find_fields, near_patterns
from domstats.collecting import chooser
from domstats.collector.collector import Collector
from domstats.errors import UsageError
from domstats.formats import openmetrics, prometheus
from domstats.formats.columns import check
from domstats.formats.metrics.options import MetricsOptions
from domstats.formats.named import COLUMNS
from domstats.formats.options import NO_OPTIONS, Options
from domstats.formats.registry import FORMATS
from domstats.formats.table.reading import by_key
from domstats.model.merge import without_old_groups
from domstats.model.sampling import Seconds
from domstats.model.selecting import Selector, Wanted
from domstats.model.snapshot import Snapshot
from domstats.serve.http.guard import refusal
from domstats.serve.http.latest import Latest, Numbered
from domstats.serve.http.metrics import GZIP_LEAST, compressed, cost_now, served_age
from domstats.serve.http.negotiation import takes_gzip
from domstats.serve.http.query import Query, checked
from domstats.serve.http.sending import send
from domstats.serve.http.workers import Renderings

_OF_VALUES = ("format", "group", "key", "table", "columns", "sort", "top", "max_age")
OF_ALL = (*_OF_VALUES, "domain", "state")
OF_ONE = _OF_VALUES
"""The parameters of a request for all domains, and for one."""
TABLES = ("table", "csv", "arrow", "parquet")
"""The formats that have tables, whose columns and rows can be chosen."""
_METRICS = ("prometheus", "openmetrics")
_NO_AGES = ("raw", "reply", *_METRICS)
"""The formats that have no place for a value's age: what is too old is left out of them."""
_PACKED = ("parquet",)
"""Those that are compressed by themselves."""
_DEVICE = re.compile(r"(\w+)\[.*\](\..*)", re.ASCII | re.DOTALL)
"""A name as model.names has it: block[vda].rd.bytes."""
_ZIPPED = "-gzip"
"""What a compressed answer's ETag ends with."""
CONTENT_TYPES: Mapping[str, str] = {
    "table": "text/plain; charset=utf-8",
    "raw": "text/plain; charset=utf-8",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "tree": "application/json",
    "xml": "application/xml",
    "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
    "prometheus": prometheus.CONTENT_TYPE,
    "openmetrics": openmetrics.CONTENT_TYPE,
    "reply": "application/octet-stream",
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is wanted of a snapshot, and how it is written."""

    form: str
    wanted: Wanted
    options: Options
    domains: tuple[str, ...] = ()
    """Names, UUIDs, patterns of names; all when empty."""
    states: tuple[str, ...] = ()
    only: str = ""
    """UUID of the only one."""
    max_age: Seconds | None = None
    """Seconds that a value may be old."""


class Stats:
    """Answers with statistics."""

    def __init__(self, collector: Collector, latest: Latest, renderings: Renderings, max_age: Seconds | None) -> None:
        """`max_age`: as of server.HttpServer."""
        self._collector, self._latest, self._renderings = collector, latest, renderings
        self._max_age = max_age
        self._selector = Selector()

    async def all(self, request: web.Request) -> web.StreamResponse:
        """The statistics of all domains. Raises UsageError and its kinds."""
        query = Query(request, OF_ALL)
        numbered = self._latest.numbered
        states = query.words("state")
        for state in states:
            if state not in DOMAIN_STATES:
                raise UsageError(f"no state {state!r}; known are {', '.join(DOMAIN_STATES)}")
        asked = replace(_asked(query), domains=checked(query.texts("domain")), states=states)
        _check_keys(numbered.snapshot, asked.wanted.keys)
        return await self._answer(request, numbered, asked)

    async def one(self, request: web.Request) -> web.StreamResponse:
        """Those of one, by name or UUID. Raises UnknownDomain, UsageError and its kinds."""
        asked = _asked(Query(request, OF_ONE))
        numbered = self._latest.numbered
        record = numbered.snapshot[request.match_info["domain"]]
        _check_keys(numbered.snapshot, asked.wanted.keys)
        return await self._answer(request, numbered, replace(asked, only=record.domain.uuid))

    async def _answer(self, request: web.Request, numbered: Numbered, asked: _Asked) -> web.StreamResponse:
        FORMATS[asked.form].load()
        if asked.max_age is None and asked.form in _NO_AGES:
            asked = replace(asked, max_age=served_age(self._collector, self._max_age))
        zipped = takes_gzip(request.headers.get("Accept-Encoding", "")) and asked.form not in _PACKED
        etag = f"{numbered.number:x}-{zlib.crc32(repr(asked).encode('utf-8', 'surrogateescape')):x}"
        headers = {"Content-Type": CONTENT_TYPES[asked.form], "Vary": "Accept-Encoding"}
        known = {each.value for each in request.if_none_match or ()}
        if has := known & {etag, f"{etag}{_ZIPPED}", "*"}:
            tag = next(iter(has - {"*"}), etag)
            return web.Response(status=304, headers={"ETag": f'"{tag}"', "Vary": "Accept-Encoding"})
        body = await self._renderings.get(numbered.number, asked, self._rendering(numbered, asked))
        if zipped and len(body) >= GZIP_LEAST:
            etag += _ZIPPED
            headers["Content-Encoding"] = "gzip"
            body = await self._renderings.get(numbered.number, (asked, "gzip"), lambda: compressed(body))
        return await send(request, body, headers | {"ETag": f'"{etag}"'})

    def _rendering(self, numbered: Numbered, asked: _Asked) -> Callable[[], bytes]:
        cost = cost_now(self._collector)

        def render() -> bytes:
            snapshot = self._selector.select(numbered.snapshot, _positions(numbered.snapshot, asked), asked.wanted)
            options = asked.options
            if asked.form in _METRICS:
                options = replace(options, metrics=MetricsOptions(max_age=asked.max_age), cost=cost)
            elif asked.max_age is not None:
                snapshot = without_old_groups(snapshot, asked.max_age)
            if asked.form == "table":
                options = replace(options, before=numbered.previous)
            return FORMATS[asked.form].encode(snapshot, options)

        return render


def _asked(query: Query) -> _Asked:
    """What the parameters say. Raises UsageError and its kinds."""
    form = query.choice("format", tuple(FORMATS), "json")
    table = query.choice("table", tuple(COLUMNS), "")
    options = Options(table=table, columns=query.words("columns"), sort=query.text("sort"), top=query.count("top", 1))
    if options != NO_OPTIONS and form not in TABLES:
        raise UsageError(f"table, columns, sort and top are for the formats {', '.join(TABLES)}, not for {form}")
    if form == "table":
        check(options)
    bits = query.groups()
    wanted = Wanted(bits, checked(query.words("key")))
    return _Asked(form, wanted, replace(options, groups=bits), max_age=query.seconds("max_age", 0))


def _check_keys(snapshot: Snapshot, keys: Sequence[str]) -> None:
    """See that each key is one that a record has or could have; a pattern may fit nothing. Raises UsageError."""
    for key in keys:
        device = _DEVICE.match(key)
        pattern = device is None and any(sign in key for sign in "*?[")
        if pattern or field_of(key) or any(key in shape.slots for shape, _ in snapshot.layout.by_shape()):
            continue
        if device:
            raise UsageError(f"no key {key!r}: keys have no device names; write a pattern: {device[1]}.*{device[2]}")
        near = near_patterns(key, 1)
        raise UsageError(f"no key {key!r}; " + (f"do you mean {near[0]}?" if near else "/v1/fields lists them"))


def _positions(snapshot: Snapshot, asked: _Asked) -> Sequence[int] | None:
    """Which records are wanted; None for all."""
    if asked.only:
        return [snapshot.layout.position(asked.only)]
    if not asked.domains and not asked.states:
        return None
    fits = chooser(asked.domains or None)
    wanted = {DOMAIN_STATES.index(state) for state in asked.states}
    states = by_key(snapshot, "state.state") if wanted else [None] * len(snapshot)
    return [
        position
        for position, (domain, state) in enumerate(zip(snapshot.domains, states, strict=True))
        if fits(domain) and (not wanted or state in wanted)
    ]


async def fields(request: web.Request) -> web.StreamResponse:
    """What each statistic is, as `domstats fields -f json` says; `pattern` chooses. Raises UsageError."""
    pattern = Query(request, ("pattern",)).text("pattern")
    checked((pattern,))
    found = find_fields(pattern)
    if not found:
        return refusal(404, f"no field fits {pattern!r}; try a part of a name, or a group")
    return web.Response(body=msgspec.json.encode(found) + b"\n", content_type="application/json")
