"""What a machine needs for a private hypervisor, and how it comes there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PYTHON = "/usr/bin/python3"
"""The system's own, for which python3-libvirt is."""
PACKAGES = (
    "libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-clients", "qemu-system-x86", "qemu-utils",
    "python3-libvirt",
)  # fmt: skip
"""Without libvirt-daemon-system, which would start a libvirtd of the machine's own."""
NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private")
"""What `unshare` is told to make."""
_COMMANDS = ("libvirtd", "virsh", "qemu-system-x86_64", "qemu-img", "unshare", "nsenter", "ip", "mount")
_POLICY = Path("/usr/sbin/policy-rc.d")
_INSTALLING = 600.0
_ASKING = 20.0
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class HypervisorError(Exception):
    """There can be no private hypervisor here, or it failed; the text says why."""


def missing() -> list[str]:
    """What this machine lacks, one sentence each; nothing when a hypervisor can run."""
    lacks = [] if os.geteuid() == 0 else ["only root can make the namespaces it runs in"]
    absent = [command for command in _COMMANDS if shutil.which(command, path=SYSTEM_PATH) is None]
    if absent:
        lacks.append(f"not installed: {', '.join(absent)}")
    if not _succeeds(PYTHON, "-c", "import libvirt"):
        lacks.append(f"{PYTHON} has no libvirt (python3-libvirt)")
    if not lacks and not _succeeds("unshare", *NAMESPACES, "true"):
        lacks.append("no namespaces can be made here (unshare fails)")
    return lacks


def has_kvm() -> bool:
    """Whether guests can use the processor's virtualization; without it QEMU emulates one."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError:
        return False
    return True


def provide() -> None:
    """Install what is missing, where that can be done. Raises HypervisorError."""
    lacks = missing()
    if lacks and os.geteuid() == 0 and shutil.which("apt-get"):
        install(*PACKAGES, "iproute2")
        lacks = missing()
    if lacks:
        raise HypervisorError("; ".join(lacks))


def install(*packages: str) -> None:
    """Install Debian packages, without letting them start a service. Raises HypervisorError."""
    with _no_services():
        run("apt-get", "-qq", "update", deadline=_INSTALLING)
        run("apt-get", "-qq", "install", "--yes", "--no-install-recommends", *packages, deadline=_INSTALLING)


def run(*command: str, deadline: float, given: str = "", **environment: str) -> str:
    """Run a command of the system; what it prints. Raises HypervisorError, with the last line it complains in."""
    settings = {"PATH": SYSTEM_PATH, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            input=given.encode(),
            env=os.environ | settings | environment,
            capture_output=True,
            check=True,
            timeout=deadline,
        )
    except subprocess.CalledProcessError as error:
        complaint = error.stderr.decode(errors="replace").strip() or f"exit code {error.returncode}"
        raise HypervisorError(f"{command[0]}: {complaint.splitlines()[-1]}") from error
    except subprocess.TimeoutExpired as error:
        raise HypervisorError(f"{command[0]} took longer than {deadline:g} s") from error
    except OSError as error:
        raise HypervisorError(f"{command[0]}: {error.strerror}") from error
    return done.stdout.decode(errors="surrogateescape")


@contextmanager
def _no_services() -> Iterator[None]:
    """While it lasts Debian's maintainer scripts start nothing (101: not allowed); a policy that exists stays."""
    try:
        with _POLICY.open("x") as policy:
            policy.write("#!/bin/sh\nexit 101\n")
    except FileExistsError:
        yield
        return
    try:
        _POLICY.chmod(0o755)
        yield
    finally:
        _POLICY.unlink()


def _succeeds(*command: str) -> bool:
    try:
        run(*command, deadline=_ASKING)
    except HypervisorError:
        return False
    return True
