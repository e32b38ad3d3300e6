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


HOLES = """
import asyncio, random
from domstats.serve.memory import give_back, keep_giving_back

def held():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

async def main():
    give_back()
    dice = random.Random(1)
    buffers = [bytearray(b"x") * dice.randint(1000, 60000) for _ in range(2000)]
    del buffers[::2]
    full = held()
    giving = asyncio.create_task(keep_giving_back(0.01))
    for _ in range(1000):
        await asyncio.sleep(0.01)
        if held() < full - (16 << 10):
            break
    print(full - held())
    giving.cancel()

asyncio.run(main())
"""


def test_holes_between_small_buffers_are_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, check=True, timeout=60)
    assert int(done.stdout) > 16 << 10, "of about 30 MiB"
