"""What this process may see of the guests' processes: its rights, and what the host grants to whom.

As in `features`: one or two files a check, below the roots it is given. Raises OSError.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from domstats.doctor.features import read
from domstats.doctor.findings import Finding, Part, Verdict, plural
from domstats.sources.kernel.descriptors import RESERVE
from domstats.sources.kernel.uri import KernelConfig

_CAP_SYS_PTRACE = 19
"""The number of the capability (linux/capability.h)."""
_ADVICE = "run as root, or with CAP_SYS_PTRACE (systemd: AmbientCapabilities=CAP_SYS_PTRACE)"
_HIDING = {
    "1": "processes of others may not be read",
    "noaccess": "processes of others may not be read",
    "2": "processes of others are not shown",
    "invisible": "processes of others are not shown",
    "4": "only processes that may be traced are shown",
    "ptraceable": "only processes that may be traced are shown",
}
"""What proc's option `hidepid` does; 0 and `off` hide nothing."""
_YAMA = {
    "1": "only descendants may be traced: KVM's values of one's own guests take CAP_SYS_PTRACE, too",
    "2": "only processes with CAP_SYS_PTRACE may trace",
    "3": "nobody may trace, root neither: the kernel's view has no values of KVM's own",
}
FILES_A_GUEST, FILES_A_VCPU, FILES_MORE = 6, 4, 3
"""Files the kernel's view holds open, at most: of a guest, of each of its vCPUs, and for KVM's values of each guest."""


def may_trace(kernel: KernelConfig) -> bool:
    """Whether this process has CAP_SYS_PTRACE. Raises OSError."""
    for line in (read(kernel.proc / "self/status") or "").split("\n"):
        name, _, value = line.partition(":")
        if name == "CapEff":
            try:
                return bool(int(value.strip(), 16) >> _CAP_SYS_PTRACE & 1)
            except ValueError:
                return False
    return False


def tracing(kernel: KernelConfig) -> Finding:
    """Whether the descriptors of other users' processes may be looked at."""
    if may_trace(kernel):
        return _finding("trace", Verdict.OK, "CAP_SYS_PTRACE is there")
    what = "no CAP_SYS_PTRACE: the kernel's view has net and KVM's values of this user's own guests only"
    return _finding("trace", Verdict.WARN, what, _ADVICE)


def yama(kernel: KernelConfig) -> Finding:
    """Whom the security module Yama allows to trace."""
    scope = (read(kernel.proc / "sys/kernel/yama/ptrace_scope") or "0").strip()
    what = _YAMA.get(scope)
    if what is None:
        return _finding("yama", Verdict.OK, "kernel.yama.ptrace_scope restricts nothing")
    text = f"kernel.yama.ptrace_scope={scope}: {what}"
    if scope == "3":
        return _finding("yama", Verdict.WARN, text, "another value counts after the next boot")
    if may_trace(kernel):
        return _finding("yama", Verdict.OK, f"kernel.yama.ptrace_scope={scope}, which does not concern this process")
    return _finding("yama", Verdict.WARN, text, _ADVICE)


def hidden(kernel: KernelConfig) -> Finding:
    """Whether /proc is mounted so that it hides processes."""
    value, group = _proc_options(kernel.proc, read(kernel.proc / "self/mountinfo") or "")
    what = _HIDING.get(value)
    if what is None:
        return _finding("hidepid", Verdict.OK, f"{kernel.proc} hides no processes")
    if may_trace(kernel):
        return _finding("hidepid", Verdict.OK, f"hidepid={value}, which does not concern this process")
    besides = f", or as a member of the group {group}" if group else ""
    text = f"{kernel.proc} is mounted with hidepid={value}: {what}"
    return _finding("hidepid", Verdict.WARN, text, f"{_ADVICE}{besides}")


def open_files(guests: int, vcpus: int, limits: tuple[int, int]) -> Finding:
    """Whether the files of all guests may be held open.

    `limits`: how many files this process may have open, soft and hard; -1 for any number. The soft one is raised when
    the kernel's view is used.
    """
    hard = limits[1]
    needed = guests * (FILES_A_GUEST + FILES_MORE) + vcpus * FILES_A_VCPU + RESERVE
    if hard < 0 or needed <= hard:
        return _finding("open files", Verdict.OK, f"{needed:,} at most for {plural(guests)}")
    text = f"{needed:,} for {plural(guests)}, but {hard:,} are allowed: some have no values of KVM's from the kernel"
    return _finding("open files", Verdict.WARN, text, f"ulimit -n {needed}, or LimitNOFILE={needed} in a systemd unit")


def _proc_options(proc: Path, mountinfo: str) -> tuple[str, str]:
    """`hidepid` and `gid` of the procfs mounted there; empty where it has none (proc(5))."""
    found = ("", "")
    for line in mountinfo.split("\n"):
        mount, _, rest = line.partition(" - ")
        words, after = mount.split(" "), rest.split(" ")
        if len(words) > 4 and len(after) > 2 and after[0] == "proc" and _unescaped(words[4]) == str(proc):
            options = dict(option.partition("=")[::2] for option in after[2].split(","))
            found = options.get("hidepid", ""), options.get("gid", "")
    return found


def _unescaped(path: str) -> str:
    """A mount point, in which mountinfo writes these four characters in octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path


RIGHTS: tuple[tuple[str, Callable[[KernelConfig], Finding]], ...] = (
    ("trace", tracing),
    ("yama", yama),
    ("hidepid", hidden),
)
"""The checks of a kernel alone, by name, in the order of the report."""


def _finding(check: str, verdict: Verdict, text: str, advice: str = "") -> Finding:
    return Finding(Part.RIGHTS, check, verdict, text, advice)
