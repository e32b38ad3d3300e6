"""What a process may see, by its capabilities and by what the host grants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from domstats.doctor import rights
from domstats.doctor.findings import Finding, Verdict
from domstats.sources.kernel.uri import KernelConfig
from proc_trees import write_files

OK, WARN = Verdict.OK, Verdict.WARN
ROOT = {"proc/self/status": "Name:\tpython\nCapPrm:\t0000000000000000\nCapEff:\t000001ffffffffff\n"}
TRACER = {"proc/self/status": "CapEff:\t0000000000080000\n"}
NOBODY = {"proc/self/status": "CapPrm:\t0000000000080000\nCapEff:\tfffffffffff7ffff\n"}
SCOPE = "proc/sys/kernel/yama/ptrace_scope"
CASES = [
    (rights.tracing, ROOT, OK, "CAP_SYS_PTRACE is there"),
    (rights.tracing, TRACER, OK, "CAP_SYS_PTRACE is there"),
    (rights.tracing, NOBODY, WARN, "no CAP_SYS_PTRACE"),
    (rights.tracing, {"proc/self/status": "CapEff:\twhat\n"}, WARN, "no CAP_SYS_PTRACE"),
    (rights.tracing, {}, WARN, "no CAP_SYS_PTRACE"),
    (rights.yama, NOBODY, OK, "restricts nothing"),
    (rights.yama, NOBODY | {SCOPE: "0\n"}, OK, "restricts nothing"),
    (rights.yama, NOBODY | {SCOPE: "1\n"}, WARN, "only descendants"),
    (rights.yama, NOBODY | {SCOPE: "2\n"}, WARN, "only processes with CAP_SYS_PTRACE"),
    (rights.yama, TRACER | {SCOPE: "1\n"}, OK, "does not concern"),
    (rights.yama, TRACER | {SCOPE: "2\n"}, OK, "does not concern"),
    (rights.yama, ROOT | {SCOPE: "3\n"}, WARN, "nobody may trace"),
]


@pytest.mark.parametrize(("check", "files", "verdict", "said"), CASES)
def test_a_right(
    check: Callable[[KernelConfig], Finding], files: dict[str, str], verdict: Verdict, said: str, tmp_path: Path
) -> None:
    write_files(tmp_path, files)
    found = check(KernelConfig(tmp_path / "proc", tmp_path / "sys"))
    assert (found.verdict, bool(found.advice)) == (verdict, verdict is WARN)
    assert said in found.text


@pytest.mark.parametrize(
    ("options", "caps", "verdict", "said"),
    [
        ("rw", NOBODY, OK, "hides no processes"),
        ("rw,hidepid=0", NOBODY, OK, "hides no processes"),
        ("rw,hidepid=off", NOBODY, OK, "hides no processes"),
        ("rw,gid=26,hidepid=2", NOBODY, WARN, "hidepid=2: processes of others are not shown"),
        ("rw,hidepid=invisible", NOBODY, WARN, "are not shown"),
        ("rw,hidepid=noaccess", NOBODY, WARN, "may not be read"),
        ("rw,hidepid=1", NOBODY, WARN, "may not be read"),
        ("rw,hidepid=ptraceable", NOBODY, WARN, "that may be traced"),
        ("rw,hidepid=2", ROOT, OK, "does not concern"),
    ],
)
def test_hidepid(options: str, caps: dict[str, str], verdict: Verdict, said: str, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    line = f"22 27 0:21 / {proc} rw,relatime shared:5 - proc proc {options}\n"
    other = "30 22 0:30 / /other rw - proc proc rw,hidepid=2\n31 22 0:31 / /x rw - tmpfs tmpfs rw\nnonsense\n"
    write_files(tmp_path, caps | {"proc/self/mountinfo": other + line})
    found = rights.hidden(KernelConfig(proc, tmp_path / "sys"))
    assert found.verdict is verdict
    assert said in found.text
    assert ("the group 26" in found.advice) == ("gid=26" in options)


def test_a_mount_point_with_a_space(tmp_path: Path) -> None:
    proc = tmp_path / "the host" / "proc"
    escaped = str(proc).replace(" ", "\\040")
    write_files(tmp_path / "the host", NOBODY | {"proc/self/mountinfo": f"1 2 0:1 / {escaped} rw - proc p hidepid=2\n"})
    assert rights.hidden(KernelConfig(proc)).verdict is WARN


@pytest.mark.parametrize("hard", [-1, 256 + 2 * 9 + 3 * 4])
def test_enough_files(hard: int) -> None:
    assert rights.open_files(2, 3, (10, hard)).verdict is OK


def test_too_few_files() -> None:
    found = rights.open_files(1000, 2000, (1024, 4096))
    assert found.verdict is WARN
    assert "17,256 for 1,000 guests, but 4,096 are allowed" in found.text
    assert found.advice == "ulimit -n 17256, or LimitNOFILE=17256 in a systemd unit"


def test_every_check_is_named_as_it_names_itself(tmp_path: Path) -> None:
    kernel = KernelConfig(tmp_path / "proc", tmp_path / "sys")
    assert [check(kernel).check for _, check in rights.RIGHTS] == [name for name, _ in rights.RIGHTS]
