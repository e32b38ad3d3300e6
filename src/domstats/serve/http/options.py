"""What an HTTP server may be told: where it listens, who may ask, and how much of everything it puts up with."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from domstats.errors import UsageError

PORT = 9177
"""Where domstats listens when nobody says; exporters for libvirt have it."""
_PORT_MAX = 65535
_TOKEN_LEAST = 16
_HOST_NAME = re.compile(r"[A-Za-z0-9_.-]+")
"""What a browser sends of a name with other letters is punycode."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    """A name or an IP address."""
    port: int
    """0 for one that is free."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(text: str) -> Address:
    """An address written as HOST:PORT, or [::1]:PORT. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= len(str(_PORT_MAX)) else -1
    if not colon or not host or (":" in host) != bracketed or not 0 <= number <= _PORT_MAX:
        raise UsageError(f"an address is HOST:PORT, or [::1]:PORT, not {text!r}")
    try:
        encoded = host.encode("idna")  # as it is looked up
    except UnicodeError:
        why = f"{host!r} is no name to listen at: between its dots are 1 to 63 characters"
        raise UsageError(why) from None
    if b"\0" in encoded:
        raise UsageError(f"{host!r} is no name to listen at: a NUL is in it")
    return Address(host, number)


def token_in(path: Path) -> str:
    """The token that is a file's text, but for the spaces around it. Raises UsageError."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        raise UsageError(f"cannot read the token in {path}: {why}") from None
    if " " in text or not text.isprintable():
        raise UsageError(f"cannot use the token in {path}: a token is one line without spaces")
    return text


def check_host_name(text: str) -> None:
    """See that a client's Host header can name a server so, before a port. Raises UsageError."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if _HOST_NAME.fullmatch(text) is None:
            why = f"a host is a name without scheme and port, such as stats.example.org, not {text!r}"
            raise UsageError(why) from None


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """By default only this machine may connect, without a token. Raises UsageError for what makes no sense."""

    listen: tuple[Address, ...] = (Address("127.0.0.1", PORT),)
    """Where to listen."""
    certificate: Path | None = None
    """Of a PEM file with the server's certificate and those it is signed by; None for no TLS."""
    key: Path | None = None
    """Of a PEM file with its key; None where that is in the certificate's."""
    token: str | None = None
    """What everybody must know who asks (`Authorization: Bearer`, or the password of Basic); None for nothing."""
    hosts: tuple[str, ...] = ()
    """Names by which clients may call the server, beside its addresses, localhost and the machine's own name."""
    max_connections: int = 1000
    """Connections at a time. Who comes then takes the place of the one that has been idle longest."""
    request_seconds: float = 10.0
    """How long a request may take to come, and a TLS handshake."""
    idle_seconds: float = 120.0
    """How long a connection may be without a request."""
    unread_seconds: float = 30.0
    """How long a client may read nothing of an answer."""
    gone_seconds: float = 60.0
    """How long the host may not answer before /readyz says so."""

    def __post_init__(self) -> None:
        if self.key is not None and self.certificate is None:
            raise UsageError("a key is nothing without its certificate")
        if self.token is not None and not (len(self.token) >= _TOKEN_LEAST and self.token.isascii()):
            raise UsageError(f"a token is at least {_TOKEN_LEAST} ASCII characters")
        for name in self.hosts:
            check_host_name(name)
        if self.max_connections < 1:
            raise UsageError(f"a number of connections is 1 or more, not {self.max_connections!r}")
        for name in ("request_seconds", "idle_seconds", "unread_seconds", "gone_seconds"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is a number over 0, not {getattr(self, name)!r}")
