"""The libvirt socket and the real libvirt-python: the whole read API, an event loop, many connections at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from domstats.model.flags import DomainFilter
from domstats.sources.sim.source import SimSource
from serving import FROZEN, Serving, python, serving

HOST = f"sim:///?domains=30&{FROZEN}"
DEADLINE = 60.0

READ = """
import json, sys, libvirt
asked = json.loads(sys.argv[1])
libvirt.registerErrorHandler(lambda *_: None, None)
host = libvirt.openReadOnly(asked["uri"])
answer = {
    "host": [host.getType(), host.getHostname(), host.getVersion(), host.getLibVersion(), host.getInfo(),
             host.numOfDomains(), host.numOfDefinedDomains(), sorted(host.listDomainsID()),
             sorted(host.listDefinedDomains()), host.isAlive(), host.isSecure(), host.isEncrypted()],
    "domains": {},
}
for domain in host.listAllDomains():
    found = {"id": domain.ID(), "name": domain.name(), "state": domain.state(), "info": domain.info(),
             "active": domain.isActive(), "persistent": domain.isPersistent(), "autostart": domain.autostart(),
             "saved": domain.hasManagedSaveImage(), "type": domain.OSType(), "xml": domain.XMLDesc()}
    if domain.isActive():
        found["control"] = domain.controlInfo()
        found["memory"] = domain.memoryStats()
        found["blocks"] = domain.blockStats("vda") if "vda" in found["xml"] else None
        found["flags"] = domain.blockStatsFlags("vda") if "vda" in found["xml"] else None
        found["sizes"] = domain.blockInfo("vda") if "vda" in found["xml"] else None
        found["vcpus"] = domain.vcpus()[0]
        found["job"] = domain.jobInfo()
    answer["domains"][domain.UUIDString()] = found
    assert host.lookupByUUID(domain.UUID()).name() == host.lookupByName(domain.name()).name() == domain.name()
print(json.dumps(answer))
"""

STATS = """
import json, sys, libvirt
asked = json.loads(sys.argv[1])
host = libvirt.openReadOnly(asked["uri"])
found = host.getAllDomainStats(asked["stats"], asked["flags"])
print(json.dumps([[domain.UUIDString(), domain.ID(), stats] for domain, stats in found]))
"""

EVENTS = """
import json, sys, threading, time, libvirt
asked = json.loads(sys.argv[1])
libvirt.virEventRegisterDefaultImpl()
threading.Thread(target=lambda: [libvirt.virEventRunDefaultImpl() for _ in iter(int, 1)], daemon=True).start()
host = libvirt.openReadOnly(asked["uri"])
told, enough = [], threading.Event()
def callback(host, domain, event, detail, opaque):
    told.append([domain.name(), event, detail, host.lookupByName(domain.name()).isActive() if event != 1 else None])
    if len(told) >= asked["number"]:
        enough.set()
number = host.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, callback, None)
host.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, lambda *_: None, None)
open(asked["ready"], "w").close()
enough.wait(30)
host.domainEventDeregisterAny(number)
print(json.dumps(told))
"""

MANY = """
import json, sys, threading, libvirt
asked = json.loads(sys.argv[1])
hosts = [libvirt.openReadOnly(asked["uri"]) for _ in range(asked["number"])]
counts = []
def ask(host):
    for _ in range(4):
        counts.append(sum(len(stats) for _, stats in host.getAllDomainStats()))
threads = [threading.Thread(target=ask, args=(host,)) for host in hosts]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
[host.close() for host in hosts]
print(json.dumps(counts))
"""

SCRIPT = """
[[event]]
at = 3.0
do = "pause"
domains = "test-1"
[[event]]
at = 3.5
do = "resume"
domains = "test-1"
"""


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(HOST, tmp_path / "sock") as served:
        await served.swept()
        yield served


async def test_the_read_api(served: Serving) -> None:
    answer = await python(READ, {"uri": served.uri})
    latest = served.collector.latest
    on = [record for record in latest if record.domain.id is not None]
    kind, hostname, version, library, info, number, defined, ids, names, alive, secure, encrypted = answer["host"]
    assert (kind, hostname, version, library) == ("QEMU", "simulated", 10_002_000, 12_004_000)
    assert info[0] == "x86_64"
    assert info[2] == 64
    assert (number, defined) == (len(on), len(latest) - len(on))
    assert ids == sorted(record.domain.id for record in on if record.domain.id is not None)
    assert names == sorted(record.domain.name for record in latest if record.domain.id is None)
    assert (alive, secure, encrypted) == (1, 1, 0)
    assert set(answer["domains"]) == {domain.uuid for domain in latest.domains}
    for record in latest:
        _compare(answer["domains"][record.domain.uuid], record)


def _compare(found: Any, record: Any) -> None:
    """What libvirt-python says of a domain, and its record."""
    assert (found["name"], found["id"]) == (record.domain.name, record.domain.id or -1)
    assert found["state"] == [record["state.state"], record["state.reason"]]
    time = record["cpu.time"] if record.domain.id is not None else 0
    keys = ("state.state", "balloon.maximum", "balloon.current", "vcpu.current")
    assert found["info"] == [*(record[key] for key in keys), time]
    assert (found["persistent"], found["autostart"], found["saved"], found["type"]) == (1, 0, 0, "hvm")
    if not found["active"]:
        assert record.domain.id is None
        return
    assert found["control"] == [0, 0, 0]
    assert found["memory"]["actual"] == record["balloon.current"]
    assert found["memory"]["rss"] == record["balloon.rss"]
    assert len(found["vcpus"]) == record["vcpu.current"]
    assert found["job"] == [0] * 12
    if found["blocks"]:
        reads = [record["block.0.rd.reqs"], record["block.0.rd.bytes"]]
        assert found["blocks"] == [*reads, record["block.0.wr.reqs"], record["block.0.wr.bytes"], -1]
        assert found["flags"]["flush_operations"] == record["block.0.fl.reqs"]
        assert found["sizes"][0] == record["block.0.capacity"]


@pytest.mark.parametrize(
    "flags",
    [0, *(int(flag) for flag in DomainFilter), int(DomainFilter.RUNNING | DomainFilter.BACKING | DomainFilter.NOWAIT)],
)
async def test_all_domain_stats(served: Serving, flags: int) -> None:
    answer = await python(STATS, {"uri": served.uri, "stats": 0, "flags": flags})
    expected = await SimSource(HOST).stats([], 0, DomainFilter(flags), DEADLINE)
    assert answer == [[record.domain.uuid, record.domain.id or -1, dict(record.items())] for record in expected]


async def test_an_event_loop(tmp_path: Path) -> None:
    """What has happened is to be seen by whoever is told of it."""
    script, ready = tmp_path / "script.toml", tmp_path / "ready"
    begin = asyncio.get_running_loop().time()
    script.write_text(SCRIPT)
    async with serving(f"sim:///?domains=30&script={script}", tmp_path / "sock") as served:
        asking = asyncio.create_task(python(EVENTS, {"uri": served.uri, "number": 2, "ready": str(ready)}))
        told = await asking
    assert told == [["test-1", 3, 0, 1], ["test-1", 4, 0, 1]]
    assert asyncio.get_running_loop().time() - begin < DEADLINE


async def test_many_connections_at_once(served: Serving) -> None:
    counts = await python(MANY, {"uri": served.uri, "number": 50})
    size = sum(len(record) for record in served.collector.latest)
    assert counts == [size] * 200
