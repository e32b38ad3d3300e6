"""The commands of the documentation print what it says they print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sessions import DOCS, commands_of, output_of

TUTORIAL = commands_of((DOCS / "tutorial.md").read_text(encoding="utf-8"))
SIMULATED_HOST = (DOCS / "simulated-host.md").read_text(encoding="utf-8")


def test_there_are_some() -> None:
    assert len(TUTORIAL) >= 5


@pytest.mark.parametrize(("command", "output"), TUTORIAL)
def test_a_command(command: str, output: str, tmp_path: Path) -> None:
    assert output_of(command, tmp_path) == output


def test_the_script_of_the_simulated_host(tmp_path: Path) -> None:
    (script,) = re.findall(r"```toml\n(.*?)```", SIMULATED_HOST, re.DOTALL)
    (tmp_path / "day.toml").write_text(script, encoding="utf-8")
    ((command, output),) = commands_of(SIMULATED_HOST)
    assert output_of(command, tmp_path) == output
