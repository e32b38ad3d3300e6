"""The doctor on a real libvirtd with real guests."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from domstats.doctor.examine import examine
from domstats.doctor.figures import STUCK
from domstats.doctor.findings import Availability, Finding, Report, Verdict
from hypervisor import Hypervisor

DEADLINE = 60.0
ALL = ("state", "cpu", "balloon.current", "balloon.rss", "vcpu", "interface")
"""Figures that every guest has which is on."""
AS_NOBODY = """
import asyncio, hashlib, os, sys  # Python's uuid module imports hashlib late, when its folder may not be read
import domstats.formats.named, domstats.sources.kernel.source, domstats.sources.libvirt.source
from domstats.doctor.document import to_json
from domstats.doctor.examine import examine
os.setgid(65534)
os.setuid(65534)
print(to_json(asyncio.run(examine(sys.argv[1], {}, deadline=60.0))).decode())
"""


def findings(report: Report) -> dict[str, Finding]:
    return {f"{finding.part} {finding.check}": finding for finding in report.findings}


def table(report: Report) -> dict[str, Availability]:
    return {row.figures: row for row in report.figures}


async def test_what_is_said_of_the_host_is_so(hypervisor: Hypervisor) -> None:
    report = await examine(hypervisor.uri, {}, deadline=DEADLINE)
    on = len(hypervisor.names("--state-running", "--state-paused"))
    said = findings(report)
    for check in ("socket", "libvirt", "hypervisor", "groups"):
        assert said[f"libvirt {check}"].verdict is Verdict.OK
    versions = hypervisor.virsh("version")
    assert f"Using library: {said['libvirt libvirt'].text}\n" in versions
    assert f"Running hypervisor: {said['libvirt hypervisor'].text}\n" in versions
    assert said["guests guests"].text == f"{on} on, {len(hypervisor.names('--all')) - on} off"
    assert said["guests answering"].verdict is Verdict.OK
    assert "kernel unseen" not in said
    rows = table(report)
    assert (report.guests, report.daemon) == (on, True)
    for figures in ALL:
        assert (rows[figures].counts["libvirt"], rows[figures].neither) == (on, 0)
    assert rows["cpu"].counts["kernel"] == rows["vcpu"].counts["kernel"] == on
    # One that runs, and whose balloon was given no period, tells nothing of its memory.
    assert said["guests balloon"].verdict is Verdict.MISSING
    assert set(said["guests balloon"].domains) <= set(hypervisor.names("--state-running"))
    assert not report.complete


async def test_a_stopped_guest_is_named_and_the_kernel_has_its_figures(hypervisor: Hypervisor) -> None:
    hypervisor.stop_guest("vm0001")
    try:
        report = await examine(hypervisor.uri, {}, deadline=DEADLINE)
    finally:
        hypervisor.continue_guest("vm0001")
    stuck = findings(report)["guests stuck"]
    assert (stuck.verdict, stuck.domains) == (Verdict.MISSING, ("vm0001",))
    rows = table(report)
    assert rows["cpu"].neither == rows["state"].neither == 0
    assert (rows["block"].verdict, rows["vm"].verdict) == (Verdict.MISSING, Verdict.MISSING)
    assert f"1: {STUCK}" in rows["block"].why, "others have no disk"
    assert (rows["vm"].neither, rows["vm"].why) == (1, STUCK)


def test_without_a_right_libvirt_has_the_figures(hypervisor: Hypervisor) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, hypervisor.uri],
        capture_output=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=DEADLINE,
        check=True,
    )
    report = json.loads(done.stdout)
    verdicts = {(each["part"], each["check"]): each["verdict"] for each in report["findings"]}
    assert verdicts["libvirt", "socket"] == "ok", "the read-only socket is for everybody"
    assert verdicts["rights", "trace"] == "warn"
    assert verdicts["kernel", "figures"] == "warn", "libvirt has them all the same"
    rows = {each["figures"]: each for each in report["figures"]}
    assert rows["interface"]["counts"] == {"libvirt": report["guests"], "kernel": 0}
    assert rows["cpu"]["counts"] == {"libvirt": report["guests"], "kernel": report["guests"]}
