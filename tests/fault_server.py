"""A libvirt daemon over a simulated host, with libvirtd's workers and limits, and with faults on the wire.

    async with FaultServer(tmp_path / "sock", source=SimSource("sim:///?domains=20")) as server:
        source = await LibvirtSource.open(server.uri, {}, deadline=5.0)

Guests that hang are the script's of the simulated host; what goes wrong with the calls themselves is in `faults`. Time
is the loop's, so all of it runs in fast time, too (fast_time.run_fast).
"""

from __future__ import annotations

import asyncio
import struct
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from definitions import domain_xml
from domstats.errors import LimitExceeded, NoDomain, ProtocolError, RemoteError, UnknownDomain
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter, StatsGroup
from domstats.sources import DomainEvent
from domstats.sources.sim.source import SimSource
from domstats.wire.bulk.encoder import encode_reply
from domstats.wire.procedures import Procedure, encode_values
from domstats.wire.structures import DomainState
from fake_daemon import NODE_INFO, Answer, Asked, Client, FakeDaemon
from faults import Behind, Cut, Delay, Fail, Fault, Garbage, Hang, Kind, Oversize, Split

REQUESTS_MAX = 5
"""max_client_requests: with so many calls of a client worked on, libvirtd reads nothing more from it."""
WORKERS, PRIORITY_WORKERS = 20, 5
"""max_workers, which take any call, and prio_workers, which take only those of high priority."""
LOW_PRIORITY = (Procedure.CONNECT_GET_ALL_DOMAIN_STATS, Procedure.DOMAIN_GET_XML_DESC, Procedure.DOMAIN_GET_INFO)
"""Those that only the ordinary workers take."""
_LOOKUPS = {
    Procedure.DOMAIN_LOOKUP_BY_ID: "id",
    Procedure.DOMAIN_LOOKUP_BY_UUID: "uuid",
    Procedure.DOMAIN_LOOKUP_BY_NAME: "name",
}
_FROM_SOURCE = (
    *_LOOKUPS,
    Procedure.CONNECT_GET_ALL_DOMAIN_STATS,
    Procedure.CONNECT_LIST_ALL_DOMAINS,
    Procedure.NODE_GET_INFO,
)
"""What a FakeDaemon answers by itself, and this one from its source."""
_LIFECYCLE, _DEVICE_ADDED = 0, 19
"""Of virDomainEventID."""
_DEFINED, _STARTED, _SUSPENDED, _STOPPED = 0, 2, 3, 5
"""Of virDomainEventType."""
_FOR_EVER = 1e9
"""Seconds. libvirtd gives no call up."""
_LENGTH = struct.Struct(">I")


@dataclass
class FaultServer(FakeDaemon):
    """Listens at `path` for as long as the `async with` block lasts, but between `stop` and `start`.

    What is in `answers` or `held` goes before what the source says, see FakeDaemon; `domains` and `bulk` mean nothing.
    """

    source: SimSource = field(default_factory=lambda: SimSource("sim:///"))
    faults: list[Fault] = field(default_factory=list)
    """May be changed at any time; what it says when a call comes counts."""
    remembers: bool = True
    """Whether `asked` and `headers` are kept; turned off where there are too many."""
    turns: Counter[Procedure] = field(default_factory=Counter)
    """How often each procedure was called."""
    most_working: int = 0
    """How many of the ordinary workers were at work at a time, at the most."""

    def __post_init__(self) -> None:
        self._work: set[asyncio.Task[None]] = set()
        self._workers, self._priority_workers = asyncio.Semaphore(WORKERS), asyncio.Semaphore(PRIORITY_WORKERS)
        self._working = 0

    def _tidy(self) -> None:
        """Keep nothing of what is over, if nothing is to be remembered."""
        if not self.remembers:
            self.asked.clear()
            self.headers.clear()
            self.clients[:] = [client for client in self.clients if not client.gone]

    async def stop(self, *, only_listening: bool = False) -> None:
        """The daemon ends, and with it all connections and calls; `only_listening`: those there are stay."""
        if only_listening:
            self._server.close()
        else:
            await self.hang_up()
        self.path.unlink(missing_ok=True)

    async def start(self) -> None:
        """The daemon is there again."""
        await self.listen()

    async def hang_up(self) -> None:
        """Take no more connections, and close those there are; nothing is worked on any more."""
        await super().hang_up()  # first, or calls that wait to be read would be begun
        self.source.restart()
        for work in self._work:
            work.cancel()
        results = await asyncio.gather(*self._work, return_exceptions=True)
        self._work.clear()
        for result in results:
            if isinstance(result, Exception):
                raise result

    @property
    def working(self) -> int:
        """How many of the ordinary workers are at work."""
        return self._working

    def new_client(self) -> Client:
        """Our end of a connection that has come."""
        self._tidy()
        return FaultClient(self)

    def _usual_answers(self) -> dict[Procedure, Answer]:
        usual = super()._usual_answers()
        return {procedure: answer for procedure, answer in usual.items() if procedure not in _FROM_SOURCE}

    def work_on(self, asked: Asked) -> None:
        """Have somebody work on a call, as soon as there is a worker for it."""
        self._tidy()
        client = asked.client
        assert isinstance(client, FaultClient)
        client.working += 1
        self.turns[asked.procedure] += 1
        turn = self.turns[asked.procedure]
        faults = [fault.what for fault in self.faults if fault.concerns(asked.procedure, turn)]
        work = asyncio.ensure_future(self._serve(client, asked, faults))
        self._work.add(work)
        work.add_done_callback(self._done)

    def _done(self, work: asyncio.Task[None]) -> None:
        if work.cancelled() or work.exception() is None:  # a defect of the test's is kept for hang_up
            self._work.discard(work)

    async def _serve(self, client: FaultClient, asked: Asked, faults: list[Kind]) -> None:
        try:
            async with self._worker(high=asked.procedure not in LOW_PRIORITY):
                if client.gone:
                    return
                data = await self._reply(client, asked, faults)
            await client.send(data, faults)
        finally:
            client.finished()

    @asynccontextmanager
    async def _worker(self, *, high: bool) -> AsyncIterator[None]:
        """Be worked on by somebody."""
        if high and self._workers.locked():
            async with self._priority_workers:
                yield
            return
        async with self._workers:
            self._working += 1
            self.most_working = max(self.most_working, self._working)
            try:
                yield
            finally:
                self._working -= 1
                self.changed()

    async def _reply(self, client: FaultClient, asked: Asked, faults: list[Kind]) -> bytes:
        """The bytes of the reply to a call."""
        for fault in faults:
            if isinstance(fault, Delay):
                await asyncio.sleep(fault.seconds)
            elif isinstance(fault, Hang):
                await asyncio.sleep(_FOR_EVER)
        serial, number = asked.call.serial, asked.call.procedure
        failed = next((fault for fault in faults if isinstance(fault, Fail)), None)
        try:
            values = () if failed else await self._values(asked)
        except RemoteError as error:
            failed = Fail(error.code, error.domain, error.text)
        machine = client.machine
        if failed:
            return client.packet(partial(machine.fail, serial, number, failed.code, failed.domain, failed.text))
        return client.packet(partial(machine.reply, serial, number, encode_values(asked.procedure, *values)))

    async def _values(self, asked: Asked) -> tuple[Any, ...]:
        """What the source says. Raises RemoteError."""
        if asked.procedure in self.answers:
            return self.values_of(asked)
        match asked.procedure:
            case Procedure.CONNECT_GET_ALL_DOMAIN_STATS:
                return (await self._bulk(*asked.args),)
            case Procedure.CONNECT_LIST_ALL_DOMAINS:
                return await self._list(*asked.args)
            case Procedure.DOMAIN_LOOKUP_BY_ID | Procedure.DOMAIN_LOOKUP_BY_UUID | Procedure.DOMAIN_LOOKUP_BY_NAME:
                return (await self._found(_LOOKUPS[asked.procedure], asked.args[0]),)
            case Procedure.DOMAIN_GET_CONTROL_INFO:
                info = self.source.control(asked.args[0])
                if info is None:
                    raise RemoteError(55, 10, "Requested operation is not valid: domain is not running")
                return (info,)
            case Procedure.DOMAIN_GET_XML_DESC:
                return (await self._xml(asked.args[0]),)
            case Procedure.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY:
                return (await asked.client.register(asked.args[0]),)
            case Procedure.DOMAIN_GET_STATE:
                return (await self._state(asked.args[0]),)
            case Procedure.NODE_GET_INFO:
                return (replace(NODE_INFO, cpus=self.source.cpus),)
        return self.values_of(asked)

    async def _bulk(self, domains: list[Domain], groups: int, flags: int) -> bytes:
        snapshot = await self.source.stats(domains, groups, DomainFilter(flags), _FOR_EVER)
        try:
            return encode_reply(snapshot)
        except LimitExceeded as error:
            raise RemoteError(1, 7, f"internal error: {error}") from None

    async def _found(self, name: str, value: int | str) -> Domain:
        """The domain that has this value for that field."""
        for domain in await self.source.domains(_FOR_EVER):
            if getattr(domain, name) == value:
                return domain
        raise NoDomain(42, 10, "Domain not found")

    async def _list(self, need_results: int, flags: int) -> tuple[list[Domain], int]:
        active, inactive = (bool(flags & each) for each in (DomainFilter.ACTIVE, DomainFilter.INACTIVE))
        found = [
            domain
            for domain in await self.source.domains(_FOR_EVER)
            if active == inactive or active == (domain.id is not None)
        ]
        return (found if need_results else []), len(found)

    async def _xml(self, domain: Domain) -> str:
        try:
            domain = await self.source.find(uuid.UUID(domain.uuid), _FOR_EVER)
            return domain_xml(domain, await self.source.describe(domain, _FOR_EVER))
        except UnknownDomain:
            raise NoDomain(42, 10, "Domain not found") from None

    async def _state(self, domain: Domain) -> DomainState:
        snapshot = await self.source.stats([domain], StatsGroup.STATE, DomainFilter(0), _FOR_EVER)
        if not snapshot:
            raise NoDomain(42, 10, f"Domain not found: no domain with matching uuid '{domain.uuid}'")
        record = snapshot.records[0]
        return DomainState(record["state.state"], record["state.reason"])


class FaultClient(Client):
    """The daemon's end of one connection, which takes no more calls than can be worked on."""

    def __init__(self, daemon: FaultServer) -> None:
        super().__init__(daemon)
        self.working = 0
        """How many calls of this client have not been answered yet."""
        self.sent = 0
        """How many replies it was sent."""
        self._sending = asyncio.Lock()
        self._events: SimSource | None = None
        self._callbacks: dict[int, int] = {}

    async def register(self, event: int) -> int:
        """Send events of that virDomainEventID from now on; the number of the callback."""
        if self._events is None:
            self._events = await self.daemon.source.another(_FOR_EVER)
            await self._events.subscribe(self._tell, _FOR_EVER)
        return self._callbacks.setdefault(event, len(self._callbacks) + 1)

    def _tell(self, event: DomainEvent) -> None:
        """Send what happened, if it was asked for; which of libvirt's events it is, as well as it can be known."""
        on = event.domain.id is not None
        if event.lifecycle and _LIFECYCLE in self._callbacks:
            what = (_STARTED if on else _DEFINED) if event.described else (_SUSPENDED if on else _STOPPED)
            self._send_event(Procedure.DOMAIN_EVENT_CALLBACK_LIFECYCLE, _LIFECYCLE, event.domain, what, 0)
        elif not event.lifecycle and _DEVICE_ADDED in self._callbacks:
            self._send_event(Procedure.DOMAIN_EVENT_CALLBACK_DEVICE_ADDED, _DEVICE_ADDED, event.domain, "device")

    def _send_event(self, procedure: Procedure, event: int, *values: Any) -> None:
        self.machine.message(procedure, encode_values(procedure, self._callbacks[event], *values))
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the socket is closed."""
        super().connection_lost(exc)
        if self._events is not None:
            self._closing = asyncio.ensure_future(self._events.aclose())

    def take_calls(self) -> None:
        """As many of the calls that came as can be worked on; libvirtd stops reading at the limit, PINGs included."""
        try:
            for call in self.machine.events():
                self.daemon.handle(self, call)
                if self.working >= REQUESTS_MAX:
                    self.transport.pause_reading()
                    break
        except ProtocolError:
            self.transport.abort()
        self.flush()

    def finished(self) -> None:
        """A call has been dealt with."""
        self.working -= 1
        if not self.gone and self.working == REQUESTS_MAX - 1:
            self.transport.resume_reading()
            self.take_calls()

    def packet(self, make: Callable[[], None]) -> bytes:
        """The bytes of the packet that `make` has the machine send."""
        self.flush()
        make()
        return self.machine.data_to_send()

    def flush(self) -> None:
        """Send what the machine has to send, unless a reply is on its way."""
        if not self._sending.locked() and not self.gone:
            super().flush()

    async def send(self, data: bytes, faults: list[Kind]) -> None:
        """Send a reply, with what is to go wrong with it."""
        size, pause = len(data), 0.0
        for fault in faults:
            match fault:
                case Behind():
                    after = self.sent + fault.replies
                    await self.daemon.when(lambda after=after: self.sent >= after or self.gone)
                case Split():
                    size, pause = fault.size, fault.pause
                case Oversize():
                    data = _LENGTH.pack(fault.length) + data[_LENGTH.size :]
                case Garbage():
                    data = fault.data
                case Cut():
                    data = data[: fault.after]
        async with self._sending:
            for start in range(0, len(data), size):
                if start and not self.gone:
                    await asyncio.sleep(pause)
                if not self.gone:
                    self.transport.write(data[start : start + size])
        self.sent += 1
        if any(isinstance(fault, Cut) for fault in faults):
            self.transport.close()
        self.flush()
        self.daemon.changed()
