"""One guest: what is known of its process, and reading its figures into a snapshot's values."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from domstats.model.domain import Domain
from domstats.sources.kernel import rights
from domstats.sources.kernel.cgroups import Accounting, accounting
from domstats.sources.kernel.descriptors import Descriptors, Files, open_below, open_directory, read_below
from domstats.sources.kernel.devices import NOWHERE, Counters, namespace
from domstats.sources.kernel.figures import (
    KIB_A_PAGE,
    RSS,
    THREADS,
    CpuTimes,
    process_times,
    run_delay,
    thread_time,
    wait_sum,
)
from domstats.sources.kernel.keys import CPU, INTERFACE, NOT_THERE, Plan, plan
from domstats.sources.kernel.kvm import GuestKvm
from domstats.sources.kernel.kvm_layout import halt_poll
from domstats.sources.kernel.taps import Nic, nics
from domstats.sources.kernel.threads import Threads
from domstats.sources.processes import START_TIME, STAT_BYTES, GuestProcess, stat_fields

_SCHED_BYTES = 8192
_BEFORE_KVM = 3
"""Slots of a vCPU from its time on to the first that KVM fills."""
_CGROUP_BYTES = 65536
_ENDED = (b"Z", b"X", b"x")
"""States of a process that has ended, though its parent has not asked how (proc(5))."""


class Ended(Exception):
    """The process has ended; whoever has its number is another."""


class Changed(Exception):
    """Its threads are others than were known: look at them again."""


class Guest:
    """A guest's process. Raises Ended from everything once it has ended, OutOfFiles where no file may be opened."""

    def __init__(self, process: GuestProcess, domain: Domain, proc: Path, sys: Path, descriptors: Descriptors) -> None:
        self.process, self.domain = process, domain
        self.nics: list[Nic] | None = None
        """Its network devices; None where they may not be known."""
        self.namespace = NOWHERE
        """Its network namespace."""
        self.polls = self.device_polls = 0
        """How often it has been polled, and how often for its network devices; whoever polls it counts."""
        self.young_until = 0.0
        """Until when (monotonic seconds) its threads may not have their names yet."""
        self._folder, self._sys = f"{proc}/{process.number}", sys
        self._files = Files(self._folder, descriptors)
        self._threads = Threads()
        self._kvm = GuestKvm(process, proc, descriptors)
        self._vcpus: dict[int, int] = {}
        self._count = b""
        """How many threads it had when they were looked at."""
        self._accounting: Accounting | None = None
        """The cgroup that counted its processor time at the first look; None where its process did."""
        self._accounted = False
        """Whether that is so still."""
        self._looked = False
        self._waits = False
        """Whether the kernel writes how long its threads wait."""
        self._plans: dict[tuple[int, frozenset[str]], Plan] = {}
        self._open_files: int | None = None
        self._nameless = False
        """Whether one of its network devices has no name yet."""
        self._denied = False
        """Whether its descriptors may not be looked at."""
        self._unread_cgroup = False
        """Whether it has a cgroup of its own that may not be read."""
        self._uncounted: frozenset[str] = frozenset()
        """Its network devices that had no counters at the last poll."""

    def close(self) -> None:
        """Hold nothing; safe to call twice."""
        self._files.close()
        self._kvm.close()

    def let_go(self) -> None:
        """Hold nothing for now: its files are opened for each poll, until there is room for them at a look."""
        self.close()
        self._plans.clear()

    def become(self, domain: Domain) -> None:
        """Be that domain from now on."""
        self.domain = domain
        self._plans.clear()

    @property
    def vcpus(self) -> int:
        """How many vCPUs are known."""
        return len(self._vcpus)

    @property
    def all_vcpus_known(self) -> bool:
        """Whether no other vCPU is known to be there."""
        return self._threads.complete

    def in_its_directory(self, look: Callable[[int], None]) -> None:
        """Call `look` with a descriptor of the process's directory."""
        kept = self._files.directory
        if kept is not None:
            # A directory that is held open is this process's and nobody else's.
            try:
                look(kept)
            except (FileNotFoundError, ProcessLookupError):
                raise Ended from None
            return
        try:
            directory = open_directory(self._folder)
        except OSError:
            raise Ended from None
        try:
            fields = stat_fields(read_below(directory, "stat", STAT_BYTES))
            self._check(fields)
            look(directory)
        except (FileNotFoundError, ProcessLookupError):
            raise Ended from None
        finally:
            os.close(directory)

    def _check(self, fields: list[bytes]) -> None:
        """That this is the stat of its process, and that has not ended."""
        if len(fields) <= RSS or fields[START_TIME] != self.process.started or fields[0] in _ENDED:
            raise Ended

    def look_at_threads(self) -> None:
        """Find its vCPUs and its cgroup, and open what is read of them. Raises OSError."""
        self.in_its_directory(self._look_at_threads)

    def look_for_vcpus(self) -> None:
        """Find those of its vCPUs whose threads could not be told from others yet. Raises OSError."""
        if self.process.command.vcpus_maximum == self.vcpus:
            return
        late = False

        def look(directory: int) -> None:
            nonlocal late
            late = self._threads.late(directory)

        self.in_its_directory(look)
        if late:
            self.look_at_threads()

    def _look_at_threads(self, directory: int) -> None:
        before = self._vcpus, self.all_vcpus_known, self._accounted, self._waits
        self._count = stat_fields(read_below(directory, "stat", STAT_BYTES))[THREADS]
        self._vcpus = self._threads.look(directory)
        self._look_at_accounting(directory)
        if self._kvm.look(directory, self._vcpus):
            self._plans.clear()
        self._waits = any(
            wait_sum(_read_or_nothing(directory, f"task/{thread}/sched", _SCHED_BYTES)) is not None
            for thread in list(self._vcpus.values())[:1]
        )
        if self._files.kept and before == (self._vcpus, self.all_vcpus_known, self._accounted, self._waits):
            return
        self._plans.clear()
        # The directory may be the one that was held with the files of before.
        own = open_below(directory, ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._choose(own)
        finally:
            os.close(own)

    def _look_at_accounting(self, directory: int) -> None:
        """Whether its processor time is counted where it was at the first look.

        Elsewhere there is another counter, which has begun at another time: taken for the same it would leap by hours.
        """
        found = accounting(read_below(directory, "cgroup", _CGROUP_BYTES), self._sys)
        self._unread_cgroup = False
        try:
            texts = [read_below(directory, path, STAT_BYTES) for path in found.paths] if found else []
            if found and found.times(texts) is None:
                found = None
        except OSError as error:
            found, self._unread_cgroup = None, isinstance(error, PermissionError)
        if not self._looked:
            self._accounting, self._looked = found, True
        self._accounted = self._accounting in (None, found)

    def _choose(self, directory: int) -> None:
        """Hold its files open, those of now."""
        try:
            self._files.choose(directory, self._paths())
        except FileNotFoundError:  # a vCPU has gone since its thread was found, or the process has ended
            self._vcpus = {vcpu: thread for vcpu, thread in self._vcpus.items() if _is_there(directory, thread)}
            self._kvm.look(directory, self._vcpus)
            self._files.choose(directory, self._paths())

    def _cgroup_files(self) -> tuple[str, ...]:
        return self._accounting.paths if self._accounting is not None and self._accounted else ()

    def _paths(self) -> list[str]:
        paths = ["stat", *self._cgroup_files()]
        for thread in self._vcpus.values():
            paths += [f"task/{thread}/stat", f"task/{thread}/schedstat"]
            paths += [f"task/{thread}/sched"] if self._waits else []
        return paths

    def look_at_nics(self, names: Callable[[str, int], Mapping[int, str]], *, surely: bool) -> None:
        """Find its network devices, where its descriptors are others than before, or `surely`.

        `names`: given a network namespace and the directory of a process in it, the names of its devices by number.
        """

        def look(directory: int) -> None:
            # From Linux 6.2 on this is the number of open files, before it is 0.
            count = os.stat("fd", dir_fd=directory).st_size
            if count and count == self._open_files and not surely and not self._nameless:
                return
            before = self.nics, self.namespace
            self.namespace = namespace(directory)
            try:
                named = self._with_known(names(self.namespace, directory))
                found = nics(directory, named, self.process.command.tap_files)
                self.nics = [nic for nic in found if nic.name]
                self._nameless = self.nics != found
                self._denied = False
            except PermissionError:
                self.nics, self._denied = None, True
            self._open_files = count
            if before != (self.nics, self.namespace):
                self._plans.clear()

        self.in_its_directory(look)

    def _with_known(self, names: Mapping[int, str]) -> Mapping[int, str]:
        """A macvtap that is down is not among the names, and yet has the name it had."""
        known = {nic.number: nic.name for nic in self.nics or () if not nic.is_tap and nic.number not in names}
        taken = set(names.values()) if known else ()
        return {**names, **{number: name for number, name in known.items() if name not in taken}} if known else names

    def plan(self, groups: int, counters: Mapping[str, Counters]) -> Plan:
        """Its record with these groups. `counters`: those of the network devices in its namespace."""
        uncounted = frozenset(nic.name for nic in self.nics or () if nic.name not in counters)
        if groups & INTERFACE:
            self._uncounted = uncounted
        key = (groups, uncounted)
        if key not in self._plans:
            devices = None if self.nics is None else [(nic, nic.name not in uncounted) for nic in self.nics]
            vcpus, maximum = list(self._vcpus), self.process.command.vcpus_maximum
            # A count of those found so far would be a wrong one.
            current = len(vcpus) if vcpus and self.all_vcpus_known else None
            known = groups if self._accounted else groups & ~CPU
            self._plans[key] = plan(self.domain, known, vcpus, current, maximum, devices, self._kvm.layout)
        return self._plans[key]

    def read(
        self, chosen: Plan, counters: Mapping[str, Counters], values: memoryview, start: int, *, looked: bool = False
    ) -> None:
        """Read its figures into the values from `start` on. Raises Changed, Ended.

        `looked`: its threads have just been looked at, so that others that come and go since are no vCPUs.
        """
        try:
            files = self._files.open()
        except OSError:
            raise Changed from None  # looking at it again says whether it was only a thread
        try:
            fields = stat_fields(os.pread(files[0], STAT_BYTES, 0))
            self._check(fields)
            if fields[THREADS] != self._count and not looked:
                raise Changed
            if chosen.rss != NOT_THERE:
                values[start + chosen.rss] = max(int(fields[RSS]), 0) * KIB_A_PAGE
            if chosen.cpu != NOT_THERE:
                at = start + chosen.cpu
                values[at], values[at + 1], values[at + 2] = self._cpu_times(files, fields)
            if chosen.vcpus:
                self._read_vcpus(chosen, files, values, start)
            if chosen.kvm or chosen.haltpoll != NOT_THERE:
                self._read_kvm(chosen, values, start)
        except (OSError, ValueError, IndexError):
            raise Changed from None
        finally:
            self._files.release(files)
        for nic, slot in chosen.nics:
            at, numbers = start + slot, counters[nic.name]
            for each in (*numbers[4:], *numbers[:4]) if nic.is_tap else numbers:
                values[at] = each
                at += 1

    def _cpu_times(self, files: list[int], fields: list[bytes]) -> CpuTimes:
        if self._accounting is None:
            return process_times(fields)
        its = files[1 : 1 + len(self._cgroup_files())]
        times = self._accounting.times([os.pread(file, STAT_BYTES, 0) for file in its])
        if times is None:
            raise Changed
        return times

    def _read_vcpus(self, chosen: Plan, files: list[int], values: memoryview, start: int) -> None:
        file, pread = 1 + len(self._cgroup_files()), os.pread
        for slot in chosen.vcpus:
            at = start + slot
            values[at] = thread_time(pread(files[file], STAT_BYTES, 0))
            values[at + 2] = run_delay(pread(files[file + 1], STAT_BYTES, 0))
            file += 2
            if self._waits:
                values[at + 1] = wait_sum(pread(files[file], _SCHED_BYTES, 0)) or 0
                file += 1

    def _read_kvm(self, chosen: Plan, values: memoryview, start: int) -> None:
        layout, rows, figures = self._kvm.layout, self._kvm.rows(), self._kvm.read()
        if figures is None or layout is None:
            raise Changed
        if chosen.haltpoll != NOT_THERE:
            at = start + chosen.haltpoll
            values[at], values[at + 1] = halt_poll(layout, figures.vcpus) or (0, 0)
        if not chosen.kvm:
            return
        for slot, vcpu in zip(chosen.vcpus, self._vcpus, strict=False):
            at = start + slot + _BEFORE_KVM
            values[at : at + chosen.kvm] = memoryview(figures.vcpus[rows[vcpu]])

    def lacking(self) -> list[rights.Lack]:
        """What cannot be had of it, beside what cannot be had of any guest."""
        found: list[rights.Lack] = []
        if self._denied:
            found.append(rights.Lack("net", rights.TRACE, self.domain))
        if self._kvm.why:
            found.append(rights.Lack("vcpu.<id>.<name>, cpu.haltpoll", self._kvm.why, self.domain))
        if not self._accounted:
            found.append(rights.Lack("cpu, cpu.haltpoll", rights.OTHER_CGROUP, self.domain))
        elif self._unread_cgroup:
            found.append(rights.Lack("cpu of the cgroup", rights.NO_CGROUP_FILE, self.domain))
        found += [rights.Lack(f"net[{name}]", rights.NO_DEVICE, self.domain) for name in sorted(self._uncounted)]
        if not self._vcpus:
            found.append(rights.Lack("vcpu.<id>", rights.NO_VCPUS, self.domain))
        elif not self.all_vcpus_known:
            found.append(rights.Lack("vcpu.current", rights.SOME_VCPUS, self.domain))
        return found


def _is_there(directory: int, thread: int) -> bool:
    try:
        os.stat(f"task/{thread}/schedstat", dir_fd=directory)
    except OSError:
        return False
    return True


def _read_or_nothing(directory: int, path: str, size: int) -> bytes:
    try:
        return read_below(directory, path, size)
    except OSError:
        return b""
