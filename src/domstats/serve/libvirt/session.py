"""What a connection says of itself: authentication, opening, features, the events it asks for, and its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from domstats.errors import RPC_ERROR, RemoteError
from domstats.serve.libvirt.events import Subscriptions
from domstats.wire.failure import RPC_DOMAIN
from domstats.wire.procedures import Procedure

AUTH_NONE = 0
"""Of remote_auth_type: the socket's mode says who may connect."""
KEEPALIVE = 10
"""The feature whose question switches the server's PINGs on."""
FEATURES = frozenset({9, KEEPALIVE, 14, 15})
"""Of virDrvFeature, those that concern reading: strings among typed parameters, keepalive, filtered events and the
callback for a connection's end."""
INTERNAL_ERROR = 1
"""Of virErrorNumber."""
_LIFECYCLE = 0
"""Of virDomainEventID."""

P = Procedure
Answer = tuple[Any, ...]
"""The values of a reply."""


class Session:
    """One connection, as the protocol sees it."""

    def __init__(self) -> None:
        self.wants_pings = False
        """Whether the client expects PINGs, and answers them."""
        self.opened = False
        """Whether the client may ask about the host."""
        self.over = False
        """Whether the client has said goodbye."""
        self.subscriptions = Subscriptions()
        self._greeted = False
        self._answers: dict[int, Callable[..., Answer]] = {
            P.AUTH_LIST: self._authenticate,
            P.AUTH_POLKIT: lambda: (True,),
            P.CONNECT_OPEN: self._open,
            P.CONNECT_CLOSE: self._close,
            P.CONNECT_SUPPORTS_FEATURE: self._feature,
            P.CONNECT_REGISTER_CLOSE_CALLBACK: lambda: (),
            P.CONNECT_UNREGISTER_CLOSE_CALLBACK: lambda: (),
            P.CONNECT_DOMAIN_EVENT_REGISTER: self._register_lifecycle,
            P.CONNECT_DOMAIN_EVENT_REGISTER_ANY: self._register_plain,
            P.CONNECT_DOMAIN_EVENT_DEREGISTER_ANY: self._deregister_plain,
            P.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY: self._register,
            P.CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY: self._deregister,
            P.CONNECT_SET_IDENTITY: lambda _params, _flags: (),
        }
        self._before_opening = (P.AUTH_LIST, P.AUTH_POLKIT, P.CONNECT_OPEN, P.CONNECT_CLOSE, P.CONNECT_SUPPORTS_FEATURE)

    def check(self, number: int) -> None:
        """Whether a call of that number may be made now. Raises RemoteError."""
        if not self._greeted and number != P.AUTH_LIST:
            raise RemoteError(RPC_ERROR, RPC_DOMAIN, "authentication required")
        if not self.opened and number not in self._before_opening:
            raise RemoteError(INTERNAL_ERROR, RPC_DOMAIN, "internal error: hypervisor connection not open")

    def answers(self, number: int) -> bool:
        """Whether a call of that number is about the connection."""
        return number in self._answers

    def answer(self, number: int, args: tuple[Any, ...]) -> Answer:
        """The values of the reply to a call about the connection. Raises RemoteError."""
        return self._answers[number](*args)

    def _authenticate(self) -> Answer:
        self._greeted = True
        return ([AUTH_NONE],)

    def _open(self, _name: str | None, _flags: int) -> Answer:
        """Whatever is to be opened: there is one host, and it is only read. As in libvirtd, a second one ends the
        first."""
        if self.opened:
            self.opened = False
            raise RemoteError(INTERNAL_ERROR, RPC_DOMAIN, "internal error: connection already open")
        self.opened = True
        return ()

    def _close(self) -> Answer:
        self.over = True
        self.subscriptions.clear()
        return ()

    def _feature(self, feature: int) -> Answer:
        if feature == KEEPALIVE:
            self.wants_pings = True
        return (feature in FEATURES,)

    def _register_lifecycle(self) -> Answer:
        self.subscriptions.register_plain(_LIFECYCLE)
        return (1,)

    def _register_plain(self, event: int) -> Answer:
        self.subscriptions.register_plain(event)
        return ()

    def _deregister_plain(self, event: int) -> Answer:
        self.subscriptions.deregister_plain(event)
        return ()

    def _register(self, event: int, domain: Any) -> Answer:
        return (self.subscriptions.register(event, domain),)

    def _deregister(self, callback: int) -> Answer:
        self.subscriptions.deregister(callback)
        return ()
