"""sources.sim.script: what a script may say, and that a mistake in one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from domstats.errors import BadUri
from domstats.sources.sim.script import BYTES_MAX, KEYS, load, release
from domstats.sources.sim.source import SimSource
from fast_time import run_fast
from scripted import Scripted, events

ALLOWED_DEEDS = ", ".join(KEYS)


def test_a_script_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("""
        libvirt = "8.0"

        [[event]]
        at = 10
        domains = ["web-*", "db-1"]
        do = "hang"

        [[event]]
        at = 0.5
        do = "define"
        name = "new"
    """)
    script = load(str(file))
    assert script.libvirt == (8, 0, 0)
    assert [(event.where, event.at, event.do, event.domains, event.name) for event in script.events] == [
        ("event[1]", 0.5, "define", (), "new"),
        ("event[0]", 10.0, "hang", ("web-*", "db-1"), ""),
    ]


@pytest.mark.parametrize(
    ("script", "where", "why"),
    [
        ("x = 1", "x", "there is no such key; allowed are libvirt and event"),
        ("libvirt = 8.0", "libvirt", 'must be a release of libvirt, such as "8.0" or "1.2.9", not 8.0'),
        ("libvirt = '8'", "libvirt", "must be a release of libvirt"),
        ("libvirt = '8.0.0.0'", "libvirt", "must be a release of libvirt"),
        ("event = 1", "event", "must be up to 10,000 tables, each beginning with [[event]]"),
        ("event = [1]", "event[0]", "must be a table, beginning with [[event]]"),
        ("[event]", "event", "must be up to 10,000 tables, each beginning with [[event]]"),
        ("[[event]]", "event[0].do", f"is missing; it must be one of {ALLOWED_DEEDS}"),
        (events("0; hang *", "1; explode *"), "event[1].do", f"must be one of {ALLOWED_DEEDS}, not 'explode'"),
        (events("0; hang"), "event[0].domains", "is missing; it must be a glob over the names of guests"),
        (events("0; hang *; seconds = 1"), "event[0].seconds", "there is no such key; allowed are at, domains, do"),
        (events("0; slow *"), "event[0].seconds", "is missing; it must be a number of seconds from 0 to 1e+09"),
        (events("0; slow *; seconds = -1"), "event[0].seconds", "must be a number of seconds from 0 to 1e+09, not -1"),
        (events("0; slow *; seconds = true"), "event[0].seconds", "not True"),
        (events("nan; hang *"), "event[0].at", "must be a number of seconds from 0 to 1e+09, not nan"),
        (events("inf; hang *"), "event[0].at", "not inf"),
        (events("'1'; hang *"), "event[0].at", "not '1'"),
        (events("0; hang; domains = []"), "event[0].domains", "must be a glob over the names of guests"),
        (events("0; hang; domains = ['*', 1]"), "event[0].domains", "must be a glob over the names of guests"),
        (events("0; attach *; device = 'cdrom'"), "event[0].device", "must be one of disk, nic, not 'cdrom'"),
        (
            events("0; detach *; device = 'nic'; number = -1"),
            "event[0].number",
            "a whole number from 0 to 1023, not -1",
        ),
        (events("0; detach *; device = 'nic'; number = 1.0"), "event[0].number", "a whole number from 0 to 1023"),
        (events("0; resize *; vcpus = 0"), "event[0].vcpus", "must be a whole number from 1 to 1024, not 0"),
        (events("0; resize *; vcpus = true"), "event[0].vcpus", "must be a whole number from 1 to 1024, not True"),
        (events("0; define x*; name = 'new'"), "event[0].domains", "there is no such key; allowed are at, do, name"),
        (events("0; define; name = ''"), "event[0].name", "must be a text of 1 to 100,000 characters"),
        (events('0; rename test-1; to = "a\\u0000b"'), "event[0].to", "must be a text of 1 to 100,000 characters"),
        (events(f"0; rename test-1; to = '{'x' * 100_001}'"), "event[0].to", f"not '{'x' * 79}..."),
        (events("0; version *; libvirt = 'new'"), "event[0].libvirt", "must be a release of libvirt"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, script: str, where: str, why: str) -> None:
    with pytest.raises(BadUri) as caught:
        Scripted(tmp_path, script)
    assert caught.value.why.startswith(f"{tmp_path}/script.toml: {where}: ")
    assert why in caught.value.why


@pytest.mark.parametrize(
    ("script", "where", "why"),
    [
        (events("0; hang nobody-*"), "event[0].domains", "no guest has such a name then: nobody-*"),
        (events("0; hang web-1"), "event[0].do", "hang is for guests that are on and answer, of 1 named none is so"),
        (events("1; start web-*", "0; start web-1", "0; start web-2"), "event[0].do", "of 3 named none is so"),
        (events("0; start test-1"), "event[0].do", "start is for guests that are off, of 1 named none is so"),
        (events("0; stop web-1"), "event[0].do", "stop is for guests that are on, of 1 named none is so"),
        (events("0; pause mail-1"), "event[0].do", "pause is for guests that are running, of 1 named none is so"),
        (events("0; resume test-1"), "event[0].do", "resume is for guests that are paused, of 1 named none is so"),
        (events("0; answer test-1"), "event[0].do", "answer is for guests that hang, are slow or busy"),
        (events("0; detach test-1; device = 'disk'; number = 1"), "event[0].do", "that have such a device"),
        (events("0; rename test-*; to = 'x'"), "event[0].domains", "5 guests cannot have one name, rename is for one"),
        (events("0; rename test-1; to = 'web-1'"), "event[0].to", "there is a guest called 'web-1' then"),
        (events("0; define; name = 'web-1'"), "event[0].name", "there is a guest called 'web-1' then"),
        (events("0; undefine test-1", "1; hang test-1"), "event[1].domains", "no guest has such a name then: test-1"),
        (events("0; rename test-1; to = 'x'", "1; hang test-1"), "event[1].domains", "no guest has such a name then"),
    ],
)
async def test_what_cannot_happen_is_named(tmp_path: Path, script: str, where: str, why: str) -> None:
    with pytest.raises(BadUri) as caught:
        Scripted(tmp_path, script)
    assert caught.value.why.startswith(f"{tmp_path}/script.toml: {where}: ")
    assert why in caught.value.why


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff", "is no TOML: 'utf-8' codec can't decode byte"),
        (b"event = [", "is no TOML: "),
        (b"#" * (BYTES_MAX + 1), "a script has at most 1,048,576 bytes, not 1,048,577"),
        (None, "cannot read the script {}: No such file or directory"),
    ],
)
def test_files_that_are_no_scripts(tmp_path: Path, content: bytes | None, why: str) -> None:
    file = tmp_path / "bad.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadUri) as caught:
        SimSource(f"sim:///?script={file}")
    assert str(file) in caught.value.why
    assert why.format(file) in caught.value.why


def test_releases() -> None:
    assert release("8.0") == (8, 0, 0)
    assert release("1.2.9") == (1, 2, 9)
    assert release("8.0") < release("8.9.0") < release("12.4") < release("100.0")


def test_an_empty_script_is_one(tmp_path: Path) -> None:
    async def work() -> None:
        assert len(await Scripted(tmp_path, "").stats()) == 20

    run_fast(work())
