"""Whatever a script makes of a simulated host, its records stay believable."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from domstats.catalog.fields import Kind
from domstats.catalog.lookup import kind_of
from domstats.errors import BadUri, DeadlineExceeded
from domstats.model.flags import NO_FILTERS, DomainFilter
from domstats.model.record import Record
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder
from domstats.wire.bulk.encoder import encode_reply
from fast_time import run_fast
from scripted import Scripted, events

DEEDS = (
    *("stop", "pause", "resume", "hang", "answer", "busy", "nameless", "hostile", "undefine", "migrate"),
    *("attach; device = 'disk'", "attach; device = 'nic'", "detach; device = 'disk'; number = 0"),
    *("detach; device = 'nic'; number = 0", "slow; seconds = 2", "version; libvirt = '8.0'", "start", "reset"),
    *("resize; vcpus = 3", "resize; vcpus = 1"),
)
GLOBS = ("test-*", "mail-*", "*-1", "[!a-m]*", "*")
HAPPENS = st.tuples(st.integers(1, 60), st.sampled_from(DEEDS), st.sampled_from(GLOBS))
QUESTIONS = st.tuples(st.sampled_from([0, 0x3A, 1]), st.sampled_from([NO_FILTERS, DomainFilter.BACKING]))


def line(at: int, deed: str, glob: str) -> str:
    do, *others = deed.split("; ")
    return "; ".join([str(at), f"{do} {glob}", *others])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(HAPPENS, max_size=8), QUESTIONS)
def test_records_stay_believable(
    tmp_path: Path, happens: list[tuple[int, str, str]], question: tuple[int, DomainFilter]
) -> None:
    async def work() -> None:
        try:
            host = Scripted(tmp_path, events(*(line(*each) for each in happens)), "domains=12&speed=50")
        except BadUri:
            reject()
        decoder, before = ReplyDecoder(), dict[str, Record]()
        for _ in range(8):
            snapshot = await answer(host, *question)
            check_bytes(snapshot, decoder)
            for record in snapshot:
                check_devices(record)
                check_counters(before.get(record.domain.uuid), record)
                before[record.domain.uuid] = record
            await asyncio.sleep(9.0)

    def check_counters(before: Record | None, now: Record) -> None:
        if before is None or before.domain.id is None or before.domain.id != now.domain.id or "reset" in deeds:
            return
        earlier = by_device(before)
        for key, value in by_device(now).items():
            assert key[0] in others or value >= earlier.get(key, 0), (key, now.domain)

    deeds = {deed.split(";")[0] for _, deed, _ in happens}
    # Groups in which a device cannot be told from another that had its number or its name before.
    others = {"vcpu"} if "resize" in deeds else set()
    if "detach" in deeds and deeds & {"hostile", "nameless"}:
        others |= {"net", "block"}
    run_fast(work())


async def answer(host: Scripted, groups: int, flags: DomainFilter) -> Snapshot:
    """A poll that does not wait; each call that hangs makes the next one pass that guest, and there are 12."""
    for _ in range(12):
        with suppress(DeadlineExceeded):
            return await host.stats("", groups, flags | DomainFilter.NOWAIT, 30.0)
    return await host.stats("", groups, flags | DomainFilter.NOWAIT, 30.0)


def check_bytes(snapshot: Snapshot, decoder: ReplyDecoder) -> None:
    decoded = decoder.decode(encode_reply(snapshot))
    assert len(decoded) == len(snapshot)
    for record in snapshot:
        assert decoded[record.domain.uuid].domain == record.domain
        assert decoded[record.domain.uuid].params == record.params


def check_devices(record: Record) -> None:
    """Counts agree with what is there, and no two devices are one."""
    paths = [value for key, value in record.items() if key.startswith("block.") and key.endswith(".path")]
    nets = [value for key, value in record.items() if key.startswith("net.") and key.endswith(".name")]
    assert record.get("block.count", 0) == len(paths) == len(set(paths)) or any(map(is_hostile, paths))
    assert len(nets) in (record.get("net.count", 0), 0)
    assert len(nets) == len(set(nets))
    assert (record.domain.id is None) == (record.get("state.state", 5) == 5) or "state.state" not in record


def is_hostile(path: str) -> bool:
    return not path.endswith(".qcow2")


def by_device(record: Record) -> dict[tuple[str, str, str], int]:
    """The counters by group, device and parameter; devices by what they are called, vCPUs by number."""
    found = {}
    for key, value in record.items():
        group, _, rest = key.partition(".")
        number, _, tail = rest.partition(".")
        if kind_of(key) is Kind.COUNTER and number.isdigit():
            name = record.get(f"{group}.{number}.path") or record.get(f"{group}.{number}.name") or number
            found[group, name, tail] = value
        elif kind_of(key) is Kind.COUNTER:
            found[group, "", rest] = value
    return found
