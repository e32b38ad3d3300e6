"""Every statistic libvirt can send: key pattern, wire types, unit, kind, first release, and what it means.

In a pattern `<i>` and `<j>` are positions, `<id>` is the number of a vCPU or an iothread, and `<name>` and `<feature>`
are words the hypervisor or the kernel chooses. Source: libvirt's VIR_DOMAIN_STATS_* constants up to 12.8 and what its
qemu driver sends. How to find the entry of a key that was received is in `lookup`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from domstats.catalog.groups import GROUP_NAMES, group_of

Unit = Literal["", "ns", "s", "bytes", "KiB", "bytes/s", "MiB/s", "packets", "requests"]
"""The units there are; empty for plain numbers, states and texts."""


class Kind(StrEnum):
    """How a value behaves over time."""

    COUNTER = "counter"
    """Only grows while the guest runs, and starts again with it: has a rate."""
    GAUGE = "gauge"
    """Goes up and down."""
    STATE = "state"
    """A number or truth value that stands for a state; `enums` has the words."""
    INFO = "info"
    """Says what the values beside it belong to: a name, a path, an id."""
    CONFIG = "config"
    """A setting or a limit."""


@dataclass(frozen=True, slots=True)
class Field:
    """One entry of the catalogue."""

    group: str
    """The statistics group, as in `groups`."""
    pattern: str
    """The key, with placeholders for its variable parts: `vcpu.<id>.time`."""
    types: tuple[str, ...]
    """Labels of the wire types seen for it, the usual one first."""
    unit: Unit
    """What one step of the value is; empty where there is no unit."""
    kind: Kind
    """How the value behaves over time."""
    since: str
    """The libvirt release that first sent it."""
    help: str
    """What it means, in one sentence."""
    note: str = ""
    """What to beware of; often empty."""


COUNTER, GAUGE, STATE, INFO, CONFIG = Kind


def _f(pattern: str, types: str, unit: Unit, kind: Kind, since: str, text: str, note: str = "") -> Field:
    """A row of the tables below: its group follows from the pattern; several types are separated by a bar."""
    return Field(GROUP_NAMES[group_of(pattern)], pattern, tuple(types.split("|")), unit, kind, since, text, note)


_GUEST = "Reported by the guest's balloon driver; absent without it, or when no collection period is set."
_NET = "Seen from the guest, so for a tap it is the host's opposite counter; absent where the host has none."
_TOP_IMAGE = "Only on the topmost image of a disk, and absent when QEMU gives no block statistics."
_TIMED = "Only for disks whose definition has <statistics>; needs QEMU 10.2."
_HISTOGRAM = "Only for disks whose definition has <latency-histogram>; starts again when the histogram does."
_PERF = "Only for events enabled in the domain; starts again when the event is switched off and on."
_NAMED = "The name is the hypervisor's and may change with it; libvirt promises nothing about it."
_WIDE = "Newer libvirt sends ullong when the value needs it."
_DIRTY = "Only after a calculation was asked for and has ended; asking for statistics starts none."

# Aligned columns, a row a field, are what makes these tables readable; the formatter would break them up.
# fmt: off
# block.<i>.latency_histogram.<operation>.bin.…
_BINS: tuple[tuple[str, Unit, Kind, str], ...] = (
    ("count",     "",   GAUGE,   "Bins of the latency histogram."),
    ("<j>.start", "ns", CONFIG,  "Lowest latency that falls into the bin."),
    ("<j>.value", "",   COUNTER, "Requests whose latency fell into the bin."),
)

# perf.…
_EVENTS: tuple[tuple[str, Unit, Kind, str, str], ...] = (
    ("cmt",                     "bytes",   GAUGE,   "1.3.3", "Level 3 cache in use."),
    ("mbmt",                    "bytes/s", GAUGE,   "1.3.5", "Memory bandwidth, all controllers."),
    ("mbml",                    "bytes/s", GAUGE,   "1.3.5", "Memory bandwidth, local controller."),
    ("cache_misses",            "",        COUNTER, "2.3.0", "Cache misses."),
    ("cache_references",        "",        COUNTER, "2.3.0", "Cache accesses."),
    ("instructions",            "",        COUNTER, "2.3.0", "Instructions completed."),
    ("cpu_cycles",              "",        COUNTER, "2.3.0", "CPU cycles."),
    ("branch_instructions",     "",        COUNTER, "3.0.0", "Branch instructions."),
    ("branch_misses",           "",        COUNTER, "3.0.0", "Branches predicted wrongly."),
    ("bus_cycles",              "",        COUNTER, "3.0.0", "Bus cycles."),
    ("stalled_cycles_frontend", "",        COUNTER, "3.0.0", "CPU cycles spent waiting for instructions."),
    ("stalled_cycles_backend",  "",        COUNTER, "3.0.0", "CPU cycles spent waiting for data or execution units."),
    ("ref_cpu_cycles",          "",        COUNTER, "3.0.0", "CPU cycles at the reference frequency."),
    ("cpu_clock",               "ns",      COUNTER, "3.2.0", "The kernel's cpu-clock event."),
    ("task_clock",              "ns",      COUNTER, "3.2.0", "The kernel's task-clock event."),
    ("page_faults",             "",        COUNTER, "3.2.0", "Page faults."),
    ("context_switches",        "",        COUNTER, "3.2.0", "Context switches."),
    ("cpu_migrations",          "",        COUNTER, "3.2.0", "Moves to another host CPU."),
    ("page_faults_min",         "",        COUNTER, "3.2.0", "Page faults that needed no I/O."),
    ("page_faults_maj",         "",        COUNTER, "3.2.0", "Page faults that needed I/O."),
    ("alignment_faults",        "",        COUNTER, "3.2.0", "Unaligned memory accesses the kernel handled."),
    ("emulation_faults",        "",        COUNTER, "3.2.0", "Instructions the kernel emulated."),
)

FIELDS: tuple[Field, ...] = (
    _f("state.state",  "int", "", STATE, "1.2.8", "State of the domain.",
       "0 nostate, 1 running, 2 blocked, 3 paused, 4 shutdown, 5 shutoff, 6 crashed, 7 pmsuspended."),
    _f("state.reason", "int", "", STATE, "1.2.8", "Why the domain is in its state.",
       "The meaning depends on state.state."),

    _f("cpu.time",                  "ullong", "ns", COUNTER, "1.2.9", "CPU time of the domain, emulator included.",
       "Older libvirt has it only where the domain has a control group."),
    _f("cpu.user",                  "ullong", "ns", COUNTER, "1.2.9", "The part of cpu.time spent in user mode."),
    _f("cpu.system",                "ullong", "ns", COUNTER, "1.2.9", "The part of cpu.time spent in the host kernel."),
    _f("cpu.haltpoll.success.time", "ullong", "ns", COUNTER, "7.6.0",
       "Time spent in halt polling that ended with a wakeup."),
    _f("cpu.haltpoll.fail.time",    "ullong", "ns", COUNTER, "7.6.0",
       "Time spent in halt polling that ended without a wakeup."),
    _f("cpu.cache.monitor.count",                "uint",   "", GAUGE, "4.10.0", "Cache monitors of the domain."),
    _f("cpu.cache.monitor.<i>.name",             "string", "", INFO,  "4.10.0", "Name of the cache monitor."),
    _f("cpu.cache.monitor.<i>.vcpus",            "string", "", INFO,  "4.10.0", "vCPUs the cache monitor covers."),
    _f("cpu.cache.monitor.<i>.bank.count",       "uint",   "", GAUGE, "4.10.0", "Cache banks of the monitor."),
    _f("cpu.cache.monitor.<i>.bank.<j>.id",      "uint",   "", INFO,  "4.10.0", "The host's id of the cache bank."),
    _f("cpu.cache.monitor.<i>.bank.<j>.bytes",   "uint|ullong", "bytes", GAUGE, "4.10.0", "Last level cache in use.",
       "Older libvirt sends uint, which cuts off at 4 GiB."),
    _f("cpu.energy.monitor.count",               "uint",   "", GAUGE, "12.4.0", "Energy monitors of the domain."),
    _f("cpu.energy.monitor.<i>.name",            "string", "", INFO,  "12.4.0", "Name of the energy monitor."),
    _f("cpu.energy.monitor.<i>.vcpus",           "string", "", INFO,  "12.4.0", "vCPUs the energy monitor covers."),
    _f("cpu.energy.monitor.<i>.pkg.count",       "uint",   "", GAUGE, "12.4.0", "CPU packages of the energy monitor."),
    _f("cpu.energy.monitor.<i>.pkg.<j>.id",      "uint",   "", INFO,  "12.4.0", "The kernel's id of the CPU package."),
    _f("cpu.energy.monitor.<i>.pkg.<j>.<feature>", "double", "", COUNTER, "12.4.0",
       "Energy or activity the kernel attributes to the domain on the CPU package.",
       "Named after the kernel's feature: core_energy is in joules, activity in farads."),

    _f("balloon.current",         "ullong", "KiB", GAUGE,   "1.2.9", "Memory the guest has at present."),
    _f("balloon.maximum",         "ullong", "KiB", GAUGE,   "1.2.9", "Memory the guest may have at most."),
    _f("balloon.swap_in",         "ullong", "KiB", COUNTER, "2.1.0", "Data the guest swapped in.", _GUEST),
    _f("balloon.swap_out",        "ullong", "KiB", COUNTER, "2.1.0", "Data the guest swapped out.", _GUEST),
    _f("balloon.major_fault",     "ullong", "",    COUNTER, "2.1.0", "Guest page faults that needed I/O.", _GUEST),
    _f("balloon.minor_fault",     "ullong", "",    COUNTER, "2.1.0", "Guest page faults that needed no I/O.", _GUEST),
    _f("balloon.unused",          "ullong", "KiB", GAUGE,   "2.1.0", "Memory the guest leaves unused.", _GUEST),
    _f("balloon.available",       "ullong", "KiB", GAUGE,   "2.1.0", "Total memory as the guest sees it.", _GUEST),
    _f("balloon.usable",          "ullong", "KiB", GAUGE,   "2.1.0", "Memory the guest can give up unswapped.", _GUEST),
    _f("balloon.last-update",     "ullong", "s",   GAUGE,   "2.1.0",
       "When the guest last reported, in seconds since 1970.", "0 when it never did. The name has a hyphen."),
    _f("balloon.disk_caches",     "ullong", "KiB", GAUGE,   "4.6.0", "Caches that can be dropped without I/O.", _GUEST),
    _f("balloon.hugetlb_pgalloc", "ullong", "",    COUNTER, "5.4.0", "Huge page allocations that succeeded.", _GUEST),
    _f("balloon.hugetlb_pgfail",  "ullong", "",    COUNTER, "5.4.0", "Huge page allocations that failed.", _GUEST),
    _f("balloon.rss",             "ullong", "KiB", GAUGE,   "2.1.0", "Host memory the emulator occupies.",
       "Only for active domains, and not while another job holds the domain."),

    _f("vcpu.current",         "uint",    "",   GAUGE,   "1.2.9", "vCPUs that are online."),
    _f("vcpu.maximum",         "uint",    "",   GAUGE,   "1.2.9", "vCPUs the guest may have at most."),
    _f("vcpu.<id>.state",      "int",     "",   STATE,   "1.2.9", "State of the vCPU.",
       "0 offline, 1 running, 2 blocked. With QEMU an online vCPU is always running, even while the domain is paused."),
    _f("vcpu.<id>.time",       "ullong",  "ns", COUNTER, "1.2.9", "CPU time of the vCPU.",
       "Counted in the host's clock ticks: steps of 10 ms at 100 Hz."),
    _f("vcpu.<id>.wait",       "ullong",  "ns", COUNTER, "1.3.2", "Time the vCPU waited although it could run.",
       "0 when the host's kernel lacks scheduler statistics."),
    _f("vcpu.<id>.halted",     "boolean", "",   STATE,   "2.4.0", "Whether the vCPU is halted.", "Only on s390."),
    _f("vcpu.<id>.delay",      "ullong",  "ns", COUNTER, "7.2.0", "Time the vCPU waited in a run queue (steal)."),
    _f("vcpu.<id>.<name>.sum", "ullong|boolean", "", COUNTER, "8.9.0", "A total the hypervisor keeps of the vCPU.",
       _NAMED),
    _f("vcpu.<id>.<name>.cur", "ullong|boolean", "", GAUGE,   "8.9.0", "A value the hypervisor reports of the vCPU.",
       _NAMED),
    _f("vcpu.<id>.<name>.max", "ullong|boolean", "", GAUGE,   "8.9.0", "A peak the hypervisor keeps of the vCPU.",
       _NAMED),

    _f("net.count",        "uint",   "",        GAUGE,   "1.2.9", "Network interfaces of the domain.",
       "The numbers of the entries may have holes."),
    _f("net.<i>.name",     "string", "",        INFO,    "1.2.9", "The interface's device on the host."),
    _f("net.<i>.rx.bytes", "ullong", "bytes",   COUNTER, "1.2.9", "Bytes the guest received.", _NET),
    _f("net.<i>.rx.pkts",  "ullong", "packets", COUNTER, "1.2.9", "Packets the guest received.", _NET),
    _f("net.<i>.rx.errs",  "ullong", "",        COUNTER, "1.2.9", "Errors while receiving.", _NET),
    _f("net.<i>.rx.drop",  "ullong", "packets", COUNTER, "1.2.9", "Packets for the guest that were dropped.", _NET),
    _f("net.<i>.tx.bytes", "ullong", "bytes",   COUNTER, "1.2.9", "Bytes the guest sent.", _NET),
    _f("net.<i>.tx.pkts",  "ullong", "packets", COUNTER, "1.2.9", "Packets the guest sent.", _NET),
    _f("net.<i>.tx.errs",  "ullong", "",        COUNTER, "1.2.9", "Errors while sending.", _NET),
    _f("net.<i>.tx.drop",  "ullong", "packets", COUNTER, "1.2.9", "Packets from the guest that were dropped.", _NET),

    _f("block.count",            "uint",   "", GAUGE, "1.2.9",  "Disks; with backing chains, all their images."),
    _f("block.<i>.name",         "string", "", INFO,  "1.2.9",  "The disk's name in the guest's definition.",
       "Every image of a backing chain repeats it."),
    _f("block.<i>.backingIndex", "uint",   "", INFO,  "1.2.12", "Number of the image in the disk's backing chain."),
    _f("block.<i>.path",         "string", "", INFO,  "1.2.11", "Path of the image.",
       "Network disks and empty drives have none."),
    _f("block.<i>.rd.reqs",      "ullong", "requests", COUNTER, "1.2.9",  "Read requests.", _TOP_IMAGE),
    _f("block.<i>.rd.bytes",     "ullong", "bytes",    COUNTER, "1.2.9",  "Bytes read.", _TOP_IMAGE),
    _f("block.<i>.rd.times",     "ullong", "ns",       COUNTER, "1.2.9",  "Time spent reading.", _TOP_IMAGE),
    _f("block.<i>.wr.reqs",      "ullong", "requests", COUNTER, "1.2.9",  "Write requests.", _TOP_IMAGE),
    _f("block.<i>.wr.bytes",     "ullong", "bytes",    COUNTER, "1.2.9",  "Bytes written.", _TOP_IMAGE),
    _f("block.<i>.wr.times",     "ullong", "ns",       COUNTER, "1.2.9",  "Time spent writing.", _TOP_IMAGE),
    _f("block.<i>.fl.reqs",      "ullong", "requests", COUNTER, "1.2.9",  "Flush requests.", _TOP_IMAGE),
    _f("block.<i>.fl.times",     "ullong", "ns",       COUNTER, "1.2.9",  "Time spent flushing.", _TOP_IMAGE),
    _f("block.<i>.errors",       "ullong", "",         COUNTER, "1.2.9",  "Errors of the disk.",
       "Meant for Xen; QEMU never has it."),
    _f("block.<i>.allocation",   "ullong", "bytes",    GAUGE,   "1.2.10",
       "Highest offset written to while running; space occupied when off."),
    _f("block.<i>.capacity",     "ullong", "bytes",    GAUGE,   "1.2.10", "Size the guest sees.",
       "Absent when it is 0."),
    _f("block.<i>.physical",     "ullong", "bytes",    GAUGE,   "1.2.10",
       "Size of the file or device that holds the image."),
    _f("block.<i>.threshold",    "ullong", "bytes",    GAUGE,   "3.2.0",  "Offset whose first write raises an event.",
       "Absent when none is set."),
    _f("block.<i>.limits.request_alignment",        "ullong", "bytes", CONFIG, "11.10.0",
       "Alignment that requests need."),
    _f("block.<i>.limits.discard_max",              "ullong", "bytes", CONFIG, "11.10.0", "Largest discard."),
    _f("block.<i>.limits.discard_alignment",        "ullong", "bytes", CONFIG, "11.10.0", "Alignment of discards."),
    _f("block.<i>.limits.write_zeroes_max",         "ullong", "bytes", CONFIG, "11.10.0", "Largest write of zeroes."),
    _f("block.<i>.limits.write_zeroes_alignment",   "ullong", "bytes", CONFIG, "11.10.0",
       "Alignment of writes of zeroes."),
    _f("block.<i>.limits.transfer_optimal",         "ullong", "bytes", CONFIG, "11.10.0", "Best length of a transfer."),
    _f("block.<i>.limits.transfer_max",             "ullong", "bytes", CONFIG, "11.10.0", "Largest transfer."),
    _f("block.<i>.limits.transfer_hw_max",          "ullong", "bytes", CONFIG, "11.10.0",
       "Largest transfer that bypasses the host's I/O scheduler."),
    _f("block.<i>.limits.iov_max",                  "ullong", "",      CONFIG, "11.10.0",
       "Most pieces of memory in a transfer."),
    _f("block.<i>.limits.iov_hw_max",               "ullong", "",      CONFIG, "11.10.0",
       "Most pieces of memory in a transfer that bypasses the host's I/O scheduler."),
    _f("block.<i>.limits.memory_alignment_minimal", "ullong", "bytes", CONFIG, "11.10.0",
       "Memory alignment that avoids bounce buffers."),
    _f("block.<i>.limits.memory_alignment_optimal", "ullong", "bytes", CONFIG, "11.10.0",
       "Memory alignment of bounce buffers."),
    _f("block.<i>.timed_group.count", "ullong", "", GAUGE, "11.10.0", "Intervals that figures are kept for.", _TIMED),
    _f("block.<i>.timed_group.<j>.interval", "ullong", "s", CONFIG, "11.10.0", "Length of the interval.", _TIMED),
    *(_f(f"block.<i>.timed_group.<j>.{operation}_latency_{which}", "ullong", "ns", GAUGE, "11.10.0",
         f"{word} time a {name} took in the interval.", _TIMED)
      for operation, name in (("rd", "read"), ("wr", "write"), ("zone_append", "zone append"), ("flush", "flush"))
      for which, word in (("min", "Shortest"), ("max", "Longest"), ("avg", "Average"))),
    *(_f(f"block.<i>.timed_group.<j>.{operation}_queue_depth_avg", "double", "requests", GAUGE, "11.10.0",
         f"Average number of pending {name} in the interval.", _TIMED)
      for operation, name in (("rd", "reads"), ("wr", "writes"), ("zone_append", "zone appends"))),
    *(_f(f"block.<i>.latency_histogram.{operation}.bin.{tail}", "ullong", unit, kind, "12.1.0", text, _HISTOGRAM)
      for operation in ("read", "write", "zone_append", "flush")
      for tail, unit, kind, text in _BINS),

    *(_f(f"perf.{event}", "ullong", unit, kind, since, text, _PERF) for event, unit, kind, since, text in _EVENTS),

    _f("iothread.count",            "uint",        "",   GAUGE,  "4.10.0", "IOThreads of the domain.",
       "Absent when there are none."),
    _f("iothread.<id>.poll-max-ns", "ullong",      "ns", CONFIG, "4.10.0", "Longest time the iothread polls.",
       "0 switches polling off."),
    _f("iothread.<id>.poll-grow",   "uint|ullong", "",   CONFIG, "4.10.0", "Factor by which polling time grows.",
       _WIDE),
    _f("iothread.<id>.poll-shrink", "uint|ullong", "",   CONFIG, "4.10.0", "Divisor by which polling time shrinks.",
       _WIDE),
    _f("iothread.<id>.poll-weight", "uint|ullong", "",   CONFIG, "12.7.0", "Shift that slows how polling time adapts.",
       "0 means QEMU's default. " + _WIDE),

    _f("memory.bandwidth.monitor.count",          "uint",   "", GAUGE, "6.0.0", "Bandwidth monitors of the domain.",
       "Absent when there are none."),
    _f("memory.bandwidth.monitor.<i>.name",       "string", "", INFO,  "6.0.0", "Name of the bandwidth monitor."),
    _f("memory.bandwidth.monitor.<i>.vcpus",      "string", "", INFO,  "6.0.0", "vCPUs the bandwidth monitor covers."),
    _f("memory.bandwidth.monitor.<i>.node.count", "uint",   "", GAUGE, "6.0.0", "Memory controllers of the monitor."),
    _f("memory.bandwidth.monitor.<i>.node.<j>.id", "uint",  "", INFO,  "6.0.0", "The host's id of the controller."),
    _f("memory.bandwidth.monitor.<i>.node.<j>.bytes.local", "ullong", "bytes", COUNTER, "6.0.0",
       "Bytes through the local memory controller."),
    _f("memory.bandwidth.monitor.<i>.node.<j>.bytes.total", "ullong", "bytes", COUNTER, "6.0.0",
       "Bytes through all memory controllers."),

    _f("dirtyrate.calc_status",          "int",    "",      STATE,  "7.2.0", "State of the dirty rate calculation.",
       "0 unstarted, 1 measuring, 2 measured."),
    _f("dirtyrate.calc_start_time",      "llong",  "s",     GAUGE,  "7.2.0", "When the last calculation began.",
       "On the clock QEMU uses."),
    _f("dirtyrate.calc_period",          "int",    "s",     CONFIG, "7.2.0", "Length of the last calculation."),
    _f("dirtyrate.megabytes_per_second", "llong",  "MiB/s", GAUGE,  "7.2.0", "Rate at which the guest dirties memory.",
       _DIRTY),
    _f("dirtyrate.calc_mode",            "string", "",      INFO,   "8.1.0", "How the last calculation was done.",
       "page-sampling, dirty-bitmap or dirty-ring."),
    _f("dirtyrate.vcpu.<id>.megabytes_per_second", "ullong", "MiB/s", GAUGE, "8.1.0",
       "Rate at which the vCPU dirties memory.", "Only in dirty-ring mode. " + _DIRTY),

    _f("vm.<name>.sum", "ullong|boolean", "", COUNTER, "8.9.0", "A total the hypervisor keeps of the guest.", _NAMED),
    _f("vm.<name>.cur", "ullong|boolean", "", GAUGE,   "8.9.0", "A value the hypervisor reports of the guest.", _NAMED),
    _f("vm.<name>.max", "ullong|boolean", "", GAUGE,   "8.9.0", "A peak the hypervisor keeps of the guest.", _NAMED),
)
# fmt: on
"""In libvirt's order: that of the groups, and within a group that of its keys."""
