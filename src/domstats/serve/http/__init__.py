"""An HTTP server for programs and people: metrics, statistics in every format, what changes as it changes, a page.

options     what it may be told
server      the server as a part of a process: it listens, and has routes
connection  one client: how long it may take, and what becomes of what is no HTTP
guard       what holds for every request: who may ask, what an error looks like, what a browser may do with an answer
latest      the collector's snapshots, numbered
workers     the threads that render, and what they have rendered
query       reading a request's parameters
negotiation which of several forms a client wants
metrics     /metrics
sending     sending long answers
stats       /v1/stats, /v1/stats/DOMAIN, /v1/fields
stream      /v1/stream
channel     what a stream says, worked out once for all who want the same
rows        a domain's row in it
history     /v1/history
files       the page
tally       what has been answered, counted
access      where that is counted, and told to the log
health      /healthz, /readyz
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

from domstats.errors import MissingExtra
from domstats.model.sampling import Seconds

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from domstats.collector.collector import Collector
    from domstats.formats.metrics.options import MetricsOptions
    from domstats.formats.metrics.service import Service
    from domstats.serve.history.history import History
    from domstats.serve.http.options import HttpOptions
    from domstats.serve.http.server import HttpServer
    from domstats.serve.http.tally import Tally


class Surroundings(TypedDict, total=False):
    """What a server may be given by the process it is a part of; see server.HttpServer."""

    metrics: MetricsOptions
    history: History | None
    sockets: Sequence[socket.socket] | None
    tally: Tally
    service: Callable[[], Service]


def http_server(
    collector: Collector, options: HttpOptions, max_age: Seconds | None = None, **more: Unpack[Surroundings]
) -> HttpServer:
    """A server of what that collector knows; everything as of server.HttpServer. Raises MissingExtra."""
    try:
        import aiohttp  # noqa: F401
    except ImportError:
        raise MissingExtra("aiohttp", "http") from None
    from domstats.serve.http.server import HttpServer

    return HttpServer(collector, options, max_age, **more)
