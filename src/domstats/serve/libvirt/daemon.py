"""The daemon behind: calls that write nothing are passed on to it, bounded in time, and its answers kept for a while.

libvirtd cannot cancel a call, and one about a guest that does not answer keeps one of its 20 workers: so such guests
are not asked about, nobody is asked twice at a time, and of the calls that may hang few are under way at a time. Where
these hang, only those go on that never wait for a guest.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from domstats.collector.collector import Collector
from domstats.errors import ConnectError, ConnectionLost, DeadlineExceeded, ProtocolError, RemoteError
from domstats.model.domain import Domain
from domstats.model.sampling import Status
from domstats.sources.libvirt.connection import Connection
from domstats.sources.libvirt.source import LibvirtSource
from domstats.wire.procedures import Procedure, decode_values, encode_args, name_of
from domstats.wire.xdr import Buffer, Reader

PATIENCE = 2.0
"""Seconds that a call may take; its client then gets what was said before, or an error."""
KEPT = 10.0
"""Seconds that an answer is kept."""
KEPT_BYTES, KEPT_MAX = 1 << 26, 1 << 16
"""Bytes and number of the answers that are kept."""
HUNG_MAX = 2
"""Calls under way that may hang, about a guest or not. A connection has four, so the others never wait for these."""
ASKING_MAX, ARGUMENTS_MAX = 64, 1 << 16
"""Calls that may be without an answer at a time, of those that may hang and of the others, and bytes of the arguments
of one: a daemon that hangs as a whole then holds no more than 8 MiB of them."""

P = Procedure
NEVER_WAIT = frozenset(
    {
        P.CONNECT_GET_TYPE, P.CONNECT_GET_VERSION, P.CONNECT_GET_LIB_VERSION, P.CONNECT_GET_HOSTNAME, P.CONNECT_GET_URI,
        P.NODE_GET_INFO, P.CONNECT_GET_CAPABILITIES, P.CONNECT_LIST_ALL_DOMAINS, P.CONNECT_IS_SECURE,
        P.DOMAIN_GET_XML_DESC, P.DOMAIN_GET_AUTOSTART, P.DOMAIN_GET_INFO, P.DOMAIN_GET_OS_TYPE, P.DOMAIN_GET_VCPUS,
        P.DOMAIN_IS_PERSISTENT, P.DOMAIN_HAS_MANAGED_SAVE_IMAGE, P.DOMAIN_GET_CONTROL_INFO, 121, 122, 265, 426,
    }
)  # fmt: skip
"""Calls that libvirtd answers from what it knows, or from the host; the last ones are those for a domain's security
label, the security model, a domain's metadata and its messages."""
FOR_EVER = 86_400.0
"""Seconds. A call's own deadline would not end it in the daemon."""
OPERATION_TIMEOUT, INTERNAL_ERROR = 68, 1
"""Of virErrorNumber."""
FROM_QEMU, FROM_RPC = 10, 7
"""Of virErrorDomain."""

_ENTRY = 500
"""About how many bytes an answer takes that is kept, beside its text."""

_Key = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class _Refusal:
    """libvirt's report of a failure. Not the exception: that keeps all that was at hand where it was raised, such as
    the client who had asked."""

    kind: type[RemoteError]
    code: int
    domain: int
    text: str


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer."""

    time: float
    """The loop's, when it came."""
    answer: Buffer | _Refusal
    uuid: str | None
    """The domain it is about."""


class Daemon:
    """A Behind that is a libvirt daemon."""

    def __init__(self, collector: Collector, source: LibvirtSource) -> None:
        """`source`: a connection of its own; when it is lost, the collector opens another."""
        self._collector, self._source = collector, source
        self._opening = asyncio.Lock()
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._bytes = 0
        self._asking: dict[_Key, asyncio.Task[Buffer]] = {}
        self._waiting: dict[_Key, str] = {}
        """Calls about a domain that have no answer yet, by its UUID; those that nobody waits for any more included."""
        self._places = asyncio.Semaphore(HUNG_MAX)
        """Of calls that may hang."""
        self._hung: set[_Key] = set()
        """Of these, the calls that are late."""

    async def ask(self, number: int, payload: Buffer) -> Buffer:
        """See Behind."""
        if len(payload) > ARGUMENTS_MAX:
            text = f"internal error: arguments of {len(payload):,} bytes are not passed on"
            raise RemoteError(INTERNAL_ERROR, FROM_RPC, text)
        key = number, bytes(payload)
        kept = self._kept.get(key)
        if kept is not None and _now() - kept.time < KEPT:
            return _given(kept.answer)
        if key not in self._asking:
            alike = [each for each in self._asking if (each[0] in NEVER_WAIT) == (number in NEVER_WAIT)]
            if len(alike) >= ASKING_MAX:
                return self._instead(kept, f"{ASKING_MAX} other calls have no answer yet")
            if number not in NEVER_WAIT and len(self._hung) >= HUNG_MAX:
                return self._instead(kept, f"{HUNG_MAX} other calls hang")
            uuid = self._about(payload)
            if uuid is not None and not self._may_wait(number, uuid):
                return self._instead(kept, f"domain {uuid} does not answer")
            self._begin(key, uuid)
        task = self._asking[key]
        done, _ = await asyncio.wait([task], timeout=PATIENCE)
        if not done:
            return self._instead(kept, f"{name_of(number)} took more than {PATIENCE:g} s")
        try:
            return task.result()
        except RemoteError:
            raise
        except (ConnectError, ConnectionLost, DeadlineExceeded, ProtocolError) as error:
            return self._instead(kept, str(error))

    async def domains(self, flags: int) -> list[Domain]:
        """See Behind."""
        listing = Procedure.CONNECT_LIST_ALL_DOMAINS
        try:
            reply = decode_values(listing, await self.ask(listing, encode_args(listing, 1, flags)))
        except ProtocolError as error:
            raise RemoteError(INTERNAL_ERROR, FROM_RPC, f"internal error: {error}") from None
        domains: list[Domain] = reply[0]
        return domains

    def forget(self, uuid: str) -> None:
        """See Behind."""
        lists = Procedure.CONNECT_LIST_ALL_DOMAINS
        for key in [key for key, kept in self._kept.items() if kept.uuid == uuid or key[0] == lists]:
            self._drop(key)

    async def aclose(self) -> None:
        """See Behind."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        await self._source.aclose()

    def _about(self, payload: Buffer) -> str | None:
        """The UUID of the domain a call is about: of one that is there, where the arguments begin with it."""
        reader = Reader(payload)
        try:
            reader.string("domain name")
            uuid = reader.uuid("domain uuid")
        except ProtocolError:
            return None
        return uuid if uuid in self._collector.latest.layout.index else None

    def _may_wait(self, number: int, uuid: str) -> bool:
        """Whether a call about a domain may be passed on now."""
        if number in NEVER_WAIT:
            return True
        latest = self._collector.latest
        blocked = latest.sampling.status[latest.layout.index[uuid]] == Status.BLOCKED
        return not blocked and uuid not in self._waiting.values()

    def _instead(self, kept: _Kept | None, why: str) -> Buffer:
        """What was said before, however long ago; else an error."""
        if kept is not None:
            return _given(kept.answer)
        raise RemoteError(OPERATION_TIMEOUT, FROM_QEMU, f"Timed out during operation: {why}")

    def _begin(self, key: _Key, uuid: str | None) -> None:
        passing_on = self._pass_on(key) if key[0] in NEVER_WAIT else self._pass_on_in_turn(key)
        task = self._asking[key] = asyncio.create_task(passing_on)
        if uuid is not None and key[0] not in NEVER_WAIT:
            self._waiting[key] = uuid
        task.add_done_callback(self._answered(key, uuid))

    def _answered(self, key: _Key, uuid: str | None) -> Callable[[asyncio.Task[Buffer]], None]:
        def note(task: asyncio.Task[Buffer]) -> None:
            del self._asking[key]
            self._waiting.pop(key, None)
            if task.cancelled():
                return
            error = task.exception()
            if error is None:
                self._keep(key, _Kept(_now(), task.result(), uuid))
            elif isinstance(error, RemoteError):
                refusal = _Refusal(type(error), error.code, error.domain, error.text)
                self._keep(key, _Kept(_now(), refusal, uuid))

        return note

    async def _pass_on_in_turn(self, key: _Key) -> Buffer:
        """Where others are under way that may hang, too, wait for them as long as a client does."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._places.acquire()
        except TimeoutError:
            raise DeadlineExceeded(name_of(key[0]), PATIENCE) from None
        late = asyncio.get_running_loop().call_later(PATIENCE, self._hung.add, key)
        try:
            return await self._pass_on(key)
        finally:
            late.cancel()
            self._hung.discard(key)
            self._places.release()

    async def _pass_on(self, key: _Key) -> Buffer:
        connection = await self._connection()
        return bytes(await connection.pass_on(*key, FOR_EVER))

    async def _connection(self) -> Connection:
        async with self._opening:
            if self._source.lost:
                self._source = cast(LibvirtSource, await self._collector.another(PATIENCE))
        return self._source.connection

    def _keep(self, key: _Key, kept: _Kept) -> None:
        self._drop(key)
        self._kept[key] = kept
        self._bytes += _size(key, kept)
        while self._bytes > KEPT_BYTES or len(self._kept) > KEPT_MAX:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: _Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= _size(key, kept)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _given(answer: Buffer | _Refusal) -> Buffer:
    if isinstance(answer, _Refusal):
        raise answer.kind(answer.code, answer.domain, answer.text)
    return answer


def _size(key: _Key, kept: _Kept) -> int:
    said = kept.answer.text if isinstance(kept.answer, _Refusal) else kept.answer
    return _ENTRY + len(key[1]) + len(said)
