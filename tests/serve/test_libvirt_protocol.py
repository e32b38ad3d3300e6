"""The libvirt socket's side of the protocol: what comes first, errors, limits, keepalive, slow and silent clients.

The texts and codes are those that libvirtd 9.0.0 gives.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from domstats.errors import RemoteError, ReplyTooLarge
from domstats.model.domain import Domain
from domstats.model.flags import StatsGroup
from domstats.serve.libvirt import client as client_module
from domstats.serve.libvirt import server as server_module
from domstats.serve.libvirt.answers import Answers
from domstats.serve.libvirt.client import PATIENCE as CLIENT_PATIENCE
from domstats.serve.libvirt.client import REQUEST_BYTES, REQUESTS_MAX, TURN
from domstats.serve.libvirt.refusals import denied, unknown
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.connection import ClientConnection, Reply
from domstats.wire.packet import Framer, PacketType, Program
from domstats.wire.procedures import Procedure, encode_args
from fast_time import in_fast_time
from serving import FROZEN, PATIENCE, Caller, Serving, serving

P = Procedure
HOST = f"sim:///?domains=20&{FROZEN}"
NOBODY = Domain("nix", "11111111-2222-4333-8444-555555555555", 7)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(HOST, tmp_path / "sock") as served:
        await served.swept()
        yield served


@pytest.fixture
async def caller(served: Serving) -> AsyncIterator[Caller]:
    caller = await Caller.connect(served.path)
    yield caller
    caller.close()


class TestOpening:
    async def test_what_comes_first(self, served: Serving) -> None:
        caller = await Caller.connect(served.path, introduce=False)
        required = (39, 7, "authentication required")
        assert await caller.fails(P.CONNECT_GET_TYPE) == required
        assert await caller.fails(P.CONNECT_SUPPORTS_FEATURE, 10) == required
        assert await caller.call(P.AUTH_LIST) == [0]
        assert await caller.call(P.AUTH_POLKIT) is True
        not_open = (1, 7, "internal error: hypervisor connection not open")
        assert await caller.fails(P.CONNECT_GET_TYPE) == not_open
        assert await caller.call(P.CONNECT_SUPPORTS_FEATURE, 10) is True
        await caller.call(P.CONNECT_OPEN, None, 0)
        assert await caller.call(P.CONNECT_GET_TYPE) == "QEMU"
        caller.close()

    async def test_a_second_time(self, caller: Caller) -> None:
        assert await caller.fails(P.CONNECT_OPEN, "", 1) == (1, 7, "internal error: connection already open")
        assert await caller.fails(P.CONNECT_GET_TYPE) == (1, 7, "internal error: hypervisor connection not open")

    async def test_an_optional_flag_of_any_value(self, served: Serving) -> None:
        caller = await Caller.connect(served.path, introduce=False)
        await caller.call(P.AUTH_LIST)
        await caller.payload(P.CONNECT_OPEN, b"\x01\0\0\0" + encode_args(P.CONNECT_OPEN, "qemu:///system", 0)[4:])
        assert await caller.call(P.CONNECT_GET_HOSTNAME) == "simulated"
        caller.close()

    async def test_features(self, caller: Caller) -> None:
        found = [number for number in range(20) if await caller.call(P.CONNECT_SUPPORTS_FEATURE, number)]
        assert found == [9, 10, 14, 15]

    async def test_goodbye(self, served: Serving, caller: Caller) -> None:
        await caller.call(P.CONNECT_CLOSE)
        with pytest.raises((EOFError, ConnectionError)):
            await caller.call(P.CONNECT_GET_TYPE)
        await served.until(clients=0)


class TestErrors:
    async def test_unknown_numbers(self, caller: Caller) -> None:
        for number in (0, 107, 318, 456, 2**31 - 1, -1):
            with pytest.raises(RemoteError) as caught:
                await caller.payload(number)
            assert (caught.value.code, caught.value.domain) == (39, 7)
            assert caught.value.text == f"unknown procedure: {number}"
        assert await caller.call(P.CONNECT_GET_TYPE) == "QEMU"

    async def test_each_number_has_an_answer(self, caller: Caller) -> None:
        """Whatever the arguments: none closes the connection, and what writes is refused."""
        codes = {}
        for number in range(3, 460):
            try:
                await caller.payload(number, bytes(4096))
            except RemoteError as error:
                codes[number] = error.code
        refused = {number for number in range(460) if denied(number)}
        assert len(refused) > 190
        assert {number for number, code in codes.items() if code == 29} == refused
        assert {number for number in range(3, 444) if unknown(number)} <= {n for n, code in codes.items() if code == 39}
        assert set(codes.values()) <= {1, 3, 8, 29, 39, 42}

    async def test_arguments_that_are_cut_off(self, caller: Caller) -> None:
        arguments = encode_args(P.CONNECT_GET_ALL_DOMAIN_STATS, [NOBODY], 0, 0)
        for length in range(0, len(arguments), 4):
            with pytest.raises(RemoteError) as caught:
                await caller.payload(P.CONNECT_GET_ALL_DOMAIN_STATS, arguments[:length])
            assert (caught.value.code, caught.value.text) == (39, "Unable to decode message payload")
        assert await caller.call(P.CONNECT_GET_TYPE) == "QEMU"

    async def test_more_arguments_than_expected(self, caller: Caller) -> None:
        assert await caller.payload(P.CONNECT_NUM_OF_DOMAINS, bytes(400))

    async def test_flags_that_do_not_exist(self, served: Serving, caller: Caller) -> None:
        domain = served.collector.latest.domains[0]
        unsupported = "unsupported flags (0x10000) in function qemuConnect"
        stats = await caller.fails(P.CONNECT_GET_ALL_DOMAIN_STATS, [], 0, 1 << 16)
        assert stats == (8, 10, f"{unsupported}GetAllDomainStats")
        assert await caller.fails(P.CONNECT_LIST_ALL_DOMAINS, 1, 1 << 16) == (8, 10, f"{unsupported}ListAllDomains")
        assert await caller.fails(P.DOMAIN_GET_STATE, domain, 5) == (
            8, 10, "unsupported flags (0x5) in function qemuDomainGetState"
        )  # fmt: skip

    async def test_a_group_that_does_not_exist(self, caller: Caller) -> None:
        text = "argument unsupported: Stats types bits 0x100000 are not supported by this daemon or QEMU"
        for _ in range(2):
            assert await caller.fails(P.CONNECT_GET_ALL_DOMAIN_STATS, [], 1 << 20 | 1, 1 << 31) == (74, 10, text)
        body = await caller.call(P.CONNECT_GET_ALL_DOMAIN_STATS, [], 1 << 20, 0)
        assert [len(record.params) for record in ReplyDecoder().decode(body)] == [0] * 20

    async def test_domains_that_do_not_exist(self, caller: Caller) -> None:
        missing = f"Domain not found: no domain with matching uuid '{NOBODY.uuid}' (nix)"
        for procedure in (P.DOMAIN_GET_INFO, P.DOMAIN_IS_ACTIVE, P.DOMAIN_GET_AUTOSTART, P.DOMAIN_IS_PERSISTENT):
            assert await caller.fails(procedure, NOBODY) == (42, 10, missing)
        assert await caller.fails(P.DOMAIN_LOOKUP_BY_ID, 9999) == (
            42, 10, "Domain not found: no domain with matching id 9999"
        )  # fmt: skip
        assert (await caller.fails(P.DOMAIN_LOOKUP_BY_NAME, "nix"))[2] == (
            "Domain not found: no domain with matching name 'nix'"
        )
        body = await caller.call(P.CONNECT_GET_ALL_DOMAIN_STATS, [NOBODY], 0, 0)
        assert bytes(body) == bytes(4)

    async def test_a_list_with_a_domain_twice_and_one_that_is_not_there(self, served: Serving, caller: Caller) -> None:
        first, second = served.collector.latest.domains[:2]
        stale = Domain("another name", second.uuid, 4711)
        body = await caller.call(P.CONNECT_GET_ALL_DOMAIN_STATS, [stale, NOBODY, first, stale], 1, 0)
        assert Counter(ReplyDecoder().decode(body).domains) == {second: 2, first: 1}

    async def test_counts(self, caller: Caller) -> None:
        assert await caller.fails(P.CONNECT_LIST_DOMAINS, -1) == (39, 7, "maxids must be non-negative")
        assert await caller.fails(P.CONNECT_LIST_DOMAINS, 20_000) == (39, 7, "maxids > REMOTE_DOMAIN_LIST_MAX")
        ids, off = await caller.call(P.CONNECT_NUM_OF_DOMAINS), await caller.call(P.CONNECT_NUM_OF_DEFINED_DOMAINS)
        assert ids + off == 20
        assert len(await caller.call(P.CONNECT_LIST_DOMAINS, 3)) == 3
        assert len(await caller.call(P.CONNECT_LIST_DEFINED_DOMAINS, 100)) == off
        assert await caller.call(P.CONNECT_LIST_ALL_DOMAINS, 0, 0) == ([], 20)


class TestMalformed:
    @pytest.mark.parametrize("length", [0, 4, 27, REQUEST_BYTES + 1, 0xFFFFFFFF])
    async def test_lengths_that_no_packet_has(self, served: Serving, length: int) -> None:
        caller = await Caller.connect(served.path)
        caller.writer.write(struct.pack(">I", length) + bytes(60))
        with pytest.raises((EOFError, ConnectionError)):
            await caller.answer()
        caller.close()
        await served.until(clients=0)

    async def test_another_program(self, served: Serving) -> None:
        caller = await Caller.connect(served.path)
        caller.writer.write(struct.pack(">IIIiiIi", 28, 0x20008087, 1, 1, 0, 5, 0))
        raw = await caller.reader.readexactly(28)
        assert struct.unpack(">IIIiiIi", raw)[1:] == (0x20008087, 1, 1, 1, 5, 1)
        caller.close()

    @pytest.mark.parametrize("kind", [PacketType.REPLY, PacketType.MESSAGE, PacketType.STREAM])
    async def test_packets_that_are_no_calls(self, served: Serving, kind: PacketType) -> None:
        caller = await Caller.connect(served.path)
        caller.writer.write(struct.pack(">IIIiiIi", 28, Program.REMOTE, 1, 3, kind, 5, 0))
        assert await caller.call(P.CONNECT_GET_TYPE) == "QEMU"
        caller.close()


class TestBulk:
    async def test_a_reply_is_encoded_once_for_all(self, served: Serving) -> None:
        callers = [await Caller.connect(served.path) for _ in range(5)]
        await served.collector.refresh(1.0)
        bodies = [bytes(await caller.call(P.CONNECT_GET_ALL_DOMAIN_STATS, [], 0, 0)) for caller in callers]
        assert len(set(bodies)) == 1
        for caller in callers:
            caller.close()
        bulk = served.server._bulk
        assert bulk is not None
        (kept,) = bulk._replies.values()
        assert kept == bodies[0]

    async def test_more_records_than_a_reply_holds(self, tmp_path: Path) -> None:
        async with serving(f"sim:///?domains=16385&vcpus=1&disks=0&nics=0&{FROZEN}", tmp_path / "sock") as served:
            caller = await Caller.connect(served.path)
            code, _, text = await caller.fails(P.CONNECT_GET_ALL_DOMAIN_STATS, [], 1, 0)
            assert (code, "16385 records" in text) == (1, True)
            assert len(ReplyDecoder().decode(await caller.call(P.CONNECT_GET_ALL_DOMAIN_STATS, [], 1, 0x40))) > 1000
            caller.close()

    async def test_16384_domains_in_one_reply_and_too_many_bytes(self, tmp_path: Path) -> None:
        async with serving(f"sim:///?domains=16384&{FROZEN}", tmp_path / "sock") as served:
            await served.swept()
            caller = await Caller.connect(served.path)
            body = await caller.call(P.CONNECT_GET_ALL_DOMAIN_STATS, [], StatsGroup.STATE | StatsGroup.BALLOON, 0)
            assert len(ReplyDecoder().decode(body)) == 16384
            with pytest.raises(ReplyTooLarge):
                await caller.call(P.CONNECT_GET_ALL_DOMAIN_STATS, [], 0, 0)
            assert await caller.call(P.CONNECT_GET_TYPE) == "QEMU"
            caller.close()

    async def test_a_domain_named_as_often_as_can_be(self, served: Serving, caller: Caller) -> None:
        """What is too much for a reply is not put together first."""
        bulk = served.server._bulk
        assert bulk is not None
        often = [served.collector.latest.domains[0]] * 16384
        with pytest.raises(ReplyTooLarge):
            await caller.call(P.CONNECT_GET_ALL_DOMAIN_STATS, often, 0, 0)
        assert not bulk._selections
        body = await caller.call(P.CONNECT_GET_ALL_DOMAIN_STATS, often, StatsGroup.STATE, 0)
        assert len(ReplyDecoder().decode(body)) == 16384


class TestClients:
    async def test_no_more_than_so_many(self, tmp_path: Path) -> None:
        async with serving(HOST, tmp_path / "sock", max_clients=2) as served:
            first, second = [await Caller.connect(served.path) for _ in range(2)]
            with pytest.raises((EOFError, ConnectionError)):
                await Caller.connect(served.path)
            first.close()
            await served.until(clients=1)
            third = await Caller.connect(served.path)
            for caller in (second, third):
                assert await caller.call(P.CONNECT_GET_TYPE) == "QEMU"
                caller.close()

    async def test_who_comes_is_logged(self, served: Serving, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "domstats"):
            (await Caller.connect(served.path)).close()
            await served.until(clients=0)
        assert "uid " in caplog.text
        assert "has come" in caplog.text

    async def test_who_does_not_read_holds_up_nobody(self, tmp_path: Path) -> None:
        async with serving(f"sim:///?domains=1000&{FROZEN}", tmp_path / "sock") as served:
            await served.swept()
            slow = await Caller.connect(served.path)
            slow.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's
            for _ in range(500):
                slow.machine.call(P.CONNECT_GET_ALL_DOMAIN_STATS, encode_args(P.CONNECT_GET_ALL_DOMAIN_STATS, [], 0, 0))
            slow.writer.write(slow.machine.data_to_send())
            quick = await Caller.connect(served.path)
            for _ in range(20):
                assert len(await quick.call(P.CONNECT_LIST_DOMAINS, 9)) == 9
            held = [client.held for client in served.server._clients]
            assert max(held) < 1 << 20
            waiting: dict[int, int] = {}
            for client in served.server._clients:
                waiting |= client.waiting
            assert len([size for size in waiting.values() if size > 1 << 20]) <= 1
            slow.close()
            quick.close()

    @pytest.mark.parametrize("goodbye", [True, False], ids=["goodbye", "nonsense"])
    async def test_an_end_behind_what_is_not_read(self, tmp_path: Path, goodbye: bool) -> None:
        """All that was asked for before comes, however late; and the connection is closed once."""
        complaints: list[Any] = []
        question = encode_args(P.CONNECT_GET_ALL_DOMAIN_STATS, [], 0, 0)
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with serving(f"sim:///?domains=1000&{FROZEN}", tmp_path / "sock") as served:
            await served.swept()
            caller = await Caller.connect(served.path)
            caller.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's
            for _ in range(REQUESTS_MAX):
                caller.machine.call(P.CONNECT_GET_ALL_DOMAIN_STATS, question)
            if goodbye:
                caller.machine.call(P.CONNECT_CLOSE, b"")
            caller.writer.write(caller.machine.data_to_send() + (b"" if goodbye else bytes(8)))
            async with asyncio.timeout(PATIENCE):
                while not any(client.waiting for client in served.server._clients):  # noqa: ASYNC110  nothing tells
                    await asyncio.sleep(0.001)
            caller.writer.transport.resume_reading()  # type: ignore[attr-defined]
            for _ in range(REQUESTS_MAX):
                assert isinstance(await caller.answer(), Reply)
            if goodbye:
                assert isinstance(await caller.answer(), Reply)
            with pytest.raises((EOFError, ConnectionError)):
                await caller.answer()
            await served.until(clients=0)
            caller.close()
        assert complaints == []

    async def test_many_calls_at_once_are_all_answered(self, served: Serving) -> None:
        caller = await Caller.connect(served.path)
        calls = 10 * TURN
        serials = {caller.machine.call(P.CONNECT_NUM_OF_DOMAINS, b"") for _ in range(calls)}
        serials |= {caller.machine.call(P.CONNECT_SUPPORTS_FEATURE, bytes(4)) for _ in range(calls)}
        caller.writer.write(caller.machine.data_to_send())
        for _ in range(2 * calls):
            answer = await caller.answer()
            assert isinstance(answer, Reply)
            serials.remove(answer.serial)
        assert not serials
        caller.close()

    async def test_pings_are_answered(self, served: Serving) -> None:
        caller = await Caller.connect(served.path, introduce=False)
        caller.writer.write(struct.pack(">IIIiiIi", 28, Program.KEEPALIVE, 1, 1, PacketType.MESSAGE, 0, 0))
        raw = await caller.reader.readexactly(28)
        assert struct.unpack(">IIIiiIi", raw) == (28, Program.KEEPALIVE, 1, 2, PacketType.MESSAGE, 0, 0)
        caller.close()


async def until_closed(reader: asyncio.StreamReader) -> tuple[float, bytes]:
    """How many seconds it takes until the connection is closed, and what came."""
    now = asyncio.get_running_loop().time
    began = now()
    data = await reader.read(-1)
    return now() - began, data


class TestSilence:
    @in_fast_time
    async def test_who_wants_pings_and_does_not_answer(self, tmp_path: Path) -> None:
        async with serving(HOST, tmp_path / "sock") as served:
            caller = await Caller.connect(served.path)
            await caller.call(P.CONNECT_SUPPORTS_FEATURE, 10)
            seconds, data = await until_closed(caller.reader)
            assert 30 <= seconds <= 32
            framer, found = Framer(), []
            framer.receive_data(data)
            while (packet := framer.next_packet()) is not None:
                found.append((packet.header.program, packet.header.procedure))
            assert found == [(Program.KEEPALIVE, 1)] * client_module.PINGS_MAX
            caller.close()

    @in_fast_time
    async def test_what_is_worked_on_counts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who has long calls worked on, and they take long, is closed where memory is short; another is not."""

        async def hangs(*_: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(server_module, "HELD_MAX", 1 << 20)
        monkeypatch.setattr(Answers, "answer", hangs)
        async with serving(HOST, tmp_path / "sock") as served:
            caller, other = [await Caller.connect(served.path) for _ in range(2)]
            for each, size in ((caller, 1 << 20), (other, 100)):
                each.machine.call(P.DOMAIN_GET_XML_DESC, bytes(size))
                each.writer.write(each.machine.data_to_send())
            async with asyncio.timeout(10):
                await until_closed(caller.reader)
            await asyncio.sleep(10)
            assert served.server.clients == 1
            caller.close()
            other.close()

    @in_fast_time
    async def test_who_never_asked_for_pings_is_left_alone(self, tmp_path: Path) -> None:
        async with serving(HOST, tmp_path / "sock") as served:
            caller = await Caller.connect(served.path)
            await asyncio.sleep(3600)
            assert await caller.call(P.CONNECT_GET_TYPE) == "QEMU"
            caller.close()

    @in_fast_time
    async def test_who_does_not_open(self, tmp_path: Path) -> None:
        async with serving(HOST, tmp_path / "sock") as served:
            caller = await Caller.connect(served.path, introduce=False)
            seconds, _ = await until_closed(caller.reader)
            assert CLIENT_PATIENCE <= seconds <= CLIENT_PATIENCE + 2
            caller.close()

    @in_fast_time
    async def test_who_stops_in_the_middle_of_a_packet(self, tmp_path: Path) -> None:
        async with serving(HOST, tmp_path / "sock") as served:
            caller = await Caller.connect(served.path)
            caller.writer.write(struct.pack(">II", 100_000, Program.REMOTE))
            seconds, _ = await until_closed(caller.reader)
            assert CLIENT_PATIENCE <= seconds <= CLIENT_PATIENCE + 2
            caller.close()

    @in_fast_time
    async def test_who_sends_a_packet_byte_by_byte(self, tmp_path: Path) -> None:
        async with serving(HOST, tmp_path / "sock") as served:
            caller = await Caller.connect(served.path)
            for _ in range(4):  # in between whole packets it may take as long as it likes
                assert await caller.call(P.CONNECT_GET_TYPE) == "QEMU"
                await asyncio.sleep(CLIENT_PATIENCE - 1)
            began = asyncio.get_running_loop().time()
            caller.writer.write(struct.pack(">II", 100_000, Program.REMOTE))
            closed = asyncio.create_task(until_closed(caller.reader))
            while not closed.done() and asyncio.get_running_loop().time() < began + 10 * CLIENT_PATIENCE:
                caller.writer.write(bytes(1))
                await asyncio.sleep(1.0)
            assert CLIENT_PATIENCE <= asyncio.get_running_loop().time() - began <= CLIENT_PATIENCE + 3
            await asyncio.gather(closed, return_exceptions=True)  # what is written after the end has it reset
            caller.close()

    @in_fast_time
    async def test_who_sends_many_large_packets_in_part(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """All who are too many are closed at the next look, and nobody else."""
        monkeypatch.setattr(server_module, "HELD_MAX", 1 << 21)
        async with serving(HOST, tmp_path / "sock") as served:
            callers = [await Caller.connect(served.path) for _ in range(8)]
            await asyncio.sleep(0.1)
            for caller in callers[1:]:
                caller.writer.write(struct.pack(">II", REQUEST_BYTES, Program.REMOTE) + bytes(600_000))
            began = asyncio.get_running_loop().time()
            await served.until(clients=3)
            assert asyncio.get_running_loop().time() - began <= 2.0
            await asyncio.sleep(10.0)
            assert served.server.clients == 3
            assert await callers[0].call(P.CONNECT_GET_TYPE) == "QEMU"
            for caller in callers:
                caller.close()

    @in_fast_time
    async def test_who_does_not_read(self, tmp_path: Path) -> None:
        async with serving(f"sim:///?domains=1000&{FROZEN}", tmp_path / "sock") as served:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(served.path))
            machine = ClientConnection()
            for procedure, args in (
                (P.AUTH_LIST, ()),
                (P.CONNECT_OPEN, (None, 0)),
                (P.CONNECT_GET_ALL_DOMAIN_STATS, ([], 0, 0)),
            ):
                machine.call(procedure, encode_args(procedure, *args))
            sock.sendall(machine.data_to_send())
            now = asyncio.get_running_loop().time
            began = now()
            await served.until(clients=1)
            await served.until(clients=0)
            assert CLIENT_PATIENCE <= now() - began <= CLIENT_PATIENCE + 3
            sock.close()
