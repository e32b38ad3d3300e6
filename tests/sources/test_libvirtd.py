"""sources.libvirt against a real libvirtd: its qemu driver, and its test driver, which needs no hypervisor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from domstats.errors import AccessDenied, NoDomain, RemoteError, StatsUnsupported, UnknownDomain
from domstats.model.domain import Domain
from domstats.model.flags import DomainFilter, StatsGroup
from domstats.sources.libvirt.connection import Connection
from domstats.sources.libvirt.source import LibvirtSource
from domstats.sources.libvirt.uri import parse
from domstats.wire.procedures import Procedure
from domstats.wire.structures import ControlInfo, DomainInfo, DomainState, JobInfo, NodeInfo
from hypervisor import Hypervisor

P = Procedure
DEADLINE = 60.0
TEST = Domain("test", "6695eb01-f6a4-8304-79aa-97f2502e193f", 1)
"""The one domain of the test driver's default host."""
NO_FLAGS = DomainFilter(0)
MONITORLESS = StatsGroup.STATE | StatsGroup.INTERFACE


@pytest.fixture
async def default_source(libvirtd: str) -> AsyncIterator[LibvirtSource]:
    source = await LibvirtSource.open(f"test+unix:///default?socket={libvirtd}", {}, deadline=DEADLINE)
    yield source
    await source.aclose()


@pytest.fixture
async def source(libvirt_uri: str) -> AsyncIterator[LibvirtSource]:
    source = await LibvirtSource.open(libvirt_uri, {}, deadline=DEADLINE)
    yield source
    await source.aclose()


class TestTheTestDriver:
    async def test_domains(self, default_source: LibvirtSource) -> None:
        assert await default_source.domains(DEADLINE) == [TEST]

    @pytest.mark.parametrize("name", ["test", "1", TEST.uuid, TEST.uuid.upper()])
    async def test_finding(self, default_source: LibvirtSource, name: str) -> None:
        assert await default_source.find(name, DEADLINE) == TEST

    @pytest.mark.parametrize("name", ["nope", "", "2", TEST.uuid.replace("6", "7")])
    async def test_finding_nothing(self, default_source: LibvirtSource, name: str) -> None:
        with pytest.raises(UnknownDomain):
            await default_source.find(name, DEADLINE)

    @pytest.mark.parametrize("domains", [[], [TEST]])
    async def test_statistics(self, default_source: LibvirtSource, domains: list[Domain]) -> None:
        snapshot = await default_source.stats(domains, StatsGroup.STATE, NO_FLAGS, DEADLINE)
        assert [record.domain for record in snapshot] == [TEST]
        assert {param.name: param.value for param in snapshot["test"].params} == {"state.state": 1, "state.reason": 0}
        assert snapshot.host_cpus == default_source.cpus == 16

    async def test_a_domain_that_does_not_exist_is_left_out(self, default_source: LibvirtSource) -> None:
        unknown = Domain("test", TEST.uuid.replace("6", "7"), 1)
        assert len(await default_source.stats([unknown], 0, NO_FLAGS, DEADLINE)) == 0

    async def test_an_unknown_group(self, default_source: LibvirtSource) -> None:
        snapshot = await default_source.stats([], 1 << 20, NO_FLAGS, DEADLINE)
        assert [len(record.params) for record in snapshot] == [0]
        with pytest.raises(StatsUnsupported):
            await default_source.stats([], 1 << 20, DomainFilter.ENFORCE, DEADLINE)

    @pytest.mark.parametrize(
        ("procedure", "args", "kind"),
        [
            (P.CONNECT_GET_TYPE, (), str),
            (P.CONNECT_GET_VERSION, (), int),
            (P.NODE_GET_INFO, (), NodeInfo),
            (P.CONNECT_GET_CAPABILITIES, (), str),
            (P.DOMAIN_GET_XML_DESC, (TEST, 0), str),
            (P.DOMAIN_GET_AUTOSTART, (TEST,), bool),
            (P.DOMAIN_GET_INFO, (TEST,), DomainInfo),
            (P.DOMAIN_GET_OS_TYPE, (TEST,), str),
            (P.DOMAIN_GET_VCPUS, (TEST, 2, 1), tuple),
            (P.CONNECT_LIST_DEFINED_DOMAINS, (10,), list),
            (P.CONNECT_NUM_OF_DEFINED_DOMAINS, (), int),
            (P.CONNECT_LIST_DOMAINS, (10,), list),
            (P.CONNECT_NUM_OF_DOMAINS, (), int),
            (P.CONNECT_GET_HOSTNAME, (), str),
            (P.CONNECT_GET_URI, (), str),
            (P.CONNECT_IS_SECURE, (), bool),
            (P.DOMAIN_IS_ACTIVE, (TEST,), bool),
            (P.DOMAIN_IS_PERSISTENT, (TEST,), bool),
            (P.CONNECT_GET_LIB_VERSION, (), int),
            (P.DOMAIN_MEMORY_STATS, (TEST, 13, 0), list),
            (P.DOMAIN_HAS_MANAGED_SAVE_IMAGE, (TEST, 0), bool),
            (P.DOMAIN_GET_STATE, (TEST, 0), DomainState),
            (P.DOMAIN_GET_CONTROL_INFO, (TEST, 0), ControlInfo),
            (P.CONNECT_LIST_ALL_STORAGE_POOLS, (1, 0), tuple),
        ],
        ids=lambda value: value.name if isinstance(value, Procedure) else "",
    )
    async def test_the_layouts_of_calls(
        self, default_source: LibvirtSource, procedure: Procedure, args: tuple[Any, ...], kind: type
    ) -> None:
        assert isinstance(await default_source.connection.call(procedure, *args, deadline=DEADLINE), kind)

    async def test_what_the_host_says(self, default_source: LibvirtSource) -> None:
        call = default_source.connection.call
        assert await call(P.CONNECT_GET_URI, deadline=DEADLINE) == "test:///default"
        assert await call(P.CONNECT_GET_TYPE, deadline=DEADLINE) == "TEST"
        vcpus, cpumaps = await call(P.DOMAIN_GET_VCPUS, TEST, 2, 1, deadline=DEADLINE)
        assert [vcpu.number for vcpu in vcpus] == [0, 1]
        assert len(cpumaps) == 2

    async def test_errors(self, default_source: LibvirtSource) -> None:
        call = default_source.connection.call
        with pytest.raises(NoDomain, match="Domain not found"):
            await call(P.DOMAIN_LOOKUP_BY_NAME, "nope", deadline=DEADLINE)
        with pytest.raises(AccessDenied, match="secure flag"):
            await call(P.DOMAIN_GET_XML_DESC, TEST, 1, deadline=DEADLINE)
        with pytest.raises(RemoteError) as caught:
            await call(P.CONNECT_GET_ALL_DOMAIN_STATS, [], 0, 1 << 15, deadline=DEADLINE)
        assert caught.value.code == 8

    async def test_a_host_that_is_not_there(self, libvirtd: str) -> None:
        uri = parse(f"test+unix:///nonexistent.xml?socket={libvirtd}", {})
        with pytest.raises(RemoteError):
            await Connection.open(uri, deadline=DEADLINE)

    async def test_many_calls_at_a_time(self, default_source: LibvirtSource) -> None:
        calls = [default_source.find(name, DEADLINE) for name in ("test", "1", TEST.uuid) * 20]
        assert await asyncio.gather(*calls) == [TEST] * 60

    async def test_lifecycle_events_can_be_asked_for(self, default_source: LibvirtSource) -> None:
        call = default_source.connection.call
        callback = await call(P.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, 0, None, deadline=DEADLINE)
        assert await call(P.CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY, callback, deadline=DEADLINE) is None


class TestTheQemuDriver:
    async def test_domains_are_those_of_virsh(self, hypervisor: Hypervisor, source: LibvirtSource) -> None:
        domains = await source.domains(DEADLINE)
        assert {domain.uuid for domain in domains} == set(hypervisor.virsh("list", "--all", "--uuid").split())
        assert {domain.name for domain in domains} == set(hypervisor.names())
        assert {str(domain.id) for domain in domains if domain.id} == set(hypervisor.virsh("list", "--id").split())

    async def test_every_domain_is_found(self, source: LibvirtSource) -> None:
        for domain in await source.domains(DEADLINE):
            assert await source.find(domain.uuid, DEADLINE) == await source.find(domain.name, DEADLINE) == domain
            if domain.id is not None:
                assert await source.find(str(domain.id), DEADLINE) == domain

    async def test_statistics_that_need_no_guest(self, source: LibvirtSource) -> None:
        domains = await source.domains(DEADLINE)
        snapshot = await source.stats([], MONITORLESS, NO_FLAGS, DEADLINE)
        assert {record.domain for record in snapshot} == set(domains)
        some = domains[:3]
        snapshot = await source.stats(some, MONITORLESS, NO_FLAGS, DEADLINE)
        assert [record.domain for record in snapshot] == some

    async def test_the_host_as_virsh_sees_it(self, hypervisor: Hypervisor, source: LibvirtSource) -> None:
        info: NodeInfo = await source.connection.call(P.NODE_GET_INFO, deadline=DEADLINE)
        said = dict(line.split(":") for line in hypervisor.virsh("nodeinfo").strip().splitlines())
        assert int(said["CPU(s)"]) == info.cpus
        assert int(said["Memory size"].split()[0]) == info.memory
        assert said["CPU model"].strip() == info.model

    async def test_a_running_domain(self, hypervisor: Hypervisor, source: LibvirtSource) -> None:
        call = source.connection.call
        domain = next(domain for domain in await source.domains(DEADLINE) if domain.id is not None)
        assert isinstance(await call(P.DOMAIN_GET_CONTROL_INFO, domain, 0, deadline=DEADLINE), ControlInfo)
        assert isinstance(await call(P.DOMAIN_GET_JOB_INFO, domain, deadline=DEADLINE), JobInfo)
        info: DomainInfo = await call(P.DOMAIN_GET_INFO, domain, deadline=DEADLINE)
        said = dict(line.split(":", 1) for line in hypervisor.virsh("dominfo", domain.uuid).strip().splitlines())
        assert int(said["CPU(s)"]) == info.vcpus
        assert int(said["Max memory"].split()[0]) == info.max_memory
