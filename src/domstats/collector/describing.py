"""Reading what the definitions of some domains say, once and in parallel, for an answer that is waited for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from domstats.collector.describer import LATE
from domstats.collector.lanes import HungCall
from domstats.collector.reach import Reach
from domstats.collector.sweep import FOR_EVER, UNREACHED
from domstats.errors import DomstatsError, UnknownDomain
from domstats.model.description import Description
from domstats.model.domain import Domain

_log = logging.getLogger(__name__)


async def describe(reach: Reach, domains: Sequence[Domain], seconds: float) -> dict[str, Description]:
    """The descriptions that can be had within so many seconds, by UUID.

    Guests that are stuck are not asked, and a definition that is late is not waited for.
    """
    found: dict[str, Description] = {}
    waiting = iter([domain for domain in domains if domain.uuid not in reach.breaker])

    async def lane() -> None:
        for domain in waiting:
            try:
                info = await _describe_one(reach, domain)
            except DomstatsError:  # the host cannot be reached, or does not want more connections
                return
            if info is not None:
                found[domain.uuid] = info

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for _ in range(reach.lanes.width):
                group.create_task(lane())
    return found


async def _describe_one(reach: Reach, domain: Domain) -> Description | None:
    """None where there is none in time. Raises what says that the host cannot be reached."""
    source = await reach.lanes.take()
    task = asyncio.ensure_future(source.describe(domain, FOR_EVER))
    try:
        await asyncio.wait([task], timeout=LATE)
    except asyncio.CancelledError:
        reach.lanes.hang(HungCall(task, source, []))
        raise
    if not task.done():
        reach.lanes.hang(HungCall(task, source, []))
        return None
    reach.lanes.give(source)
    try:
        return task.result()
    except UNREACHED:
        raise
    except UnknownDomain:
        return None
    except DomstatsError as error:
        _log.warning("the definition of domain %r cannot be read: %s", domain.name, error)
        return None
