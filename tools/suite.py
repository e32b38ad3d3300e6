"""Run the tests: with arguments, as pytest would; without, all of them, in four parts side by side.

What only computes, in two halves, what serves, and what waits for daemons, guests and other processes: the last two
never keep a processor busy all the time, so that on two processors all take little more than half the time. What is
measured by the clock comes last, alone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

TESTS = Path("tests")
COMPUTING = (("collector", "fuzz", "wire"), ("catalog", "formats", "model"))
"""Folders whose tests meet no daemon but in their own process, in parts that take about as long as each other."""
SERVING = ("doctor", "serve")
"""Folders whose tests meet clients and browsers, but not the real hypervisor, of which there is one at a time."""
ALONE = ("serve/test_page_speed.py",)
"""What other work on the machine would make slow: it begins when all others have ended."""


def main(arguments: Sequence[str]) -> int:
    """The exit code: that of the part that went worst."""
    chosen = any(Path(argument.partition("::")[0]).exists() for argument in arguments)
    if chosen:
        return subprocess.call(pytest(arguments, []))
    # What computes gives way: the others wait with deadlines.
    later = [f"--ignore={TESTS / each}" for each in ALONE]
    beside = [
        *(["nice", *pytest(arguments, [str(TESTS / folder) for folder in part])] for part in COMPUTING),
        pytest(arguments, [*later, *(str(TESTS / folder) for folder in SERVING)]),
    ]
    with ExitStack() as stack:
        outputs = [stack.enter_context(tempfile.TemporaryFile()) for _ in beside]
        running = []
        for command, output in zip(beside, outputs, strict=True):
            running.append(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT))
            stack.callback(running[-1].kill)
        elsewhere = [*SERVING, *(folder for part in COMPUTING for folder in part)]
        codes = [subprocess.call(pytest(arguments, [f"--ignore={TESTS / each}" for each in elsewhere]))]
        codes += [each.wait() for each in running]
        for output in outputs:
            output.seek(0)
            sys.stdout.buffer.write(output.read())
    sys.stdout.flush()
    codes.append(subprocess.call(pytest(arguments, [str(TESTS / each) for each in ALONE])))
    return max(abs(code) for code in codes)  # negative for one that a signal ended


def pytest(arguments: Sequence[str], more: Sequence[str]) -> list[str]:
    """The command; no part may overwrite what another remembers of the last run."""
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, *more]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
