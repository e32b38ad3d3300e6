"""Who asked for which domain events, and telling them of the lifecycle events.

A client may ask for every event libvirt has, so that programs that ask for all of them go on; told are the lifecycle
events.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from domstats.errors import RemoteError
from domstats.model.domain import Domain
from domstats.sources import DomainEvent
from domstats.wire.failure import RPC_DOMAIN
from domstats.wire.procedures import Procedure, encode_values

LIFECYCLE = 0
"""Of virDomainEventID."""
EVENTS = range(30)
"""The virDomainEventIDs there are, up to libvirt 12.4."""
CALLBACKS_MAX = 1024
"""Callbacks of one client; with one for each event of each domain more make no sense."""
INTERNAL_ERROR, INVALID_ARG = 1, 8
"""Of virErrorNumber."""


@dataclass(frozen=True, slots=True)
class _Callback:
    """Somebody wants to be told."""

    event: int
    """A virDomainEventID."""
    uuid: str | None
    """Of the one domain it is about; None for all."""


class Subscriptions:
    """What one client asked for."""

    def __init__(self) -> None:
        self._callbacks: dict[int, _Callback] = {}
        self._plain: set[int] = set()
        """Events asked for in the way of clients that filter by themselves."""
        self._next = 1

    def register(self, event: int, domain: Domain | None) -> int:
        """Tell of an event from now on; the number of the callback. Raises RemoteError."""
        _check(event)
        if event in self._plain:
            raise _already()
        if len(self._callbacks) >= CALLBACKS_MAX:
            raise RemoteError(INTERNAL_ERROR, RPC_DOMAIN, f"internal error: more than {CALLBACKS_MAX} event callbacks")
        number, self._next = self._next, self._next + 1
        self._callbacks[number] = _Callback(event, None if domain is None else domain.uuid)
        return number

    def deregister(self, number: int) -> None:
        """Tell that callback nothing more. Raises RemoteError."""
        if self._callbacks.pop(number, None) is None:
            text = f"internal error: domain event callback {number} not registered"
            raise RemoteError(INTERNAL_ERROR, RPC_DOMAIN, text)

    def register_plain(self, event: int) -> None:
        """Tell of an event of any domain, as older clients ask for it. Raises RemoteError."""
        _check(event)
        if event in self._plain or any(callback.event == event for callback in self._callbacks.values()):
            raise _already()
        self._plain.add(event)

    def deregister_plain(self, event: int) -> None:
        """Undo that. Raises RemoteError."""
        _check(event)
        self._plain.discard(event)

    def clear(self) -> None:
        """Tell of nothing more."""
        self._callbacks.clear()
        self._plain.clear()

    def messages(self, event: DomainEvent) -> Iterator[tuple[Procedure, bytes]]:
        """What the client is to be sent: procedures and payloads."""
        if not event.lifecycle:
            return
        told = event.domain, event.what, event.detail
        for number, callback in self._callbacks.items():
            if callback.event == LIFECYCLE and callback.uuid in (None, event.domain.uuid):
                procedure = Procedure.DOMAIN_EVENT_CALLBACK_LIFECYCLE
                yield procedure, encode_values(procedure, number, *told)
        if LIFECYCLE in self._plain:
            yield Procedure.DOMAIN_EVENT_LIFECYCLE, encode_values(Procedure.DOMAIN_EVENT_LIFECYCLE, *told)


def _check(event: int) -> None:
    if event not in EVENTS:
        raise RemoteError(INTERNAL_ERROR, RPC_DOMAIN, f"internal error: unsupported event ID {event}")


def _already() -> RemoteError:
    return RemoteError(INVALID_ARG, 0, "invalid argument: event callback already tracked")
