"""Sockets to listen at: mode, group, who is there already, and what systemd passes."""

from __future__ import annotations

import grp
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from domstats.errors import ConnectError, SocketTaken, UsageError
from domstats.serve.sockets import PATH_MAX, check_path, listen, passed_sockets

PASSED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
from domstats.serve.sockets import passed_sockets
os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), "1"
(one,) = passed_sockets(os.environ)
print(one.sock.getsockname(), one.sock.gettimeout(), os.get_inheritable(one.sock.fileno()))
one.remove()
"""


class TestListening:
    @pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
    def test_mode(self, tmp_path: Path, mode: int) -> None:
        made = listen(tmp_path / "sock", mode, None)
        assert stat.S_IMODE((tmp_path / "sock").stat().st_mode) == mode
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(tmp_path / "sock"))
        made.remove()
        made.remove()
        made.sock.close()
        assert list(tmp_path.iterdir()) == []

    def test_group(self, tmp_path: Path) -> None:
        group = grp.getgrgid(os.getgid())
        listen(tmp_path / "sock", 0o660, group.gr_name).sock.close()
        assert (tmp_path / "sock").stat().st_gid == group.gr_gid

    def test_a_group_that_does_not_exist(self, tmp_path: Path) -> None:
        for group in ("nobody-has-this", "a\0"):
            with pytest.raises(UsageError, match="there is no group"):
                listen(tmp_path / "sock", 0o660, group)
        assert list(tmp_path.iterdir()) == []

    def test_where_somebody_listens(self, tmp_path: Path) -> None:
        made = listen(tmp_path / "sock", 0o600, None)
        with pytest.raises(SocketTaken, match="another server listens at"):
            listen(tmp_path / "sock", 0o600, None)
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(tmp_path / "sock"))
        made.sock.close()

    def test_where_somebody_has_listened(self, tmp_path: Path) -> None:
        before = listen(tmp_path / "sock", 0o600, None)
        before.sock.close()
        made = listen(tmp_path / "sock", 0o600, None)
        before.remove()  # it is another by now
        assert (tmp_path / "sock").exists()
        made.sock.close()

    def test_where_there_is_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("precious")
        with pytest.raises(ConnectError, match="no socket"):
            listen(tmp_path / "file", 0o600, None)
        assert (tmp_path / "file").read_text() == "precious"

    @pytest.mark.parametrize("name", ["none/sock", "x" * 200])
    def test_where_there_can_be_none(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ConnectError, match="cannot listen at"):
            listen(tmp_path / name, 0o600, None)
        assert list(tmp_path.iterdir()) == []

    def test_the_longest_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "getpid", lambda: 4194304)
        path = tmp_path / ("x" * (PATH_MAX - len(f"{tmp_path}/")))
        check_path(path)
        made = listen(path, 0o600, None)
        check_path(path)
        made.remove()
        made.sock.close()
        with pytest.raises(UsageError, match=f"has at most {PATH_MAX} bytes, not {PATH_MAX + 1}"):
            check_path(path.with_name(f"{path.name}x"))


class TestPassedSockets:
    @pytest.mark.parametrize(
        "environment",
        [
            {},
            {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
            {"LISTEN_PID": str(os.getpid())},
            {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"},
            {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "99999999999"},
        ],
    )
    def test_none(self, environment: dict[str, str]) -> None:
        assert passed_sockets(environment) == []

    def test_one(self, tmp_path: Path) -> None:
        made = listen(tmp_path / "sock", 0o600, None)
        done = subprocess.run(
            [sys.executable, "-c", PASSED, str(made.sock.fileno())],
            pass_fds=[made.sock.fileno()],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        name = made.sock.getsockname()
        made.sock.close()
        assert (done.stdout, done.stderr) == (f"{name} 0.0 False\n", "")
        assert (tmp_path / "sock").exists()
