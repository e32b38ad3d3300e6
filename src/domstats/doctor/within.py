"""Trying something with a deadline, so that what blocks or fails spoils nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from domstats.doctor.findings import Finding, Part, Verdict
from domstats.errors import DomstatsError
from domstats.sources.worker import Worker

T = TypeVar("T")


async def in_thread(work: Callable[[], T], seconds: float) -> T:
    """What `work` returns or raises, in a thread of its own. Raises TimeoutError when it takes longer."""
    async with asyncio.timeout(seconds):
        return await Worker("domstats-doctor").do(work)


async def tried(part: Part, check: str, work: Awaitable[Sequence[Finding]], seconds: float) -> list[Finding]:
    """What a check found; one that fails, or takes longer, is a finding itself."""
    try:
        async with asyncio.timeout(seconds):
            return list(await work)
    except TimeoutError:
        why = f"no answer within {seconds:.3g} s"
    except (DomstatsError, OSError, ValueError) as error:
        why = str(error)
    return [Finding(part, check, Verdict.WARN, f"could not be tried: {why}")]
