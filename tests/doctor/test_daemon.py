"""The daemon's versions and groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from domstats.catalog.groups import GROUPS
from domstats.doctor.daemon import groups_finding, look_at_versions, unknown_groups, version_text
from domstats.doctor.findings import Verdict
from domstats.errors import RemoteError, StatsUnsupported
from domstats.model.flags import DomainFilter
from domstats.sources.libvirt.source import LibvirtSource
from domstats.wire.procedures import Procedure
from fake_daemon import DOMAINS, FakeDaemon

P = Procedure
DEADLINE = 10.0
LIBVIRT: dict[P, Any] = {P.CONNECT_GET_LIB_VERSION: (11_003_000,), P.CONNECT_GET_TYPE: ("QEMU",)}
NO_QEMU = RemoteError(38, 10, "Cannot find suitable emulator")


@pytest.mark.parametrize(("number", "text"), [(7_002_022, "7.2.22"), (9_000_000, "9.0.0"), (12_008_001, "12.8.1")])
def test_a_version(number: int, text: str) -> None:
    assert version_text(number) == text


@pytest.mark.parametrize(
    ("version", "verdict", "text"),
    [
        ((10_000_003,), Verdict.OK, "QEMU 10.0.3"),
        ((0,), Verdict.OK, "QEMU, of a version that is not told"),
        (NO_QEMU, Verdict.WARN, "libvirt does not know its hypervisor's version: Cannot find suitable emulator"),
    ],
)
async def test_versions(version: Any, verdict: Verdict, text: str, tmp_path: Path) -> None:
    async with FakeDaemon(tmp_path / "sock", answers=LIBVIRT | {P.CONNECT_GET_VERSION: version}) as daemon:
        source = await LibvirtSource.open(daemon.uri, {}, deadline=DEADLINE)
        libvirt, hypervisor = await look_at_versions(source.connection, DEADLINE)
        await source.aclose()
    assert (libvirt.verdict, libvirt.text) == (Verdict.OK, "libvirt 11.3.0")
    assert (hypervisor.verdict, hypervisor.text) == (verdict, text)


def answering(unknown: set[int]) -> Callable[..., tuple[bytes]]:
    """Answers the bulk call as a daemon that lacks the groups with these bits."""

    def answer(domains: Any, stats: int, flags: int) -> tuple[bytes]:
        assert [domain.uuid for domain in domains] == [DOMAINS[0].uuid], "only one guest is asked"
        assert flags == DomainFilter.ENFORCE | DomainFilter.NOWAIT
        if stats in unknown:
            raise StatsUnsupported(74, 10, f"Stats types bits 0x{stats:x} are not supported by this daemon")
        return (b"\0\0\0\0",)

    return answer


@pytest.mark.parametrize("unknown", [set(), {"dirtyrate", "vm"}, {"memory"}])
async def test_groups(unknown: set[str], tmp_path: Path) -> None:
    bits = {1 << group.bit for group in GROUPS if group.name in unknown}
    answers: dict[P, Any] = {P.CONNECT_GET_ALL_DOMAIN_STATS: answering(bits)}
    async with FakeDaemon(tmp_path / "sock", answers=answers) as daemon:
        source = await LibvirtSource.open(daemon.uri, {}, deadline=DEADLINE)
        found = await unknown_groups(source, DOMAINS[0], DEADLINE)
        await source.aclose()
        assert len(daemon.calls(P.CONNECT_GET_ALL_DOMAIN_STATS)) == len(GROUPS)
    assert {group.name for group in found} == unknown
    finding = groups_finding(found)
    assert finding.verdict is (Verdict.MISSING if unknown else Verdict.OK)
    assert all(name in finding.text for name in unknown)


def test_a_group_is_named_with_the_release_that_brought_it() -> None:
    finding = groups_finding([GROUPS[9], GROUPS[10]])
    assert finding.text == (
        "9 of 11 groups of statistics are known; not known: dirtyrate (libvirt 7.2.0), vm (libvirt 8.9.0)"
    )
