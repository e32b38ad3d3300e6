"""A private hypervisor for the tests: a real libvirtd with real QEMU guests, apart from the machine's own libvirt.

    python tests/hypervisor.py up [N]       keep one running, with N plain guests (50) and the rich ones; tests use it
    python tests/hypervisor.py down         end it
    python tests/hypervisor.py bench-up N   keep another running, with N plain guests; `make bench` uses it
    python tests/hypervisor.py bench-down   end that
    python tests/hypervisor.py check        say what this machine lacks for one

It runs in mount, network and process namespaces of its own, see hypervisor_init.sh; of the host it shares /dev alone.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import guests
from guests import Guest
from hypervisor_packages import NAMESPACES, PYTHON, SYSTEM_PATH, HypervisorError, has_kvm, missing, provide, run

KEPT = Path("/var/tmp/domstats-hypervisor")
"""Where the one is that `up` keeps."""
BENCH = Path("/var/tmp/domstats-bench-hypervisor")
"""And the one for benchmarks, which has many guests."""
PLAIN = 50
HERE = Path(__file__).parent
_STARTING = 30.0
"""Seconds until libvirtd must answer; it takes about one."""
_ENDING = 20.0
_MAKING = 300.0
"""Seconds in which all guests must start; one takes 0.3, and 20 times that without KVM."""
_ASKING = 60.0
_AT_A_TIME = 100
"""Guests that are made in one go: 1,000 take seven minutes."""


class Hypervisor:
    """A libvirtd and its guests. `root`: the system whose libvirtd and QEMU they are. Raises HypervisorError."""

    def __init__(self, directory: Path, root: Path = Path("/")) -> None:
        self.directory, self.root = directory, root
        self.run_directory = directory / "run"
        """What is /run inside."""
        self.socket = self.run_directory / "libvirt/libvirt-sock-ro"
        self.rw_socket = self.run_directory / "libvirt/libvirt-sock"
        self.uri = f"qemu+unix:///system?socket={self.socket}"
        self.rw_uri = f"qemu+unix:///system?socket={self.rw_socket}"
        self._unshare: subprocess.Popen[bytes] | None = None

    @property
    def init(self) -> int | None:
        """The first process in its namespaces, by its number outside; None when it does not run."""
        try:
            number = int((self.directory / "pid").read_text())
            command = Path(f"/proc/{number}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return number if os.fsencode(self.directory) in command.split(b"\0") else None

    def start(self, *, keep: bool = False) -> None:
        """Start libvirtd, without guests. Unless it is to be kept, it ends with this process at the latest."""
        self.stop()
        self._lay_out()
        init = [
            "sh",
            str(HERE / "hypervisor_init.sh"),
            str(self.directory),
            str(self.root),
            "kept" if keep else "owned",
        ]
        with (self.directory / "log.txt").open("wb") as log:
            self._unshare = subprocess.Popen(
                ["unshare", *NAMESPACES, "--", *init],
                stdin=subprocess.DEVNULL if keep else subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=os.environ | {"PATH": SYSTEM_PATH},
                start_new_session=True,
            )
        try:
            self._await_daemon(self._unshare)
        except BaseException:
            self.stop()
            raise

    def _lay_out(self) -> None:
        self.directory.mkdir(mode=0o755)  # a directory that somebody else has put there is not used
        for name in ("run", "lib", "log", "cache", "layers", "lib/images"):
            (self.directory / name).mkdir()
        shutil.copytree(HERE / "inside/etc", self.directory / "etc")

    def _await_daemon(self, unshare: subprocess.Popen[bytes] | None) -> None:
        ends = time.monotonic() + _STARTING
        while time.monotonic() < ends:
            if unshare is not None and unshare.poll() is not None:
                raise HypervisorError(f"libvirtd did not start: {self._last_words()}")
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(self.socket)) == 0:
                    self._make_sure()
                    return
            time.sleep(0.05)
        raise HypervisorError(f"libvirtd does not answer after {_STARTING:g} s: {self._last_words()}")

    def end_daemon(self, how: signal.Signals = signal.SIGTERM, *, again: bool = True) -> None:
        """End libvirtd; its guests go on. It is started anew by itself, unless not `again`: then all ends with it."""
        if again:
            (self.directory / "again").touch()
        number = (self.directory / "daemon").read_text().strip()
        self.inside("kill", f"-{how.name.removeprefix('SIG')}", number, root=Path("/"))

    def restart_daemon(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End libvirtd and wait until it is there again, with all its guests."""
        before = (self.directory / "daemon").read_text()
        guests = self.names()
        self.end_daemon(how)
        ends = time.monotonic() + _STARTING
        while (self.directory / "daemon").read_text() == before:
            if time.monotonic() > ends:
                raise HypervisorError("libvirtd does not end")
            time.sleep(0.01)
        self._await_daemon(self._unshare)
        while self.names() != guests:
            if time.monotonic() > ends:
                raise HypervisorError("libvirtd does not find its guests again")

    def _make_sure(self) -> None:
        """That what is run inside meets this libvirtd, and can do the machine's own no harm."""
        name = f"made-for-{self.directory.name}"
        (self.run_directory / name).touch()
        self.inside("ls", f"/run/{name}")

    def _last_words(self) -> str:
        lines = (self.directory / "log.txt").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def stop(self) -> None:
        """End every guest and the daemon, stuck ones too, and remove the directory. Safe to call twice."""
        init = self.init
        if init is not None:
            process = os.pidfd_open(init)
            try:
                signal.pidfd_send_signal(process, signal.SIGKILL)
                if not select.select([process], [], [], _ENDING)[0]:
                    raise HypervisorError(f"process {init} does not end")
            finally:
                os.close(process)
        if self._unshare is not None:
            if self._unshare.stdin is not None:
                self._unshare.stdin.close()
            self._unshare.kill()
            self._unshare.wait(_ENDING)
            self._unshare = None
        if self.directory.exists():
            shutil.rmtree(self.directory)

    def inside(self, *command: str, given: str = "", deadline: float = _ASKING, root: Path | None = None) -> str:
        """Run a command in its namespaces and its system; what it prints. `given`: its standard input."""
        init = self.init
        if init is None:
            raise HypervisorError(f"no hypervisor runs in {self.directory}")
        enter = ("nsenter", f"--target={init}", "--mount", "--net", "--pid", "--root", "--")
        # nsenter has a child in the process namespace, which would survive it: the limit must hold in there.
        limit = ("chroot", str(root or self.root), "timeout", "--signal=KILL", f"{deadline:g}")
        return run(*enter, *limit, *command, given=given, deadline=deadline + 5)

    def virsh(self, *args: str, write: bool = False, uri: str = "qemu:///system", deadline: float = _ASKING) -> str:
        """What virsh prints; `write` gives it the rights to change things."""
        return self.inside("virsh", *([] if write else ["-r"]), "-c", uri, *args, deadline=deadline)

    def python(self, code: str, given: object = None, deadline: float = _ASKING) -> Any:
        """What the code prints, as JSON, when the system's own Python runs it; `given` goes to it as JSON."""
        return json.loads(self.inside(PYTHON, "-c", code, given=json.dumps(given), deadline=deadline))

    @cached_property
    def versions(self) -> str:
        """Those of its libvirt and QEMU."""
        said = dict(line.split(": ") for line in self.virsh("version").splitlines() if line)
        return f"{said['Using library']}, {said['Running hypervisor']}"

    def names(self, *which: str) -> list[str]:
        """The names of the guests, of all or of those that these options of `virsh list` choose."""
        return [name for name in self.virsh("list", "--name", *(which or ["--all"])).split("\n") if name]

    def add(self, new: Sequence[Guest]) -> None:
        """Make guests; those that are there already are left as they are."""
        there = set(self.names())
        new = [guest for guest in new if guest.name not in there]
        self._make_images(new)
        for first in range(0, len(new), _AT_A_TIME):
            self._start_some(new[first : first + _AT_A_TIME])

    def _start_some(self, new: Sequence[Guest]) -> None:
        self._start([guest for guest in new if not guest.needs_macvtap])
        for guest in (guest for guest in new if guest.needs_macvtap):
            self._pass_taken_indices()
            self._start([guest])

    def add_plain(self, count: int) -> None:
        """Guests vm0000 to the given number of them, see guests.plain."""
        self.add(guests.plain(count))

    def add_rich(self) -> None:
        """Guests of many shapes, see guests.rich."""
        self.add(guests.rich())

    def _start(self, new: Sequence[Guest]) -> None:
        kind = "kvm" if has_kvm() else "qemu"
        wanted = [{"xml": each.xml(kind), "persistent": each.persistent, "state": each.state} for each in new]
        self.python((HERE / "inside/make_guests.py").read_text(), wanted, deadline=_MAKING)

    def _make_images(self, new: Sequence[Guest]) -> None:
        images = self.directory / "lib/images"
        base = images / f"{guests.BASE}.qcow2"
        create = "qemu-img create -q -f qcow2"
        if not base.exists():
            self.inside("sh", "-c", f"{create} {guests.IMAGES}/{guests.BASE}.qcow2 64M")
        commands = [f"set -e; cd {guests.IMAGES}"]
        for chain in (disk.chain for guest in new for disk in guest.disks):
            if len(chain) == 1:
                shutil.copyfile(base, images / f"{chain[0]}.qcow2")
            pairs = reversed(list(pairwise(chain)))
            commands += [f"{create} -b {below}.qcow2 -F qcow2 {image}.qcow2" for image, below in pairs]
        self.inside("sh", "-c", "\n".join(commands))

    def _pass_taken_indices(self) -> None:
        """Use up the numbers of network devices for which the host has a macvtap already.

        The node of a macvtap is /dev/tap and its device's number, which begin at 1 in each network namespace, while
        there is one /dev: libvirt would open the node, and with it the network device, of somebody else's guest.
        """
        probe = "ip link add dsnext0 type bridge && ip -o link show dsnext0 && ip link del dsnext0"
        while True:
            used = int(self.inside("sh", "-c", probe, root=Path("/")).partition(":")[0])
            if not Path(f"/dev/tap{used + 1}").exists():
                return

    def pid(self, name: str) -> int:
        """The process of a guest, by its number outside."""
        number = (self.run_directory / f"libvirt/qemu/{name}.pid").read_text().strip()
        space = Path(f"/proc/{self.init}/ns/pid").readlink()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                numbers = re.search(r"^NSpid:(.*)$", (process / "status").read_text(), re.MULTILINE)
                if numbers and numbers[1].split()[-1] == number and (process / "ns/pid").readlink() == space:
                    return int(process.name)
            except OSError:  # it has just ended
                continue
        raise HypervisorError(f"guest {name!r} has no process")

    def stop_guest(self, name: str) -> None:
        """Make a guest stuck: from now on its QEMU answers nothing."""
        process = self.pid(name)
        os.kill(process, signal.SIGSTOP)
        ends = time.monotonic() + _STARTING
        while "State:\tT" not in Path(f"/proc/{process}/status").read_text():
            if time.monotonic() > ends:
                raise HypervisorError(f"guest {name!r} does not stop")
            time.sleep(0.001)

    def continue_guest(self, name: str) -> None:
        """Undo `stop_guest`."""
        os.kill(self.pid(name), signal.SIGCONT)


def own(name: str = "main", root: Path = Path("/")) -> Hypervisor:
    """One for this process alone, not started yet; what processes that crashed have left is cleaned away."""
    for left in KEPT.parent.glob(f"{KEPT.name}-*"):
        owner = left.name.rpartition("-")[2]
        if not Path("/proc", owner).exists():
            Hypervisor(left).stop()
    return Hypervisor(Path(f"{KEPT}-{name}-{os.getpid()}"), root)


def main(args: Sequence[str]) -> int:
    """The command; its exit code."""
    kept = Hypervisor(KEPT)
    match args:
        case ["up"]:
            return up(kept, PLAIN)
        case ["up", count] if count.isdecimal():
            return up(kept, int(count))
        case ["down"]:
            kept.stop()
            return 0
        case ["bench-up", count] if count.isdecimal():
            return up(Hypervisor(BENCH), int(count), rich=False)
        case ["bench-down"]:
            Hypervisor(BENCH).stop()
            return 0
        case ["check"]:
            lacks = missing()
            print(
                "\n".join(lacks) or f"nothing is missing; guests run with {'KVM' if has_kvm() else 'emulation (TCG)'}"
            )
            return 1 if lacks else 0
    print(__doc__, file=sys.stderr)
    return 2


def up(kept: Hypervisor, count: int, *, rich: bool = True) -> int:
    """Keep one running, with so many plain guests, and rich ones."""
    began = time.monotonic()
    provide()
    if kept.init is None:
        kept.start(keep=True)
    kept.add_plain(count)
    if rich:
        kept.add_rich()
    print(f"{len(kept.names())} guests, made in {time.monotonic() - began:.0f} s: {kept.uri}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except HypervisorError as failure:
        sys.exit(f"hypervisor: {failure}")
