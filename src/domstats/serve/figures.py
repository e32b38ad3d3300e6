"""What /metrics says of the process that serves it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from domstats.collector.collector import Collector
from domstats.formats.metrics.service import Service
from domstats.model.sampling import Status
from domstats.serve.descriptors import open_descriptors
from domstats.serve.history.history import Kept
from domstats.serve.http.tally import Tally

if TYPE_CHECKING:  # it needs aiohttp, which is there where it is wanted
    from domstats.serve.http.server import HttpServer

_MEMORY = Path("/proc/self/statm")


def figures(
    collector: Collector,
    started: float,
    reloads: Mapping[str, int],
    http: HttpServer | None,
    tally: Tally,
    history: Kept | None,
) -> Service:
    """All but what is of the libvirt socket; called in the service's loop.

    `started`: seconds since the epoch; `tally`: of `http`, and of those that were there before it.
    """
    counts = np.bincount(collector.latest.sampling.status, minlength=len(Status)).tolist()
    return Service(
        started=started,
        snapshot_age=max(0.0, collector.clock() - collector.latest.time) / (collector.speed or 1.0),
        host_up=collector.trouble is None,
        domains={status.label: counts[status] for status in Status},
        cpu_seconds=collector.cost.cpu_seconds,
        memory_bytes=resident_bytes(),
        descriptors=open_descriptors(),
        tasks=len(asyncio.all_tasks()),
        reloads=dict(reloads),
        http_requests=dict(tally.requests),
        http_bytes=None if http is None else tally.bytes,
        http_rendered=None if http is None else http.rendered,
        http_clients=None if http is None else http.connections,
        http_streams=None if http is None else http.streams,
        history_bytes=None if history is None else history.bytes,
        history_bytes_max=None if history is None else history.limit,
        history_series=None if history is None else history.series,
        history_points=None if history is None else history.points + history.combined,
    )


def resident_bytes() -> int | None:
    """Memory that this process occupies now; None where there is no descriptor left to look with."""
    try:
        pages = int(_MEMORY.read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
