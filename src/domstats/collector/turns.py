"""Turns: no guest is asked by two calls of ours at a time.

libvirt answers for a guest one call after another, so nothing is gained by a second one; and where the first hangs, the
second waits for the guest's job, keeps one more of libvirtd's workers, and holds up the other guests of its slice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from domstats.model.domain import Domain


class Turns:
    """Who is being asked."""

    def __init__(self) -> None:
        self._asked: set[str] = set()
        """UUIDs."""
        self._over = asyncio.Event()
        """Set, and replaced by another, when a call is over."""

    @asynccontextmanager
    async def of(self, domains: Sequence[Domain]) -> AsyncIterator[None]:
        """The turn of these, as soon as none of them is asked; the turns of all of them are taken at once."""
        mine = {domain.uuid for domain in domains}
        while self._asked & mine:
            await self._over.wait()
        self._asked |= mine
        try:
            yield
        finally:
            self._asked -= mine
            over, self._over = self._over, asyncio.Event()
            over.set()
