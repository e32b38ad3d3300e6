"""Reading what the definitions of domains say: once, and again when they change; beside the polls, a few at a time."""

from __future__ import annotations

import asyncio
import logging

from domstats.collector.board import Board
from domstats.collector.lanes import HungCall
from domstats.collector.reach import Reach
from domstats.collector.sweep import FOR_EVER, UNREACHED
from domstats.errors import DomstatsError, UnknownDomain
from domstats.model.description import Description
from domstats.model.domain import Domain

FEW = 8
"""Domains that are read one after another, over one connection; each takes libvirtd 1 ms."""
PAUSE = 0.05
"""Seconds between them and the next few, so that 1,000 domains take 10 s and no poll notices."""
LATE = 2.0
"""Seconds after which a definition is not waited for."""
LATER = 10.0
"""Seconds until those who could not be asked are thought of again."""

_log = logging.getLogger(__name__)


class Describer:
    """Gives the rows of a board their descriptions."""

    def __init__(self, reach: Reach, board: Board) -> None:
        self._reach, self._board = reach, board
        self._wanted: dict[str, None] = {}
        """UUIDs, the first wanted first."""
        self._some = asyncio.Event()

    def want(self, uuid: str) -> None:
        """The description of a domain is not known, or may be another."""
        self._wanted[uuid] = None
        self._some.set()

    def want_missing(self) -> None:
        """Those of all rows that have none."""
        for uuid, row in self._board.rows.items():
            if row.domain.info is None and not row.gone:
                self.want(uuid)

    def want_all(self) -> None:
        """Those of all rows."""
        for uuid in self._board.rows:
            self.want(uuid)

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            await self._some.wait()
            chosen = self._next_few()
            if not self._wanted:
                self._some.clear()
                continue
            if not chosen or self._reach.lanes.spent or self._reach.lost:
                await asyncio.sleep(LATER)
                continue
            await self._read(chosen)
            await asyncio.sleep(0.0 if self._reach.instant else PAUSE)

    def _next_few(self) -> list[Domain]:
        """Of those wanted, some that are there and do not block; those that are not there are forgotten."""
        chosen: list[Domain] = []
        gone: list[str] = []
        for uuid in self._wanted:  # not to the end: there may be thousands
            row = self._board.rows.get(uuid)
            if row is None:
                gone.append(uuid)
            elif uuid not in self._reach.breaker:
                chosen.append(row.domain)
                if len(chosen) == FEW:
                    break
        for uuid in gone:
            del self._wanted[uuid]
        return chosen

    async def _read(self, chosen: list[Domain]) -> None:
        try:
            source = await self._reach.lanes.take()
        except DomstatsError as error:
            if not isinstance(error, UNREACHED):
                _log.warning("no definitions can be read: %s", error)
            await asyncio.sleep(LATER)
            return
        task = None
        try:
            for domain in chosen:
                self._wanted.pop(domain.uuid, None)
                task = asyncio.ensure_future(source.describe(domain, FOR_EVER))
                if not await self._read_one(task, domain):
                    break
        finally:
            if task is None or task.done():
                self._reach.lanes.give(source)
            else:
                self._reach.lanes.hang(HungCall(task, source, []))

    async def _read_one(self, task: asyncio.Future[Description], domain: Domain) -> bool:
        """Whether the definition, or an error, has come in time."""
        await asyncio.wait([task], timeout=LATE)
        if not task.done():
            self.want(domain.uuid)
            return False
        try:
            self._board.describe(domain.uuid, task.result())
        except UnknownDomain:
            pass
        except UNREACHED:
            self.want(domain.uuid)
        except DomstatsError as error:
            _log.warning("the definition of domain %r cannot be read: %s", domain.name, error)
            self._board.describe_as_unknown(domain.uuid)
        return True
