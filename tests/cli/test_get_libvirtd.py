"""`domstats get` beside `virsh domstats`, on the same real libvirtd."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import pytest

TIMEOUT = 120
ATTEMPTS = 5
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Both:
    """The two commands, asking the same daemon."""

    uri: str

    def virsh(self, *args: str) -> str:
        command = ["virsh", "-r", "-c", self.uri, *args]
        done = subprocess.run(
            command, capture_output=True, check=True, env=os.environ | {"LC_ALL": "C"}, timeout=TIMEOUT
        )
        return done.stdout.decode()

    def ours(self, *args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "domstats", "get", "-c", self.uri, *args]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=TIMEOUT)

    def texts(self, *args: str) -> tuple[str, str]:
        """What virsh prints, and what we do. The lone line virsh prints for no domains at all is left out."""
        theirs, ours = self.virsh("domstats", *args), self.ours("-f", "raw", *args)
        assert (ours.returncode, ours.stderr) == (0, "")
        return "" if theirs == "\n" else theirs, ours.stdout

    def still(self, *args: str, ask: Callable[[], T]) -> tuple[str, T]:
        """What virsh prints of something that does not move, and what was asked between two times it printed that.

        Guests without an operating system may end up paused at any moment; then it is all asked again.
        """
        before = self.virsh("domstats", *args)
        for _ in range(ATTEMPTS):
            answer, after = ask(), self.virsh("domstats", *args)
            if before == after:
                return "" if before == "\n" else before, answer
            before = after
        raise AssertionError(f"virsh domstats {' '.join(args)} never printed the same twice")


@pytest.fixture(scope="module")
def both(libvirtd: str) -> Both:
    if shutil.which("virsh") is None:
        pytest.skip("virsh is not installed")
    both = Both(f"qemu+unix:///system?socket={libvirtd}")
    try:
        names = both.virsh("-q", "list", "--all", "--name").split("\n")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this libvirtd has no qemu driver: {error.stderr}")
    if not any(names):
        pytest.skip("this libvirtd has no domains")
    return both


def names(both: Both, *args: str) -> list[str]:
    return [name for name in both.virsh("-q", "list", "--name", *args).split("\n") if name]


def shape(text: str) -> list[str]:
    """The text without the values that move: numbers and yes or no become a mark of their kind."""
    return [
        f"{key}={'N' if value.isdigit() else 'B' if value in ('yes', 'no') else value}" if mark else key
        for key, mark, value in (line.partition("=") for line in text.split("\n"))
    ]


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--cpu-total"],
        ["--balloon"],
        ["--vcpu"],
        ["--interface"],
        ["--block"],
        ["--block", "--backing"],
        ["--perf"],
        ["--iothread"],
        ["--memory"],
        ["--dirtyrate"],
        ["--vm"],
        ["--nowait"],
        ["--enforce", "--state", "--balloon"],
    ],
    ids=" ".join,
)
def test_the_same_domains_keys_and_kinds_in_the_same_order(both: Both, args: list[str]) -> None:
    theirs, ours = both.texts(*args)
    assert shape(theirs) == shape(ours)


@pytest.mark.parametrize(
    "args",
    [
        ["--state"],
        ["--state", "--list-active"],
        ["--state", "--list-inactive"],
        ["--state", "--list-persistent"],
        ["--state", "--list-transient"],
        ["--state", "--list-running"],
        ["--state", "--list-paused"],
        ["--state", "--list-shutoff"],
        ["--state", "--list-other"],
        ["--state", "--list-active", "--list-inactive", "--nowait"],
        ["--list-paused", "--block"],
        ["--list-paused", "--block", "--backing"],
        ["--list-paused", "--iothread"],
        ["--list-shutoff", "--state", "--balloon", "--vcpu", "--interface", "--block", "--backing"],
        ["--perf", "--memory", "--dirtyrate"],
    ],
    ids=" ".join,
)
def test_byte_for_byte_where_nothing_moves(both: Both, args: list[str]) -> None:
    theirs, ours = both.still(*args, ask=lambda: both.ours("-f", "raw", *args))
    assert (ours.returncode, ours.stderr, ours.stdout) == (0, "", theirs)


def test_our_own_names_for_the_filters(both: Both) -> None:
    ask = partial(both.ours, "--group", "state", "--shutoff")
    theirs, ours = both.still("--state", "--list-shutoff", ask=ask)
    assert ours.stdout == theirs


@pytest.mark.parametrize("kind", [bool, lambda name: " " in name, lambda name: not name.isascii()])
def test_a_domain_by_each_of_its_names(both: Both, kind: Callable[[str], bool]) -> None:
    name = next(filter(kind, names(both, "--all")), None)
    if name is None:
        pytest.skip("this libvirtd has no domain with such a name")
    uuid = both.virsh("domuuid", name).strip()
    number = both.virsh("domid", name).strip()
    for which in {name, uuid, number} - {"-"}:
        theirs, ours = both.still("--state", which, ask=partial(both.ours, "-f", "raw", "--state", which))
        assert ours.stdout == theirs
        assert theirs.startswith(f"Domain: '{name}'\n")


def test_several_domains_in_the_order_asked_for(both: Both) -> None:
    chosen = names(both, "--all")[:3][::-1]
    theirs, ours = both.still("--state", *chosen, ask=partial(both.ours, "-f", "raw", "--state", *chosen))
    assert ours.stdout == theirs
    assert [line for line in theirs.split("\n") if line.startswith("D")] == [f"Domain: '{name}'" for name in chosen]


def test_an_unknown_domain(both: Both) -> None:
    (name, *_) = names(both, "--all")
    theirs, found = both.still("--state", name, ask=partial(both.ours, "--state", name, "no such domain"))
    assert (found.returncode, found.stdout) == (3, theirs)
    assert found.stderr.startswith("domstats: no domain 'no such domain'")
    nothing = both.ours("--state", "no such domain")
    assert (nothing.returncode, nothing.stdout) == (1, "")


def test_enforcing_an_unknown_group(both: Both) -> None:
    assert both.ours("--group", "20").returncode == 0
    ended = both.ours("--group", "20", "--enforce")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "0x100000" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_json_has_what_virsh_has(both: Both) -> None:
    for which in ("--list-inactive", "--list-active"):
        theirs, ours = both.still("--state", which, ask=partial(both.ours, "--state", which, "-f", "json"))
        document = json.loads(ours.stdout)
        lines = []
        for domain in document["domains"]:
            lines.append(f"Domain: '{domain['name']}'")
            lines += [f"  {key}={value}" for key, value in domain["stats"].items()]
            lines.append("")
        assert "\n".join([*lines, ""]) == theirs
        assert document["types"] == {"state.state": "int", "state.reason": "int"}


def test_the_table_has_a_line_a_domain(both: Both) -> None:
    ended = both.ours("-f", "table", "--interval", "0.2")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout.splitlines()) == 1 + len(names(both, "--all"))
