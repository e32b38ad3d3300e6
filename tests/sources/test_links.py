"""The counters of network interfaces: compared with /proc/net/dev, in network namespaces of their own and here."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.errors import BadValue, ConnectionLost, DeadlineExceeded, LimitExceeded, ProtocolError, Truncated
from domstats.sources.kernel import links as module
from domstats.sources.kernel.links import (
    COUNTERS,
    DONE,
    ERROR,
    HEADER,
    INTERRUPTED,
    NEW_LINK,
    NEW_STATS,
    Link,
    LinkCounters,
    Links,
    parse_counters,
    parse_links,
    split,
)

T = TypeVar("T")
SEQUENCE = 5
MULTI = 2
_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _TAP_WITHOUT_INFO = 0x400454CA, 0x1002
_SIOCBRADDBR = 0x89A0
_WAITING = 20.0
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make network namespaces")


class Namespace:
    """A network namespace: a thread that lives in it. No frame comes of itself: nothing there speaks IPv6."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self.inside(_leave)
        self.inside(_without_ipv6)
        self.ip("link set lo up")

    def inside(self, work: Callable[[], T]) -> T:
        """Do something in it."""
        return self._thread.submit(work).result(_WAITING)

    def ip(self, *commands: str) -> None:
        """Run commands of ip(8) in it."""
        self.inside(lambda: run_ip(commands))

    def proc(self) -> dict[str, list[int]]:
        """What its /proc/net/dev shows, as COUNTERS."""
        return self.inside(lambda: proc_net_dev(Path("/proc/thread-self/net/dev")))

    def close(self) -> None:
        self._thread.shutdown()


def _leave() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(_CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())


def _without_ipv6() -> None:
    """What /proc/sys/net shows is the namespace of the thread that looks."""
    for switch in Path("/proc/sys/net/ipv6/conf").glob("*/disable_ipv6"):
        switch.write_text("1")


def run_ip(commands: tuple[str, ...]) -> None:
    text = "\n".join(commands) + "\n"
    subprocess.run(["ip", "-batch", "-"], input=text, text=True, check=True, timeout=_WAITING)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    mine = Namespace()
    yield mine
    mine.close()


@pytest.fixture
def links(namespace: Namespace) -> Iterator[Links]:
    mine = namespace.inside(Links)
    yield mine
    mine.close()


def proc_net_dev(path: Path) -> dict[str, list[int]]:
    found = {}
    for line in path.read_text().splitlines()[2:]:
        name, _, rest = line.rpartition(":")
        numbers = [int(number) for number in rest.split()]
        found[name.strip()] = numbers[:4] + numbers[8:12]
    return found


def shown(counters: LinkCounters) -> dict[str, list[int]]:
    values = counters.values.tolist()
    return {name: values[row] for name, row in counters.rows.items()}


def send(name: str, sizes: list[int]) -> None:
    """Send frames out of an interface; they have no receiver."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind((name, 0))
        for size in sizes:
            out.send(bytes(12) + b"\x88\xb5" + bytes(size - 14))


def attribute(number: int, content: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(content), number) + content + bytes(-len(content) % 4)


def message(kind: int, content: bytes, flags: int = MULTI, sequence: int = SEQUENCE) -> bytes:
    return HEADER.pack(HEADER.size + len(content), kind, flags, sequence, 0) + content + bytes(-len(content) % 4)


def stats(index: int, words: list[int], before: bytes = b"") -> bytes:
    content = struct.pack("=BBHII", 0, 0, 0, index, 1) + before
    return content + attribute(1, struct.pack(f"={len(words)}Q", *words))


def link(index: int, *attributes: bytes) -> bytes:
    return struct.pack("=BBHiII", 0, 0, 1, index, 0, 0) + b"".join(attributes)


# Namespaces


def test_here() -> None:
    with Links() as mine:
        before = proc_net_dev(Path("/proc/net/dev"))
        read = shown(mine.read())
        after = proc_net_dev(Path("/proc/net/dev"))
    same = before.keys() & after.keys()
    assert same <= read.keys()
    for name in same:
        both = zip(before[name], read[name], after[name], strict=True)
        assert all(low <= value <= high for low, value, high in both), name


@needs_root
def test_the_counters_are_those_of_proc(namespace: Namespace, links: Links) -> None:
    namespace.ip(
        "link add left type veth peer name right",
        "link add link left name mac type macvtap mode bridge",
        "link set left up",
        "link set right up",
        "link set mac up",
        "link add bridge type bridge",
    )
    tap = namespace.inside(lambda: make_tap("guest"))
    try:
        namespace.ip("link set guest up")
        namespace.inside(lambda: send("right", [60, 1500, 100]))
        namespace.inside(lambda: send("guest", [200, 300]))
        assert [len(os.read(tap, 2000)), len(os.read(tap, 2000))] == [200, 300]
        os.write(tap, bytes(12) + b"\x88\xb5" + bytes(50))
        read = links.read()
        values = shown(read)
        assert values == namespace.proc()
        assert values["right"] == [0, 0, 0, 0, 1660, 3, 0, 0]
        assert values["left"][:2] == [1660, 3]
        assert values["guest"][4:6] == [500, 2], "what is sent to the guest its tap transmits"
        assert values["guest"][:2] == [64, 1], "what the guest sends its tap receives"
        kinds = {each.name: each.kind for each in read.links}
        assert kinds == {
            "lo": "", "left": "veth", "right": "veth", "mac": "macvtap", "guest": "tun", "bridge": "bridge",
        }  # fmt: skip
        assert [each.index for each in read.links] == sorted(each.index for each in read.links)
        indexes = namespace.inside(lambda: {name: index for index, name in socket.if_nameindex()})
        assert {each.name: each.index for each in read.links} == indexes
    finally:
        os.close(tap)


def make_tap(name: str) -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("=16sH22x", name.encode(), _TAP_WITHOUT_INFO))
    return tap


@needs_root
def test_what_was_dropped(namespace: Namespace, links: Links) -> None:
    tap = namespace.inside(lambda: make_tap("guest"))
    try:
        namespace.ip("link set guest txqueuelen 1 up")
        namespace.inside(lambda: send("guest", [100] * 50))
        os.write(tap, bytes(12) + b"\x88\xb5" + bytes(50))
        namespace.ip("link set guest down")
        read = shown(links.read())
        assert read == namespace.proc()
        assert read["guest"][COUNTERS.index("tx.drop")] > 0, "nobody reads what is sent to the guest"
    finally:
        os.close(tap)


@needs_root
def test_names_are_kept_until_there_is_news(namespace: Namespace, links: Links) -> None:
    first, second = links.read(), links.read()
    assert (second.links, second.rows) == (first.links, first.rows)
    assert second.links is first.links
    assert second.rows is first.rows
    assert second.values is not first.values
    namespace.ip("link add one type veth peer name two")
    assert links.read().rows.keys() == {"lo", "one", "two"}
    namespace.ip("link set one name other")
    third = links.read()
    assert third.rows.keys() == {"lo", "other", "two"}
    assert links.read().links is third.links
    namespace.ip("link set two alias whatever")
    assert links.read().links is third.links, "news that changes nothing"
    namespace.ip("link del other")
    assert links.read().rows.keys() == {"lo"}


@needs_root
def test_an_index_that_another_interface_has_now(namespace: Namespace, links: Links) -> None:
    namespace.ip("link add one index 50 type bridge")
    assert Link(50, "one", "bridge") in links.read().links
    namespace.ip("link del one", "link add two index 50 type bridge")
    assert Link(50, "two", "bridge") in links.read().links
    assert shown(links.read()) == namespace.proc()


@needs_root
def test_more_interfaces_than_a_part_holds(namespace: Namespace, links: Links) -> None:
    namespace.ip(*(f"link add br{number} type bridge" for number in range(300)))
    read = links.read()
    assert len(read.links) == 301
    assert shown(read) == namespace.proc()
    assert len(links.read().links) == 301


@needs_root
def test_more_news_than_the_socket_keeps(namespace: Namespace, links: Links) -> None:
    links.read()
    links._news.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    namespace.ip(*(f"link add br{number} type bridge" for number in range(20)), "link set br3 name renamed")
    assert "renamed" in links.read().rows
    namespace.ip("link set br4 name again")
    assert "again" in links.read().rows


@needs_root
def test_names_that_are_no_text(namespace: Namespace, links: Links) -> None:
    name = b"\xff\xfe<&>'\"d"
    namespace.inside(lambda: make_bridge(name))
    assert links.read().rows.keys() == {"lo", name.decode("utf-8", "surrogateescape")}


def make_bridge(name: bytes) -> None:
    """A bridge of that name, made as brctl does; ip takes no such name."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as asking:
        fcntl.ioctl(asking, _SIOCBRADDBR, name + b"\0")


@needs_root
def test_interfaces_that_come_and_go_meanwhile(namespace: Namespace, links: Links) -> None:
    stop = threading.Event()

    def churn() -> None:
        _leave_for(namespace_path)
        while not stop.is_set():
            run_ip(("link add coming type veth peer name going", "link del coming"))

    namespace_path = namespace.inside(lambda: f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net")
    with ThreadPoolExecutor(1) as other:
        churning = other.submit(churn)
        try:
            for _ in range(300):
                read = links.read()
                assert read.rows.keys() <= {"lo", "coming", "going", "veth0", "veth1"}
                assert "lo" in read.rows
                assert read.values.shape == (len(read.links), len(COUNTERS))
        finally:
            stop.set()
        churning.result(_WAITING)
    assert links.read().rows.keys() == {"lo"}


def _leave_for(path: str) -> None:
    with Path(path).open() as namespace:
        assert ctypes.CDLL(None).setns(namespace.fileno(), _CLONE_NEWNET) == 0


# Errors of the socket


class Scripted:
    """A socket that answers as it is told."""

    def __init__(self, *answers: bytes | Exception | tuple[bytes, int, int]) -> None:
        self.answers, self.closed = list(answers), False

    def send(self, request: bytes) -> None:
        self.sequence = HEADER.unpack_from(request)[3]

    def recvmsg_into(self, buffers: list[bytearray]) -> tuple[int, list[None], int, tuple[int, int]]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        raw, flags, port = answer if isinstance(answer, tuple) else (answer, 0, 0)
        buffers[0][: len(raw)] = raw
        return len(raw), [], flags, (port, 0)

    def recv(self, _: int) -> bytes:
        raise BlockingIOError

    def close(self) -> None:
        self.closed = True


def scripted(*answers: bytes | Exception | tuple[bytes, int, int]) -> tuple[Links, Scripted]:
    mine, script = Links(), Scripted(*answers)
    mine.close()
    mine._asking = mine._news = script  # type: ignore[assignment]
    return mine, script


def name_part(sequence: int, *names: str, end: bool = True) -> bytes:
    made = [link(number, attribute(3, name.encode() + b"\0")) for number, name in enumerate(names, 1)]
    done = [message(DONE, bytes(4), sequence=sequence)] if end else []
    return b"".join([message(NEW_LINK, each, sequence=sequence) for each in made] + done)


def stats_part(sequence: int, *values: int, flags: int = MULTI) -> bytes:
    made = [message(NEW_STATS, stats(n, [value] * 25), flags, sequence) for n, value in enumerate(values, 1)]
    return b"".join([*made, message(DONE, bytes(4), sequence=sequence)])


def test_a_dump_that_was_interrupted_is_repeated() -> None:
    mine, script = scripted(
        name_part(1, "a", "b"),
        stats_part(2, 7, 7, flags=MULTI | INTERRUPTED),
        name_part(3, "a", "b"),
        stats_part(4, 8, 9),
    )
    assert shown(mine.read()) == {"a": [8, 8, 8, 16, 8, 8, 8, 8], "b": [9, 9, 9, 18, 9, 9, 9, 9]}
    assert script.answers == []


def test_names_and_counters_of_different_interfaces_are_asked_for_again() -> None:
    mine, script = scripted(name_part(1, "a"), stats_part(2, 7, 7), name_part(3, "a", "b"), stats_part(4, 8, 9))
    assert mine.read().rows == {"a": 0, "b": 1}
    assert script.answers == []


def test_dumps_that_are_always_interrupted() -> None:
    answers = []
    for number in range(1, 7, 2):
        answers += [name_part(number, "a", "b"), stats_part(number + 1, number, flags=MULTI | INTERRUPTED)]
    mine, script = scripted(*answers, name_part(7, "a"), stats_part(8, 1))
    assert mine.read().rows == {"a": 0}, "what came the last time"
    assert mine.read().rows == {"a": 0}, "the next reading asks for the names again"
    assert script.answers == []


def test_parts_of_others_and_of_earlier_requests_are_passed_over() -> None:
    mine, _ = scripted(
        name_part(9, "old"),
        (name_part(1, "forged"), 0, 1234),
        name_part(1, "a", end=False),
        message(DONE, b"", sequence=1),
        stats_part(2, 3),
    )
    assert mine.read().rows == {"a": 0}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (TimeoutError(), DeadlineExceeded),
        (OSError(105, "No buffer space available"), ConnectionLost),
        (message(ERROR, struct.pack("=i", -22), sequence=1), ConnectionLost),
        (message(DONE, struct.pack("=i", -12), sequence=1), ConnectionLost),
        (message(ERROR, struct.pack("=i", 5), sequence=1), BadValue),
        (message(ERROR, b"", sequence=1), Truncated),
        (name_part(1, "a")[:-3], Truncated),
        ((name_part(1, "a"), int(socket.MSG_TRUNC), 0), Truncated),
    ],
)
def test_errors_close_it(answer: bytes | Exception, error: type[Exception]) -> None:
    mine, script = scripted(answer)
    with pytest.raises(error):
        mine.read()
    assert script.closed
    mine.close()


def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINKS_MAX", 3)
    with pytest.raises(LimitExceeded):
        scripted(*[name_part(1, "a", end=False)] * 4)[0].read()
    with pytest.raises(LimitExceeded):
        scripted(name_part(1, "a", "b", "c", "d"))[0].read()
    with pytest.raises(LimitExceeded):
        scripted(name_part(1, "a"), stats_part(2, 1, 2, 3, 4))[0].read()


# Bytes


def test_the_sums() -> None:
    words = [10 + number for number in range(25)]
    part = message(NEW_STATS, stats(3, words)) + message(NEW_STATS, stats(2**31 - 1, [2**64 - 1] * 25))
    indexes, values = parse_counters(part, split(part, SEQUENCE))
    assert indexes == [3, 2**31 - 1]
    rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped, *_ = words
    assert dict(zip(COUNTERS, values[0].tolist(), strict=True)) == {
        "rx.bytes": rx_bytes,
        "rx.pkts": rx_packets,
        "rx.errs": rx_errors,
        "rx.drop": rx_dropped + words[15],
        "tx.bytes": tx_bytes,
        "tx.pkts": tx_packets,
        "tx.errs": tx_errors,
        "tx.drop": tx_dropped,
    }
    assert values[1, 0] == 2**64 - 1
    assert values.dtype == np.uint64


def test_an_attribute_before_the_counters_and_none_at_all() -> None:
    padded = message(NEW_STATS, stats(3, list(range(16)), attribute(0, b"")))
    empty = message(NEW_STATS, struct.pack("=BBHII", 0, 0, 0, 4, 1))
    part = padded + empty
    indexes, values = parse_counters(part, split(part, SEQUENCE))
    assert indexes == [3], "what has no counters is left out"
    assert values.tolist() == [[2, 0, 4, 6 + 15, 3, 1, 5, 7]]


def test_names_and_kinds() -> None:
    nested = attribute(18 | 0x8000, attribute(2, b"other") + attribute(1, b"macvtap\0"))
    part = message(NEW_LINK, link(7, attribute(5, b"x"), attribute(3, b"tap0\0"), nested))
    part += message(NEW_LINK, link(8, attribute(3, b"lo\0"))) + message(DONE, bytes(4))
    messages = split(part, SEQUENCE)
    assert parse_links(part, messages) == [Link(7, "tap0", "macvtap"), Link(8, "lo", "")]
    assert messages[-1].kind == DONE


@pytest.mark.parametrize(
    ("part", "error"),
    [
        (message(NEW_LINK, link(1)), BadValue),
        (message(NEW_LINK, link(0, attribute(3, b"a"))), BadValue),
        (message(NEW_LINK, link(-1, attribute(3, b"a"))), BadValue),
        (message(NEW_LINK, link(1, attribute(3, b"a" * 16))), LimitExceeded),
        (message(NEW_LINK, link(1)[:-1]), Truncated),
        (message(NEW_LINK, link(1, struct.pack("=HH", 3, 3))), Truncated),
        (message(NEW_LINK, link(1, struct.pack("=HH", 9, 3))), Truncated),
        (message(NEW_LINK, link(1, attribute(18, struct.pack("=HH", 8, 1)))), Truncated),
        (message(NEW_STATS, bytes(11)), Truncated),
        (message(NEW_STATS, stats(1, [0] * 15)), Truncated),
        (HEADER.pack(15, NEW_LINK, 0, SEQUENCE, 0), Truncated),
        (HEADER.pack(17, NEW_LINK, 0, SEQUENCE, 0), Truncated),
        (HEADER.pack(16, NEW_LINK, 0, SEQUENCE, 0)[:-1], Truncated),
        (HEADER.pack(2**32 - 1, NEW_LINK, 0, SEQUENCE, 0), Truncated),
    ],
)
def test_what_is_no_answer(part: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_everything(part)


def parse_everything(part: bytes) -> None:
    messages = split(part, SEQUENCE)
    parse_links(part, messages)
    parse_counters(part, messages)


def only_our_errors(part: bytes) -> None:
    try:
        parse_everything(part)
    except (ProtocolError, OSError):
        return


@given(st.binary(max_size=400))
def test_any_bytes(part: bytes) -> None:
    only_our_errors(part)


@given(st.lists(st.tuples(st.sampled_from([NEW_LINK, NEW_STATS, ERROR, DONE]), st.binary(max_size=250)), max_size=4))
def test_any_content_of_messages(contents: list[tuple[int, bytes]]) -> None:
    only_our_errors(b"".join(message(kind, content) for kind, content in contents))


@given(st.lists(st.tuples(st.integers(0, 30), st.binary(max_size=210)), max_size=5), st.integers(0, 300))
def test_any_attributes(contents: list[tuple[int, bytes]], cut: int) -> None:
    attributes = b"".join(attribute(number, content) for number, content in contents)
    part = message(NEW_LINK, link(1, attributes)) + message(
        NEW_STATS, struct.pack("=BBHII", 0, 0, 0, 1, 1) + attributes
    )
    only_our_errors(part)
    only_our_errors(part[:cut])
