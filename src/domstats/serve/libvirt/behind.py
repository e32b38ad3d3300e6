"""What is asked when a snapshot does not know: a daemon, or for a simulated host what is made up."""

from __future__ import annotations

from typing import Protocol

from domstats.model.domain import Domain
from domstats.wire.xdr import Buffer


class Behind(Protocol):
    """Answers any call that writes nothing."""

    async def ask(self, number: int, payload: Buffer) -> Buffer:
        """The payload of the reply to a call of that procedure number, with that payload.

        Raises RemoteError, of which the call's client is told; it never takes longer than a few seconds.
        """

    async def domains(self, flags: int) -> list[Domain]:
        """Those that pass these flags of virConnectListAllDomainsFlags. Raises RemoteError."""

    def forget(self, uuid: str) -> None:
        """Something has happened to this domain: nothing is said of it from memory."""

    async def aclose(self) -> None:
        """Let go of whatever is held; safe to call twice."""
