"""The counters of all network interfaces of a network namespace, as /proc/net/dev shows them, by rtnetlink(7).

One dump of the counters (RTM_GETSTATS) a reading: 0.4 ms of the kernel's time for 1,000 interfaces, a tenth of what
RTM_GETLINK takes, which says names too, and less than /proc/net/dev. Names and kinds are asked for (RTM_GETLINK) when
there is news of an interface: the kernel tells a second socket whenever one comes, goes or changes. A reading of 1,000
interfaces takes 2 ms in all, and 20 ms when names are asked for.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from domstats.errors import BadValue, ConnectError, ConnectionLost, DeadlineExceeded, LimitExceeded, Truncated

Counters = npt.NDArray[np.uint64]

COUNTERS = ("rx.bytes", "rx.pkts", "rx.errs", "rx.drop", "tx.bytes", "tx.pkts", "tx.errs", "tx.drop")
"""The columns, named as libvirt does, from the host's side: what a guest sends, its tap receives."""

HEADER = struct.Struct("=IHHII")
"""A message's length, type, flags, sequence number and port."""
_ATTRIBUTE = struct.Struct("=HH")
"""An attribute's length and type."""
_LINK = struct.Struct("=BBHiII")
"""Family, padding, kind of device, index, flags, which flags have changed."""
_STATS = struct.Struct("=BBHII")
"""Family, padding, index, which statistics."""
_ERROR = struct.Struct("=i")

ERROR, DONE, NEW_LINK, GET_LINK, NEW_STATS, GET_STATS = 2, 3, 16, 18, 92, 94
_DUMP, INTERRUPTED = 0x301, 0x10
_TYPE_MASK = 0x3FFF
"""The upper two bits of an attribute's type say how it is made."""
_NAME, _LINK_INFO, _KIND, _EXTENT = 3, 18, 1, 29
_WITHOUT_STATS = 1 << 3
_LINK_64 = 1
_LINK_64_WORDS = 16
"""Of rtnl_link_stats64: as far as they are needed here; the kernel has 25 and may add some."""
_RX_PACKETS, _TX_PACKETS, _RX_BYTES, _TX_BYTES, _RX_ERRORS, _TX_ERRORS, _RX_DROPPED, _TX_DROPPED = range(8)
_RX_MISSED = 15
_COLUMNS = (_RX_BYTES, _RX_PACKETS, _RX_ERRORS, _RX_DROPPED, _TX_BYTES, _TX_PACKETS, _TX_ERRORS, _TX_DROPPED)
_RX_DROP = COUNTERS.index("rx.drop")

_SOL_NETLINK, _STRICT = 270, 12
_NEWS_OF_LINKS = 1
"""The multicast group RTMGRP_LINK."""

LINKS_MAX = 1 << 17
_NAME_MAX = 15
_ERROR_MAX = 4095
_PART_BYTES = 1 << 16
"""The kernel sends parts of at most 32 KiB to a reader whose buffer is as large."""
_TRIES = 3
_NEWS_MAX = 1 << 16
"""Notices read at a time; further ones are found at the next reading."""


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface."""

    index: int
    name: str
    kind: str
    """What the kernel calls its kind: tun (a tap too), macvtap, veth, bridge; empty for hardware and the loopback."""


@dataclass(frozen=True, slots=True, eq=False)
class LinkCounters:
    """One reading."""

    links: tuple[Link, ...]
    """By rising index; the same object as in the reading before while no interface came, went or changed."""
    rows: dict[str, int]
    """For each name its place among the links; as long-lived as they are."""
    values: Counters
    """One row a link, one column for each of COUNTERS."""


class Message(NamedTuple):
    """One message of a part."""

    kind: int
    flags: int
    start: int
    """Where its content begins, after the header."""
    end: int


class Links:
    """Reads the counters of the network namespace in which the thread that makes it is, and stays with that.

    After an error it is closed, and another one can be made.
    """

    def __init__(self, seconds: float = 1.0) -> None:
        """`seconds` is the longest wait for a part of an answer; the kernel gives it at once. Raises ConnectError."""
        self._seconds, self._sequence = seconds, 0
        self._buffer = bytearray(_PART_BYTES)
        self._links: dict[int, Link] = {}
        self._stale = True
        self._last = LinkCounters((), {}, np.zeros((0, len(COUNTERS)), np.uint64))
        self._asking, self._news = _sockets(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close both sockets. Safe to call twice."""
        self._asking.close()
        self._news.close()

    def read(self) -> LinkCounters:
        """The counters of now.

        Where interfaces come and go all the time, so that three dumps in turn are not of one moment, an interface of
        the last moments can be missing. Raises ConnectionLost, DeadlineExceeded and ProtocolError.
        """
        try:
            for _ in range(_TRIES):
                stale = self._stale
                if stale:
                    self._name_links()
                indexes, values, whole = self._count()
                # News is looked for after the counters were read: what it is about may have been among them.
                self._stale = self._has_news()
                if whole and not self._stale and self._links.keys() == set(indexes):
                    break
                self._stale = True
            return self._together(indexes, values)
        except TimeoutError as error:
            self.close()
            raise DeadlineExceeded("the network interfaces of the kernel", self._seconds) from error
        except OSError as error:
            self.close()
            raise ConnectionLost(f"rtnetlink: {error.strerror or error}", "reading network interfaces") from error
        except BaseException:
            self.close()
            raise

    def _name_links(self) -> None:
        """Ask for all names. Those of a dump that was interrupted may lack some, which the counters will show."""
        body = _LINK.pack(0, 0, 0, 0, 0, 0) + _ATTRIBUTE.pack(8, _EXTENT) + struct.pack("=I", _WITHOUT_STATS)
        self._links = {}
        for part, messages in self._dump(GET_LINK, body):
            self._links.update((link.index, link) for link in parse_links(part, messages))
            if len(self._links) > LINKS_MAX:
                raise LimitExceeded("links", 0, f"more than {LINKS_MAX} network interfaces")

    def _count(self) -> tuple[list[int], Counters, bool]:
        """Ask for all counters: the indexes, a row for each, and whether the dump was of one moment."""
        indexes: list[int] = []
        blocks: list[Counters] = []
        whole = True
        for part, messages in self._dump(GET_STATS, _STATS.pack(0, 0, 0, 0, _LINK_64)):
            found, values = parse_counters(part, messages)
            indexes += found
            blocks.append(values)
            whole &= not any(message.flags & INTERRUPTED for message in messages)
            if len(indexes) > LINKS_MAX:
                raise LimitExceeded("links", 0, f"more than {LINKS_MAX} network interfaces")
        return indexes, np.concatenate(blocks), whole

    def _dump(self, kind: int, body: bytes) -> Iterator[tuple[bytes, list[Message]]]:
        """Send a request for a dump; the parts of the answer, and the messages in each. Raises OSError."""
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        self._asking.send(HEADER.pack(HEADER.size + len(body), kind, _DUMP, self._sequence, 0) + body)
        for _ in range(LINKS_MAX):
            size, _, flags, sender = self._asking.recvmsg_into([self._buffer])
            if sender[0] != 0:  # only the kernel has port 0
                continue
            if flags & socket.MSG_TRUNC:
                raise Truncated("part", size, f"a part of over {_PART_BYTES} bytes")
            part = bytes(memoryview(self._buffer)[:size])
            messages = split(part, self._sequence)
            yield part, messages
            if messages and messages[-1].kind == DONE:
                return
        raise LimitExceeded("parts", 0, f"an answer of more than {LINKS_MAX} parts")

    def _has_news(self) -> bool:
        """Whether the kernel has told of an interface that came, went or changed since this was last asked."""
        found = False
        for _ in range(_NEWS_MAX):
            try:
                self._news.recv(1)
            except BlockingIOError:
                return found
            except OSError:  # more news than the socket can keep
                return True
            found = True
        return found

    def _together(self, indexes: list[int], values: Counters) -> LinkCounters:
        """Names and counters of the interfaces that have both."""
        rows = {index: row for row, index in enumerate(indexes) if index in self._links}
        links = tuple(self._links[index] for index in sorted(rows))
        if links != self._last.links:
            self._last = LinkCounters(links, {link.name: row for row, link in enumerate(links)}, values)
        chosen = np.fromiter((rows[link.index] for link in links), np.intp, len(links))
        return LinkCounters(self._last.links, self._last.rows, values[chosen])


def split(part: bytes, sequence: int) -> list[Message]:
    """The messages of a part that answer the request of that number.

    Raises Truncated, BadValue, and OSError where the kernel reports an error.
    """
    found = []
    at = 0
    while at < len(part):
        if len(part) - at < HEADER.size:
            raise Truncated("nlmsghdr", at, f"{len(part) - at} bytes, not {HEADER.size}")
        length, kind, flags, number, _ = HEADER.unpack_from(part, at)
        if not HEADER.size <= length <= len(part) - at:
            raise Truncated("nlmsghdr", at, f"a message of {length} bytes in {len(part) - at}")
        if number == sequence:
            if kind == ERROR or (kind == DONE and length >= HEADER.size + _ERROR.size):
                _check_error(part, at + HEADER.size, at + length)
            found.append(Message(kind, flags, at + HEADER.size, at + length))
        at += length + 3 & ~3
    return found


def parse_links(part: bytes, messages: list[Message]) -> list[Link]:
    """The interfaces that a part of an answer to RTM_GETLINK names. Raises ProtocolError."""
    found = []
    for kind, _, start, end in messages:
        if kind != NEW_LINK:
            continue
        if end - start < _LINK.size:
            raise Truncated("ifinfomsg", start, f"{end - start} bytes, not {_LINK.size}")
        index = _LINK.unpack_from(part, start)[3]
        name = link_kind = ""
        for number, first, last in attributes(part, start + _LINK.size, end):
            if number == _NAME:
                name = _text(part[first:last], first)
            elif number == _LINK_INFO:
                inner = (_text(part[a:b], a) for each, a, b in attributes(part, first, last) if each == _KIND)
                link_kind = next(inner, "")
        if not name or index <= 0:
            raise BadValue("ifinfomsg", start, f"an interface with index {index} and name {name!r}")
        found.append(Link(index, name, link_kind))
    return found


def parse_counters(part: bytes, messages: list[Message]) -> tuple[list[int], Counters]:
    """What a part of an answer to RTM_GETSTATS says: indexes, and a row of COUNTERS for each. Raises ProtocolError."""
    indexes, places = [], []
    for kind, _, start, end in messages:
        if kind != NEW_STATS:
            continue
        if end - start < _STATS.size:
            raise Truncated("if_stats_msg", start, f"{end - start} bytes, not {_STATS.size}")
        for number, first, last in attributes(part, start + _STATS.size, end):
            if number == _LINK_64:
                if last - first < _LINK_64_WORDS * 8:
                    raise Truncated("IFLA_STATS_LINK_64", first, f"{last - first} bytes are too few")
                indexes.append(_STATS.unpack_from(part, start)[3])
                places.append(first // 4)
                break
    # Everything in a message begins at a multiple of four bytes, but not of eight.
    offsets = np.array(places, np.intp)[:, None] + np.arange(_LINK_64_WORDS * 2)
    words = np.frombuffer(part, np.uint32, len(part) // 4)[offsets].view(np.uint64)
    values = words[:, _COLUMNS]
    # /proc/net/dev adds what was lost in the device, for want of buffers, to what the host dropped.
    values[:, _RX_DROP] += words[:, _RX_MISSED]
    return indexes, values


def attributes(part: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, and where the content begins and ends, of each attribute between two places."""
    while end - at >= _ATTRIBUTE.size:
        length, number = _ATTRIBUTE.unpack_from(part, at)
        if not _ATTRIBUTE.size <= length <= end - at:
            raise Truncated("rtattr", at, f"an attribute of {length} bytes in {end - at}")
        yield number & _TYPE_MASK, at + _ATTRIBUTE.size, at + length
        at += length + 3 & ~3


def _check_error(part: bytes, start: int, end: int) -> None:
    """What the kernel says instead of an answer, or at its end, where 0 is no error. Raises OSError."""
    if end - start < _ERROR.size:
        raise Truncated("nlmsgerr", start, f"{end - start} bytes, not {_ERROR.size}")
    number = -_ERROR.unpack_from(part, start)[0]
    if not 0 <= number <= _ERROR_MAX:
        raise BadValue("nlmsgerr", start, f"the error {number}")
    if number:
        raise OSError(number, os.strerror(number))


def _text(raw: bytes, at: int) -> str:
    """A name, as text; whoever may make interfaces chooses it, so that its bytes need not be UTF-8."""
    name = raw.partition(b"\0")[0]
    if len(name) > _NAME_MAX:
        raise LimitExceeded("name", at, f"a name of {len(name)} bytes")
    return name.decode("utf-8", "surrogateescape")


def _sockets(seconds: float) -> tuple[socket.socket, socket.socket]:
    """One to ask, one that is told of changes. Raises ConnectError."""
    opened: list[socket.socket] = []
    try:
        for groups in (0, _NEWS_OF_LINKS):
            opened.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE))
            opened[-1].bind((0, groups))
        asking, news = opened
        asking.setsockopt(_SOL_NETLINK, _STRICT, 1)
        asking.settimeout(seconds)
        news.setblocking(False)
    except OSError as error:
        for each in opened:
            each.close()
        raise ConnectError(f"cannot read network interfaces by rtnetlink: {error.strerror}") from error
    return asking, news
