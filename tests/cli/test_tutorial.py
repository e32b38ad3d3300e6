"""The tutorial's commands print what it says they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
SESSIONS = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [part for session in SESSIONS for part in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE)]


def test_there_are_some() -> None:
    assert len(COMMANDS) == "".join(SESSIONS).count("$ ") >= 5


@pytest.mark.parametrize(("command", "output"), COMMANDS)
def test_a_command(command: str, output: str) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHON": sys.executable}
    script = f'domstats() {{ "$PYTHON" -m domstats "$@"; }}; {command}'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=environment, timeout=60, check=True)
    assert done.stderr == ""
    assert done.stdout == output
