"""The libvirt socket over a real libvirtd: every client is told the same by both."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from against_libvirt import DEADLINE, EVERYTHING, QUESTIONS, Question, ask
from comparison import Differences, domains_of
from domstats.model.flags import DomainFilter
from hypervisor import Hypervisor
from hypervisor_packages import HypervisorError
from serving import Serving, serving

QUESTIONS_ASKED = [
    *QUESTIONS[:1],
    *QUESTIONS[2:7:2],
    Question(filters=DomainFilter.BACKING),
    Question(1, DomainFilter.RUNNING | DomainFilter.PAUSED | DomainFilter.PERSISTENT),
    Question(1, DomainFilter.TRANSIENT),
    Question(0b111_1111_1111, DomainFilter.ENFORCE | DomainFilter.INACTIVE | DomainFilter.NOWAIT),
]
STUCK = 25
OLD = 3600.0
"""Seconds that a value is served for, so that what is old does not matter where values stand still."""


@asynccontextmanager
async def over(peer: Hypervisor) -> AsyncIterator[tuple[Serving, str]]:
    """A server over the hypervisor, and the URI that leads to it from inside."""
    path = peer.run_directory / f"served-{os.getpid()}"
    async with serving(peer.uri, path, max_age=OLD, share=1.0) as served:
        await served.swept()
        yield served, f"qemu+unix:///system?socket=/run/{path.name}"


async def asked_anew(served: Serving) -> None:
    """Have all guests asked, so that what is served is younger than this."""
    since = served.collector.clock()
    await served.collector.refresh(DEADLINE, since=since)
    assert (served.collector.latest.sampling.times[:, 1] >= since).all()


async def both(peer: Hypervisor, uri: str, *args: str) -> tuple[str, str]:
    """What virsh prints, or complains of, of libvirtd and of us."""
    return await said(peer, "qemu:///system", *args), await said(peer, uri, *args)


async def said(peer: Hypervisor, uri: str, *args: str) -> str:
    try:
        return await asyncio.to_thread(peer.virsh, *args, uri=uri)
    except HypervisorError as error:
        return str(error).split(": ", 1)[-1]


async def test_virsh(peer: Hypervisor) -> None:
    """What does not move is the same to the byte, complaints included."""
    off = peer.names("--inactive")[0]
    on = next(name for name in peer.names("--state-paused") if " " in name)
    strange = next(name for name in peer.names("--state-paused") if not name.isascii())
    commands = [
        ("list", "--all", "--title"), ("list", "--transient"), ("list", "--persistent", "--all"),
        ("list", "--all", "--with-snapshot"), ("nodeinfo",), ("version",), ("hostname",), ("capabilities",),
        ("event", "--all", "--timeout", "1"), ("dominfo", "nobody"), ("dominfo", "99999"), ("pool-list",),
    ]  # fmt: skip
    commands += [(each, strange) for each in ("domstate", "domuuid", "domblkstat", "dumpxml", "undefine")]
    for name in (off, on):
        commands += [(each, name) for each in ("domstate", "domcontrol", "domblkstat", "domid", "domuuid")]
        commands += [(each, name) for each in ("dumpxml", "domblklist", "domiflist", "domjobinfo", "domblkinfo")]
        commands += [("domblkstat", name, "vda"), ("domblkstat", name, "none"), ("domifstat", name, "none")]
        commands += [("shutdown", name), ("undefine", name), ("dumpxml", "--security-info", name)]
        commands += [("domstats", "--state", "--interface", "--dirtyrate", name)]
    commands += [("dominfo", off), ("vcpuinfo", off), ("dommemstat", off)]
    async with over(peer) as (_, uri):
        for command in commands:
            theirs, ours = await both(peer, uri, *command)
            assert ours == theirs, command


async def test_virsh_domstats(peer: Hypervisor, differences: Differences) -> None:
    async with over(peer) as (served, uri):
        for question in QUESTIONS_ASKED:
            before = await said(peer, "qemu:///system", "domstats", *question.options)
            await asked_anew(served)
            ours = await said(peer, uri, "domstats", *question.options)
            after = await said(peer, "qemu:///system", "domstats", *question.options)
            _same(before, ours, after, differences)


def _same(before: str, ours: str, after: str, differences: Differences) -> None:
    """What virsh prints, but for the order of the domains, which is libvirtd's own."""
    texts = [dict(domains_of(text)) for text in (before, ours, after)]
    differences.tally.calls += 1
    assert texts[0].keys() == texts[1].keys() == texts[2].keys()
    for name, stats in texts[1].items():
        differences.note(f"{name} keys", list(texts[0][name]), list(stats))
        assert not differences, str(differences)
        differences.compare(name, texts[0][name], stats, texts[2][name])
    assert not differences, str(differences)


async def test_a_list_for_libvirt_python(peer: Hypervisor, differences: Differences) -> None:
    """Order and duplicates as asked for, and the names of the types."""
    everyone = (await asyncio.to_thread(ask, peer, "python", Question(1)))["records"]
    uuids = [each["uuid"] for each in (*everyone[::5], everyone[0])]
    async with over(peer) as (served, uri):
        before = await asyncio.to_thread(ask, peer, "c", EVERYTHING, uuids)
        await asked_anew(served)
        ours = await asyncio.to_thread(ask, peer, "c", EVERYTHING, uuids, uri)
        after = await asyncio.to_thread(ask, peer, "c", EVERYTHING, uuids)
    assert [each["uuid"] for each in ours["records"]] == uuids
    for first, mine, last in zip(before["records"], ours["records"], after["records"], strict=True):
        assert [each[:2] for each in mine["stats"]] == [each[:2] for each in first["stats"]]
        values = [{key: value for key, _, value in each["stats"]} for each in (first, mine, last)]
        differences.compare(mine["name"], *values)
    assert not differences, str(differences)


async def test_with_stuck_guests(peer: Hypervisor) -> None:
    """Everybody is answered at once, for the healthy guests in full; the stuck ones are named."""
    stuck = peer.names("--state-paused")[:STUCK]
    now = asyncio.get_running_loop().time
    async with over(peer) as (served, uri):
        for name in stuck:
            peer.stop_guest(name)
        try:
            began = now()
            text = await said(peer, uri, "domstats")
            assert now() - began < DEADLINE / 10
            texts = dict(domains_of(text))
            assert set(texts) == set(peer.names())
            await served.collector.refresh(5.0, since=served.collector.clock())
            async with asyncio.timeout(DEADLINE):
                async for snapshot in served.collector:
                    if {record.domain.name for record in snapshot if record.status.label == "blocked"} >= set(stuck):
                        break
            assert (await said(peer, uri, "domcontrol", stuck[0])).startswith("occupied")
            assert f"<name>{stuck[0]}</name>" in await said(peer, uri, "dumpxml", stuck[0])
            for asked in (("domblkinfo", stuck[0], "vda"), ("domjobinfo", stuck[0])):
                assert "does not answer" in await said(peer, uri, *asked)
            assert stuck[0] in await said(peer, uri, "dominfo", stuck[0])
            records = (await asyncio.to_thread(ask, peer, "python", EVERYTHING, None, uri))["records"]
            texts = dict(domains_of(await said(peer, uri, "domstats")))
            assert {each["name"]: {key for key, *_ in each["stats"]} for each in records} == {
                name: set(stats) for name, stats in texts.items()
            }
            healthy = next(name for name in peer.names("--state-running") if name not in stuck)
            assert (await said(peer, uri, "domcontrol", healthy)) == "ok\n\n"
        finally:
            for name in stuck:
                peer.continue_guest(name)
