"""The command `domstats` as a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass
from typing import Any

PATIENCE = 60.0
"""Seconds after which a command that does not end fails its test."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    @property
    def message(self) -> str:
        """What it said on stderr, which must be one line of its own."""
        assert self.err.startswith("domstats: "), self.err
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("domstats: ").removesuffix("\n")


async def start(
    *args: str, under: tuple[str, ...] = (), stdin: Any = DEVNULL, stdout: Any = PIPE, **environment: str
) -> Process:
    """Start `domstats` with these arguments; `under`: the command that runs it."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("DOMSTATS_URI", "LIBVIRT_DEFAULT_URI")
    }
    return await asyncio.create_subprocess_exec(
        *(*under, sys.executable, "-m", "domstats", *args),
        stdin=stdin,
        stdout=stdout,
        stderr=PIPE,
        env=inherited | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
    )


async def end(process: Process, given: bytes | None = None) -> Ended:
    """Wait for the process's end; `given`: what it is sent on its standard input."""
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate(given)
    assert process.returncode is not None
    return Ended(process.returncode, out or b"", err.decode())


async def domstats(
    *args: str, under: tuple[str, ...] = (), given: bytes | None = None, stdout: Any = PIPE, **environment: str
) -> Ended:
    """Run `domstats` with these arguments; `given`: its standard input."""
    stdin = DEVNULL if given is None else PIPE
    return await end(await start(*args, under=under, stdin=stdin, stdout=stdout, **environment), given)


async def on_terminal(*args: str, columns: int = 80, lines: int = 24, **environment: str) -> tuple[Ended, str]:
    """Run `domstats` on a terminal of that size; how it ended, and what the terminal was sent."""
    screen, terminal = os.openpty()
    size = {"COLUMNS": str(columns), "LINES": str(lines)}
    sent = asyncio.create_task(asyncio.to_thread(_read, screen))
    try:
        ended = await domstats(*args, stdout=terminal, **size, **environment)
    finally:
        os.close(terminal)
    return ended, (await sent).decode().replace("\r\n", "\n")


def _read(screen: int) -> bytes:
    """Everything sent to a terminal, until nobody has it open any more, which Linux says with an error."""
    sent = b""
    try:
        while block := os.read(screen, 1 << 16):
            sent += block
    except OSError:
        os.close(screen)
    return sent


def without_colors(text: str) -> str:
    """The text without the sequences that make a terminal show colors."""
    return re.sub("\x1b\\[[0-9]*m", "", text)
