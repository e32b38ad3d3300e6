"""Programs of Debian's packages, unpacked into a folder of the suite's own: no service starts."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypervisor_packages import SYSTEM_PATH, HypervisorError, run

_KEPT = Path("/var/tmp")
"""Where what was unpacked stays for the next test run."""
_LOADING = 300.0


def programs(package: str, *names: str) -> list[Path]:
    """Where these programs of a package are: the machine's own, or else Debian's. Raises HypervisorError."""
    found = [shutil.which(name, path=SYSTEM_PATH) for name in names]
    if all(found):
        return [Path(path) for path in found if path]
    kept = _KEPT / f"domstats-suite-{package}"
    unpacked = [kept / "usr/bin" / name for name in names]
    if not all(path.exists() for path in unpacked):
        _unpack(package, kept)
    return unpacked


def _unpack(package: str, kept: Path) -> None:
    """Bring the package; other test runs see all of it or nothing."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise HypervisorError(f"no {package} here, and no apt-get to bring it")
    with tempfile.TemporaryDirectory(prefix=f"{kept.name}-", dir=kept.parent) as name:
        folder = Path(name)
        folder.chmod(0o755)
        _download(package, folder)
        (file,) = folder.glob("*.deb")
        run("dpkg-deb", "-x", str(file), str(folder / "tree"), deadline=_LOADING)
        if kept.exists():
            shutil.rmtree(kept)
        (folder / "tree").rename(kept)


def _download(package: str, folder: Path) -> None:
    command = ("sh", "-c", 'cd "$0" && apt-get -qq download "$1"', str(folder), package)
    try:
        run(*command, deadline=_LOADING)
    except HypervisorError:
        if os.geteuid() != 0:
            raise
        run("apt-get", "-qq", "update", deadline=_LOADING)  # the lists may be old, or none
        run(*command, deadline=_LOADING)
