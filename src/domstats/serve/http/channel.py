"""What a stream says, worked out once for all who want the same columns.

A channel keeps the rows of the latest snapshot and, for each of the last snapshots, what changed with it, as the text
that goes out (as objects, those of one channel were 150,000). Who reads slowly, or comes again, gets several changes as
one; who has missed more than is kept gets everything anew. So nothing is ever kept for one reader.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from domstats.formats.document import as_json
from domstats.serve.http.latest import Latest, Numbered
from domstats.serve.http.rows import Reader, Row, head
from domstats.serve.http.workers import Worker

KEPT = 30
"""Changes that are kept."""
AGES = 5.0
"""Seconds after which the ages of all domains are told; in between, of those whose values have changed."""
_BYTES_KEPT = 16 << 20
"""How many bytes of text the changes may have that are kept; then there are fewer of them."""

_Entry = dict[str, Any]
"""What is said of a domain; where it is of others, too, with its UUID."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What is other in a snapshot than in an earlier one: the one before, or, on a busy machine, one before that."""

    begin: int
    """The earlier one's number."""
    number: int
    """The later one's."""
    domains: bytes
    """A JSON list with an entry of each domain of which something is said, UUID included; of one that has come, all."""
    gone: frozenset[str]
    """UUIDs."""
    came: frozenset[str]
    """UUIDs."""


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """What the stream has come to."""

    numbered: Numbered
    rows: Mapping[str, Row]
    ages_told: float
    """The time of the snapshot with which all ages were told last."""


class Channel:
    """A stream's events, for any number of readers."""

    def __init__(self, reader: Reader, latest: Latest, worker: Worker) -> None:
        self._reader, self._latest, self._worker = reader, latest, worker
        self._state: _State | None = None
        self._changes: deque[Change] = deque(maxlen=KEPT)
        self._events: dict[int | None, asyncio.Task[tuple[int, bytes]]] = {}
        """The events that lead to the latest snapshot, by the number of the one they begin at."""
        self._moved = asyncio.Event()
        """Set, and replaced by another, when there is a new state."""
        self.readers = 0
        """Who is reading."""

    async def follow(self) -> None:
        """Keep up with the snapshots, for ever."""
        number = -1
        while True:
            numbered = await self._latest.after(number)
            number = numbered.number
            state, change = await self._worker.run(partial(self._advance, numbered))
            self._state = state
            self._keep(change)
            self._events.clear()
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    async def after(self, number: int | None) -> tuple[int, bytes]:
        """The event that leads from the snapshot of that number to the latest, as soon as there is a later one.

        Everything, for None and for a number of which no changes are kept. Returns the later one's number, too.
        """
        while self._state is None or self._state.numbered.number == number:
            await self._moved.wait()
        begin = number if number is not None and self._leads_from(number) else None
        task = self._events.get(begin)
        if task is None:
            changes = [] if begin is None else [each for each in self._changes if each.number > begin]
            task = self._events[begin] = asyncio.create_task(self._encode(self._state, changes))
        return await asyncio.shield(task)

    def _leads_from(self, number: int) -> bool:
        return any(each.begin == number for each in self._changes)

    def _keep(self, change: Change | None) -> None:
        if change is None:
            return
        self._changes.append(change)
        while sum(len(each.domains) for each in self._changes) > _BYTES_KEPT:
            self._changes.popleft()

    def _advance(self, numbered: Numbered) -> tuple[_State, Change | None]:
        """The state that a snapshot leads to, and what has changed; None for the first."""
        rows = self._reader.rows(numbered.snapshot, numbered.previous)
        before, time = self._state, numbered.snapshot.time
        if before is None:
            return _State(numbered, rows, time), None
        all_ages = not 0 <= time - before.ages_told < AGES  # the clock may have been set back
        domains = _listed(self._entries(before.rows, rows, told=all_ages))
        gone, came = frozenset(before.rows.keys() - rows.keys()), frozenset(rows.keys() - before.rows.keys())
        state = _State(numbered, rows, time if all_ages else before.ages_told)
        return state, Change(before.numbered.number, numbered.number, domains, gone, came)

    def _entries(self, before: Mapping[str, Row], rows: Mapping[str, Row], *, told: bool) -> Iterator[_Entry]:
        """What is said of each domain of which something is said."""
        for uuid, row in rows.items():
            was = before.get(uuid)
            entry = self._whole(row) if was is None else self._changed(was, row, told=told)
            if entry:
                yield {"uuid": uuid, **entry}

    def _whole(self, row: Row) -> _Entry:
        return head(row) | {"age": row.age, "values": self._reader.all(row)}

    def _changed(self, was: Row, row: Row, *, told: bool) -> _Entry:
        """`told`: whether the age is told in any case."""
        before = head(was)
        entry = {name: value for name, value in head(row).items() if before[name] != value}
        values = self._reader.changed(was, row)
        if values:
            entry["values"] = values
        if (entry or told) and row.age != was.age:
            entry["age"] = row.age
        return entry

    async def _encode(self, state: _State, changes: Sequence[Change]) -> tuple[int, bytes]:
        return state.numbered.number, await self._worker.run(lambda: self._event(state, changes))

    def _event(self, state: _State, changes: Sequence[Change]) -> bytes:
        """These changes, or everything."""
        numbered, change = state.numbered, _joined(changes) if changes else None
        data = {"sequence": numbered.number, "time": numbered.snapshot.time, "host": numbered.host}
        if change is None:
            whole = _listed({"uuid": uuid, **self._whole(row)} for uuid, row in state.rows.items())
            return _written("full", numbered.number, data | {"columns": self._reader.names}, whole)
        return _written("change", numbered.number, data | {"gone": sorted(change.gone)}, change.domains)


def _joined(changes: Sequence[Change]) -> Change | None:
    """Changes in a row as one; None where a domain has gone and come again, which one change cannot say."""
    if len(changes) == 1:
        return changes[0]
    # Domain by domain: three changes of 1,000 guests with all keys take 9 MiB and 56 ms, decoded at once 28 and 73.
    said: dict[str, list[msgspec.Raw]] = {}
    gone: set[str] = set()
    came: set[str] = set()
    for change in changes:
        if gone & change.came:
            return None
        for uuid in change.gone:
            said.pop(uuid, None)
        # Who has come and gone in between was never there.
        gone |= change.gone - came
        came = (came - change.gone) | change.came
        for entry in msgspec.json.decode(change.domains, type=list[msgspec.Raw]):
            said.setdefault(msgspec.json.decode(entry, type=_Named).uuid, []).append(entry)
    domains = _listed(_merged(entries, came=uuid in came) for uuid, entries in said.items())
    return Change(changes[0].begin, changes[-1].number, domains, frozenset(gone), frozenset(came))


class _Named(msgspec.Struct):
    """Of an entry, whose it is."""

    uuid: str


def _merged(entries: Sequence[msgspec.Raw], *, came: bool) -> _Entry:
    """What several entries say of one domain; of one that `came`, everything, so that no value went."""
    merged: _Entry = {}
    values: dict[str, str | None] = {}
    for entry in entries:
        said = msgspec.json.decode(entry, type=_Entry)
        values |= said.get("values", {})
        merged |= said
    if came:
        values = {key: text for key, text in values.items() if text is not None}
    return merged | {"values": values} if values or came else merged


def _listed(entries: Iterable[_Entry]) -> bytes:
    """A JSON list, written entry by entry: those of everything at once were 200,000 objects."""
    return b"[%s]" % b",".join(map(as_json, entries))


def _written(event: str, number: int, data: Mapping[str, Any], domains: bytes) -> bytes:
    """An event as text/event-stream has it; JSON has no line ends of its own."""
    text = as_json(data).removesuffix(b"}")
    return b'event: %s\nid: %d\ndata: %s,"domains":%s}\n\n' % (event.encode(), number, text, domains)
