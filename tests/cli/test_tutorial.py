"""The commands of the documentation print what it says they print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sessions import DOCS, commands_of, output_of

COMMANDS = [
    command
    for page in ("tutorial.md", "formats.md", "doctor.md")
    for command in commands_of((DOCS / page).read_text(encoding="utf-8"))
]


def test_there_are_some() -> None:
    assert len(COMMANDS) >= 7


@pytest.mark.parametrize(("command", "output"), COMMANDS)
def test_a_command(command: str, output: str, tmp_path: Path) -> None:
    assert output_of(command, tmp_path) == output


@pytest.mark.parametrize(("page", "script"), [("simulated-host.md", "day.toml"), ("stuck-guest.md", "hang.toml")])
def test_the_script_of_a_page(page: str, script: str, tmp_path: Path) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    (content,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / script).write_text(content, encoding="utf-8")
    ((command, output),) = commands_of(text)
    assert output_of(command, tmp_path) == output


def test_the_page_about_prometheus(tmp_path: Path) -> None:
    ((command, output),) = commands_of((DOCS / "prometheus.md").read_text(encoding="utf-8"))
    assert output_of(command, tmp_path) == output
