"""What systemd is told of a service (sd_notify): that it is ready, reloads, stops, and that it is alive."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress

MICROSECONDS = 1e6


class Notify:
    """Where systemd listens. It is told nothing where there is none, and what it does not take is not said again."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._path = environment.get("NOTIFY_SOCKET", "")
        self._sock: socket.socket | None = None
        if self._path[:1] in ("/", "@"):  # kept, so that it is there when the process has no descriptor left
            self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def tell(self, *lines: str) -> None:
        """Say this: READY=1, STATUS=..., ..."""
        if self._sock is None:
            return
        address = self._path if self._path.startswith("/") else "\0" + self._path[1:]
        text = "\n".join(line.replace("\n", " ") for line in lines)
        with suppress(OSError):  # a service goes on, whether anybody hears of it or not
            self._sock.sendto(text.encode("utf-8", "replace"), address)

    def close(self) -> None:
        """Tell nothing any more."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def watchdog_seconds(environment: Mapping[str, str], process: int) -> float | None:
    """Within how many seconds systemd wants to hear WATCHDOG=1 from this process each time; None if it does not."""
    text = environment.get("WATCHDOG_USEC", "")
    if environment.get("WATCHDOG_PID", str(process)) != str(process):
        return None
    return int(text) / MICROSECONDS if text.isascii() and text.isdigit() and int(text[:18]) else None
