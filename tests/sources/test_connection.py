"""sources.libvirt.connection (and transport): against a daemon whose faults are chosen."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from domstats.errors import (
    AccessDenied,
    ConnectError,
    ConnectionLost,
    DeadlineExceeded,
    LimitExceeded,
    NoDomain,
    NoSocket,
    ProtocolError,
    RemoteError,
    SocketDenied,
)
from domstats.model.domain import Domain
from domstats.sources.libvirt.connection import Connection
from domstats.sources.libvirt.transport import Link
from domstats.sources.libvirt.uri import LibvirtUri, parse
from domstats.wire.connection import Keepalive
from domstats.wire.packet import Program
from domstats.wire.procedures import Procedure
from fake_daemon import DOMAINS, Client, FakeDaemon

P = Procedure
DEADLINE = 10.0
"""Seconds: for calls that are answered."""
SILENCE = 0.03
"""Seconds: for calls that are not."""
HANDSHAKE = [P.AUTH_LIST, P.CONNECT_SUPPORTS_FEATURE, P.CONNECT_OPEN]


@pytest.fixture(autouse=True)
async def nothing_leaks() -> AsyncIterator[None]:
    """No test leaves a task or a descriptor behind."""
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the listing's own descriptor counts both times
    yield
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[FakeDaemon]:
    async with FakeDaemon(tmp_path / "sock") as daemon:
        yield daemon


@pytest.fixture
async def connection(daemon: FakeDaemon) -> AsyncIterator[Connection]:
    connection = await connect(daemon)
    yield connection
    await connection.aclose()


async def connect(daemon: FakeDaemon, deadline: float = DEADLINE) -> Connection:
    return await Connection.open(parse(daemon.uri, {}), deadline=deadline)


def start(connection: Connection, procedure: Procedure, *args: Any, deadline: float = DEADLINE) -> asyncio.Task[Any]:
    return asyncio.create_task(connection.call(procedure, *args, deadline=deadline))


def pongs(daemon: FakeDaemon) -> int:
    return sum(header.program == Program.KEEPALIVE and header.procedure == Keepalive.PONG for header in daemon.headers)


async def ping(daemon: FakeDaemon) -> None:
    """Wait for the answer to a PING: whatever the client sent before has come, too."""
    wanted = pongs(daemon) + 1
    daemon.clients[0].machine.ping()
    daemon.clients[0].flush()
    await daemon.until(lambda: pongs(daemon) == wanted)


class TestOpening:
    async def test_what_is_said_and_in_which_order(self, daemon: FakeDaemon) -> None:
        connection = await connect(daemon)
        assert [asked.procedure for asked in daemon.asked] == HANDSHAKE
        assert daemon.calls(P.CONNECT_SUPPORTS_FEATURE)[0].args == (10,)
        assert daemon.calls(P.CONNECT_OPEN)[0].args == ("qemu:///system", 1)
        assert connection.path == str(daemon.path)
        await connection.aclose()
        assert daemon.asked[-1].procedure is P.CONNECT_CLOSE
        await daemon.until(lambda: daemon.clients[0].gone)

    async def test_polkit_is_asked(self, daemon: FakeDaemon) -> None:
        daemon.answers[P.AUTH_LIST] = ([2],)
        connection = await connect(daemon)
        assert [asked.procedure for asked in daemon.asked][:2] == [P.AUTH_LIST, P.AUTH_POLKIT]
        await connection.aclose()

    @pytest.mark.parametrize("answer", [([],), RemoteError(3, 7, "not supported")])
    async def test_a_daemon_without_authentication(self, daemon: FakeDaemon, answer: Any) -> None:
        daemon.answers[P.AUTH_LIST] = answer
        connection = await connect(daemon)
        await connection.aclose()

    @pytest.mark.parametrize(
        ("answers", "error", "text"),
        [
            ({P.AUTH_LIST: ([1],)}, SocketDenied, "type 1"),
            ({P.AUTH_LIST: ([2],), P.AUTH_POLKIT: (False,)}, SocketDenied, "polkit denies"),
            ({P.AUTH_LIST: ([2],), P.AUTH_POLKIT: RemoteError(45, 60, "no")}, AccessDenied, "no"),
            ({P.CONNECT_OPEN: RemoteError(5, 0, "no connection driver")}, RemoteError, "no connection driver"),
            ({P.AUTH_LIST: RemoteError(38, 7, "broken")}, RemoteError, "broken"),
        ],
    )
    async def test_a_daemon_that_refuses(
        self, daemon: FakeDaemon, answers: dict[Procedure, Any], error: type[Exception], text: str
    ) -> None:
        daemon.answers |= answers
        with pytest.raises(error, match=text):
            await connect(daemon)
        await daemon.until(lambda: daemon.clients[0].gone)

    @pytest.mark.parametrize("procedure", HANDSHAKE)
    async def test_silence(self, daemon: FakeDaemon, procedure: Procedure) -> None:
        daemon.held.add(procedure)
        with pytest.raises(ConnectError, match=r"gave no answer within 0\.03 s") as caught:
            await connect(daemon, deadline=SILENCE)
        assert caught.value.tried == (str(daemon.path),)
        await daemon.until(lambda: daemon.clients[0].gone)

    async def test_a_socket_that_closes_at_once(self, daemon: FakeDaemon) -> None:
        daemon.hangs_up = True
        with pytest.raises(ConnectError, match="is a libvirt daemon behind this socket"):
            await connect(daemon)

    @pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2p1\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(99)])
    async def test_a_socket_that_is_not_libvirts(self, daemon: FakeDaemon, greeting: bytes) -> None:
        daemon.greeting = greeting
        with pytest.raises(ConnectError, match="does not speak libvirt's protocol") as caught:
            await connect(daemon)
        assert "\n" not in str(caught.value)

    async def test_giving_up_while_opening(self, daemon: FakeDaemon) -> None:
        daemon.held.add(P.CONNECT_OPEN)
        opening = asyncio.create_task(connect(daemon))
        await daemon.until_asked(P.CONNECT_OPEN)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await daemon.until(lambda: daemon.clients[0].gone)


class TestSockets:
    def uri(self, *sockets: Path) -> LibvirtUri:
        return LibvirtUri("qemu:///system", "qemu:///system", tuple(map(str, sockets)))

    async def test_the_first_one_where_someone_listens(self, daemon: FakeDaemon, tmp_path: Path) -> None:
        stale = tmp_path / "stale"
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(str(stale))
        uri = self.uri(tmp_path / "absent", stale, daemon.path / "below", daemon.path)
        connection = await Connection.open(uri, deadline=DEADLINE)
        assert connection.path == str(daemon.path)
        await connection.aclose()

    async def test_none(self, tmp_path: Path) -> None:
        uri = self.uri(tmp_path / "a", tmp_path / "b")
        with pytest.raises(NoSocket, match=r"is libvirtd \(or virtqemud\) running\? sim:///") as caught:
            await Connection.open(uri, deadline=DEADLINE)
        assert caught.value.tried == uri.sockets
        assert f"{uri.sockets[0]} or {uri.sockets[1]}" in str(caught.value)

    async def test_one_that_is_denied(self, daemon: FakeDaemon, tmp_path: Path, as_nobody: Callable[[], None]) -> None:
        daemon.path.chmod(0)
        as_nobody()
        with pytest.raises(SocketDenied, match="join the group 'libvirt', or use the read-only socket"):
            await Connection.open(self.uri(daemon.path, tmp_path / "absent"), deadline=DEADLINE)

    async def test_a_path_too_long(self, tmp_path: Path) -> None:
        with pytest.raises(ConnectError, match=r"cannot connect to .*: AF_UNIX path too long"):
            await Connection.open(self.uri(tmp_path / ("x" * 120)), deadline=DEADLINE)

    @pytest.fixture
    def as_nobody(self) -> Iterator[Callable[[], None]]:
        """To go on as a user without privileges; one who has none to begin with stays."""
        root = os.geteuid() == 0
        yield lambda: os.seteuid(65534) if root else None
        if root:
            os.seteuid(0)


class TestABacklogThatIsFull:
    @pytest.fixture
    def listener(self, tmp_path: Path) -> Iterator[socket.socket]:
        """Listens at tmp_path/full, where one connection waits to be accepted and there is no room for another."""
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as waiting:
            listener.bind(str(tmp_path / "full"))
            listener.listen(0)
            listener.setblocking(False)
            waiting.connect(str(tmp_path / "full"))
            yield listener

    def open(self, listener: socket.socket, deadline: float) -> asyncio.Task[Connection]:
        path = listener.getsockname()
        return asyncio.create_task(Connection.open(LibvirtUri("", "qemu:///system", (path,)), deadline=deadline))

    async def test_until_the_deadline(self, listener: socket.socket) -> None:
        text = r"full took no connection within 0\.03 s: the daemon hangs, or has as many clients"
        with pytest.raises(ConnectError, match=text) as caught:
            await self.open(listener, SILENCE)
        assert type(caught.value) is ConnectError
        assert caught.value.tried == (listener.getsockname(),)

    async def test_until_there_is_room(self, daemon: FakeDaemon, listener: socket.socket) -> None:
        opening = self.open(listener, DEADLINE)
        await asyncio.sleep(0)  # the first attempt is made
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(DEADLINE):
            for _ in range(2):  # the one that waits already, then ours
                sock, _ = await loop.sock_accept(listener)
                await loop.connect_accepted_socket(lambda: Client(daemon), sock)
        connection = await opening
        assert await connection.call(P.DOMAIN_LOOKUP_BY_ID, 3, deadline=DEADLINE) == DOMAINS[0]
        await connection.aclose()
        await daemon.disconnect()

    async def test_giving_up(self, listener: socket.socket) -> None:
        opening = self.open(listener, DEADLINE)
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening


class TestCalling:
    async def test_a_reply(self, connection: Connection) -> None:
        assert await connection.call(P.CONNECT_LIST_ALL_DOMAINS, 1, 0, deadline=DEADLINE) == (list(DOMAINS), 3)
        assert connection.outstanding == 0

    async def test_an_error(self, connection: Connection) -> None:
        with pytest.raises(NoDomain) as caught:
            await connection.call(P.DOMAIN_LOOKUP_BY_NAME, "nope", deadline=DEADLINE)
        assert (caught.value.code, caught.value.domain, caught.value.text) == (42, 10, "Domain not found")

    async def test_replies_in_another_order(self, daemon: FakeDaemon, connection: Connection) -> None:
        daemon.held.add(P.DOMAIN_LOOKUP_BY_ID)
        tasks = [start(connection, P.DOMAIN_LOOKUP_BY_ID, number) for number in range(3)]
        held = await daemon.until_asked(P.DOMAIN_LOOKUP_BY_ID, 3)
        for asked in (held[2], held[0], held[1]):
            daemon.answer(asked, DOMAINS[asked.args[0]])
        assert await asyncio.gather(*tasks) == list(DOMAINS)

    async def test_four_calls_at_a_time(self, daemon: FakeDaemon, connection: Connection) -> None:
        daemon.held.add(P.CONNECT_GET_URI)
        tasks = [start(connection, P.CONNECT_GET_URI) for _ in range(5)]
        held = await daemon.until_asked(P.CONNECT_GET_URI, 4)
        await ping(daemon)
        assert (len(daemon.calls(P.CONNECT_GET_URI)), connection.outstanding) == (4, 4)
        daemon.answer(held[2], "three")
        assert await tasks[2] == "three"
        held = await daemon.until_asked(P.CONNECT_GET_URI, 5)
        for number, asked in enumerate(held):
            if number != 2:
                daemon.answer(asked, f"{number}")
        assert [await task for task in tasks] == ["0", "1", "three", "3", "4"]

    async def test_pings_are_answered_during_a_long_call(self, daemon: FakeDaemon, connection: Connection) -> None:
        daemon.held.add(P.CONNECT_GET_ALL_DOMAIN_STATS)
        task = start(connection, P.CONNECT_GET_ALL_DOMAIN_STATS, [], 0, 0)
        (asked,) = await daemon.until_asked(P.CONNECT_GET_ALL_DOMAIN_STATS)
        await ping(daemon)
        await ping(daemon)
        daemon.answer(asked, b"\0\0\0\0")
        assert bytes(await task) == b"\0\0\0\0"

    async def test_a_reply_that_comes_in_pieces(self, daemon: FakeDaemon, connection: Connection) -> None:
        daemon.held.add(P.CONNECT_GET_CAPABILITIES)
        task = start(connection, P.CONNECT_GET_CAPABILITIES)
        (asked,) = await daemon.until_asked(P.CONNECT_GET_CAPABILITIES)
        text = "x" * 1_000_000
        daemon.answer(asked, text)
        assert await task == text

    async def test_no_answer_in_time(self, daemon: FakeDaemon, connection: Connection) -> None:
        daemon.held.add(P.CONNECT_GET_URI)
        with pytest.raises(DeadlineExceeded, match=r"no answer to CONNECT_GET_URI within 0\.03 s"):
            await connection.call(P.CONNECT_GET_URI, deadline=SILENCE)
        assert connection.outstanding == 1
        (asked,) = daemon.calls(P.CONNECT_GET_URI)
        daemon.answer(asked, "late")
        assert await connection.call(P.DOMAIN_LOOKUP_BY_ID, 3, deadline=DEADLINE) == DOMAINS[0]
        assert connection.outstanding == 0

    async def test_a_caller_that_is_cancelled(self, daemon: FakeDaemon, connection: Connection) -> None:
        daemon.held.add(P.CONNECT_GET_URI)
        task = start(connection, P.CONNECT_GET_URI)
        (asked,) = await daemon.until_asked(P.CONNECT_GET_URI)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert connection.outstanding == 1
        daemon.fail(asked, RemoteError(1, 7, "late"))
        assert await connection.call(P.DOMAIN_LOOKUP_BY_ID, 3, deadline=DEADLINE) == DOMAINS[0]
        assert connection.outstanding == 0

    async def test_a_caller_that_is_cancelled_waiting_for_its_turn(
        self, daemon: FakeDaemon, connection: Connection
    ) -> None:
        daemon.held.add(P.CONNECT_GET_URI)
        tasks = [start(connection, P.CONNECT_GET_URI) for _ in range(6)]
        held = await daemon.until_asked(P.CONNECT_GET_URI, 4)
        tasks[4].cancel()
        for asked in held:
            daemon.answer(asked, "")
        (*_, last) = await daemon.until_asked(P.CONNECT_GET_URI, 5)
        daemon.answer(last, "")
        await asyncio.wait(tasks)
        assert [task.cancelled() for task in tasks] == [False] * 4 + [True, False]
        assert len(daemon.calls(P.CONNECT_GET_URI)) == 5

    async def test_arguments_too_large_take_no_turn(self, connection: Connection) -> None:
        domains = [Domain("x" * 4_000_000, DOMAINS[0].uuid, None)] * 9  # each within its limit, over 32 MiB together
        for _ in range(6):
            with pytest.raises(LimitExceeded):
                await connection.call(P.CONNECT_GET_ALL_DOMAIN_STATS, domains, 0, 0, deadline=DEADLINE)
        assert await connection.call(P.DOMAIN_LOOKUP_BY_ID, 3, deadline=DEADLINE) == DOMAINS[0]

    async def test_a_reply_that_is_malformed_inside_harms_no_other_call(
        self, daemon: FakeDaemon, connection: Connection
    ) -> None:
        daemon.held.add(P.CONNECT_GET_URI)
        task = start(connection, P.CONNECT_GET_URI)
        (asked,) = await daemon.until_asked(P.CONNECT_GET_URI)
        asked.client.machine.reply(asked.call.serial, P.CONNECT_GET_URI, b"\xff\xff\xff\xff")
        asked.client.flush()
        with pytest.raises(LimitExceeded):
            await task
        assert await connection.call(P.DOMAIN_LOOKUP_BY_ID, 3, deadline=DEADLINE) == DOMAINS[0]

    async def test_events(self, daemon: FakeDaemon) -> None:
        events: list[tuple[Procedure, Any]] = []
        connection = await connect(daemon)
        connection.listen(lambda procedure, value: events.append((procedure, value)))
        machine = daemon.clients[0].machine
        for no_event in (9999, P.CONNECT_GET_URI, P.CONNECT_CLOSE):
            machine.message(no_event, b"")
        for lie in (b"\0\0\0", b"\0\0\0\1\0\0\0\0"):
            machine.message(P.CONNECT_EVENT_CONNECTION_CLOSED, lie)
        machine.message(P.CONNECT_EVENT_CONNECTION_CLOSED, b"\0\0\0\2")
        daemon.clients[0].flush()
        await connection.call(P.NODE_GET_INFO, deadline=DEADLINE)
        assert events == [(P.CONNECT_EVENT_CONNECTION_CLOSED, 2)]
        await connection.aclose()

    async def ping_unheard(self, client: Client) -> None:
        client.machine.ping()
        client.flush()
        await asyncio.sleep(0)  # the client's side reads it

    async def test_a_daemon_that_pings_and_does_not_read(self, daemon: FakeDaemon) -> None:
        transport, link = await asyncio.get_running_loop().create_unix_connection(Link, str(daemon.path))
        await link.request(P.CONNECT_CLOSE, b"")
        (client,) = daemon.clients
        client.transport.pause_reading()
        _, high = transport.get_write_buffer_limits()
        pings = 0
        while transport.get_write_buffer_size() <= high:
            await self.ping_unheard(client)
            pings += 1
            assert pings < 20_000  # about 300 fill the socket's buffer, 2,300 the transport's
        full = transport.get_write_buffer_size()
        for _ in range(100):
            await self.ping_unheard(client)
        assert transport.get_write_buffer_size() == full
        asking = asyncio.create_task(link.request(P.CONNECT_CLOSE, b""))
        client.transport.resume_reading()
        async with asyncio.timeout(DEADLINE):
            assert await asking == b""
        await link.close()


class TestLosing:
    async def hang(self, daemon: FakeDaemon, connection: Connection, calls: int) -> list[asyncio.Task[Any]]:
        daemon.held.add(P.CONNECT_GET_URI)
        tasks = [start(connection, P.CONNECT_GET_URI) for _ in range(calls)]
        await daemon.until_asked(P.CONNECT_GET_URI, min(calls, 4))
        return tasks

    async def outcomes(self, tasks: list[asyncio.Task[Any]]) -> list[Any]:
        async with asyncio.timeout(DEADLINE):
            return list(await asyncio.gather(*tasks, return_exceptions=True))

    async def test_the_daemon_goes_away(self, daemon: FakeDaemon, connection: Connection) -> None:
        tasks = await self.hang(daemon, connection, 12)
        await daemon.disconnect()
        errors = await self.outcomes(tasks)
        assert [type(error) for error in errors] == [ConnectionLost] * 12
        assert {str(error) for error in errors} == {"the daemon closed the connection during CONNECT_GET_URI"}
        assert connection.lost
        with pytest.raises(ConnectionLost, match="during NODE_GET_INFO"):
            await connection.call(P.NODE_GET_INFO, deadline=DEADLINE)

    async def test_the_daemon_goes_away_after_half_a_packet(self, daemon: FakeDaemon, connection: Connection) -> None:
        tasks = await self.hang(daemon, connection, 1)
        daemon.clients[0].transport.write(b"\0\0\0\x40 \0\x80\x86")
        daemon.clients[0].transport.close()
        (error,) = await self.outcomes(tasks)
        assert isinstance(error, ConnectionLost)

    @pytest.mark.parametrize("garbage", [b"\0\0\0\x1b", b"\xff\xff\xff\xff", b"\0\0\0\x1c" + b"\xff" * 24])
    async def test_garbage(self, daemon: FakeDaemon, connection: Connection, garbage: bytes) -> None:
        tasks = await self.hang(daemon, connection, 6)
        daemon.clients[0].transport.write(garbage)
        errors = await self.outcomes(tasks)
        assert all(isinstance(error, ProtocolError) for error in errors)
        assert len(set(map(id, errors))) == len(errors) == 6
        await daemon.until(lambda: daemon.clients[0].gone)
        with pytest.raises(ProtocolError):
            await connection.call(P.NODE_GET_INFO, deadline=DEADLINE)

    async def test_an_answer_before_the_garbage_counts(self, daemon: FakeDaemon, connection: Connection) -> None:
        (task,) = await self.hang(daemon, connection, 1)
        (asked,) = daemon.calls(P.CONNECT_GET_URI)
        daemon.answer(asked, "there")
        asked.client.transport.write(b"\0\0\0\0")
        assert await task == "there"
        await daemon.until(lambda: daemon.clients[0].gone)

    async def test_a_caller_cancelled_as_the_connection_goes(self, daemon: FakeDaemon, connection: Connection) -> None:
        tasks = await self.hang(daemon, connection, 6)
        for task in tasks[::2]:
            task.cancel()
        await daemon.disconnect()
        errors = await self.outcomes(tasks)
        assert [type(error) for error in errors] == [asyncio.CancelledError, ConnectionLost] * 3

    async def test_closing_fails_those_who_wait(self, daemon: FakeDaemon, connection: Connection) -> None:
        tasks = await self.hang(daemon, connection, 2)
        await connection.aclose()
        errors = await self.outcomes(tasks)
        assert {str(error) for error in errors} == {"the connection was closed during CONNECT_GET_URI"}

    async def test_closing_as_the_daemon_closes_too(self, daemon: FakeDaemon, connection: Connection) -> None:
        tasks = await self.hang(daemon, connection, 2)
        daemon.held.add(P.CONNECT_CLOSE)
        closing = asyncio.create_task(connection.aclose())
        await daemon.until_asked(P.CONNECT_CLOSE)
        await daemon.disconnect()
        await closing
        errors = await self.outcomes(tasks)
        assert {str(error) for error in errors} == {"the connection was closed during CONNECT_GET_URI"}

    async def test_closing_when_the_goodbye_cannot_be_sent(self, daemon: FakeDaemon, connection: Connection) -> None:
        tasks = await self.hang(daemon, connection, 2)
        daemon.clients[0].transport.get_extra_info("socket").shutdown(socket.SHUT_RD)  # so that writing gives EPIPE
        await connection.aclose()
        errors = await self.outcomes(tasks)
        assert {str(error) for error in errors} == {"the connection was closed during CONNECT_GET_URI"}

    async def test_breaking(self, daemon: FakeDaemon, connection: Connection) -> None:
        daemon.clients[0].transport.get_extra_info("socket").shutdown(socket.SHUT_RD)
        with pytest.raises(ConnectionLost, match=r"broke \(.*Broken pipe\) during NODE_GET_INFO"):
            await connection.call(P.NODE_GET_INFO, deadline=DEADLINE)

    async def test_closing_without_a_turn_left_does_not_wait_for_one(
        self, daemon: FakeDaemon, connection: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("domstats.sources.libvirt.connection.CLOSE_DEADLINE", 10 * DEADLINE)
        tasks = await self.hang(daemon, connection, 4)
        async with asyncio.timeout(DEADLINE):
            await connection.aclose()
        await daemon.until(lambda: daemon.clients[0].gone)
        assert not daemon.calls(P.CONNECT_CLOSE)
        assert all(isinstance(error, ConnectionLost) for error in await self.outcomes(tasks))

    async def test_closing_does_not_wait_for_a_daemon_that_hangs(
        self, daemon: FakeDaemon, connection: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("domstats.sources.libvirt.connection.CLOSE_DEADLINE", SILENCE)
        daemon.held.add(P.CONNECT_CLOSE)
        await connection.aclose()
        await daemon.until(lambda: daemon.clients[0].gone)

    async def test_closing_twice_and_at_the_same_time(self, daemon: FakeDaemon) -> None:
        connection = await connect(daemon)
        await asyncio.gather(connection.aclose(), connection.aclose())
        await connection.aclose()
        assert connection.lost
        await daemon.until(lambda: daemon.clients[0].gone)

    async def test_closing_is_cancelled(self, daemon: FakeDaemon) -> None:
        connection = await connect(daemon)
        daemon.held.add(P.CONNECT_CLOSE)
        closing = asyncio.create_task(connection.aclose())
        await daemon.until_asked(P.CONNECT_CLOSE)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await daemon.until(lambda: daemon.clients[0].gone)
