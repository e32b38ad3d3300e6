"""The statistics KVM keeps of each vCPU and virtual machine, and how fast they grow in simulated guests.

The names and their order are facts, taken from a reply of libvirt 9.0 with QEMU 7.2 on Linux 6.18. The figures beside
them say how fast each counter of a simulated guest grows. Two things drive those of a vCPU: its wake-ups from a halt,
and the time it is busy. What consists of parts (exits, req_event) grows at least as fast as its parts together.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VcpuCounter:
    """A counter of a vCPU."""

    name: str
    per_1000_wakes: int = 0
    per_busy_second: int = 0


GUEST_MODE, BLOCKING = "guest_mode.cur", "blocking.cur"
"""The two that are booleans."""
HALT_WAIT = "halt_wait_ns.sum"
"""Time without anything to do, so it is neither driven by wake-ups nor by being busy."""
POLL_SUCCESS, POLL_FAIL = "halt_poll_success_ns.sum", "halt_poll_fail_ns.sum"
"""libvirt also sends these two added up over the vCPUs, as cpu.haltpoll.success.time and cpu.haltpoll.fail.time."""

VCPU: tuple[VcpuCounter, ...] = (
    VcpuCounter("pf_parked.sum"),
    VcpuCounter("pf_fixed.sum", 0, 40),
    VcpuCounter("signal_exits.sum", 1, 2),
    VcpuCounter("l1d_flush.sum"),
    VcpuCounter(POLL_FAIL, 5_500_000),
    VcpuCounter("irq_injections.sum", 1100, 300),
    VcpuCounter("halt_successful_poll.sum", 350),
    VcpuCounter("preemption_reported.sum", 0, 30),
    VcpuCounter("nmi_window_exits.sum"),
    VcpuCounter("fpu_reload.sum", 1000, 40),
    VcpuCounter(GUEST_MODE),
    VcpuCounter("request_irq_exits.sum"),
    VcpuCounter("irq_exits.sum", 50, 900),
    VcpuCounter("preemption_other.sum", 0, 120),
    VcpuCounter("pf_park_timeouts.sum"),
    VcpuCounter("directed_yield_attempted.sum", 0, 4),
    VcpuCounter("pf_taken.sum", 0, 45),
    VcpuCounter("nmi_injections.sum"),
    VcpuCounter("io_exits.sum", 10, 60),
    VcpuCounter("pf_guest.sum"),
    VcpuCounter("halt_exits.sum", 1000),
    VcpuCounter("invlpg.sum"),
    VcpuCounter("mmio_exits.sum", 120, 400),
    VcpuCounter(BLOCKING),
    VcpuCounter("pf_mmio_spte_created.sum", 0, 1),
    VcpuCounter("exits.sum", 1400, 3200),
    VcpuCounter("pf_emulate.sum", 0, 2),
    VcpuCounter("halt_wakeup.sum", 640),
    VcpuCounter("insn_emulation_fail.sum"),
    VcpuCounter("halt_attempted_poll.sum", 900),
    VcpuCounter("tlb_flush.sum", 5, 90),
    VcpuCounter("nested_run.sum"),
    VcpuCounter("req_event.sum", 1300, 700),
    VcpuCounter(POLL_SUCCESS, 2_600_000),
    VcpuCounter("pf_spurious.sum", 0, 1),
    VcpuCounter("directed_yield_successful.sum", 0, 2),
    VcpuCounter(HALT_WAIT),
    VcpuCounter("irq_window_exits.sum", 20, 30),
    VcpuCounter("notify_window_exits.sum"),
    VcpuCounter("pf_fast.sum", 0, 2),
    VcpuCounter("hypercalls.sum", 60, 250),
    VcpuCounter("host_state_reload.sum", 1050, 700),
    VcpuCounter("insn_emulation.sum", 130, 470),
    VcpuCounter("halt_poll_invalid.sum", 2),
)


@dataclass(frozen=True, slots=True)
class VmValue:
    """A value of a virtual machine: what it is at the start, and how much it grows; each drawn from a range."""

    name: str
    start: tuple[int, int] = (0, 0)
    per_hour: tuple[int, int] = (0, 0)


PAGES_4K, PAGES_2M = "pages_4k.cur", "pages_2m.cur"
"""These two are the guest's memory, counted in pages."""

VM: tuple[VmValue, ...] = (
    VmValue(PAGES_4K),
    VmValue("pages_1g.cur"),
    VmValue(PAGES_2M),
    VmValue("mmu_pte_write.sum"),
    VmValue("remote_tlb_flush_requests.sum", (4000, 30_000), (2000, 9000)),
    VmValue("remote_tlb_flush.sum", (500, 4000), (200, 2000)),
    VmValue("mmu_recycled.sum"),
    VmValue("max_mmu_rmap_size.max", (0, 3)),
    VmValue("mmu_unsync.cur"),
    VmValue("mmu_kicks_spared.sum"),
    VmValue("mmu_shadow_zapped.sum", (20, 4000), (0, 40)),
    VmValue("mmu_cache_miss.sum", (20, 4000), (0, 60)),
    VmValue("max_mmu_page_hash_collisions.max", (0, 4)),
    VmValue("mmu_pde_zapped.sum"),
    VmValue("mmu_flooded.sum"),
    VmValue("nx_lpage_splits.cur", (0, 200)),
)
