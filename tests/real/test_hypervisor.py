"""The private hypervisor itself: apart from the machine, and gone without a trace."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import guests
from hypervisor import KEPT, Hypervisor, own
from hypervisor_packages import HypervisorError

PATIENCE = 30.0
START_ONE = """
import sys
import hypervisor
mine = hypervisor.own("orphan")
mine.start()
print(mine.directory, mine.init, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def spare(hypervisor: Hypervisor) -> Iterator[Hypervisor]:
    """One more, without guests."""
    spare = own("spare")
    spare.start()
    yield spare
    spare.stop()


def state(process: int) -> str:
    """The letter for a process's state."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def ends(process: int) -> bool:
    """Whether the process ends soon."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], PATIENCE)[0])
    finally:
        os.close(handle)


def test_it_has_a_host_of_its_own(hypervisor: Hypervisor) -> None:
    for kind in ("mnt", "net", "pid"):
        assert Path(f"/proc/{hypervisor.init}/ns/{kind}").readlink() != Path(f"/proc/self/ns/{kind}").readlink()
    devices = hypervisor.inside("ls", "/sys/class/net").split()
    assert {"lo", guests.BRIDGE, guests.VETH} <= set(devices)
    assert not {guests.BRIDGE, guests.VETH} & {each.name for each in Path("/sys/class/net").iterdir()}
    assert hypervisor.inside("ls", "/run/libvirt/libvirt-sock-ro")
    assert hypervisor.inside("ls", "-A", "/sys/fs/cgroup") == ""


def test_a_stuck_guest(spare: Hypervisor) -> None:
    spare.add_plain(2)
    process = spare.pid("vm0001")
    spare.stop_guest("vm0001")
    assert state(process) == "T"
    spare.continue_guest("vm0001")
    assert state(process) in "SRD"
    with pytest.raises(HypervisorError, match="exit code -9"):
        spare.inside("sleep", "60", deadline=0.1)


def test_nothing_is_left_not_even_a_stuck_guest(spare: Hypervisor) -> None:
    spare.add_plain(1)
    spare.stop_guest("vm0000")
    processes = [spare.init, spare.pid("vm0000")]
    spare.stop()
    assert all(ends(process) for process in processes if process)
    assert spare.init is None
    assert not spare.directory.exists()
    with pytest.raises(HypervisorError, match="no hypervisor runs"):
        spare.inside("true")


def test_it_ends_with_the_process_that_started_it(hypervisor: Hypervisor) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", START_ONE], stdin=pipe, stdout=pipe, env=environment) as owner:
        assert owner.stdout is not None
        directory, init = owner.stdout.readline().decode().split()
        owner.kill()
    assert ends(int(init))
    assert Path(directory).exists()
    own("next")
    assert not Path(directory).exists()


def test_a_daemon_that_does_not_start(hypervisor: Hypervisor, tmp_path: Path) -> None:
    broken = Hypervisor(Path(f"{KEPT}-broken-{os.getpid()}"), tmp_path)
    with pytest.raises(HypervisorError, match="libvirtd did not start: "):
        broken.start()
    assert not broken.directory.exists()
