"""The guests as the kernel shows them, on trees."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from domstats.doctor.figures import KINDS, kinds_of
from domstats.doctor.findings import Finding, Verdict
from domstats.doctor.processes import KernelView, lacks_of, look_at_processes, who_is_there
from domstats.model.domain import Domain
from domstats.sources.kernel.kvm import OTHER_NUMBERS
from domstats.sources.kernel.rights import NO_CGROUP_FILE, NO_PROCESSES, TRACE, Lack
from domstats.sources.kernel.uri import KernelConfig
from proc_trees import FakeGuest, FakeThread, write_files

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
OTHER = "0d9f8a56-0000-4000-8000-00000000abcd"
KVM = "vcpu.<id>.<name>, cpu.haltpoll"


def command(name: str, uuid: str) -> tuple[str, ...]:
    return ("/usr/bin/qemu-system-x86_64", "-name", f"guest={name},debug-threads=on", "-smp", "2", "-uuid", uuid)


@pytest.fixture
def view(tmp_path: Path) -> KernelView:
    """Of a host with two guests, one of which has two vCPUs."""
    write_files(tmp_path, {"proc/uptime": "100000.0 1.0\n"})
    threads = {71: FakeThread("CPU 0/KVM"), 72: FakeThread("CPU 1/KVM")}
    FakeGuest(7, command("web", UUID), threads).write(tmp_path / "proc")
    FakeGuest(8, command("db", OTHER)).write(tmp_path / "proc")
    return look_at_processes(KernelConfig(tmp_path / "proc", tmp_path / "sys", 100))


def test_who_is_seen_and_with_what(view: KernelView) -> None:
    assert [(record.domain.name, record.domain.uuid) for record in view.records] == [("web", UUID), ("db", OTHER)]
    assert view.vcpus == 2
    kinds = {uuid: {kind.figures for kind in found} for uuid, found in kinds_of(view.records).items()}
    assert kinds == {
        UUID: {"cpu", "balloon.rss", "vcpu", "interface"},
        OTHER: {"cpu", "balloon.rss", "interface"},
    }
    assert {(lack.keys, lack.domain.name) for lack in view.lacks if lack.domain} == {
        (KVM, "web"),
        (KVM, "db"),
        ("vcpu.<id>", "db"),
    }


def test_a_host_whose_processes_cannot_be_listed(tmp_path: Path) -> None:
    view = look_at_processes(KernelConfig(tmp_path / "proc", tmp_path / "sys"))
    assert view.records == ()
    assert view.lacks == (Lack("every key", NO_PROCESSES),)
    (finding,) = lacks_of(view, [], {})
    assert (finding.verdict, finding.text) == (Verdict.WARN, NO_PROCESSES)


def texts(findings: list[Finding]) -> list[tuple[str, Verdict, tuple[str, ...]]]:
    return [(finding.check, finding.verdict, finding.domains) for finding in findings]


@pytest.mark.parametrize(
    ("on", "more"),
    [
        (None, []),
        ({UUID: "web", OTHER: "db"}, []),
        ({UUID: "web"}, [("others", Verdict.WARN, ("db",))]),
        ({UUID: "web", OTHER: "db", "x": "far"}, [("unseen", Verdict.WARN, ("far",))]),
        ({"x": "far"}, [("unseen", Verdict.WARN, ("far",)), ("others", Verdict.WARN, ("web", "db"))]),
    ],
)
def test_those_libvirt_knows_and_those_seen(
    view: KernelView, on: Mapping[str, str] | None, more: list[tuple[str, Verdict, tuple[str, ...]]]
) -> None:
    assert texts(who_is_there(view, on)) == [("guests", Verdict.OK, ()), *more]


def test_a_figure_that_nobody_has_is_missing(view: KernelView) -> None:
    findings = lacks_of(view, [UUID, OTHER], {})
    assert texts(findings) == [
        ("figures", Verdict.MISSING, ("web", "db")),
        ("figures", Verdict.MISSING, ("db",)),
    ]
    assert findings[0].text == f"{KVM} missing for 2 guests: {OTHER_NUMBERS}"


def test_a_figure_that_libvirt_has_is_not_missing(view: KernelView) -> None:
    findings = lacks_of(view, [UUID, OTHER], {UUID: KINDS, OTHER: KINDS})
    assert texts(findings) == [("figures", Verdict.WARN, ("web", "db")), ("figures", Verdict.WARN, ("db",))]
    assert findings[1].text.startswith("vcpu.<id> of 1 guest not from the kernel: ")


def test_it_is_missing_for_those_that_libvirt_has_not(view: KernelView) -> None:
    assert texts(lacks_of(view, [UUID, OTHER], {UUID: KINDS}))[0] == ("figures", Verdict.MISSING, ("db",))


def test_nothing_is_said_of_guests_of_others(view: KernelView) -> None:
    assert texts(lacks_of(view, [UUID], {})) == [("figures", Verdict.MISSING, ("web",))]


def test_devices_of_a_guest_are_one_finding() -> None:
    domain = Domain("web", UUID, 7)
    lacks = (Lack("net[a]", TRACE, domain), Lack("net[b]", TRACE, domain), Lack("cpu of the cgroup", NO_CGROUP_FILE))
    findings = lacks_of(KernelView((), lacks, 0), [UUID], {})
    assert texts(findings) == [("figures", Verdict.MISSING, ("web",)), ("guests", Verdict.WARN, ())]
    assert findings[0].text == f"net missing for 1 guest: {TRACE}"
