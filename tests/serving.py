"""A libvirt socket of ours in the test's own process, and the clients that ask it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

import domstats
from domstats.collector.collector import Collector
from domstats.collector.plan import SHARE
from domstats.errors import RemoteError
from domstats.serve.libvirt.server import CLIENTS_MAX, LibvirtServer
from domstats.serve.sockets import listen
from domstats.wire.connection import ClientConnection, Failure, Message, Reply
from domstats.wire.procedures import PROCEDURES, Procedure, decode_values, encode_args
from domstats.wire.xdr import Buffer
from hypervisor_packages import PYTHON

P = Procedure
FROZEN = "time=1800000000"
"""Of a simulated host whose values stand still."""
PATIENCE = 60.0
"""Seconds after which a client that does not end fails its test."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A server and what is behind it."""

    collector: Collector
    server: LibvirtServer
    path: Path

    @property
    def uri(self) -> str:
        """The URI that leads libvirt's clients here."""
        return f"qemu+unix:///system?socket={self.path}"

    async def swept(self) -> None:
        """Wait until every guest has been asked once."""
        async for _ in self.collector:
            if self.collector.swept:
                return

    async def asked_anew(self) -> None:
        """Have all guests that answer asked, so that what is served of them is younger than this."""
        await self.collector.refresh(PATIENCE, since=self.collector.clock())

    async def until(self, clients: int) -> None:
        """Wait until there are so many clients."""
        async with asyncio.timeout(PATIENCE):
            while self.server.clients != clients:  # noqa: ASYNC110  nothing tells of it
                await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(
    uri: str,
    path: Path,
    *,
    max_age: float | None = None,
    max_clients: int = CLIENTS_MAX,
    share: float = SHARE,
    **plan: float,
) -> AsyncIterator[Serving]:
    """A server over that host, for as long as the block lasts; `plan`: periods by the groups' names."""
    async with domstats.collect(uri, plan=plan, share=share) as collector:
        server = LibvirtServer(collector, lambda: [listen(path, 0o600, None)], max_age=max_age, max_clients=max_clients)
        await server.start()
        try:
            yield Serving(collector, server, path)
        finally:
            await server.stop()


class Caller:
    """A client made of the client end of `wire.connection`, which can do everything wrong."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.machine = ClientConnection()
        self.messages: list[Message] = []

    @classmethod
    async def connect(cls, path: Path, *, introduce: bool = True) -> Self:
        """Connect, and do what comes first."""
        caller = cls(*await asyncio.open_unix_connection(str(path)))
        if introduce:
            await caller.call(P.AUTH_LIST)
            await caller.call(P.CONNECT_OPEN, "qemu:///system", 1)
        return caller

    async def call(self, procedure: Procedure, *args: Any) -> Any:
        """What the call gives. Raises RemoteError."""
        return decode_values(procedure, await self.payload(procedure, encode_args(procedure, *args)))

    async def payload(self, number: int, payload: Buffer = b"") -> Buffer:
        """The payload of the reply to a call with this one. Raises RemoteError."""
        self.machine.call(number, payload)
        self.writer.write(self.machine.data_to_send())
        answer = await self.answer()
        if isinstance(answer, Failure):
            raise answer.error
        return answer.payload

    async def answer(self) -> Reply | Failure:
        """The next answer that comes. Raises EOFError when there are no more."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for event in self.machine.events():
                    if not isinstance(event, Message):
                        return event
                    self.messages.append(event)
                await self.receive()

    async def message(self) -> tuple[Procedure, Any]:
        """The next event that comes."""
        async with asyncio.timeout(PATIENCE):
            while not self.messages:
                await self.receive()
                self.messages.extend(event for event in self.machine.events() if isinstance(event, Message))
        message = self.messages.pop(0)
        return PROCEDURES[message.procedure], decode_values(PROCEDURES[message.procedure], message.payload)

    async def receive(self) -> None:
        """Take what comes. Raises EOFError at the end."""
        data = await self.reader.read(1 << 16)
        if not data:
            raise EOFError
        self.machine.receive_data(data)

    async def fails(self, procedure: Procedure, *args: Any) -> tuple[int, int, str]:
        """The error that a call gives: code, domain and text."""
        with pytest.raises(RemoteError) as caught:
            await self.call(procedure, *args)
        return caught.value.code, caught.value.domain, caught.value.text

    def close(self) -> None:
        """Go without a word."""
        self.writer.close()


async def virsh(uri: str, *args: str) -> tuple[str, str]:
    """What virsh prints, and what it complains of."""
    if shutil.which("virsh") is None:
        pytest.skip("virsh is not installed")
    code, out, err = await run("virsh", "-c", uri, *args)
    assert (code == 0) == (not err), err
    return out, err


async def python(code: str, given: object) -> Any:
    """What the code prints, as JSON, when the system's own Python (which has libvirt-python) runs it."""
    found, _, _ = await run(PYTHON, "-c", "import libvirt")
    if found != 0:
        pytest.skip("libvirt-python is not installed")
    done, out, err = await run(PYTHON, "-c", code, json.dumps(given))
    assert done == 0, err
    return json.loads(out)


async def run(*command: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"LC_ALL": "C.UTF-8"} | environment,
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()
