"""Serve, ask, look; then say what was held, and fail if that grows or anything went wrong.

python -m soak [SECONDS]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from domstats.sources.sim.source import SimSource
from soak.clients import PATIENCE, Clients
from soak.gauges import LEAST, Gauges
from soak.script import script

SECONDS = 1200.0
GUESTS = 1000
LOOKING = 1.0
"""Seconds from one look at the gauges to the next."""
_STARTING = 0.2
_ERRORS_MAX = 10
EXPECTED = ("listening at", "domains of", "a client is turned away")
"""What the service may say."""


async def soak(seconds: float, folder: Path) -> bool:
    """Whether all went well."""
    happens = folder / "script.toml"
    running = [domain.name for domain in SimSource(f"sim:///?domains={GUESTS}")._host.domains if domain.id is not None]
    happens.write_text(script(seconds + PATIENCE, running), encoding="utf-8")
    socket, log = folder / "sock", folder / "log"
    uri = f"sim:///?domains={GUESTS}&script={happens}"
    command = ("serve", "-c", uri, "--listen", "127.0.0.1:0", "--libvirt-socket", str(socket))
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "domstats", *command, stderr=said)
    errors: list[str] = []
    try:
        clients = Clients(await listening(log), socket, GUESTS)
        gauges = Gauges(process.pid)
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            for act in clients.all():
                task = asyncio.create_task(over_and_over(act, errors))
                stack.callback(task.cancel)
            while time.monotonic() < began + seconds and process.returncode is None and len(errors) < _ERRORS_MAX:
                await asyncio.sleep(LOOKING)
                gauges.sample()
        took, cpu = time.monotonic() - began, gauges.cpu
    finally:
        if process.returncode is None:
            process.terminate()
        code = await asyncio.wait_for(process.wait(), PATIENCE)
    errors += [
        f"it said: {line}" for line in log.read_text().splitlines() if not any(some in line for some in EXPECTED)
    ]
    errors += [f"it ended with {code}"] * (code != 0)
    print("\n".join(errors[: 3 * _ERRORS_MAX]) or "nothing went wrong")
    if len(gauges.memory.samples) < LEAST:
        return False
    print(table(clients, gauges, took, cpu))
    return not errors and all(gauge.is_flat for gauge in gauges.all)


async def listening(log: Path) -> str:
    """Where the service is, as soon as it says so, and has asked every guest."""
    async with asyncio.timeout(PATIENCE):
        while "are served" not in (said := log.read_text()):  # noqa: ASYNC110  another process writes it
            await asyncio.sleep(_STARTING)
    return next(line.split()[-1] for line in said.splitlines() if "listening at" in line)


async def over_and_over(act: Callable[[], Coroutine[Any, Any, None]], errors: list[str]) -> None:
    """Do it for ever; whatever goes wrong is an error of the soak, and then it is done again."""
    while True:
        try:
            await asyncio.wait_for(act(), 2 * PATIENCE)
        except Exception as error:  # noqa: BLE001  all of them are told, and make the soak fail
            errors.append(f"{act.__name__}: {type(error).__name__}: {error}"[:300])
            await asyncio.sleep(LOOKING)


def table(clients: Clients, gauges: Gauges, seconds: float, cpu: float) -> str:
    """What was done, and what was held."""
    times = sorted(clients.scrapes) or [0.0]
    lines = [f"{seconds:.0f} s, {GUESTS:,} guests, {cpu / seconds:.0%} of a processor"]
    lines += [f"  {count:9,} {what}" for what, count in sorted(clients.done.items())]
    at = {name: times[int(share * (len(times) - 1))] for name, share in (("median", 0.5), ("p99", 0.99), ("worst", 1))}
    lines.append("  a scrape takes " + ", ".join(f"{name} {each * 1000:.0f} ms" for name, each in at.items()))
    lines.append(f"{'':13}{'least':>9} {'most':>9} {'growth':>9} {'allowed':>9}")
    for gauge in gauges.all:
        figures = (gauge.least.min(), max(gauge.samples), gauge.growth, gauge.most)
        verdict = "flat" if gauge.is_flat else "GROWS"
        lines.append(f"{gauge.name:13}" + " ".join(f"{each:9.1f}" for each in figures) + f" {gauge.unit:4}{verdict}")
    return "\n".join(lines)


def main(args: list[str]) -> int:
    """The exit code."""
    seconds = float(args[0]) if args else SECONDS
    with tempfile.TemporaryDirectory(prefix="domstats-soak-") as folder:
        return 0 if asyncio.run(soak(seconds, Path(folder))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
