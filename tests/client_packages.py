"""Programs of others that read libvirt, from Debian's packages; none of them is started as a service."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hypervisor_packages import PYTHON, SYSTEM_PATH, HypervisorError, install

_MUNIN = Path("/usr/share/munin/plugins")
_GO_SOURCES = Path("/usr/share/gocode")
_FILES = {
    "collectd-core": Path("/usr/lib/collectd/virt.so"),
    "prometheus-libvirt-exporter": Path("/usr/bin/prometheus-libvirt-exporter"),
    "munin-libvirt-plugins": _MUNIN / "libvirt-mem",
    "golang-go": Path("/usr/bin/go"),
    "golang-github-digitalocean-go-libvirt-dev": _GO_SOURCES / "src/github.com/digitalocean/go-libvirt",
    "tshark": Path("/usr/bin/tshark"),
    "libvirt-wireshark": Path("/usr/share/doc/libvirt-wireshark"),
    "libvirt-clients": Path("/usr/bin/virsh"),
    "python3-libvirt": Path("/usr/share/doc/python3-libvirt"),
}
"""Of each package one of its files."""
TYPES = Path("/usr/share/collectd/types.db")
"""The names of collectd's values."""
GO_ENVIRONMENT = {"GO111MODULE": "off", "GOPATH": str(_GO_SOURCES), "GOFLAGS": ""}
"""With which Go finds the sources that Debian packages, and looks for no others."""


def provide() -> None:
    """Install what is missing. Raises HypervisorError with the reason where that cannot be."""
    lacks = [package for package, file in _FILES.items() if not file.exists()]
    if not lacks:
        return
    if os.geteuid() != 0 or shutil.which("apt-get", path=SYSTEM_PATH) is None:
        raise HypervisorError(f"not installed: {', '.join(lacks)}")
    install(*lacks)


def munin_plugin(name: str) -> list[str]:
    """The command that runs a plugin: blkstat, cputime, ifstat or mem."""
    return [PYTHON, str(_MUNIN / f"libvirt-{name}")]
