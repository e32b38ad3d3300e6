"""What cannot be had of a guest or of the host, and why."""

from __future__ import annotations

from dataclasses import dataclass

from domstats.model.domain import Domain

TRACE = "its descriptors may not be looked at: that takes root, CAP_SYS_PTRACE or the guest's own user"
NO_DEVICE = "the counters of that network device are not in the process's network namespace, or may not be read"
NO_VCPUS = "its vCPU threads cannot be told from others: it runs without debug-threads=on"
SOME_VCPUS = "some vCPU threads have not shown themselves yet: it runs without debug-threads=on"
NO_CGROUP_FILE = "the files of its cgroup may not be read, so that its process alone is counted"
OTHER_CGROUP = (
    "it is in another cgroup than at first, or that may no longer be read: no other counter goes on from there"
)
NO_PROCESSES = "the processes of this host cannot be listed"
MONITOR = "only the guest's monitor knows"


@dataclass(frozen=True, slots=True)
class Lack:
    """A figure that is missing."""

    keys: str
    """Which ones: a key, or the first components of several (`net`, `vcpu.<id>`)."""
    why: str
    domain: Domain | None = None
    """None where it is so for every guest of the host."""


ALWAYS = tuple(
    Lack(keys, MONITOR)
    for keys in ("state", "balloon.current", "balloon.maximum", "block", "iothread", "dirtyrate", "vm")
)
"""What the kernel cannot know of any guest."""
