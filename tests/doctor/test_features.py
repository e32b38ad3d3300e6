"""What the kernel can tell, on trees of kernels that can more and less."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from domstats.doctor import features
from domstats.doctor.findings import Finding, Verdict
from domstats.sources.kernel.uri import KernelConfig
from proc_trees import write_files

OK, WARN = Verdict.OK, Verdict.WARN
CASES = [
    (features.release, {"proc/sys/kernel/osrelease": "6.1.0-18-amd64\n"}, OK, "Linux 6.1.0-18-amd64"),
    (features.release, {"proc/sys/kernel/osrelease": "5.14.0\n"}, OK, "5.14.0"),
    (features.release, {"proc/sys/kernel/osrelease": "5.13.9\n"}, WARN, "no statistics descriptors"),
    (features.release, {"proc/sys/kernel/osrelease": "4.18.0-553.el8\n"}, WARN, "4.18.0-553.el8 has no"),
    (features.release, {"proc/sys/kernel/osrelease": "what\x1b\n"}, WARN, "cannot be read"),
    (features.release, {}, WARN, "cannot be read"),
    (features.kvm, {"sys/module/kvm/x": "", "sys/module/kvm_intel/x": ""}, OK, "modules kvm, kvm_intel"),
    (features.kvm, {"sys/module/kvm_intel/x": ""}, WARN, "not loaded"),
    (features.kvm, {}, WARN, "guests are emulated"),
    (features.waiting, {"proc/sys/kernel/sched_schedstats": "1\n"}, OK, "is kept"),
    (features.waiting, {"proc/sys/kernel/sched_schedstats": "0\n"}, WARN, "switched off"),
    (features.waiting, {}, WARN, "CONFIG_SCHEDSTATS"),
    (features.delay, {"proc/self/schedstat": "1 2 3\n"}, OK, "is kept"),
    (features.delay, {}, WARN, "CONFIG_SCHED_INFO"),
    (features.cgroups, {"sys/fs/cgroup/cgroup.controllers": "cpu io\n"}, OK, "version 2"),
    (features.cgroups, {"sys/fs/cgroup/cpu,cpuacct/tasks": ""}, OK, "version 1"),
    (features.cgroups, {"sys/fs/cgroup/cpuacct/tasks": ""}, OK, "version 1"),
    (features.cgroups, {"sys/fs/cgroup/memory/tasks": ""}, WARN, "none that account"),
    (features.cgroups, {}, WARN, "none that account"),
]


@pytest.mark.parametrize(("check", "files", "verdict", "said"), CASES)
def test_a_feature(
    check: Callable[[KernelConfig], Finding], files: dict[str, str], verdict: Verdict, said: str, tmp_path: Path
) -> None:
    write_files(tmp_path, files)
    found = check(KernelConfig(tmp_path / "proc", tmp_path / "sys"))
    assert found.verdict is verdict
    assert said in found.text
    assert bool(found.advice) == (verdict is not OK), "what to do next is said where there is something to do"


def test_every_check_is_named_as_it_names_itself(tmp_path: Path) -> None:
    kernel = KernelConfig(tmp_path / "proc", tmp_path / "sys")
    assert [check(kernel).check for _, check in features.FEATURES] == [name for name, _ in features.FEATURES]
