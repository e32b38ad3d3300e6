"""Reading the few numbers needed out of the kernel's texts (proc(5), cgroups(7)); numbers not there are None or 0.

These functions run for each file of each guest at each poll: they look at no more than they need.
"""

from __future__ import annotations

import os

USER, SYSTEM, THREADS, RSS = 11, 12, 17, 21
"""Which of `stat_fields`: processor time of both kinds in ticks, number of threads, resident pages."""
NS_A_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
KIB_A_PAGE = os.sysconf("SC_PAGE_SIZE") // 1024

CpuTimes = tuple[int, int, int]
"""Processor time in ns: all of it, user, system."""


def process_times(fields: list[bytes]) -> CpuTimes:
    """Those of /proc/PID/stat or /proc/PID/task/TID/stat, in steps of a tick (10 ms at 100 Hz)."""
    user, system = int(fields[USER]), int(fields[SYSTEM])
    return NS_A_TICK * (user + system), NS_A_TICK * user, NS_A_TICK * system


def thread_time(text: bytes) -> int:
    """Processor time of a thread in ns, of its stat file. Raises ValueError, IndexError for any other text."""
    fields = text[text.rfind(b")") + 1 :].split(None, SYSTEM + 1)  # as stat_fields, and no further
    return NS_A_TICK * (int(fields[USER]) + int(fields[SYSTEM]))


def run_delay(schedstat: bytes) -> int:
    """How long a thread has waited for a processor, in ns: the second number of its schedstat."""
    fields = schedstat.split(None, 2)
    return int(fields[1]) if len(fields) > 1 and fields[1].isdigit() else 0


def wait_sum(sched: bytes) -> int | None:
    """How long a thread has waited while it could run, in ns, of its sched file; None where the kernel keeps no such.

    The file gives milliseconds and six decimals.
    """
    at = sched.find(b"wait_sum")
    if at < 0:
        return None
    value = sched[at:].partition(b"\n")[0].partition(b":")[2].strip()
    whole, _, decimals = value.partition(b".")
    if not whole.isdigit() or not (decimals or b"0").isdigit():
        return None
    return int(whole) * 1_000_000 + int(decimals[:6].ljust(6, b"0"))


def cpu_stat(text: bytes) -> CpuTimes | None:
    """Those of a cgroup of version 2, of its cpu.stat; None where it has none."""
    words = text.split()
    found: dict[bytes, bytes] = dict(zip(words[::2], words[1::2], strict=False))
    try:
        total, user, system = found[b"usage_usec"], found[b"user_usec"], found[b"system_usec"]
        return 1000 * int(total), 1000 * int(user), 1000 * int(system)
    except (KeyError, ValueError):
        return None


def cpuacct(usage: bytes, stat: bytes) -> CpuTimes | None:
    """Those of a cgroup of version 1, of its cpuacct.usage (ns) and cpuacct.stat (ticks)."""
    words = stat.split()
    found: dict[bytes, bytes] = dict(zip(words[::2], words[1::2], strict=False))
    try:
        return int(usage), NS_A_TICK * int(found[b"user"]), NS_A_TICK * int(found[b"system"])
    except (KeyError, ValueError):
        return None
