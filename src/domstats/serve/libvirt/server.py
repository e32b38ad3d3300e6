"""The libvirt socket as a part of a server: it listens, has clients, and looks after them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from domstats.collector.collector import Collector
from domstats.collector.tasks import Tasks
from domstats.errors import UsageError
from domstats.serve.accepting import Accepting
from domstats.serve.descriptors import make_room
from domstats.serve.freshness import Freshness
from domstats.serve.libvirt.answers import Answers
from domstats.serve.libvirt.behind import Behind
from domstats.serve.libvirt.bulk import Bulk
from domstats.serve.libvirt.client import Client
from domstats.serve.libvirt.daemon import Daemon
from domstats.serve.libvirt.lists import Rolls
from domstats.serve.libvirt.made import Made
from domstats.serve.sockets import Listening
from domstats.sources import DomainEvent
from domstats.sources.libvirt.source import LibvirtSource
from domstats.sources.sim.source import SimSource

CLIENTS_MAX = 1000
"""Clients at a time."""
HELD_MAX = 1 << 28
"""Bytes that all clients together may leave unread or unfinished; those with the most of them are closed."""
OPENING = 5.0
"""Seconds that a connection to the host may take."""
_LOOKING_AFTER = 1.0
"""Seconds from one look after the clients to the next."""

_log = logging.getLogger(__name__)

Listen = Callable[[], Sequence[Listening]]
"""Makes the sockets, or takes those that were handed over. Raises ConnectError, UsageError."""


class LibvirtServer:
    """Serves libvirt's clients with what a collector knows. A Part (see serve.life)."""

    def __init__(
        self, collector: Collector, listen: Listen, *, max_age: float | None = None, max_clients: int = CLIENTS_MAX
    ) -> None:
        """`max_age`: seconds that a value is served for, see Freshness."""
        self._collector, self._listen, self._max_clients = collector, listen, max_clients
        self._freshness = Freshness(collector, max_age)
        self._rolls = Rolls()
        self._clients: set[Client] = set()
        self._accepting: list[Accepting] = []
        self._listening: Sequence[Listening] = ()
        self._behind: Behind | None = None
        self._bulk: Bulk | None = None
        self._answers: Answers | None = None
        self.work = Tasks()

    @property
    def clients(self) -> int:
        """How many clients there are."""
        return len(self._clients)

    @property
    def calls(self) -> int:
        """How many calls about the host there have been."""
        return 0 if self._answers is None else self._answers.calls

    async def start(self) -> None:
        """Listen from now on. Raises ConnectError and its kinds, UsageError."""
        make_room(self._max_clients)
        behind = self._behind = await self._find_behind()
        bulk = self._bulk = Bulk(self._collector, self._freshness, behind, self._rolls)
        answers = self._answers = Answers(self._collector, self._freshness, behind, self._rolls, bulk)
        self._collector.listen(self._tell)
        self._listening = self._listen()
        for listening in self._listening:
            self._accepting.append(Accepting(listening.sock, lambda: Client(answers, self._came, self._went)))
        self.work.begin(self._look_after())

    async def stop(self) -> None:
        """Take no more clients, close those there are, and remove the sockets that were made; safe to call twice."""
        for accepting in self._accepting:
            await accepting.stop()
        for listening in self._listening:
            listening.remove()
            listening.sock.close()
        self._listening = ()
        await self.work.stop()
        self._collector.unlisten(self._tell)
        for client in list(self._clients):
            client.abort("is not served any more")
        if self._bulk is not None:
            await self._bulk.aclose()
        if self._behind is not None:
            await self._behind.aclose()

    async def _find_behind(self) -> Behind:
        source = await self._collector.another(OPENING)
        if isinstance(source, LibvirtSource):
            return Daemon(self._collector, source)
        if isinstance(source, SimSource):
            return Made(self._collector, source, self._freshness, self._rolls)
        await source.aclose()
        raise UsageError(f"{self._collector.uri} has no libvirt daemon behind it, which libvirt's clients need")

    def _came(self, client: Client) -> bool:
        if len(self._clients) >= self._max_clients:
            _log.warning("client %s is turned away: there are %d already", client.peer, len(self._clients))
            return False
        self._clients.add(client)
        _log.info("client %s has come", client.peer)
        return True

    def _went(self, client: Client) -> None:
        if client in self._clients:
            self._clients.discard(client)
            _log.info("client %s has gone", client.peer)

    def _tell(self, event: DomainEvent) -> None:
        if self._behind is not None:
            self._behind.forget(event.domain.uuid)
        for client in list(self._clients):
            client.tell(event)

    async def _look_after(self) -> None:
        """Clients that keep others from nothing are left alone."""
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(_LOOKING_AFTER)
            for client in list(self._clients):
                client.look_after(now())
            self._see_that_memory_lasts()

    def _see_that_memory_lasts(self) -> None:
        """Those with the most go until the rest is not too much. What several clients wait for is there once."""
        held, shared = 0, set[int]()
        for client in sorted(self._clients, key=lambda client: client.held + sum(client.waiting.values())):
            waiting = client.waiting
            size = client.held + sum(waiting[each] for each in waiting.keys() - shared)
            if held + size > HELD_MAX:
                client.abort("leaves unread or unfinished more than most, and all together too much")
                continue
            held += size
            shared |= waiting.keys()
