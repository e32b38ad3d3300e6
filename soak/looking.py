"""Looks at a process, in a process of its own, until it has ended.

python -m soak.looking PID FILE: of each look a line with the MiB of memory, the threads and the descriptors.

Who asks a service cannot look at it as well: it is busy with the answers in just those moments in which the service has
little to do, and so holds least.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

LOOKING = 0.05
"""Seconds from one look to the next: the moments at which little is under way are short."""


def look(proc: Path) -> tuple[float, int, int] | None:
    """What the process holds whose folder in /proc this is; None when it has ended."""
    try:
        lines = (line.partition(":") for line in (proc / "status").read_text().splitlines())
        status = {name: text for name, _, text in lines}
        descriptors = len(list((proc / "fd").iterdir()))
    except OSError:
        return None
    if "RssAnon" not in status:
        return None  # it has ended, and nobody has been told yet
    return int(status["RssAnon"].split()[0]) / 1024, int(status["Threads"]), descriptors


def main(args: list[str]) -> int:
    """The exit code."""
    proc, file = Path("/proc", args[0]), Path(args[1])
    with file.open("w", encoding="ascii", buffering=1) as lines:
        while (figures := look(proc)) is not None:
            print(*figures, file=lines)
            time.sleep(LOOKING)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
