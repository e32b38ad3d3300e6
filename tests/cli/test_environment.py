"""`tools/environment`: it finishes what failed before, and removes nothing."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "environment"

PYTHON = r"""#!/bin/sh
# Python without ensurepip until the file `ensurepip` exists: as Debian's without python3-venv.
set -eu
case "$2" in
venv)
  {python} -m venv --without-pip "$3"
  rm "$3/bin/python"
  cp "$0" "$3/bin/python"
  [ -e {root}/ensurepip ] || {{ echo "ensurepip is not available"; exit 1; }}
  touch "$3/pip" ;;
pip)
  [ -e "${{0%/bin/python}}/pip" ] || exit 1
  echo "$*" >> {root}/pip.log ;;
esac
"""
"""It makes real virtual environments, but for the pip inside, which only writes down what it was told."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A place with such a Python, and an apt-get that may bring python3-venv."""

    root: Path

    def provide(self, apt: str) -> None:
        for name, text in (("python", PYTHON.format(python=sys.executable, root=shlex.quote(str(self.root)))),
                           ("apt-get", f"#!/bin/sh\necho \"$*\" >> {self.root}/apt.log\n{apt}\n"),
                           ("id", "#!/bin/sh\necho 0\n")):  # fmt: skip
            path = self.root / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)

    def run(self, directory: Path, *group: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        command = [TOOL, self.root / "bin" / "python", directory, *group]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | {"PATH": path}, timeout=60
        )

    def log(self, name: str) -> list[str]:
        path = self.root / f"{name}.log"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path / "machine")
    machine.root.mkdir()
    machine.provide("exit 100")
    return machine


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "with a space" / "venv"


def test_a_new_one(machine: Machine, directory: Path) -> None:
    (machine.root / "ensurepip").touch()
    assert machine.run(directory, "dev").returncode == 0
    assert machine.log("apt") == []
    assert [line.split("--quiet ")[1] for line in machine.log("pip") if "install" in line] == [
        "install --upgrade pip>=25.1",
        "install --editable .[http] --group dev",
    ]


def test_after_a_failure_the_next_run_finishes(machine: Machine, directory: Path) -> None:
    failed = machine.run(directory)
    assert failed.returncode == 1
    assert "ensurepip is not available" in failed.stderr
    assert "python3-venv" in failed.stderr
    assert (directory / "bin" / "python").exists()
    assert machine.log("pip") == []
    (machine.root / "ensurepip").touch()
    (directory / "kept").touch()
    assert machine.run(directory).returncode == 0
    assert machine.log("pip")[-1].endswith("install --editable .[http]")
    assert (directory / "kept").exists()


def test_what_is_missing_is_installed(machine: Machine, directory: Path) -> None:
    machine.provide(f'[ "$1" != install ] || touch {machine.root}/ensurepip')
    assert machine.run(directory).returncode == 0
    assert [line.split()[0] for line in machine.log("apt")] == ["update", "install"]
    assert machine.log("pip")[-1].endswith("install --editable .[http]")


def test_one_that_works_is_used_as_it_is(machine: Machine, directory: Path) -> None:
    (machine.root / "ensurepip").touch()
    machine.run(directory)
    (machine.root / "bin" / "python").unlink()
    assert machine.run(directory).returncode == 0


@pytest.mark.parametrize("inside", ["", "letters/mine.txt"])
def test_a_directory_that_is_not_ours(machine: Machine, directory: Path, inside: str) -> None:
    (machine.root / "ensurepip").touch()
    directory.mkdir(parents=True)
    if inside:
        (directory / inside).parent.mkdir()
        (directory / inside).write_text("dear")
    ended = machine.run(directory)
    assert ended.returncode == (1 if inside else 0)
    if inside:
        assert "VENV=" in ended.stderr
        assert sorted(path.name for path in directory.rglob("*")) == ["letters", "mine.txt"]
