"""What has been freed is given back."""

from __future__ import annotations

import subprocess
import sys

MEASURE = """
import sys
from domstats.serve.memory import give_back

def held():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

if "settings" in sys.argv:
    give_back()
bytearray(8 << 20)  # from then on glibc would take buffers of that size from its heap
before = held()
buffers = [bytearray(b"x") * (1 << 20) for _ in range(64)]
small = [bytearray(b"x") * 4000 for _ in range(64)]
for _ in range(2):
    buffers = [bytearray(b"x") * (1 << 20) for _ in range(64)]
    small += [bytearray(b"x") * 4000 for _ in range(64)]
del buffers
print(held() - before)
"""


def kept(*args: str) -> int:
    """KiB that a process keeps of 64 MiB that it made, thrice, and freed."""
    done = subprocess.run([sys.executable, "-c", MEASURE, *args], capture_output=True, check=True, timeout=60)
    return int(done.stdout)


def test_large_buffers_are_given_back() -> None:
    assert kept("settings") < 4 << 10
    assert kept() > 16 << 10, "without the settings they are not: if this C library does, they are needed no more"
