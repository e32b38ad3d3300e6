"""Trying something with a deadline, so that what blocks or fails spoils nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from domstats.doctor.findings import Finding, Part, Verdict
from domstats.errors import DomstatsError

T = TypeVar("T")


async def in_thread(work: Callable[[], T], seconds: float) -> T:
    """What `work` returns or raises. Raises TimeoutError when it takes longer.

    A read in /proc can block for as long as a process hangs in the kernel. The thread is then left to itself, and does
    not keep this process from ending, as those of an executor would.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(value: T | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(value)  # type: ignore[arg-type]  # without an error it is what `work` returned
        else:
            done.set_exception(error)

    def run() -> None:
        value, fault = None, None
        try:
            value = work()
        except Exception as error:  # noqa: BLE001  it is raised again where the result is waited for
            fault = error
        try:
            loop.call_soon_threadsafe(finish, value, fault)
        except RuntimeError:  # the loop has been closed meanwhile: nobody waits
            return

    threading.Thread(target=run, name="domstats-doctor", daemon=True).start()
    async with asyncio.timeout(seconds):
        return await done


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
