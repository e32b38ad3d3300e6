"""10,000 fuzzed and malformed requests to a live server: it goes on serving the others, and nothing grows."""

from __future__ import annotations

import asyncio
import gc
import random
import struct
import tracemalloc
from pathlib import Path

from domstats.model.domain import Domain
from domstats.serve.libvirt.client import REQUEST_BYTES
from domstats.wire.packet import Program
from domstats.wire.procedures import Procedure, encode_args
from serving import Caller, Serving, serving

P = Procedure
REQUESTS = 10_000
A_TIME = 100
"""Requests of one connection, if it lasts so long."""
GROWTH_MAX = 2_000_000
"""Bytes that the second half may add; a leak of 500 bytes a request would be more."""
WHAT = ("bytes", "cut", "changed", "length", "header", "counts", "valid")


def request(dice: random.Random, serial: int, domain: Domain) -> bytes:
    """One packet, or what looks like the beginning of one."""
    procedure = dice.choice(list(Procedure))
    arguments = _arguments(dice, procedure, domain)
    match dice.choice(WHAT):
        case "bytes":
            arguments = dice.randbytes(4 * dice.randrange(40))
        case "cut":
            arguments = arguments[: dice.randrange(len(arguments) + 1)]
        case "changed" if arguments:
            changed = bytearray(arguments)
            changed[dice.randrange(len(changed))] = dice.randrange(256)
            arguments = bytes(changed)
        case "counts":
            arguments = struct.pack(">I", dice.choice((0xFFFFFFFF, 0x7FFFFFFF, 16385, 4_194_305))) + arguments[4:]
        case "length":
            return struct.pack(">I", dice.choice((0, 3, 27, 29, REQUEST_BYTES + 1, 1 << 31))) + dice.randbytes(64)
        case "header":
            return struct.pack(">I6I", 28, *(dice.choice((0, 1, 3, 5, Program.REMOTE, 1 << 31)) for _ in range(6)))
    number = dice.randrange(-2, 460) if dice.random() < 0.3 else procedure
    length = 28 + len(arguments)
    return struct.pack(">IIIiiIi", length, Program.REMOTE, 1, number, 0, serial, 0) + arguments


def _arguments(dice: random.Random, procedure: Procedure, domain: Domain) -> bytes:
    """Arguments that make sense."""
    values = {"domain": domain, "domains": [domain] * dice.randrange(3), "name": "x", "uuid": domain.uuid}
    return b"".join(_one(procedure, name, values.get(name, dice.choice((0, 1, 2, 1 << 20)))) for name in procedure.args)


def _one(procedure: Procedure, name: str, value: object) -> bytes:
    from domstats.wire.xdr import Writer

    writer = Writer()
    codec = procedure.args[name]
    for attempt in (value, "vda", [], b""):
        try:
            codec.write(writer, attempt, name)
        except (TypeError, AttributeError):
            continue
        return writer.getvalue()
    raise AssertionError(procedure, name)


async def attack(served: Serving, dice: random.Random, requests: int) -> int:
    """So many requests, over as many connections as it takes; how many there were."""
    domain = served.collector.latest.domains[0]
    connections = sent = 0
    while sent < requests:
        connections += 1
        caller = await Caller.connect(served.path, introduce=dice.random() < 0.8)
        dropping = asyncio.create_task(_drop(caller))
        for serial in range(A_TIME):
            if caller.writer.is_closing() or sent >= requests:
                break
            caller.writer.write(request(dice, serial, domain))
            sent += 1
            if dice.random() < 0.1:
                await asyncio.sleep(0)
        caller.writer.close()
        await dropping
    return connections


async def _drop(caller: Caller) -> None:
    try:
        while await caller.reader.read(1 << 16):
            pass
    except ConnectionError:
        pass


async def test_fuzzed_requests(tmp_path: Path) -> None:
    dice = random.Random(6)
    async with serving("sim:///?domains=20", tmp_path / "sock") as served:
        await served.swept()
        healthy = await Caller.connect(served.path)
        await attack(served, dice, REQUESTS // 2)
        gc.collect()
        tracemalloc.start()
        attacking = asyncio.create_task(attack(served, dice, REQUESTS // 2))
        answers = 0
        while not attacking.done():
            assert len(await healthy.call(P.CONNECT_LIST_DOMAINS, 5)) == 5
            answers += 1
        assert await attacking > 10
        assert answers > 10
        await served.until(clients=1)
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert grown < GROWTH_MAX
        assert len(bytes(await healthy.call(P.CONNECT_GET_ALL_DOMAIN_STATS, [], 0, 0))) > 10_000
        healthy.close()


def test_arguments_are_valid() -> None:
    """What is fuzzed would be understood if it were not."""
    domain = Domain("a", "11111111-2222-4333-8444-555555555555", 1)
    made = _arguments(random.Random(1), P.DOMAIN_GET_STATE, domain)
    assert made[:-4] == encode_args(P.DOMAIN_GET_STATE, domain, 0)[:-4]
