"""Trees like /proc and /sys with guests in them, made for a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


def stat(
    number: int,
    name: str,
    *,
    state: str = "S",
    user: int = 0,
    system: int = 0,
    threads: int = 1,
    started: int = 5,
    pages: int = 0,
) -> str:
    """The text of a stat file (proc(5)); the times in ticks."""
    fields = ["0"] * 49
    fields[10], fields[11], fields[16], fields[18], fields[20] = map(str, (user, system, threads, started, pages))
    return f"{number} ({name}) {state} {' '.join(fields)}\n"


@dataclass
class FakeThread:
    """A thread of a process."""

    name: str
    user: int = 0
    system: int = 0
    """Ticks."""
    delay: int = 0
    """ns."""
    wait: str = ""
    """Milliseconds and six decimals, where the kernel writes it."""
    syscall: str = "running"


@dataclass
class FakeGuest:
    """A process of a guest."""

    number: int
    command: Sequence[str | bytes]
    threads: Mapping[int, FakeThread] = field(default_factory=dict)
    """Beside the main one, by number."""
    cgroup: str = "0::/\n"
    user: int = 0
    system: int = 0
    pages: int = 0
    started: int = 5
    state: str = "S"
    files: Mapping[int, str] = field(default_factory=dict)
    """What the links in its fd lead to, by number."""
    fdinfo: Mapping[int, str] = field(default_factory=dict)
    devices: str = ""
    """Its net/dev."""
    igmp: str = "Idx\tDevice\n"

    def write(self, proc: Path) -> None:
        """Put it into the tree, over whatever has its number."""
        folder = proc / str(self.number)
        main = FakeThread("qemu-system-x86")
        for thread, what in {self.number: main, **self.threads}.items():
            task = folder / "task" / str(thread)
            task.mkdir(parents=True, exist_ok=True)
            (task / "stat").write_text(stat(thread, what.name, user=what.user, system=what.system))
            (task / "comm").write_text(f"{what.name}\n")
            (task / "schedstat").write_text(f"1 {what.delay} 1\n")
            wait = f"wait_sum                                     :{what.wait:>14}\n" if what.wait else ""
            (task / "sched").write_text(f"x (1, #threads: 1)\n---\nnr_switches : 3\n{wait}prio : 120\n")
            (task / "syscall").write_text(what.syscall + "\n")
        text = stat(
            self.number,
            main.name,
            state=self.state,
            user=self.user,
            system=self.system,
            threads=1 + len(self.threads),
            started=self.started,
            pages=self.pages,
        )
        (folder / "stat").write_text(text)
        words = (word if isinstance(word, bytes) else word.encode() for word in self.command)
        (folder / "cmdline").write_bytes(b"".join(word + b"\0" for word in words))
        (folder / "cgroup").write_text(self.cgroup)
        for name in ("fd", "fdinfo", "net", "ns"):
            (folder / name).mkdir(exist_ok=True)
        for number, target in self.files.items():
            (folder / "fd" / str(number)).symlink_to(target)
        for number, info in self.fdinfo.items():
            (folder / "fdinfo" / str(number)).write_text(info)
        (folder / "net/dev").write_text("Inter-|\n face |\n" + self.devices)
        (folder / "net/igmp").write_text(self.igmp)
        if not (folder / "ns/net").is_symlink():
            (folder / "ns/net").symlink_to("net:[4026531833]")


def write_files(root: Path, files: Mapping[str, str]) -> None:
    """Files of a tree, by path."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
