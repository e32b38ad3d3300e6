"""The checks against a real libvirt, for whichever hypervisor the fixture `peer` gives: a class of tests to inherit."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import pytest

import domstats
from command import domstats as command
from comparison import Differences, same_records, same_texts
from domstats import aio
from domstats.catalog.groups import GROUPS
from domstats.errors import RemoteError, StatsUnsupported
from domstats.model.flags import NO_FILTERS, DomainFilter, StatsGroup
from domstats.model.snapshot import Snapshot
from domstats.sources.libvirt.source import LibvirtSource
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.bulk.encoder import encode_reply
from domstats.wire.procedures import Procedure
from fake_daemon import DOMAINS, FakeDaemon
from hypervisor import Hypervisor

DEADLINE = 60.0
ASK_LIBVIRT = (Path(__file__).parent / "inside/ask_libvirt.py").read_text()
WAYS = DomainFilter.NOWAIT | DomainFilter.BACKING | DomainFilter.ENFORCE
UNKNOWN_GROUP = 1 << 20
EVERY_GROUP = reduce(or_, StatsGroup)
QUICK = StatsGroup.STATE | StatsGroup.INTERFACE | StatsGroup.DIRTYRATE


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of both."""

    groups: int = 0
    filters: DomainFilter = NO_FILTERS

    @property
    def options(self) -> list[str]:
        """As virsh and domstats take it."""
        groups = [f"--{group.option}" for group in GROUPS if self.groups >> group.bit & 1]
        names = [(flag, str(flag.name).lower()) for flag in self.filters]
        return groups + [f"--{name}" if flag in WAYS else f"--list-{name}" for flag, name in names]

    def __str__(self) -> str:
        return " ".join(self.options) or "everything"


EVERYTHING = Question()
QUESTIONS = [
    EVERYTHING,
    *(Question(1 << group.bit) for group in GROUPS),
    *(Question(QUICK, flag) for flag in DomainFilter if flag not in WAYS),
    Question(QUICK, DomainFilter.RUNNING | DomainFilter.PAUSED | DomainFilter.PERSISTENT),
    Question(filters=DomainFilter.INACTIVE),
    Question(filters=DomainFilter.NOWAIT),
    Question(filters=DomainFilter.BACKING),
    Question(EVERY_GROUP, DomainFilter.ENFORCE | DomainFilter.ACTIVE),
    Question(StatsGroup.BLOCK, DomainFilter.BACKING | DomainFilter.INACTIVE),
]


def ask(peer: Hypervisor, way: str, question: Question, domains: list[str] | None = None, uri: str = "") -> Any:
    """What libvirt-python ("python") or the C library ("c") say."""
    flags = int(question.filters)
    asked = {"uri": uri or "qemu:///system", "way": way, "domains": domains, "stats": question.groups, "flags": flags}
    return peer.python(ASK_LIBVIRT, asked, deadline=DEADLINE)


async def get(*args: str) -> str:
    """What `domstats get` prints when all goes well."""
    ended = await command("get", "-f", "raw", *args)
    assert (ended.code, ended.err) == (0, "")
    return ended.out.decode()


def some_domains(peer: Hypervisor) -> list[str]:
    """A few of different kinds, by name, id and UUID, in no order."""
    names = peer.names()
    (off, *_) = peer.names("--state-shutoff")
    ids = peer.virsh("list", "--id").split()
    strange = next(name for name in names if not name.isascii())
    uuids = peer.virsh("list", "--uuid").split()
    return list(dict.fromkeys([names[-1], off, ids[len(ids) // 2], uuids[0], strange]))


@asynccontextmanager
async def replaying(peer: Hypervisor, bulk: bytes = b"\0\0\0\0") -> AsyncIterator[tuple[FakeDaemon, str]]:
    """A daemon that answers with this reply, and the URI that leads to it inside the peer."""
    path = peer.run_directory / f"replay-{os.getpid()}"
    close_callback = (Procedure.CONNECT_REGISTER_CLOSE_CALLBACK, Procedure.CONNECT_UNREGISTER_CLOSE_CALLBACK)
    try:
        async with FakeDaemon(path, bulk=bulk, answers=dict.fromkeys(close_callback, ())) as daemon:
            yield daemon, f"qemu+unix:///system?socket=/run/{path.name}"
    finally:
        path.unlink(missing_ok=True)


ROLL_GROUPS = StatsGroup.STATE | StatsGroup.INTERFACE | StatsGroup.PERF | StatsGroup.MEMORY
"""Those asked for first, of all domains at once."""
EVERY = 0xFFFFFFFF
"""The bits of all groups there may ever be."""


class AgainstLibvirt:
    """The tests."""

    @pytest.mark.parametrize("question", QUESTIONS, ids=str)
    async def test_the_library(self, peer: Hypervisor, differences: Differences, question: Question) -> None:
        before = ask(peer, "python", question)
        async with aio.connect(peer.uri) as host:
            ours = await host.stats(groups=question.groups, filters=question.filters, deadline=DEADLINE)
        after = ask(peer, "c", question)
        assert before["error"] is after["error"] is None
        same_records(before["records"], ours, after["records"], differences)

    @pytest.mark.parametrize("question", QUESTIONS, ids=str)
    async def test_the_command(self, peer: Hypervisor, differences: Differences, question: Question) -> None:
        before = peer.virsh("domstats", *question.options)
        ours = await get("-c", peer.uri, *question.options)
        same_texts(before, ours, peer.virsh("domstats", *question.options), differences)

    async def test_that_there_is_something_to_compare(self, peer: Hypervisor) -> None:
        async with aio.connect(peer.uri) as host:
            everything = await host.stats(deadline=DEADLINE)
            sizes = {flag: len(await host.stats(groups="state", filters=flag)) for flag in DomainFilter}
        assert sorted(record.domain.name for record in everything) == sorted(peer.names())
        assert sum(len(record.params) for record in everything) > 20 * len(everything)
        empty = {flag for flag, size in sizes.items() if not size}
        assert empty == {DomainFilter.OTHER}

    async def test_a_list_of_domains(self, peer: Hypervisor, differences: Differences) -> None:
        which = some_domains(peer)
        uuids = [re.findall(r"UUID: +(.+)", peer.virsh("dominfo", each))[0] for each in which]
        before = ask(peer, "python", EVERYTHING, uuids)
        async with aio.connect(peer.uri) as host:
            ours = await host.stats(which, deadline=DEADLINE)
        after = ask(peer, "c", EVERYTHING, uuids)
        assert [record["uuid"] for record in before["records"]] == uuids
        same_records(before["records"], ours, after["records"], differences)

    async def test_a_list_of_domains_for_the_command(self, peer: Hypervisor, differences: Differences) -> None:
        which = some_domains(peer)
        before = peer.virsh("domstats", *which)
        ours = await get("-c", peer.uri, *which)
        same_texts(before, ours, peer.virsh("domstats", *which), differences)

    @pytest.mark.parametrize("groups", [UNKNOWN_GROUP, EVERY_GROUP | UNKNOWN_GROUP], ids=hex)
    async def test_enforcing_an_unknown_group(self, peer: Hypervisor, groups: int) -> None:
        def bits(text: str) -> int:
            """Those that are not supported: by the first guest that was asked, and a guest that is off has fewer."""
            (found,) = re.findall(r"Stats types bits 0x([0-9a-f]+) are not supported", text)
            return int(found, 16)

        theirs = ask(peer, "python", Question(groups, DomainFilter.ENFORCE))["error"]
        assert theirs[0] == 74
        async with aio.connect(peer.uri) as host:
            with pytest.raises(StatsUnsupported) as caught:
                await host.stats(groups=groups, enforce=True)
        assert [caught.value.code, caught.value.domain] == theirs[:2]
        assert bits(theirs[2]) & bits(caught.value.text) & UNKNOWN_GROUP
        names = [f"--group={bit}" for bit in range(32) if groups >> bit & 1]
        ended = await command("get", "-c", peer.uri, "--enforce", *names)
        assert (ended.code, ended.out) == (1, b"")
        assert bits(ended.message) & UNKNOWN_GROUP
        assert not bits(ended.message) & ~groups

    async def test_an_unknown_group(self, peer: Hypervisor, differences: Differences) -> None:
        before = ask(peer, "python", Question(UNKNOWN_GROUP))["records"]
        async with aio.connect(peer.uri) as host:
            ours = await host.stats(groups=UNKNOWN_GROUP)
        same_records(before, ours, ask(peer, "c", Question(UNKNOWN_GROUP))["records"], differences)

    async def test_an_unknown_flag(self, peer: Hypervisor) -> None:
        flag = DomainFilter(1 << 15)
        theirs = ask(peer, "python", Question(0, flag))["error"]
        async with aio.connect(peer.uri) as host:
            with pytest.raises(RemoteError) as caught:
                await host.stats(filters=flag)
        assert [caught.value.code, caught.value.domain, caught.value.text] == theirs

    async def test_the_test_driver(self, peer: Hypervisor, differences: Differences) -> None:
        inside = "test+unix:///default?socket=/run/libvirt/libvirt-sock-ro"
        before = ask(peer, "python", EVERYTHING, uri=inside)
        async with aio.connect(f"test+unix:///default?socket={peer.socket}") as host:
            ours = await host.stats()
        after = ask(peer, "c", EVERYTHING, uri=inside)
        assert [record.domain.name for record in ours] == ["test"]
        same_records(before["records"], ours, after["records"], differences)

    @pytest.mark.parametrize("way", ["all", "list"])
    def test_the_calls_of_libvirt_python(self, peer: Hypervisor, differences: Differences, way: str) -> None:
        question = Question(EVERY_GROUP, DomainFilter.BACKING)
        chosen = None if way == "all" else ask(peer, "python", Question(1))["records"][::-7]
        uuids = None if chosen is None else [record["uuid"] for record in (*chosen, chosen[0])]
        before = ask(peer, "python", question, uuids)["records"]
        with domstats.connect(peer.uri) as host:
            everyone = {domain.UUIDString(): domain for domain, _ in host.getAllDomainStats(1)}
            if uuids is None:
                ours = host.getAllDomainStats(question.groups, int(question.filters))
            else:
                domains = [everyone[uuid] for uuid in uuids]
                ours = host.domainListGetStats(domains, question.groups, int(question.filters))
        after = ask(peer, "python", question, uuids)["records"]
        assert [[d.name(), d.UUIDString(), d.ID()] for d, _ in ours] == [
            [r["name"], r["uuid"], r["id"]] for r in before
        ]
        differences.tally.calls += 1
        for (domain, stats), first, last in zip(ours, before, after, strict=True):
            assert [[key, type(value).__name__] for key, value in stats.items()] == [
                each[:2] for each in first["stats"]
            ]
            theirs = ({key: value for key, _, value in each["stats"]} for each in (first, last))
            differences.compare(domain.name(), next(theirs), stats, next(theirs))
        assert not differences, str(differences)

    @pytest.mark.parametrize("question", [EVERYTHING, Question(filters=DomainFilter.BACKING)], ids=str)
    async def test_the_same_reply_to_all_clients(
        self, peer: Hypervisor, differences: Differences, question: Question
    ) -> None:
        """Every value, those that move as well: the others get the bytes that the daemon has sent us."""
        source = await LibvirtSource.open(peer.uri, {}, deadline=DEADLINE)
        body = bytes(await source.bulk_stats([], question.groups, question.filters, DEADLINE))
        await source.aclose()
        ours = ReplyDecoder().decode(body)
        assert encode_reply(ours) == body
        async with replaying(peer, body) as (daemon, uri):
            c = await asyncio.to_thread(ask, peer, "c", question, None, uri)
            python = await asyncio.to_thread(ask, peer, "python", question, None, uri)
            virsh = await asyncio.to_thread(peer.virsh, "domstats", uri=uri)
            raw = await get("-c", daemon.uri)
        mine = [[[param.name, int(param.type), param.value] for param in record.params] for record in ours]
        assert mine == [record["stats"] for record in c["records"]]
        same_records(python["records"], ours, c["records"], differences)
        assert raw == virsh

    @pytest.mark.parametrize("question", QUESTIONS, ids=str)
    async def test_the_same_question_as_virsh(self, peer: Hypervisor, question: Question) -> None:
        """The calls together ask what virsh's one call asks, for all domains and for some."""
        some = (str(DOMAINS[0].id), DOMAINS[1].name, DOMAINS[2].uuid)
        everyone = encode_reply(Snapshot.of_params((domain, []) for domain in DOMAINS))
        async with replaying(peer, everyone) as (daemon, uri):
            for which in ((), some):
                await asyncio.to_thread(peer.virsh, "domstats", *question.options, *which, uri=uri)
                await command("get", "-f", "raw", "-c", daemon.uri, *question.options, *which)
                asked = [each.args for each in daemon.calls(Procedure.CONNECT_GET_ALL_DOMAIN_STATS)]
                daemon.asked.clear()
                (domains, groups, flags), (roll, *guests) = asked[0], asked[1:]
                assert roll[0] == domains
                assert {each[1] & ROLL_GROUPS for each in guests} <= {0}
                # Where no group can be had without asking guests, the state stands in, to see who is there.
                assert reduce(or_, (each[1] for each in asked[1:])) in (groups or EVERY, groups | StatsGroup.STATE)
                assert reduce(or_, (each[2] for each in asked[1:])) == flags
