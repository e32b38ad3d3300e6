"""What can go wrong between a daemon and its client, as data: a list of these is a script for a FaultServer."""

from __future__ import annotations

from dataclasses import dataclass

from domstats.wire.packet import LENGTH_MAX
from domstats.wire.procedures import Procedure


@dataclass(frozen=True, slots=True)
class Delay:
    """The answer takes longer; its worker is busy meanwhile."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hang:
    """There is never an answer; its worker is lost until the daemon stops."""


@dataclass(frozen=True, slots=True)
class Fail:
    """An error is the answer."""

    code: int = 1
    domain: int = 10
    text: str = "internal error: a fault of the test's"


@dataclass(frozen=True, slots=True)
class Behind:
    """The reply comes only after so many later ones of the same connection."""

    replies: int = 1


@dataclass(frozen=True, slots=True)
class Split:
    """The bytes of the reply come in pieces."""

    size: int = 1
    """Bytes of a piece."""
    pause: float = 0.0
    """Seconds between two of them."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection ends in the middle of the reply."""

    after: int = 100
    """Bytes that still come, those of the length word and the header included."""


@dataclass(frozen=True, slots=True)
class Oversize:
    """The reply's length word announces more than is allowed; its other bytes are as they should be."""

    length: int = LENGTH_MAX + 1


@dataclass(frozen=True, slots=True)
class Garbage:
    """These bytes come in place of the reply."""

    data: bytes = b"HTTP/1.1 400 Bad Request\r\n\r\n"


Kind = Delay | Hang | Fail | Behind | Split | Cut | Oversize | Garbage


@dataclass(frozen=True, slots=True)
class Fault:
    """Something goes wrong with a call."""

    procedure: Procedure
    what: Kind
    turn: int | None = None
    """Which call of that procedure since the server was made, from 1; None for every one."""

    def concerns(self, procedure: Procedure, turn: int) -> bool:
        """Whether it happens to that call."""
        return self.procedure is procedure and self.turn in (None, turn)
