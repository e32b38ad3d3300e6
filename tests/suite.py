"""The system of another Debian suite, for its versions of libvirt and QEMU: made once by debootstrap, and kept."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from hypervisor_packages import PACKAGES, HypervisorError, install, run

_KEPT = Path("/var/tmp")
_MAKING = 900.0
_ASKING = 20.0
_INTO = 'mount -n -t proc proc "$0/proc" && mount -n --rbind /dev "$0/dev" && exec chroot "$0" "$@"'


def system(suite: str) -> Path:
    """The root of the suite's system, made if need be. Raises HypervisorError."""
    root = _KEPT / f"domstats-suite-{suite}"
    if not root.exists():
        if os.geteuid() != 0:
            raise HypervisorError("only root can make the system of another suite")
        if shutil.which("debootstrap", path="/usr/sbin:/usr/bin") is None:
            install("debootstrap")
        unfinished = root.with_name(f"{root.name}.unfinished")
        _make(suite, unfinished)
        unfinished.rename(root)
    return root


def _make(suite: str, root: Path) -> None:
    if root.exists():
        shutil.rmtree(root)
    proxy = run("apt-config", "dump", "--format", "%v", "Acquire::http::Proxy", deadline=_ASKING)
    environment = {"http_proxy": proxy} if proxy.startswith("http") else {}
    bootstrap = ("debootstrap", "--variant=minbase", "--include=ca-certificates", suite, str(root), _mirror())
    run(*bootstrap, deadline=_MAKING, **environment)
    shutil.copytree("/etc/apt/apt.conf.d", root / "etc/apt/apt.conf.d", dirs_exist_ok=True)
    for name in ("resolv.conf", "hosts"):
        shutil.copy(Path("/etc", name), root / "etc" / name)
    inside = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _INTO, str(root))
    for command in ("update", "install --yes --no-install-recommends python3 " + " ".join(PACKAGES)):
        run(*inside, "apt-get", "-qq", *command.split(), deadline=_MAKING)


def _mirror() -> str:
    """Where the machine's own packages come from."""
    release = re.search(r"^VERSION_CODENAME=(.+)$", Path("/etc/os-release").read_text(), re.MULTILINE)
    form = ("--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages")
    for line in run("apt-get", "indextargets", *form, deadline=_ASKING).splitlines():
        name, component, uri = line.split(" ", 2)
        if release and name == release[1] and component == "main":
            return uri
    raise HypervisorError("apt's sources name no mirror of this system's own release")
