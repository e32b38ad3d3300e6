"""The systemd units: systemd understands them, and finds them safe."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "share" / "systemd"
EXPOSURE_MAX = 1.3
"""Of 10; systemd calls what is below 2 safe."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with a command that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for unit in UNITS.iterdir():
        text = unit.read_text(encoding="utf-8").replace("/usr/local/bin/domstats", "/bin/true")
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    return tmp_path


def analyze(*args: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_systemd_understands_them(units: Path) -> None:
    names = [str(path) for path in sorted(units.iterdir())]
    assert len(names) == 3
    done = analyze("verify", *names)
    assert (done.returncode, done.stdout) == (0, "")
    assert str(units) not in done.stderr


def test_systemd_finds_it_safe(units: Path) -> None:
    done = analyze("security", "--offline=true", "--no-pager", str(units / "domstats.service"))
    found = re.search(r"Overall exposure level for domstats.service: ([0-9.]+) (\w+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= EXPOSURE_MAX
    assert found[2] == "OK"
