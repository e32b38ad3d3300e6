"""The whole examination, of daemons and trees that the test makes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from domstats.doctor.examine import examine
from domstats.doctor.figures import NO_LIBVIRT, STUCK
from domstats.doctor.findings import Finding, Part, Report, Verdict
from domstats.errors import BadUri, NoSupport
from domstats.model.domain import Domain
from domstats.model.params import ParamType, TypedParameter
from domstats.model.snapshot import Snapshot
from domstats.sources.kernel.uri import KernelConfig
from domstats.wire.bulk.encoder import encode_reply
from domstats.wire.procedures import Procedure
from fake_daemon import FakeDaemon
from fast_time import in_fast_time
from proc_trees import FakeGuest, FakeThread, write_files
from scripted import events

P = Procedure
DEADLINE = 30.0
LIMITS = (1024, 4096)
WEB = Domain("web", "6695eb01-f6a4-8304-79aa-97f2502e193f", 3)
DB = Domain("db", "0d9f8a56-0000-4000-8000-00000000abcd", 4)
KEYS = {"state.state": 1, "cpu.time": 5, "balloon.last-update": 0, "balloon.rss": 7, "block.0.rd.reqs": 0}
VERSIONS: dict[P, Any] = {
    P.CONNECT_GET_LIB_VERSION: (9_000_000,),
    P.CONNECT_GET_TYPE: ("QEMU",),
    P.CONNECT_GET_VERSION: (7_002_022,),
}


@pytest.fixture
def kernel(tmp_path: Path) -> KernelConfig:
    """A kernel that can everything but KVM's statistics, with one guest."""
    write_files(
        tmp_path,
        {
            "proc/uptime": "100000.0 1.0\n",
            "proc/sys/kernel/osrelease": "6.1.0\n",
            "proc/sys/kernel/sched_schedstats": "1\n",
            "proc/self/schedstat": "1 2 3\n",
            "proc/self/status": "CapEff:\t000001ffffffffff\n",
            "proc/self/mountinfo": "",
            "sys/module/kvm/refcnt": "1\n",
            "sys/fs/cgroup/cgroup.controllers": "cpu\n",
        },
    )
    command = ("/usr/bin/qemu-system-x86_64", "-name", "guest=web,debug-threads=on", "-smp", "1", "-uuid", WEB.uuid)
    FakeGuest(7, command, {71: FakeThread("CPU 0/KVM")}).write(tmp_path / "proc")
    return KernelConfig(tmp_path / "proc", tmp_path / "sys", 100)


def reply(*domains: Domain) -> bytes:
    params = [TypedParameter(key, ParamType.ULLONG, value) for key, value in KEYS.items()]
    params[0] = TypedParameter("state.state", ParamType.INT, 1)
    return encode_reply(Snapshot.of_params([(domain, params) for domain in domains]))


def daemon_of(path: Path, *domains: Domain, **more: Any) -> FakeDaemon:
    return FakeDaemon(path / "sock", domains, reply(*domains), answers=dict(VERSIONS), **more)


def verdicts(report: Report, part: Part) -> dict[str, Verdict]:
    return {finding.check: finding.verdict for finding in report.findings if finding.part is part}


def counts(report: Report, figures: str) -> tuple[dict[str, int], int]:
    (row,) = (row for row in report.figures if row.figures == figures)
    return dict(row.counts), row.neither


def why(report: Report, figures: str) -> str:
    return next(row.why for row in report.figures if row.figures == figures)


async def test_libvirt_and_the_kernel_together(kernel: KernelConfig, tmp_path: Path) -> None:
    async with daemon_of(tmp_path, WEB, DB) as daemon:
        report = await examine(daemon.uri, {}, deadline=DEADLINE, kernel=kernel, limits=LIMITS)
        await daemon.until(lambda: all(client.gone for client in daemon.clients))
    assert (report.uri, report.sources, report.guests) == (daemon.uri, ("libvirt", "kernel"), 2)
    assert (report.daemon, report.complete) == (True, False)
    assert [finding.part for finding in report.findings] == sorted(
        (finding.part for finding in report.findings), key=list(Part).index
    )
    ok, warn, missing = Verdict
    assert verdicts(report, Part.LIBVIRT) == dict.fromkeys(("socket", "libvirt", "hypervisor", "groups"), ok)
    assert verdicts(report, Part.GUESTS) == {"guests": ok, "answering": ok, "balloon": missing}
    features = dict.fromkeys(("linux", "kvm", "waiting", "steal", "cgroups", "guests"), ok)
    assert verdicts(report, Part.KERNEL) == features | {"unseen": warn, "figures": missing}
    assert verdicts(report, Part.RIGHTS) == dict.fromkeys(("trace", "yama", "hidepid", "open files"), ok)
    assert counts(report, "cpu") == ({"libvirt": 2, "kernel": 1}, 0)
    assert counts(report, "vcpu") == ({"libvirt": 0, "kernel": 1}, 1)
    assert counts(report, "block") == ({"libvirt": 2, "kernel": 0}, 0)


async def test_a_daemon_is_not_asked_through_a_socket_that_does_not_open(kernel: KernelConfig, tmp_path: Path) -> None:
    async with daemon_of(tmp_path, WEB) as daemon:
        daemon.answers[P.CONNECT_OPEN] = NoSupport(3, 0, "no such driver")
        report = await examine(daemon.uri, {}, deadline=DEADLINE, kernel=kernel)
        assert len(daemon.clients) == 1
    assert report.daemon
    assert verdicts(report, Part.LIBVIRT) == {"socket": Verdict.MISSING}
    assert counts(report, "cpu") == ({"libvirt": 0, "kernel": 1}, 0)
    assert why(report, "block") == NO_LIBVIRT


async def test_without_a_daemon_the_kernel_has_its_figures(kernel: KernelConfig, tmp_path: Path) -> None:
    uri = f"qemu+unix:///system?socket={tmp_path}/none"
    report = await examine(uri, {}, deadline=DEADLINE, kernel=kernel)
    assert (report.daemon, report.complete, report.guests) == (False, False, 1)
    assert verdicts(report, Part.LIBVIRT) == {"socket": Verdict.MISSING}
    assert verdicts(report, Part.GUESTS) == {}
    assert counts(report, "balloon.rss") == ({"libvirt": 0, "kernel": 1}, 0)


async def test_the_kernel_alone(kernel: KernelConfig) -> None:
    report = await examine(f"kernel:///?proc={kernel.proc}&sys={kernel.sys}", {}, deadline=DEADLINE, limits=LIMITS)
    assert (report.daemon, report.sources, report.guests) == (True, ("kernel",), 1)
    assert verdicts(report, Part.LIBVIRT) == {}
    assert verdicts(report, Part.KERNEL)["guests"] is Verdict.OK
    assert counts(report, "interface") == ({"kernel": 1}, 0)


async def test_a_simulated_host_has_no_kernel() -> None:
    report = await examine("sim:///?domains=20&time=1800000000", {}, deadline=DEADLINE)
    assert (report.sources, report.guests, report.daemon) == (("sim",), 18, True)
    assert {finding.part for finding in report.findings} == {Part.LIBVIRT, Part.GUESTS}
    assert counts(report, "vm") == ({"sim": 18}, 0)


async def test_a_guest_that_is_stuck_is_named(tmp_path: Path) -> None:
    script = tmp_path / "hang.toml"
    script.write_text(events("0; hang build-1"))
    report = await examine(f"sim:///?domains=4&time=1800000000&script={script}", {}, deadline=DEADLINE)
    (stuck,) = (finding for finding in report.findings if finding.check == "stuck")
    assert (stuck.verdict, stuck.domains) == (Verdict.MISSING, ("build-1",))
    assert not report.complete
    assert counts(report, "vm") == ({"sim": 2}, 1)
    assert why(report, "vm") == STUCK
    assert counts(report, "state") == ({"sim": 3}, 0)


@in_fast_time
async def test_a_daemon_that_hangs_in_the_middle(tmp_path: Path) -> None:
    async with daemon_of(tmp_path, WEB, held={P.CONNECT_GET_ALL_DOMAIN_STATS, P.CONNECT_GET_LIB_VERSION}) as daemon:
        report = await examine(f"test+unix:///default?socket={daemon.path}", {}, deadline=DEADLINE)
    findings = {finding.check: finding for finding in report.findings}
    assert findings["socket"].verdict is Verdict.OK
    assert findings["versions"].verdict is Verdict.WARN
    assert findings["versions"].text.startswith("could not be tried: ")
    assert findings["guests"].verdict is Verdict.MISSING
    assert "no answer to " in findings["guests"].text
    assert (report.sources, report.figures) == (("libvirt",), ())


async def test_a_file_that_blocks_spoils_nothing_else(kernel: KernelConfig) -> None:
    blocking = kernel.proc / "sys/kernel/osrelease"
    blocking.unlink()
    os.mkfifo(blocking)  # opening it waits for a writer
    report = await examine(f"kernel:///?proc={kernel.proc}&sys={kernel.sys}", {}, deadline=2.0)
    os.close(os.open(blocking, os.O_WRONLY | os.O_NONBLOCK))
    linux, *others = (finding for finding in report.findings if finding.part is Part.KERNEL)
    assert linux == Finding(Part.KERNEL, "linux", Verdict.WARN, "could not be tried: no answer within 2 s")
    assert {finding.check for finding in others} == {"kvm", "waiting", "steal", "cgroups", "guests", "figures"}
    assert counts(report, "cpu") == ({"kernel": 1}, 0)


@pytest.mark.parametrize("uri", ["nonsense", "kernel:///?what=1", "qemu:///nowhere", "sim:///?domains=-1", "xen:///"])
async def test_a_uri_that_is_none(uri: str) -> None:
    with pytest.raises(BadUri):
        await examine(uri, {}, deadline=DEADLINE)
    with pytest.raises(BadUri, match="environment variable LIBVIRT_DEFAULT_URI"):
        await examine(None, {"LIBVIRT_DEFAULT_URI": uri}, deadline=DEADLINE)
