"""The file descriptors of this process: room for clients, and how many are open."""

from __future__ import annotations

import errno
import resource
from contextlib import suppress
from pathlib import Path

_OPEN = Path("/proc/self/fd")


def make_room(clients: int) -> None:
    """Let the process have so many descriptors more than it was told, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    wanted = soft + clients
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if wanted > soft:
        with suppress(OSError, ValueError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def open_descriptors() -> int:
    """How many file descriptors this process has open; the one for looking is not counted."""
    try:
        return sum(1 for _ in _OPEN.iterdir()) - 1
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]  # there is none left to look with
