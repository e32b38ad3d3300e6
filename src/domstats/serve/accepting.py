"""Taking the clients of a listening socket.

asyncio's own server loses those whom it has accepted and not set up yet when it is closed. Here whoever is accepted is
served, so that a server can take the place of another at the same socket and nobody notices.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

AT_A_TIME = 128
"""Clients that are accepted before others are attended to."""
PAUSE = 1.0
"""Seconds until accepting is tried again when the process has no descriptor left, or the machine no memory."""
SETTING_UP = 1.0
"""Seconds that those who have just been accepted are waited for at the end; a TLS handshake can take as long."""

_log = logging.getLogger(__name__)


class Accepting:
    """The clients of one socket, from now on until `stop`."""

    def __init__(
        self,
        sock: socket.socket,
        make: Callable[[], asyncio.BaseProtocol],
        tls: ssl.SSLContext | None = None,
        handshake_seconds: float | None = None,
    ) -> None:
        """`sock`: listens, does not block, and is closed at the end. `make`: makes a client's protocol."""
        self.sock = sock
        self._make, self._tls, self._handshake_seconds = make, tls, handshake_seconds
        self._loop = asyncio.get_running_loop()
        self._setting_up: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._begin()

    async def stop(self) -> None:
        """Accept nobody any more; those accepted already are there when this returns. Safe to call twice."""
        if self.sock.fileno() >= 0:
            self._loop.remove_reader(self.sock)
            self.sock.close()
        if self._again is not None:
            self._again.cancel()
        try:
            if self._setting_up:
                await asyncio.wait(self._setting_up, timeout=SETTING_UP)
        finally:
            for task in self._setting_up:
                task.cancel()

    def _begin(self) -> None:
        self._loop.add_reader(self.sock, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_A_TIME):
            try:
                client, _ = self.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                _log.warning("no client can be accepted: %s", error.strerror or error)
                self._loop.remove_reader(self.sock)
                self._again = self._loop.call_later(PAUSE, self._begin)
                return
            client.setblocking(False)
            task = self._loop.create_task(self._set_up(client))
            self._setting_up.add(task)
            task.add_done_callback(self._setting_up.discard)

    async def _set_up(self, client: socket.socket) -> None:
        with suppress(OSError):  # it has gone, or does not speak TLS
            await self._loop.connect_accepted_socket(
                self._make, client, ssl=self._tls, ssl_handshake_timeout=self._handshake_seconds
            )
