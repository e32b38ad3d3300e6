"""What systemd is told, by a socket as it has one."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest

from descriptor_limits import no_descriptor_left
from domstats.serve.notify import Notify, watchdog_seconds


@pytest.mark.parametrize("abstract", [False, True])
def test_it_hears_what_is_said(tmp_path: Path, abstract: bool) -> None:
    path = f"@{tmp_path}/notify" if abstract else f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + path[1:] if abstract else path)
        notify = Notify({"NOTIFY_SOCKET": path})
        notify.tell("READY=1", "STATUS=5 domains\nREADY=0")
        assert systemd.recv(1000) == b"READY=1\nSTATUS=5 domains READY=0"
        notify.close()
        notify.close()
        notify.tell("READY=1")


def test_it_is_told_when_there_is_no_descriptor_left(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"{tmp_path}/notify")
        with closing(Notify({"NOTIFY_SOCKET": f"{tmp_path}/notify"})) as notify:
            with no_descriptor_left():
                notify.tell("WATCHDOG=1")
            assert systemd.recv(1000) == b"WATCHDOG=1"


def test_nobody_hears(tmp_path: Path) -> None:
    Notify({}).tell("READY=1")
    with closing(Notify({"NOTIFY_SOCKET": f"{tmp_path}/none"})) as notify:
        notify.tell("READY=1")
    Notify({"NOTIFY_SOCKET": "vsock:2:1"}).tell("READY=1")


def test_one_who_does_not_listen_holds_up_nobody(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"{tmp_path}/notify")
        with closing(Notify({"NOTIFY_SOCKET": f"{tmp_path}/notify"})) as notify:
            for number in range(5000):  # more than its queue holds
                notify.tell(f"STATUS={number}")
        assert systemd.recv(1000) == b"STATUS=0"


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": ""}, None),
    ],
)
def test_watchdog(environment: dict[str, str], seconds: float | None) -> None:
    assert watchdog_seconds(environment, 7) == seconds
