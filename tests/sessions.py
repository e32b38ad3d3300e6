"""The commands a page of the documentation shows, and running them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def commands_of(text: str) -> list[tuple[str, str]]:
    """Each command of a page, and what the page says it prints."""
    sessions = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    found = [
        part for session in sessions for part in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE)
    ]
    assert len(found) == "".join(sessions).count("$ ")
    return found


def output_of(command: str, folder: Path) -> str:
    """What a command prints, run in that folder; nothing else may come of it."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHON": sys.executable}
    script = f'domstats() {{ "$PYTHON" -m domstats "$@"; }}; {command}'
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, env=environment, timeout=60, check=True, cwd=folder
    )
    assert done.stderr == ""
    return done.stdout
