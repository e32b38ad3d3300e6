"""What the running kernel can tell: KVM's statistics, waiting times, processor time by cgroup.

Each check reads one or two files below the roots of procfs and sysfs that it is given. Raises OSError for a file that
may not be read; one that is not there is an answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from domstats.doctor.findings import Finding, Part, Verdict
from domstats.sources.kernel.uri import KernelConfig

STATISTICS_SINCE = (5, 14)
"""The release of Linux whose KVM has statistics descriptors."""
_TEXT_MAX = 1 << 20
_RELEASE = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")


def read(path: Path) -> str | None:
    """The text of a file, at most a mebibyte of it; None where there is none. Raises OSError."""
    try:
        with path.open("rb") as file:
            return file.read(_TEXT_MAX).decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None


def release(kernel: KernelConfig) -> Finding:
    """Whether this Linux has statistics descriptors."""
    text = (read(kernel.proc / "sys/kernel/osrelease") or "").strip()
    match = _RELEASE.match(text)
    if match is None:
        return _finding("linux", Verdict.WARN, "its release cannot be read", f"is {kernel.proc} a procfs?")
    if (int(match[1]), int(match[2])) < STATISTICS_SINCE:
        what = f"Linux {text} has no statistics descriptors, of which the kernel's view takes KVM's values"
        return _finding("linux", Verdict.WARN, what, "Linux 5.14 or newer has them")
    return _finding("linux", Verdict.OK, f"Linux {text}")


def kvm(kernel: KernelConfig) -> Finding:
    """Whether KVM is there."""
    modules = sorted(path.name for path in (kernel.sys / "module").glob("kvm*"))
    if "kvm" not in modules:
        advice = "modprobe kvm_intel or kvm_amd; is virtualization switched on in the firmware?"
        return _finding("kvm", Verdict.WARN, "the module kvm is not loaded: guests are emulated", advice)
    return _finding("kvm", Verdict.OK, f"modules {', '.join(modules)}")


def waiting(kernel: KernelConfig) -> Finding:
    """Whether the kernel keeps how long threads wait: `vcpu.<id>.wait`."""
    text = read(kernel.proc / "sys/kernel/sched_schedstats")
    if text is None:
        what = "vcpu.<id>.wait is 0: this kernel is built without CONFIG_SCHEDSTATS"
        return _finding("waiting", Verdict.WARN, what, "vcpu.<id>.delay tells of steal all the same")
    if text.strip() == "0":
        what = "vcpu.<id>.wait is 0: the kernel's schedstats are switched off"
        return _finding("waiting", Verdict.WARN, what, "sysctl kernel.sched_schedstats=1")
    return _finding("waiting", Verdict.OK, "vcpu.<id>.wait is kept (schedstats)")


def delay(kernel: KernelConfig) -> Finding:
    """Whether the kernel keeps how long threads wait for a processor: `vcpu.<id>.delay`, which is steal."""
    if read(kernel.proc / "self/schedstat") is None:
        what = "vcpu.<id>.delay is 0: this kernel is built without CONFIG_SCHED_INFO"
        return _finding("steal", Verdict.WARN, what, "no steal can be told on this kernel")
    return _finding("steal", Verdict.OK, "vcpu.<id>.delay is kept (schedstat)")


def cgroups(kernel: KernelConfig) -> Finding:
    """Which cgroups account for processor time."""
    root = kernel.sys / "fs/cgroup"
    if read(root / "cgroup.controllers") is not None:
        return _finding("cgroups", Verdict.OK, "version 2")
    if any(root.glob("*cpuacct*")):
        return _finding("cgroups", Verdict.OK, "version 1, with cpuacct")
    what = "none that account for processor time: the kernel's view counts a guest's process alone"
    return _finding("cgroups", Verdict.WARN, what, f"is the host's cgroup filesystem mounted at {root}?")


FEATURES: tuple[tuple[str, Callable[[KernelConfig], Finding]], ...] = (
    ("linux", release),
    ("kvm", kvm),
    ("waiting", waiting),
    ("steal", delay),
    ("cgroups", cgroups),
)
"""The checks, by name, in the order of the report."""


def _finding(check: str, verdict: Verdict, text: str, advice: str = "") -> Finding:
    return Finding(Part.KERNEL, check, verdict, text, advice)
