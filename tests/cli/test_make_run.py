"""`make run`: a table and a service; when the simulated host is shown, and when not."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import aiohttp
import pytest

from command import Ended, end
from domstats.cli.console import Exit

TOOL = Path(__file__).parents[2] / "tools" / "run"
HEADING = "SIMULATED host"
PATIENCE = 60.0


@pytest.fixture
def domstats(tmp_path: Path) -> Path:
    """The command as a file."""
    path = tmp_path / "domstats"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m domstats "$@"\n')
    path.chmod(0o755)
    return path


def surroundings(**environment: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "LIBVIRT_DEFAULT_URI"}
    return inherited | {"PYTHONPATH": os.pathsep.join(sys.path), "PORT": "0"} | environment


async def run(command: Path, **environment: str) -> tuple[Ended, str, list[str]]:
    """How it ended with Ctrl-C, the metrics that it served, and what it said before it listened."""
    process = await asyncio.create_subprocess_exec(
        TOOL, command, env=surroundings(**environment), stdout=PIPE, stderr=PIPE
    )
    assert process.stderr is not None
    said = []
    async with asyncio.timeout(PATIENCE):
        while "listening at" not in (text := (await process.stderr.readline()).decode()):
            assert text, said
            said.append(text)
    async with aiohttp.ClientSession() as client, client.get(f"{text.split()[-1]}/metrics?group=state") as answer:
        metrics = await answer.text()
    process.send_signal(signal.SIGINT)
    return await end(process), metrics, said


async def test_without_a_daemon_the_host_is_simulated_and_says_so(domstats: Path, tmp_path: Path) -> None:
    ended, metrics, said = await run(domstats, DOMSTATS_URI=f"qemu+unix:///system?socket={tmp_path}/none")
    assert ended.code == 0
    assert said[0].startswith("domstats: no libvirt daemon listens at ")
    out = ended.out.decode()
    first, second, *_ = out.split("\n", 2)[1:]
    assert first.startswith(HEADING)
    assert len(out[out.index("\nname ") :].splitlines()) == 1 + 1 + 10
    assert second.startswith("\n")
    assert metrics.count("\ndomstats_domain_state{") == 1000


async def test_a_host_that_is_there_is_shown(domstats: Path) -> None:
    ended, metrics, said = await run(domstats, DOMSTATS_URI="sim:///?domains=3")
    assert (ended.code, said) == (0, [])
    out = ended.out.decode()
    assert HEADING not in out
    assert len(out.splitlines()) == 1 + 3
    assert metrics.count("\ndomstats_domain_state{") == 3


def fails(command: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TOOL, command], capture_output=True, text=True, check=False, env=surroundings(**environment), timeout=60
    )


def test_what_cannot_be_reached_is_told(domstats: Path) -> None:
    # 200 characters are too many for a socket's path.
    ended = fails(domstats, DOMSTATS_URI=f"qemu+unix:///system?socket=/{'x' * 200}")
    assert (ended.returncode, ended.stdout) == (Exit.FAILED, "")
    assert ended.stderr.startswith("domstats: cannot connect to ")


@pytest.mark.parametrize("code", [code for code in Exit if code not in (Exit.COMPLETE, Exit.PARTIAL, Exit.NO_DAEMON)])
def test_any_other_failure_is_the_commands(tmp_path: Path, code: Exit) -> None:
    failing = tmp_path / "domstats"
    failing.write_text(f"#!/bin/sh\necho it failed >&2\nexit {code}\n")
    failing.chmod(0o755)
    ended = fails(failing)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "it failed\n")


def test_it_knows_the_exit_code() -> None:
    assert f"no_daemon={Exit.NO_DAEMON:d} " in TOOL.read_text()
