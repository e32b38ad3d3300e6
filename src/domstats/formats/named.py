"""The columns of the tables for people that have a word of their own: the word, the heading, and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_

from domstats.catalog.groups import group_of
from domstats.model.flags import StatsGroup

_STATE, _CPU, _BALLOON, _VCPU = StatsGroup.STATE, StatsGroup.CPU, StatsGroup.BALLOON, StatsGroup.VCPU
_NET, _BLOCK = StatsGroup.INTERFACE, StatsGroup.BLOCK


@dataclass(frozen=True, slots=True)
class Named:
    """A column that has a word."""

    name: str
    """The word."""
    heading: str
    """What stands above it; a counter's gets `/s` behind it where there is a rate."""
    help: str = ""
    """What it means; empty where it is a key, whose meaning the catalogue has."""
    key: str = ""
    """The key it is (in a table of devices, its tail); empty where it is worked out."""
    groups: int = 0
    """In the table of domains, the StatsGroup bits of what it is made of; 0 for what every record has."""
    rate: bool = False
    """Whether it needs an earlier snapshot."""
    leave_out: int = 0
    """When it is left out on a narrow terminal: those with 1 first; never with 0."""
    shown: bool = True
    """Whether it is there when no columns are asked for."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one table that have words."""

    prefix: str
    """First component of the keys of its devices; empty for the table of domains."""
    named: tuple[Named, ...]
    busiest: str
    """What the first rows are chosen by when nobody says; empty for nothing."""

    @property
    def group(self) -> int:
        """Bit of the group that its devices are in; 0 for the table of domains."""
        return 1 << group_of(f"{self.prefix}.") if self.prefix else 0

    def find(self, name: str) -> Named | None:
        """The column of that name, in either case."""
        word = name.lower()
        return next((each for each in self.named if each.name == word), None)


_1ST, _2ND, _3RD, _4TH, _5TH = range(1, 6)
_STEAL = "Time its vCPUs were ready but waited for a processor, in percent."
_LAST = (
    Named("status", "status", "How its record stands: fresh, partial, blocked, stale or gone.", leave_out=_1ST),
    Named("age", "age", "Time since the oldest of its groups was sampled.", leave_out=_1ST),
)
_WHO = (
    Named("id", "id", "The domain's id.", shown=False),
    Named("uuid", "uuid", "The domain's UUID.", shown=False),
)
_OF = Named("domain", "domain", "The domain's name.")
_DEVICE = Named("device", "device", "The device's number in its keys.", shown=False)

# Aligned columns, a row a column of a table, are what makes these readable; the formatter would break them up.
# fmt: off
_DOMAIN = (
    Named("name",      "name",      "The domain's name."),
    Named("state",     "state",     "The domain's state.", groups=_STATE),
    Named("cpu",       "cpu %",     "Processor time, its emulator's included, in percent of one CPU.",
          groups=_CPU, rate=True),
    Named("steal",     "steal %",   _STEAL, groups=_VCPU, rate=True, leave_out=_3RD),
    Named("mem",       "mem used",  "Memory in use: the guest's own figure or, where it has none, what its QEMU "
          "occupies on the host; then marked `rss`, unless `from` says so.", groups=_BALLOON),
    Named("total",     "mem total", "Memory it has.", groups=_BALLOON),
    Named("from",      "mem from",  "Who says how much is in use: guest, rss; `balloon off` where the guest's "
          "statistics are switched off, `balloon old` where the last are from over 5 minutes ago.",
          groups=_BALLOON, leave_out=_2ND),
    Named("read",      "read/s",    "Bytes read from its disks.", groups=_BLOCK, rate=True, leave_out=_5TH),
    Named("write",     "write/s",   "Bytes written to its disks.", groups=_BLOCK, rate=True, leave_out=_5TH),
    Named("rx",        "rx/s",      "Bytes it receives.", groups=_NET, rate=True, leave_out=_4TH),
    Named("tx",        "tx/s",      "Bytes it sends.", groups=_NET, rate=True, leave_out=_4TH),
    *_LAST,
    *_WHO,
    Named("reason",    "reason",    "Why it is in its state.", groups=_STATE, shown=False),
    Named("vcpus",     "vcpus",     key="vcpu.current", groups=_VCPU, shown=False),
    Named("cpu-guest", "guest %",   "Processor time of its vCPUs, in percent of all that are online.",
          groups=_VCPU, rate=True, shown=False),
    Named("cpu-host",  "host %",    "Processor time, in percent of all processors of the host.",
          groups=_CPU, rate=True, shown=False),
    Named("reads",     "reads/s",   "Read requests to its disks.", groups=_BLOCK, rate=True, shown=False),
    Named("writes",    "writes/s",  "Write requests to its disks.", groups=_BLOCK, rate=True, shown=False),
)
_OF_VCPU = (
    _OF,
    Named("vcpu",   "vcpu",    "The vCPU's number."),
    Named("state",  "state",   key="state"),
    Named("cpu",    "cpu %",   "Time it ran, in percent.", rate=True),
    Named("steal",  "steal %", "Time it was ready but waited for a processor, in percent.", rate=True),
    Named("wait",   "wait %",  "Time it waited although it could run, in percent, as the scheduler has it.", rate=True),
    *_LAST,
    *_WHO,
)
_OF_INTERFACE = (
    _OF,
    Named("interface", "interface", "The interface's device on the host."),
    Named("rx",        "rx",      key="rx.bytes"),
    Named("tx",        "tx",      key="tx.bytes"),
    Named("rx-pkts",   "rx pkts", key="rx.pkts", leave_out=_4TH),
    Named("tx-pkts",   "tx pkts", key="tx.pkts", leave_out=_4TH),
    Named("rx-drop",   "rx drop", key="rx.drop", leave_out=_3RD),
    Named("tx-drop",   "tx drop", key="tx.drop", leave_out=_3RD),
    Named("rx-errs",   "rx errs", key="rx.errs", leave_out=_2ND),
    Named("tx-errs",   "tx errs", key="tx.errs", leave_out=_2ND),
    *_LAST,
    *_WHO,
    _DEVICE,
)
_OF_BLOCK = (
    _OF,
    Named("disk",       "disk",       "The disk's name; of an image below it, with its number: vda[3]."),
    Named("read",       "read",       key="rd.bytes"),
    Named("write",      "write",      key="wr.bytes"),
    Named("reads",      "reads",      key="rd.reqs", leave_out=_5TH),
    Named("writes",     "writes",     key="wr.reqs", leave_out=_5TH),
    Named("rd-time",    "rd time",    "Time a read request took, on average.", rate=True, leave_out=_4TH),
    Named("wr-time",    "wr time",    "Time a write request took, on average.", rate=True, leave_out=_4TH),
    Named("allocation", "allocation", key="allocation", leave_out=_2ND),
    Named("capacity",   "capacity",   key="capacity", leave_out=_3RD),
    *_LAST,
    *_WHO,
    Named("fl-time",    "fl time",    "Time a flush request took, on average.", rate=True, shown=False),
    _DEVICE,
)
_OF_IOTHREAD = (
    _OF,
    Named("iothread", "iothread", "The I/O thread's number."),
    Named("poll-max", "poll max", key="poll-max-ns"),
    Named("grow",     "grow",     key="poll-grow"),
    Named("shrink",   "shrink",   key="poll-shrink"),
    Named("weight",   "weight",   key="poll-weight"),
    *_LAST,
    *_WHO,
)
# fmt: on

COLUMNS: dict[str, Columns] = {
    "domain": Columns("", _DOMAIN, "cpu"),
    "vcpu": Columns("vcpu", _OF_VCPU, "cpu"),
    "interface": Columns("net", _OF_INTERFACE, "rx"),
    "block": Columns("block", _OF_BLOCK, "read"),
    "iothread": Columns("iothread", _OF_IOTHREAD, ""),
}
"""The columns with words of each of model.tables.TABLES."""

DOMAIN_GROUPS = reduce(or_, (int(each.groups) for each in _DOMAIN if each.shown))
"""StatsGroup bits of what the table of domains shows when no columns are asked for."""
