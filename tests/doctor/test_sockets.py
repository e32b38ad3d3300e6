"""Which sockets are there and may be opened, and what is said of the others."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from domstats.doctor.findings import Verdict
from domstats.doctor.sockets import look_at_sockets
from domstats.errors import NoSupport
from domstats.sources.libvirt.uri import LibvirtUri
from domstats.wire.procedures import Procedure
from fake_daemon import FakeDaemon
from fast_time import in_fast_time

P = Procedure
DEADLINE = 10.0
OK, MISSING = Verdict.OK, Verdict.MISSING
NOBODYS = 54321
"""A group that has no name."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that everybody may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture
def as_nobody() -> Iterator[Callable[[], None]]:
    """To go on as a user without privileges; one who has none to begin with stays."""
    root = os.geteuid() == 0
    yield lambda: os.seteuid(65534) if root else None
    if root:
        os.seteuid(0)


def uri(*paths: Path) -> LibvirtUri:
    return LibvirtUri("qemu:///system", "qemu:///system", tuple(map(str, paths)))


async def test_one_opens_and_the_other_is_not_needed(folder: Path) -> None:
    async with FakeDaemon(folder / "libvirt-sock-ro") as daemon:
        found, listens = await look_at_sockets(uri(folder / "virtqemud-sock-ro", daemon.path), DEADLINE)
        await daemon.until(lambda: all(client.gone for client in daemon.clients))
        assert len(daemon.calls(P.CONNECT_CLOSE)) == 1, "nothing is left open"
    assert listens
    assert [(each.verdict, each.advice) for each in found] == [(OK, ""), (OK, "")]
    assert found[0].text == f"{folder}/virtqemud-sock-ro is not there, nor is it needed"
    assert found[1].text == f"{folder}/libvirt-sock-ro opens"


async def test_none_is_there(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(folder / "libvirt-sock-ro"))
    paths = (folder / "virtqemud-sock-ro", folder / "libvirt-sock-ro", folder / "mine")
    found, listens = await look_at_sockets(uri(*paths), DEADLINE)
    assert not listens
    assert [each.verdict for each in found] == [MISSING] * 3
    assert [each.text.partition(" ")[2] for each in found] == [
        "is not there",
        "is there, but nobody listens",
        "is not there",
    ]
    assert [each.advice.partition(",")[0] for each in found] == [
        "systemctl start virtqemud.socket",
        "systemctl start libvirtd.socket",
        "is the daemon running?",
    ]


async def test_only_the_socket_for_changes_is_there(folder: Path) -> None:
    async with FakeDaemon(folder / "libvirt-sock"):
        (found,), _ = await look_at_sockets(uri(folder / "libvirt-sock-ro"), DEADLINE)
    assert (found.verdict, found.text) == (MISSING, f"{folder}/libvirt-sock-ro is not there")
    assert f"-c 'qemu+unix:///system?socket={folder}/libvirt-sock'" in found.advice


@pytest.mark.parametrize(
    ("mode", "advice"),
    [(0o060, "join the group "), (0o000, "run as root, or use the read-only socket (libvirt-sock-ro)")],
)
async def test_one_that_may_not_be_opened(mode: int, advice: str, folder: Path, as_nobody: Callable[[], None]) -> None:
    async with FakeDaemon(folder / "libvirt-sock") as daemon:
        if os.geteuid() == 0:
            os.chown(daemon.path, 0, NOBODYS)
        group = daemon.path.stat().st_gid
        daemon.path.chmod(mode)
        as_nobody()
        (found,), listens = await look_at_sockets(uri(daemon.path), DEADLINE)
    assert listens, "there is a daemon, which this user may not ask"
    assert found.verdict is MISSING
    assert f"{daemon.path} may not be opened (mode {mode:04o}, owner " in found.text
    assert found.advice.startswith(advice)
    if group == NOBODYS:
        assert f"group {NOBODYS})" in found.text


async def test_one_in_a_directory_that_may_not_be_entered(folder: Path, as_nobody: Callable[[], None]) -> None:
    closed = folder / "closed"
    closed.mkdir()
    async with FakeDaemon(closed / "libvirt-sock-ro") as daemon:
        closed.chmod(0)
        as_nobody()
        (found,), _ = await look_at_sockets(uri(daemon.path), DEADLINE)
    assert found.verdict is MISSING
    assert "Permission denied" in found.text
    assert found.advice.startswith("a directory above it may not be entered")


@pytest.mark.parametrize(
    ("name", "action"), [("libvirt-sock-ro", "org.libvirt.unix.monitor"), ("libvirt-sock", "org.libvirt.unix.manage")]
)
async def test_one_that_polkit_denies(name: str, action: str, folder: Path) -> None:
    async with FakeDaemon(folder / name, answers={P.AUTH_LIST: ([2],), P.AUTH_POLKIT: (False,)}) as daemon:
        (found,), listens = await look_at_sockets(uri(daemon.path), DEADLINE)
    assert listens
    assert found.verdict is MISSING
    assert found.advice.startswith(f"let polkit allow {action}")


async def test_a_daemon_without_the_driver(folder: Path) -> None:
    async with FakeDaemon(folder / "sock", answers={P.CONNECT_OPEN: NoSupport(3, 0, "no such driver")}) as daemon:
        (found,), listens = await look_at_sockets(uri(daemon.path), DEADLINE)
    assert (listens, found.verdict, found.text) == (True, MISSING, "libvirt: no such driver (error 3)")


@pytest.mark.parametrize(("order", "verdicts"), [(1, [MISSING, OK]), (-1, [OK, Verdict.WARN])])
@in_fast_time
async def test_a_daemon_that_hangs(order: int, verdicts: list[Verdict], folder: Path) -> None:
    async with (
        FakeDaemon(folder / "virtqemud-sock-ro", held={P.AUTH_LIST}) as hung,
        FakeDaemon(folder / "libvirt-sock-ro") as daemon,
    ):
        found, _ = await look_at_sockets(uri(*[hung.path, daemon.path][::order]), DEADLINE)
    assert [each.verdict for each in found] == verdicts, "connecting takes the first, whatever becomes of it"
    assert any("gave no answer within 10 s" in each.text for each in found)
