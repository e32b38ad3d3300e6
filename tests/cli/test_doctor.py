"""`domstats doctor`: what it prints, its exit codes, and hosts where something is missing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from command import Ended, domstats, on_terminal, without_colors
from fake_daemon import FakeDaemon

SIM = "sim:///?domains=20&time=1800000000"
WITHOUT_MEMORY = 4
"""Guests of that host that tell nothing of their memory."""
BOTH = ("text", "json")


def options(form: str) -> tuple[str, ...]:
    return ("--json",) if form == "json" else ()


def check(ended: Ended, code: int) -> None:
    assert (ended.code, ended.err) == (code, "")


async def test_a_simulated_host() -> None:
    ended = await domstats("doctor", "-c", SIM)
    check(ended, 3)
    lines = ended.out.decode().splitlines()
    assert lines[0] == f"host {SIM}"
    assert lines[1] == "ok       libvirt  groups     all 11 groups of statistics are known"
    (balloon,) = (line for line in lines if line.startswith("missing"))
    assert f"{WITHOUT_MEMORY} of 17 running guests without memory statistics" in balloon
    assert "-> virsh dommemstat NAME --period" in balloon
    table = [line.split() for line in lines if line.startswith(("ok", "warn")) and line.split()[1] in ("vm", "state")]
    assert [row[:4] for row in table] == [["ok", "state", "18", "-"], ["ok", "vm", "18", "-"]]
    assert lines[-1] == "Not every figure can be had."


async def test_a_host_where_nothing_is_missing() -> None:
    ended = await domstats("doctor", "-c", "sim:///?domains=1&time=1800000000")
    check(ended, 0)
    assert ended.out.decode().endswith("\nEvery figure can be had.\n")


async def test_json() -> None:
    ended = await domstats("doctor", "--json", "-c", SIM)
    check(ended, 3)
    document = json.loads(ended.out)
    assert (document["uri"], document["complete"], document["guests"]) == (SIM, False, 18)
    (missing,) = (each for each in document["findings"] if each["verdict"] == "missing")
    assert len(missing["domains"]) == WITHOUT_MEMORY


@pytest.mark.parametrize("form", BOTH)
async def test_no_socket_is_there(form: str, tmp_path: Path) -> None:
    path = tmp_path / "none"
    ended = await domstats("doctor", *options(form), "-c", f"qemu+unix:///system?socket={path}")
    check(ended, 4)
    assert f"{path} is not there" in ended.out.decode()
    assert "CAP_SYS_PTRACE" in ended.out.decode(), "the kernel is examined all the same"


@pytest.mark.parametrize("form", BOTH)
async def test_a_socket_one_may_not_open(form: str, tmp_path: Path) -> None:
    # Root may connect to any socket, unless it gives up that capability.
    under = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    async with FakeDaemon(tmp_path / "sock") as daemon:
        daemon.path.chmod(0)
        ended = await domstats("doctor", *options(form), "-c", daemon.uri, under=under)
        assert daemon.clients == []
    check(ended, 3)
    assert f"{daemon.path} may not be opened (mode 0000, owner " in ended.out.decode()


async def test_a_terminal_has_colors_and_no_long_lines() -> None:
    ended, screen = await on_terminal("doctor", "-c", SIM, columns=100, TERM="xterm", NO_COLOR="")
    check(ended, 3)
    assert "\x1b[31mmissing\x1b[m" in screen
    assert max(map(len, without_colors(screen).splitlines())) <= 100
    _, plain = await on_terminal("doctor", "-c", SIM, columns=100, TERM="xterm", NO_COLOR="1")
    assert plain == without_colors(screen)


@pytest.mark.parametrize("args", [("-c", "nonsense"), ("-c", "sim:///?domains=x"), ("extra",), ("--deadline", "nan")])
async def test_wrong_use(args: tuple[str, ...]) -> None:
    ended = await domstats("doctor", *args)
    assert (ended.code, ended.out) == (2, b"")
    assert ended.err


async def test_the_host_that_a_variable_names() -> None:
    ended = await domstats("doctor", LIBVIRT_DEFAULT_URI=SIM)
    check(ended, 3)
    assert ended.out.decode().startswith(f"host {SIM}\n")


async def test_a_closed_stdout() -> None:
    ended = await domstats("doctor", "-c", SIM, under=("sh", "-c", 'exec "$@" >&-', "sh"))
    assert (ended.code, ended.message) == (1, "Bad file descriptor")
