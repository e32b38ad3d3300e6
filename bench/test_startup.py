"""What it costs to begin."""

from __future__ import annotations

import subprocess
import sys
from typing import Any


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, timeout=60)


def test_python_nothing(benchmark: Any) -> None:
    benchmark.pedantic(run, args=("-c", "pass"), rounds=10)


def test_import_domstats(benchmark: Any) -> None:
    benchmark.pedantic(run, args=("-c", "import domstats"), rounds=10)


def test_cli_help(benchmark: Any) -> None:
    benchmark.pedantic(run, args=("-m", "domstats", "--help"), rounds=10)
