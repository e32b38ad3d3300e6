"""How the simulated guests behave: the base, rate and clock of every value.

Rates are per turn of 1,024 s. What must agree in real records agrees here: a domain's CPU time covers its vCPUs', bytes
follow requests, memory that is free is not in use. All of it is integer arithmetic, so it stays as it is for ever.
"""

from __future__ import annotations

import numpy as np

from domstats.sources.sim import keys, kvm
from domstats.sources.sim.clocks import Clock
from domstats.sources.sim.dice import Dice, Ints
from domstats.sources.sim.flavours import HOST_CPUS
from domstats.sources.sim.guests import RUNNING, Guests
from domstats.sources.sim.program import Devices, Program

_SECONDS = 1024
"""Seconds of a turn."""
_MILLION = 1_000_000
_NS_OF_MILLIONTH = 1000 * _SECONDS
"""Nanoseconds in a turn of what takes a millionth of the time."""
_BUSY_MAX = 990_000
"""The most of its time, in millionths, that a vCPU is busy or waits for a processor."""
_EMULATOR_KIB = 60 << 10
"""Memory of QEMU itself."""


class Behaviour:
    """Writes the formulas of a fleet's values, group by group; a parameter not mentioned is always 0."""

    def __init__(self, program: Program, guests: Guests, dice: Dice) -> None:
        self._program, self._guests, self._dice = program, guests, dice

    def write(self) -> None:
        """Write them all."""
        self._state()
        self._cpu()
        self._balloon()
        self._nets()
        self._disks()
        self._iothreads()
        self._vm()

    def _activity(self, name: str) -> tuple[Ints, Ints]:
        """The bounds of a range of flavours.Activity for each guest."""
        bounds = np.array([getattr(each, name) for each in self._guests.activities], np.int64).reshape(-1, 2)
        return bounds[:, 0], bounds[:, 1]

    def _draw(self, trait: str, devices: Devices, low: int | Ints, high: int | Ints) -> Ints:
        """A number for each device; the bounds may differ by guest."""
        most = int(devices.number.max(initial=-1)) + 1
        return self._dice.table(trait, most, low, high)[devices.owner, devices.number]

    def _events(self, activity: str, devices: Devices) -> Ints:
        """Events of each device in a turn, from a range of flavours.Activity in events a second."""
        low, high = self._activity(activity)
        return self._draw(activity, devices, low * _SECONDS, high * _SECONDS)

    def _state(self) -> None:
        state = self._program.devices(keys.STATE)
        self._program.put(state, "state", self._guests.state)
        self._program.put(state, "reason", self._guests.reason)

    def _cpu(self) -> None:
        put, dice, guests = self._program.put, self._dice, self._guests
        head = self._program.devices(keys.VCPUS)
        put(head, "current", guests.vcpus)
        put(head, "maximum", guests.vcpus << dice.weighted("vcpu.maximum", (5, 1)))
        vcpus = self._program.devices(keys.VCPU)
        base, rate, polls = self._vcpus(vcpus)
        domains = self._program.devices(keys.CPU)
        there = domains.owner
        # QEMU's other threads use some more, and used enough at the start that rounding never shows.
        base = base + dice.between("cpu.base", 20, 90)
        rate = rate + rate * dice.between("cpu.emulator", 2, 8) // 100 + dice.between("cpu.main", 20, 200)
        user = dice.between("cpu.user", 45, 80)
        user_base, user_rate = base * user // 100, rate * user // 100
        put(domains, "time", base[there], rate[there], Clock.CPU_TICKS)
        put(domains, "user", user_base[there], user_rate[there], Clock.CPU_TICKS)
        put(domains, "system", (base - user_base)[there], (rate - user_rate)[there], Clock.CPU_TICKS)
        put(domains, "haltpoll.success.time", 0, polls[kvm.POLL_SUCCESS][there], Clock.CPU)
        put(domains, "haltpoll.fail.time", 0, polls[kvm.POLL_FAIL][there], Clock.CPU)

    def _vcpus(self, vcpus: Devices) -> tuple[Ints, Ints, dict[str, Ints]]:
        """Write what vCPUs do; give, summed by guest, base and rate of their times and the rates of halt polling."""
        put, dice, owner = self._program.put, self._dice, vcpus.owner
        swing = np.array([each.swing for each in self._guests.activities], np.int64)
        robbed = dice.weighted("cpu.robbed", (11, 1))  # a few guests share their processors with too many others
        stolen = np.where(robbed, dice.between("cpu.stolen", 30, 250), dice.between("cpu.delay", 1, 6))
        peak = (1024 + swing) * (1000 + stolen)  # in 1,024,000ths of what it is busy on average
        busy = dice.between("load", *self._activity("load"))[owner] * self._draw("vcpu.share", vcpus, 512, 1536) // 1024
        busy = np.minimum(busy, (_BUSY_MAX * 1_024_000 // peak)[owner])
        crowd = np.maximum(self._guests.vcpus, HOST_CPUS)[owner]
        busy = busy * HOST_CPUS // crowd
        idle = _MILLION - busy * peak[owner] // 1_024_000
        wakes = self._events("wakes", vcpus) * idle // _MILLION * HOST_CPUS // crowd
        base = self._draw("vcpu.base", vcpus, 20, 300)
        rate = busy * (_SECONDS * 100) // _MILLION
        put(vcpus, "state", 1)
        put(vcpus, "time", base, rate, Clock.CPU_TICKS)
        put(vcpus, "delay", self._draw("vcpu.delay", vcpus, 0, _MILLION), busy * stolen[owner] * 1024, Clock.CPU)
        put(vcpus, kvm.HALT_WAIT, 0, idle * _NS_OF_MILLIONTH, Clock.UP)
        running = self._guests.state[owner] == RUNNING
        put(vcpus, kvm.GUEST_MODE, 0, (1024 + busy // 1000) * running, Clock.FLICKER)
        put(vcpus, kvm.BLOCKING, 0, (1024 + idle // 1000) * running, Clock.FLICKER_BACK)
        polls = {}
        for counter in kvm.VCPU:
            if not (counter.per_1000_wakes or counter.per_busy_second):
                continue
            growth = wakes * counter.per_1000_wakes // 1000 + busy * counter.per_busy_second * _SECONDS // _MILLION
            put(vcpus, counter.name, 0, growth, Clock.CPU)
            if counter.name in (kvm.POLL_SUCCESS, kvm.POLL_FAIL):
                polls[counter.name] = self._by_guest(vcpus, growth)
        return self._by_guest(vcpus, base), self._by_guest(vcpus, rate), polls

    def _by_guest(self, devices: Devices, numbers: Ints) -> Ints:
        total = np.zeros(self._program.guests, np.int64)
        np.add.at(total, devices.owner, numbers)
        return total

    def _balloon(self) -> None:
        put, dice = self._program.put, self._dice
        most = self._guests.memory
        # One guest in eight has given back a quarter of its memory.
        ballooned = self._guests.counts["active"] * dice.weighted("balloon", (7, 1))
        current = most - (most >> 2) * ballooned
        both = self._program.devices(keys.BALLOON)
        put(both, "current", current)
        put(both, "maximum", most)
        available = current - (current >> 5) - (64 << 10)  # the guest's kernel keeps some for itself
        used = available // 100 * dice.between("memory.used", *self._activity("used"))
        swing = used >> 3
        caches = (available - used - swing) // 100 * dice.between("memory.caches", 20, 80)
        free = available - used - swing - caches
        memory = self._program.devices(keys.MEMORY)
        there = memory.owner
        swaps = dice.weighted("memory.swaps", (5, 1))  # those that are short of memory
        for tail, most_rate in (("swap_in", 4000), ("swap_out", 9000), ("major_fault", 2000), ("minor_fault", 900_000)):
            base = dice.between(f"memory.{tail}.base", 0, most_rate * 4)
            rate = dice.between(f"memory.{tail}.rate", most_rate // 10, most_rate)
            swapping = swaps if tail.startswith("swap") else np.ones_like(swaps)
            put(memory, tail, (base * swapping)[there], (rate * swapping)[there], Clock.CPU)
        put(memory, "available", available[there])
        put(memory, "unused", free[there], swing[there], Clock.FREE)
        put(memory, "usable", (free + caches // 8 * 7)[there], swing[there], Clock.FREE)
        cached = self._program.devices(keys.CACHES)
        put(cached, "disk_caches", (caches - (caches >> 4))[there], (caches >> 4)[there], Clock.USED)
        on = self._program.devices(keys.LAST_UPDATE)
        refreshed = self._guests.counts["memory_stats"][on.owner]
        put(on, "last-update", 0, 1024 * refreshed, Clock.REFRESH)
        rss = self._program.devices(keys.RSS)
        put(rss, "rss", (_EMULATOR_KIB + used + caches)[rss.owner], swing[rss.owner], Clock.USED)

    def _nets(self) -> None:
        put = self._program.put
        counts = self._program.devices(keys.NETS)
        put(counts, "count", self._guests.counts["nics"][counts.owner])
        nets = self._program.devices(keys.NET)
        packets = self._events("packets", nets)
        for way in ("rx", "tx"):
            share = self._draw(f"net.{way}.share", nets, 300, 1000)
            length = self._draw(f"net.{way}.bytes", nets, 90, 1200)
            base = self._draw(f"net.{way}.base", nets, 10, 5000)
            rate = packets * share // 1000
            put(nets, f"{way}.pkts", base, rate, Clock.NET)
            put(nets, f"{way}.bytes", base * length, rate * length, Clock.NET)
        dropped = self._draw("net.dropped", nets, 0, 3) == 0
        put(nets, "rx.drop", 0, dropped * self._draw("net.drop", nets, 1, 40), Clock.NET)

    def _disks(self) -> None:
        put, counts = self._program.put, self._guests.counts
        put(self._program.devices(keys.BLOCKS), "count", self._guests.disks)
        everything = self._program.devices(keys.ALL_BLOCKS)
        put(everything, "count", 2 * self._guests.disks[everything.owner])
        disks = self._program.devices(keys.DISK)
        # libvirt numbers the images of the last disk first, each disk's own before what it is backed by.
        index = 2 * (counts["disks"][disks.owner] - disks.number) - 1
        put(disks, "backingIndex", index)
        for way, activity in (("rd", "reads"), ("wr", "writes")):
            rate = self._events(activity, disks)
            base = self._draw(f"disk.{way}.base", disks, 100, 20_000)
            sectors = self._draw(f"disk.{way}.sectors", disks, 8, 256)
            latency = self._draw(f"disk.{way}.latency", disks, 80_000, 1_500_000)
            put(disks, f"{way}.reqs", base, rate, Clock.DISK)
            put(disks, f"{way}.bytes", base * sectors, rate * sectors, Clock.SECTORS)
            put(disks, f"{way}.times", base * latency, rate * latency, Clock.DISK)
        put(disks, "fl.reqs", base >> 3, rate >> 3, Clock.DISK)
        put(disks, "fl.times", (base >> 3) * latency * 2, (rate >> 3) * latency * 2, Clock.DISK)
        self._images(disks, 1)
        self._images(self._program.devices(keys.OFF_DISK), 1)
        backing = self._program.devices(keys.BACKING)
        put(backing, "backingIndex", index + 1)
        self._images(backing, 0)

    def _images(self, images: Devices, written: int) -> None:
        """Sizes of qcow2 images, in bytes; what backs another is never written to."""
        put = self._program.put
        capacity = np.array((10, 20, 40, 80, 160, 500), np.int64)[self._draw("disk.capacity", images, 0, 5)] << 30
        clusters = (capacity >> 16) * self._draw("disk.filled", images, 10, 90) // 100
        put(images, "allocation", (clusters << 16) * written)
        put(images, "capacity", capacity)
        put(images, "physical", (clusters << 16) + 200_704)  # an empty image has 200,704 bytes already

    def _iothreads(self) -> None:
        counts = self._program.devices(keys.IOTHREADS)
        self._program.put(counts, "count", self._guests.counts["iothreads"][counts.owner])
        self._program.put(self._program.devices(keys.IOTHREAD), "poll-max-ns", 32_768)

    def _vm(self) -> None:
        put, dice = self._program.put, self._dice
        vm = self._program.devices(keys.VM)
        there = vm.owner
        for value in kvm.VM:
            base = dice.between(f"vm.{value.name}.base", *value.start)
            rate = dice.between(f"vm.{value.name}.rate", *value.per_hour) * _SECONDS // 3600
            put(vm, value.name, base[there], rate[there], Clock.CPU)
        huge = (self._guests.memory >> 11) * dice.between("vm.huge", 20, 60) // 100
        small = dice.between("vm.small", 2000, 40_000)
        put(vm, kvm.PAGES_2M, huge[there])
        put(vm, kvm.PAGES_4K, small[there], small[there] >> 2, Clock.USED)
