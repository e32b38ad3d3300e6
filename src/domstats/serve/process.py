"""The process of a service: signals, what systemd is told, and reading the configuration anew."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping

from domstats.errors import DomstatsError
from domstats.serve.life import live
from domstats.serve.listeners import Listeners
from domstats.serve.memory import keep_giving_back
from domstats.serve.notify import MICROSECONDS, Notify, watchdog_seconds
from domstats.serve.service import Service
from domstats.serve.settings import LogSettings, Settings

STOPPING = 15.0
"""Seconds that all may take to end."""
TELLING = 10.0
"""Seconds from one word to systemd on how things are to the next."""
_WATCHED = 3
"""Of so many WATCHDOG=1 two may be late."""

_log = logging.getLogger(__name__)


async def serve(
    chosen: Settings,
    read: Callable[[], Settings],
    listeners: Listeners,
    environment: Mapping[str, str],
    set_log: Callable[[LogSettings], None],
) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends the process at once. SIGHUP has `read` say what is next.

    `listeners`: with the sockets that systemd has passed. `set_log`: is told of another log. Raises what Service
    raises.
    """
    ended, changed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end_soon, ended)
    loop.add_signal_handler(signal.SIGHUP, changed.set)
    notify = Notify(environment)
    service = Service(chosen, listeners, time.time())
    try:
        await live(
            [service],
            _until(ended),
            service.watch(),
            _reload(service, read, changed, notify, set_log),
            _tell(service, notify, watchdog_seconds(environment, os.getpid())),
            keep_giving_back(),
            stopping=STOPPING,
        )
    finally:
        notify.tell("STOPPING=1")
        notify.close()


def end_soon(ended: asyncio.Event) -> None:
    """Whoever does not want to wait for the end has the kernel end the process."""
    ended.set()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)


async def _until(ended: asyncio.Event) -> None:
    await ended.wait()


async def _reload(
    service: Service,
    read: Callable[[], Settings],
    changed: asyncio.Event,
    notify: Notify,
    set_log: Callable[[LogSettings], None],
) -> None:
    """Each time it is asked for; what cannot be read, or begun, changes nothing."""
    await service.until_started()
    now = asyncio.get_running_loop().time
    while True:
        await changed.wait()
        changed.clear()
        notify.tell("RELOADING=1", f"MONOTONIC_USEC={int(now() * MICROSECONDS)}")
        chosen = None
        try:
            chosen = read()
            await service.change(chosen)
        except (DomstatsError, OSError) as error:  # OSError: there may be no descriptors left
            service.reloads["failed"] += 1
            _log.error("nothing is changed: %s", error)
        except Exception:
            # The root of the task. A defect in reading the file is no reason to end what runs; in the middle of a
            # change nobody knows what is running, and whoever started this starts it anew.
            if chosen is not None:
                raise
            service.reloads["failed"] += 1
            _log.exception("nothing is changed: a defect, which please report")
        else:
            set_log(chosen.log)
            service.reloads["ok"] += 1
            _log.info("the configuration is read anew")
        notify.tell("READY=1")


async def _tell(service: Service, notify: Notify, seconds: float | None) -> None:
    """Tell systemd that all goes well, for as long as it does; `seconds`: how often it wants to hear it."""
    await service.until_started()
    notify.tell("READY=1")
    now, told = asyncio.get_running_loop().time, float("-inf")
    while True:
        if seconds is not None and service.is_alive:
            notify.tell("WATCHDOG=1")
        if now() - told >= TELLING:
            told = now()
            collector = service.collector
            trouble = f"; {collector.trouble}" if collector.trouble is not None else ""
            notify.tell(f"STATUS={len(collector.latest):,} domains of {collector.uri}{trouble}")
        await asyncio.sleep(TELLING if seconds is None else min(TELLING, seconds / _WATCHED))
