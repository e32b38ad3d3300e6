"""Prometheus and promtool, from Debian's package, unpacked into a folder of the suite's own: no service starts."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypervisor_packages import SYSTEM_PATH, HypervisorError, run

PACKAGE = "prometheus"
CACHE = Path("/var/tmp/domstats-suite-prometheus")
"""Where what was unpacked stays for the next test run."""
_LOADING = 300.0


@dataclass(frozen=True)
class Programs:
    """Paths of the programs."""

    promtool: Path
    prometheus: Path


def provide() -> Programs:
    """The machine's own programs, or else those of Debian's package. Raises HypervisorError with the reason."""
    found = [shutil.which(name, path=SYSTEM_PATH) for name in ("promtool", "prometheus")]
    if found[0] and found[1]:
        return Programs(Path(found[0]), Path(found[1]))
    unpacked = _unpacked(CACHE)
    if not unpacked.promtool.exists() or not unpacked.prometheus.exists():
        _unpack()
    return unpacked


def _unpacked(folder: Path) -> Programs:
    return Programs(folder / "usr/bin/promtool", folder / "usr/bin/prometheus")


def _unpack() -> None:
    """Bring the package; other test runs see all of it or nothing."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise HypervisorError("no Prometheus here, and no apt-get to bring it")
    with tempfile.TemporaryDirectory(prefix=f"{CACHE.name}-", dir=CACHE.parent) as name:
        folder = Path(name)
        folder.chmod(0o755)
        _download(folder)
        (package,) = folder.glob("*.deb")
        run("dpkg-deb", "-x", str(package), str(folder / "tree"), deadline=_LOADING)
        if CACHE.exists():
            shutil.rmtree(CACHE)
        (folder / "tree").rename(CACHE)


def _download(folder: Path) -> None:
    command = ("sh", "-c", 'cd "$0" && apt-get -qq download "$1"', str(folder), PACKAGE)
    try:
        run(*command, deadline=_LOADING)
    except HypervisorError:
        if os.geteuid() != 0:
            raise
        run("apt-get", "-qq", "update", deadline=_LOADING)  # the lists may be old, or none
        run(*command, deadline=_LOADING)
