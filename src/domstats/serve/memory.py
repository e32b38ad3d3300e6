"""Having the C library give back what has been freed.

A service makes and drops buffers of some MiB every second, in several threads. glibc then keeps them: from the first
large buffer that is freed on it takes such ones from its heaps (mallopt(3), M_MMAP_THRESHOLD), and every thread has
heaps of its own, which are given back from their ends only. So much of a process's memory would be holes; those that
small buffers leave are given back every now and then (malloc_trim(3)).
"""

from __future__ import annotations

import asyncio
import ctypes

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
"""Of mallopt, in malloc.h."""
LARGE = 256 << 10
"""Bytes. A buffer as large as that is a mapping of its own: 20 us more when it is made, and gone when it is freed."""
ARENAS = 1
"""Heaps for all threads together: of them only one at a time runs Python. Under `make soak` one has 122 to 124 MiB from
the second minute on; two have 116 then, and 132 after ten."""
EVERY = 10.0
"""Seconds from one giving back of holes to the next; 55 MiB of a heap of 190 took 8 ms."""


def give_back() -> None:
    """Keep no large buffers that are freed; nothing where the C library knows no such settings."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, LARGE)
        mallopt(_ARENA_MAX, ARENAS)


async def keep_giving_back(seconds: float = EVERY) -> None:
    """Give back the holes in the heaps, for ever, so often; nothing where the C library cannot."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while True:
        await asyncio.sleep(seconds)
        if trim is not None:
            await asyncio.to_thread(trim, 0)
