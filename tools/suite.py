"""Run the tests: with arguments, as pytest would; without, all of them, in two halves side by side.

What only computes runs beside what waits for daemons, guests and other processes; on two processors that takes little
more than half the time.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

TESTS = Path("tests")
COMPUTING = ("catalog", "collector", "formats", "fuzz", "model", "wire")
"""Folders whose tests meet no daemon but in their own process."""


def main(arguments: Sequence[str]) -> int:
    """The exit code: that of the half that went worse."""
    chosen = any(Path(argument.partition("::")[0]).exists() for argument in arguments)
    if chosen:
        return subprocess.call(pytest(arguments, []))
    computing = [str(TESTS / folder) for folder in COMPUTING]
    with tempfile.TemporaryFile() as output:
        # It gives way: the other half's daemons and guests are waited for with deadlines.
        beside = subprocess.Popen(["nice", *pytest(arguments, computing)], stdout=output, stderr=subprocess.STDOUT)
        try:
            code = subprocess.call(pytest(arguments, [f"--ignore={folder}" for folder in computing]))
            code = max(code, beside.wait())
        finally:
            beside.kill()
        output.seek(0)
        sys.stdout.buffer.write(output.read())
    return code


def pytest(arguments: Sequence[str], more: Sequence[str]) -> list[str]:
    """The command; neither half may overwrite what the other remembers of the last run."""
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, *more]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
