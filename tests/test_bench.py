"""What only `make bench` runs still fits the code it measures."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PATIENCE = 60.0


def test_every_benchmark_can_be_imported() -> None:
    command = [sys.executable, "-m", "pytest", "bench", "--collect-only", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert run.returncode == 0, run.stdout
    files = {path.name for path in (ROOT / "bench").glob("test_*.py")}
    assert set(re.findall(r"bench/(\w+\.py)::", run.stdout)) == files
