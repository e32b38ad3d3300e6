"""`domstats fields`: what it prints, finds and refuses."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from command import domstats
from domstats.catalog.fields import FIELDS
from domstats.cli import main


@dataclass(frozen=True, slots=True)
class Result:
    """How the command ended."""

    exit_code: int
    stdout: str
    stderr: str


Run = Callable[..., Result]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*args: str) -> Result:
        code = main(["fields", *args])
        return Result(code, *capfd.readouterr())

    return run


def on_a_terminal(columns: int, *args: str) -> list[str]:
    """The lines the command prints on a terminal of that width; not more than 4 KiB, or nobody would read them."""
    code = f"from domstats.cli import main; main({['fields', *args]!r})"
    environment = os.environ | {"COLUMNS": str(columns), "PYTHONPATH": os.pathsep.join(sys.path)}
    screen, terminal = os.openpty()
    try:
        subprocess.run([sys.executable, "-c", code], stdout=terminal, env=environment, check=True, timeout=60)
    finally:
        os.close(terminal)
    printed = b""
    # Linux ends a terminal nobody writes to any more with an error.
    with contextlib.suppress(OSError):
        while block := os.read(screen, 4096):
            printed += block
    os.close(screen)
    return printed.decode().splitlines()


def test_one_line_a_field(run: Run) -> None:
    result = run()
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [field.pattern for field in FIELDS]
    assert [line.split(maxsplit=5) for line in lines] == [
        [f.pattern, "|".join(f.types), f.unit or "-", f.kind.value, f.since, f.help] for f in FIELDS
    ]


def test_columns_are_aligned(run: Run) -> None:
    assert run("balloon.r*").stdout == "balloon.rss  ullong  KiB  gauge  2.1.0  Host memory the emulator occupies.\n"
    lines = run("block").stdout.splitlines()
    starts = {line.index(f.help) for line, f in zip(lines, (f for f in FIELDS if f.group == "block"), strict=True)}
    assert len(starts) == 1


@pytest.mark.parametrize("pattern", ["vcpu.3.time", "vcpu.<id>.time", "*.<id>.time", "D>.TIME"])
def test_one_field(run: Run, pattern: str) -> None:
    result = run(pattern)
    assert result.exit_code == 0
    assert result.stdout == "vcpu.<id>.time  ullong  ns  counter  1.2.9  CPU time of the vCPU.\n"


def test_a_group(run: Run) -> None:
    patterns = [line.split()[0] for line in run("vm").stdout.splitlines()]
    assert patterns == ["vm.<name>.sum", "vm.<name>.cur", "vm.<name>.max"]


def test_json(run: Run) -> None:
    result = run("-f", "json")
    assert result.exit_code == 0
    objects = json.loads(result.stdout)
    assert [one["pattern"] for one in objects] == [field.pattern for field in FIELDS]
    assert objects[0].keys() == {"group", "pattern", "types", "unit", "kind", "since", "help", "note"}


def test_json_of_one_field(run: Run) -> None:
    (one,) = json.loads(run("--format", "json", "vcpu.0.halt_poll_fail_ns.sum").stdout)
    assert one["pattern"] == "vcpu.<id>.<name>.sum"
    assert one["types"] == ["ullong", "boolean"]
    assert (one["unit"], one["kind"], one["group"]) == ("ns", "counter", "vcpu")


@pytest.mark.parametrize("form", ["table", "json"])
@pytest.mark.parametrize("pattern", ["nothing", "no*thing", "\x1b[31m", "zwei\nZeilen", "\udcff"])
def test_no_match(run: Run, form: str, pattern: str) -> None:
    result = run("-f", form, pattern)
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert repr(pattern) in line
    assert "\x1b" not in line
    assert "dirtyrate" in line, "it says which groups there are"


@pytest.mark.parametrize("args", [["-f", "yaml"], ["vcpu", "block"], ["--nonsense"]])
def test_wrong_use(run: Run, args: list[str]) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_terminal_lines_are_headed() -> None:
    lines = on_a_terminal(100, "balloon.r*")
    assert lines == [
        "field        type    unit  kind   since  meaning",
        "balloon.rss  ullong  KiB   gauge  2.1.0  Host memory the emulator occupies.",
    ]


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_every_meaning_is_there_on_a_terminal(columns: int) -> None:
    for group in ("vcpu", "dirtyrate"):
        lines = on_a_terminal(columns, group)
        assert max(map(len, lines)) <= columns
        text = " ".join(" ".join(lines).split())
        assert all(field.help in text for field in FIELDS if field.group == group)


def test_a_meaning_with_no_room_beside_stands_below() -> None:
    assert on_a_terminal(60, "cpu.time") == [
        "field     type    unit  kind     since",
        "    meaning",
        "cpu.time  ullong  ns    counter  1.2.9",
        "    CPU time of the domain, emulator included.",
    ]


def test_wide_terminal_cuts_nothing() -> None:
    lines = on_a_terminal(500, "cpu.time")
    assert lines == [
        "field     type    unit  kind     since  meaning",
        "cpu.time  ullong  ns    counter  1.2.9  CPU time of the domain, emulator included.",
    ]


async def test_a_closed_stdout() -> None:
    ended = await domstats("fields", "vcpu", under=("sh", "-c", 'exec "$@" >&-', "sh"))
    assert (ended.code, ended.message) == (1, "Bad file descriptor")


@pytest.mark.parametrize("form", ["table", "json"])
async def test_a_full_disk(form: str) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    ended = await domstats("fields", "-f", form, stdout=full)
    os.close(full)
    assert (ended.code, ended.message) == (1, "No space left on device")
