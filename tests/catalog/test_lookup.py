"""Finding entries: every pattern by its keys, hostile keys, and what real daemons sent."""

from __future__ import annotations

import lzma
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.catalog.fields import FIELDS, Field, Kind
from domstats.catalog.lookup import MAX_KEY, field_of, find_fields, kind_of, near_patterns
from domstats.model.params import ParamType

DATA = Path(__file__).parents[1] / "data"


def concrete(pattern: str, number: int = 3, word: str = "exits") -> str:
    for mark in ("<i>", "<j>", "<id>"):
        pattern = pattern.replace(mark, str(number))
    return pattern.replace("<name>", word).replace("<feature>", word)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.pattern)
@pytest.mark.parametrize("number", [0, 7, 4294967295])
def test_every_field_is_found_by_its_keys(field: Field, number: int) -> None:
    assert field_of(concrete(field.pattern, number)) is field


@pytest.mark.parametrize(
    ("key", "pattern", "unit", "kind"),
    [
        ("vcpu.3.time", "vcpu.<id>.time", "ns", Kind.COUNTER),
        ("block.0.rd.bytes", "block.<i>.rd.bytes", "bytes", Kind.COUNTER),
        ("vcpu.0.exits.sum", "vcpu.<id>.<name>.sum", "", Kind.COUNTER),
        ("vcpu.0.halt_poll_fail_ns.sum", "vcpu.<id>.<name>.sum", "ns", Kind.COUNTER),
        ("vcpu.12.guest_mode.cur", "vcpu.<id>.<name>.cur", "", Kind.GAUGE),
        ("vcpu.0.time.sum", "vcpu.<id>.<name>.sum", "", Kind.COUNTER),
        ("vm.max_mmu_rmap_size.max", "vm.<name>.max", "", Kind.GAUGE),
        ("vm.pages_1g.cur", "vm.<name>.cur", "", Kind.GAUGE),
        ("vm.some_ns.max", "vm.<name>.max", "ns", Kind.GAUGE),
        ("cpu.energy.monitor.0.pkg.1.core_energy", "cpu.energy.monitor.<i>.pkg.<j>.<feature>", "", Kind.COUNTER),
        ("cpu.energy.monitor.0.pkg.1.id", "cpu.energy.monitor.<i>.pkg.<j>.id", "", Kind.INFO),
        ("cpu.energy.monitor.0.pkg.count", "cpu.energy.monitor.<i>.pkg.count", "", Kind.GAUGE),
        ("block.0.timed_group.1.interval", "block.<i>.timed_group.<j>.interval", "s", Kind.CONFIG),
        ("vcpu.007.time", "vcpu.<id>.time", "ns", Kind.COUNTER),
    ],
)
def test_known_keys(key: str, pattern: str, unit: str, kind: Kind) -> None:
    field = field_of(key)
    assert field is not None
    assert (field.pattern, field.unit, field.kind) == (pattern, unit, kind)
    assert kind_of(key) is kind


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "..",
        "." * MAX_KEY,
        "3",
        "3.3",
        "0.vcpu.time",
        "cpu",
        "cpu.time.",
        ".cpu.time",
        "CPU.time",
        "cpu.time ",
        "vcpu.time",
        "vcpu.time.3",
        "vcpu.-1.time",
        "vcpu.+1.time",
        "vcpu.1_0.time",
        "vcpu.0x1.time",
        "vcpu.<id>.time",
        "vcpu.None.time",
        "vcpu.².time",
        "vcpu.٣.time",
        "vcpu.0.exits",
        "vcpu.0.exits.min",
        "vcpu.0..sum",
        "vcpu.0.5.sum",
        "vcpu.x.exits.sum",
        "vcpu.0.a.b.sum",
        "vcpu.0.sum",
        "vm.sum",
        "vm..sum",
        "vm.a.b.cur",
        "cpu.energy.monitor.0.pkg.1",
        "cpu.energy.monitor.0.pkg.1.",
        "cpu.energy.monitor.0.pkg.1.2",
        "cpu.energy.monitor.x.pkg.1.core_energy",
        "block.0.rd",
        "block.0.rd.bytes.max",
        "perf.a_newer_event",
        "gpu.0.time",
        "\x00",
        "vcpu.\ud800.time",
    ],
)
def test_unknown_keys(key: str) -> None:
    assert field_of(key) is None
    assert kind_of(key) is None


@pytest.mark.parametrize("length", [MAX_KEY - 10, MAX_KEY, MAX_KEY + 1, 4 << 20])
def test_no_key_is_longer_than_libvirts(length: int) -> None:
    key = "vcpu.0." + "a" * (length - len("vcpu.0..sum")) + ".sum"
    assert (kind_of(key) is Kind.COUNTER) == (length <= MAX_KEY)


@pytest.mark.parametrize("part", [".", "3.", "٣.", "vcpu.0.", "*", "["])
def test_four_mebibytes_of_anything(part: str) -> None:
    assert field_of(part * ((4 << 20) // len(part))) is None


@given(st.text() | st.lists(st.sampled_from(["vcpu", "vm", "cpu", "0", "", "sum", "²", "a_ns"])).map(".".join))
def test_any_text_has_an_answer(key: str) -> None:
    field = field_of(key)
    assert kind_of(key) is (field.kind if field else None)


def received(capture: Path) -> set[tuple[str, ParamType]]:
    """The keys and types in the body of a reply: records of a domain (name, UUID, id) and its parameters."""
    body, at, found = lzma.decompress(capture.read_bytes()), 0, set()

    def word() -> int:
        nonlocal at
        at += 4
        return int(struct.unpack_from(">I", body, at - 4)[0])

    def text() -> str:
        nonlocal at
        length = word()
        start, at = at, at + (length + 3) // 4 * 4
        return body[start : start + length].decode()

    for _ in range(word()):
        text()
        at += 16 + 4
        for _ in range(word()):
            key, kind = text(), ParamType(word())
            found.add((key, kind))
            if kind is ParamType.STRING:
                text()
            else:
                at += 4 if kind in (ParamType.INT, ParamType.UINT, ParamType.BOOLEAN) else 8
    assert at == len(body)
    return found


@pytest.mark.parametrize("capture", ["libvirt-9.0-1024-guests-backing.xdr.xz", "libvirt-12.8-12-guests-backing.xdr.xz"])
def test_what_daemons_send_is_in_the_catalogue(capture: str) -> None:
    keys = received(DATA / capture)
    assert len(keys) > 100
    wrong = {key: kind.label for key, kind in keys if (f := field_of(key)) is None or kind.label not in f.types}
    assert wrong == {}


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("vcpu.3.time", ["vcpu.<id>.time"]),
        ("vcpu.<id>.time", ["vcpu.<id>.time"]),
        ("vm.anything.sum", ["vm.<name>.sum"]),
        ("haltpoll.*", []),
        ("*haltpoll.*", ["cpu.haltpoll.success.time", "cpu.haltpoll.fail.time"]),
        ("haltpoll", ["cpu.haltpoll.success.time", "cpu.haltpoll.fail.time"]),
        ("backingindex", ["block.<i>.backingIndex"]),
        ("block.*.rd.*", ["block.<i>.rd.reqs", "block.<i>.rd.bytes", "block.<i>.rd.times"]),
        ("block.5.rd.*", ["block.<i>.rd.reqs", "block.<i>.rd.bytes", "block.<i>.rd.times"]),
        ("block.<i>.rd.*", ["block.<i>.rd.reqs", "block.<i>.rd.bytes", "block.<i>.rd.times"]),
        ("block.[0-9].rd.b*", ["block.<i>.rd.bytes"]),
        ("net.1.tx", ["net.<i>.tx.bytes", "net.<i>.tx.pkts", "net.<i>.tx.errs", "net.<i>.tx.drop"]),
        ("d>.del", ["vcpu.<id>.delay"]),
        (
            "cpu.energy.monitor.0.pkg.1.*",
            ["cpu.energy.monitor.<i>.pkg.<j>.id", "cpu.energy.monitor.<i>.pkg.<j>.<feature>"],
        ),
        ("(steal)", ["vcpu.<id>.delay"]),
        ("nothing", []),
        ("[", []),
        ("." * 100_000, []),
    ],
)
def test_find(text: str, patterns: list[str]) -> None:
    assert [field.pattern for field in find_fields(text)] == patterns


@pytest.mark.parametrize(
    ("text", "group"),
    [("cpu", "cpu"), ("cpu-total", "cpu"), ("interface", "interface"), ("net", "interface"), ("state", "state")],
)
def test_find_by_group(text: str, group: str) -> None:
    assert list(find_fields(text)) == [field for field in FIELDS if field.group == group]


def test_find_with_nothing_gives_all() -> None:
    assert find_fields("") == FIELDS


def test_needs_no_heavy_package() -> None:
    code = (
        "import sys, domstats.catalog.lookup, domstats.catalog.enums;"
        "print(*{'numpy', 'msgspec', 'click', 'asyncio', 'socket', 'json', 'logging'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == ""


@pytest.mark.parametrize(
    ("key", "patterns"),
    [
        ("vcpu.curent", ["vcpu.current"]),
        ("vcpu.3.tim", ["vcpu.<id>.time"]),
        ("block.12.capcity", ["block.<i>.capacity"]),
        ("quux", []),
        ("", []),
        ("." * 100_000, []),
    ],
)
def test_patterns_like_a_key_that_was_mistyped(key: str, patterns: list[str]) -> None:
    assert near_patterns(key, 3)[:1] == patterns
    assert len(near_patterns("block.0.rd.req", 1)) == 1
