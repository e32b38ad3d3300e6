"""`make run`: when the simulated host is shown, and when not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from domstats.cli.console import Exit

TOOL = Path(__file__).parents[2] / "tools" / "run"
HEADING = "SIMULATED host"


@pytest.fixture
def domstats(tmp_path: Path) -> Path:
    """The command as a file."""
    path = tmp_path / "domstats"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m domstats "$@"\n')
    path.chmod(0o755)
    return path


def run(command: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "LIBVIRT_DEFAULT_URI"}
    env = inherited | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment
    return subprocess.run([TOOL, command], capture_output=True, text=True, check=False, env=env, timeout=60)


def test_without_a_daemon_the_host_is_simulated_and_says_so(domstats: Path, tmp_path: Path) -> None:
    ended = run(domstats, DOMSTATS_URI=f"qemu+unix:///system?socket={tmp_path}/none")
    assert ended.returncode == 0
    assert ended.stderr.startswith("domstats: no libvirt daemon listens at ")
    first, second, *_ = ended.stdout.split("\n", 2)[1:]
    assert first.startswith(HEADING)
    assert len(ended.stdout[ended.stdout.index("\nname ") :].splitlines()) == 1 + 1 + 20
    assert second.startswith("\n")


def test_a_host_that_is_there_is_shown(domstats: Path) -> None:
    ended = run(domstats, DOMSTATS_URI="sim:///?domains=3")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert HEADING not in ended.stdout
    assert len(ended.stdout.splitlines()) == 1 + 3


def test_what_cannot_be_reached_is_told(domstats: Path) -> None:
    # 200 characters are too many for a socket's path.
    ended = run(domstats, DOMSTATS_URI=f"qemu+unix:///system?socket=/{'x' * 200}")
    assert (ended.returncode, ended.stdout) == (Exit.FAILED, "")
    assert ended.stderr.startswith("domstats: cannot connect to ")


@pytest.mark.parametrize("code", [code for code in Exit if code not in (Exit.COMPLETE, Exit.NO_DAEMON)])
def test_any_other_failure_is_the_commands(tmp_path: Path, code: Exit) -> None:
    failing = tmp_path / "domstats"
    failing.write_text(f"#!/bin/sh\necho it failed >&2\nexit {code}\n")
    failing.chmod(0o755)
    ended = run(failing)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "it failed\n")


def test_it_knows_the_exit_code() -> None:
    assert f"no_daemon={Exit.NO_DAEMON:d} " in TOOL.read_text()
