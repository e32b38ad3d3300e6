"""Serve, ask, look; then say what was held, and fail if that grows or anything went wrong.

python -m soak [SECONDS]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from domstats.model.flags import NO_FILTERS, StatsGroup
from domstats.sources.sim.source import SimSource
from soak.clients import PATIENCE, Clients
from soak.gauges import LEAST, Gauges
from soak.script import script

SECONDS = 1200.0
GUESTS = 1000
SPEED = 60
"""Seconds of the guests' that pass in one, so that the history of an hour is full before the warm-up is over."""
_LOOKING, _STARTING = 0.2, 0.2
"""Seconds from one look to the next."""
_ERRORS_MAX = 10
EXPECTED = ("listening at", "domains of", "a client is turned away")
"""What the service may say."""


async def soak(seconds: float, folder: Path) -> bool:
    """Whether all went well."""
    happens = folder / "script.toml"
    happens.write_text(script(seconds + PATIENCE, await running()), encoding="utf-8")
    socket, log, looks = folder / "sock", folder / "log", folder / "looks"
    uri = f"sim:///?domains={GUESTS}&speed={SPEED}&script={happens}"
    command = ("serve", "-c", uri, "--listen", "127.0.0.1:0", "--libvirt-socket", str(socket))
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "domstats", *command, stderr=said)
    errors: list[str] = []
    try:
        clients = Clients(await listening(log, process), socket, GUESTS)
        gauges = Gauges(process.pid)
        looking = ("-m", "soak.looking", f"{process.pid}", str(looks))
        looker = await asyncio.create_subprocess_exec(sys.executable, *looking)
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            for act in clients.all():
                task = asyncio.create_task(over_and_over(act, errors))
                stack.callback(task.cancel)
            while time.monotonic() < began + seconds and process.returncode is None and len(errors) < _ERRORS_MAX:
                await asyncio.sleep(_LOOKING)
                gauges.tasks.samples.append(clients.tasks)
            await ended(looker)  # what is held at the end of the service says nothing
        took, cpu = time.monotonic() - began, gauges.cpu
        gauges.take(looks)
    finally:
        code = await ended(process)
    errors += unexpected(log) + [f"it ended with {code}"] * (code != 0)
    print("\n".join(errors[: 3 * _ERRORS_MAX]) or "nothing went wrong")
    if any(len(gauge.samples) < LEAST for gauge in gauges.all):
        return False
    print(table(clients, gauges, took, cpu))
    return not errors and all(gauge.is_flat for gauge in gauges.all)


async def ended(process: Process) -> int:
    """The exit code of a process, which is asked to end."""
    if process.returncode is None:
        process.terminate()
    async with asyncio.timeout(PATIENCE):
        return await process.wait()


async def listening(log: Path, process: Process) -> str:
    """Where the service is, as soon as it says so, and has asked every guest."""
    async with asyncio.timeout(PATIENCE):
        while not any("are served" in line for line in lines(log)):
            if process.returncode is not None:
                raise RuntimeError(f"it has ended: {lines(log)}")
            await asyncio.sleep(_STARTING)
    return next(line.split()[-1] for line in lines(log) if "listening at" in line)


def lines(log: Path) -> list[str]:
    """What the service has said."""
    return log.read_text(encoding="utf-8").splitlines()


def unexpected(log: Path) -> list[str]:
    """What it should not have said: exceptions, above all."""
    return [f"it said: {line}" for line in lines(log) if not any(each in line for each in EXPECTED)]


async def running() -> dict[str, int]:
    """The guests that run, and how many vCPUs each has."""
    groups = StatsGroup.STATE | StatsGroup.VCPU
    snapshot = await SimSource(f"sim:///?domains={GUESTS}").stats([], groups, NO_FILTERS, PATIENCE)
    return {record.domain.name: record["vcpu.current"] for record in snapshot if record["state"] == "running"}


async def over_and_over(act: Callable[[], Coroutine[Any, Any, None]], errors: list[str]) -> None:
    """Do it for ever; whatever goes wrong is an error of the soak, and then it is done again."""
    while True:
        try:
            async with asyncio.timeout(2 * PATIENCE):
                await act()
        except Exception as error:  # noqa: BLE001  all of them are told, and make the soak fail
            errors.append(f"{act.__name__}: {type(error).__name__}: {error}"[:300])
            await asyncio.sleep(_LOOKING)


def table(clients: Clients, gauges: Gauges, seconds: float, cpu: float) -> str:
    """What was done, and what was held."""
    times = sorted(clients.scrapes) or [0.0]
    rows = [f"{seconds:.0f} s, {GUESTS:,} guests, {cpu / seconds:.0%} of a processor"]
    rows += [f"  {count:9,} {what}" for what, count in sorted(clients.done.items())]
    at = {name: times[int(share * (len(times) - 1))] for name, share in (("median", 0.5), ("p99", 0.99), ("worst", 1))}
    rows.append("  a scrape takes " + ", ".join(f"{name} {each * 1000:.0f} ms" for name, each in at.items()))
    rows.append(f"{'':13}{'least':>9} {'most':>9} {'growth':>9} {'allowed':>9}")
    for gauge in gauges.all:
        figures = (gauge.least.min(), max(gauge.samples), gauge.growth, gauge.most)
        verdict = "flat" if gauge.is_flat else "GROWS"
        rows.append(f"{gauge.name:13}" + " ".join(f"{each:9.1f}" for each in figures) + f" {gauge.unit:4}{verdict}")
    for gauge in gauges.all:
        for what, of_parts in (("least", gauge.least), ("median", gauge.medians)):
            rows.append(f"{gauge.name}, the {what} of each part: " + " ".join(f"{each:.0f}" for each in of_parts))
    return "\n".join(rows)


def main(args: list[str]) -> int:
    """The exit code."""
    seconds = float(args[0]) if args else SECONDS
    with tempfile.TemporaryDirectory(prefix="domstats-soak-") as folder:
        return 0 if asyncio.run(soak(seconds, Path(folder))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
