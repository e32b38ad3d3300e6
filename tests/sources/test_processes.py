"""Stopped guests, found in /proc trees made for the purpose."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from domstats.sources.processes import Processes

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"


def process(
    proc: Path, number: int, state: str, *command: str, started: int = 5, name: str = "qemu-system-x86", parent: int = 1
) -> None:
    folder = proc / str(number)
    folder.mkdir(exist_ok=True)
    fields = [state, str(parent), *["0"] * 17, str(started), *["0"] * 30]
    (folder / "stat").write_text(f"{number} ({name}) {' '.join(fields)}\n")
    (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in command))


@pytest.mark.parametrize(("state", "stopped"), [("T", True), ("t", True), ("S", False), ("R", False), ("D", False)])
def test_a_stopped_guest_is_found(tmp_path: Path, state: str, stopped: bool) -> None:
    process(tmp_path, 7, state, "qemu-system-x86_64", "-name", "guest=web", "-uuid", UUID.upper(), "-S")
    assert Processes(tmp_path).stopped_guests() == ({UUID} if stopped else set())


def test_other_stopped_processes_are_no_guests(tmp_path: Path) -> None:
    process(tmp_path, 7, "T", "vim", "notes", name="vim (x) T")
    process(tmp_path, 8, "T", "qemu-img", "-uuid")
    process(tmp_path, 9, "T")
    (tmp_path / "10").mkdir()
    (tmp_path / "11").mkdir()
    (tmp_path / "11" / "stat").write_text("11 (half")
    (tmp_path / "self").mkdir()
    assert Processes(tmp_path).stopped_guests() == set()


def test_a_number_used_again_is_another_process(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    process(tmp_path, 7, "T", "qemu", "-uuid", UUID)
    assert processes.stopped_guests() == {UUID}
    process(tmp_path, 7, "T", "vim")
    assert processes.stopped_guests() == {UUID}, "the command line is read once a process"
    process(tmp_path, 7, "T", "vim", started=6)
    assert processes.stopped_guests() == set()


def test_a_name_may_hold_brackets_and_letters_that_are_states(tmp_path: Path) -> None:
    process(tmp_path, 7, "S", "qemu", "-uuid", UUID, name="a) T (b")
    assert Processes(tmp_path).stopped_guests() == set()


def test_no_proc_at_all(tmp_path: Path) -> None:
    assert Processes(tmp_path / "nothing").stopped_guests() == set()


def test_when_the_processes_cannot_be_listed_nothing_is_known_of_them(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    proc.mkdir()
    processes = Processes(proc)
    process(proc, 7, "T", "qemu", "-uuid", UUID)
    assert processes.stopped_guests() == {UUID}
    proc.rename(tmp_path / "gone")
    assert processes.look() == ([], False)
    (tmp_path / "gone").rename(proc)
    assert processes.stopped_among([UUID]) == set()
    assert processes.stopped_guests() == {UUID}


def test_a_quick_look_at_some(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    process(tmp_path, 7, "S", "qemu", "-uuid", UUID)
    assert processes.stopped_among([UUID]) == set(), "no look at all of them has been taken"
    processes.stopped_guests()
    assert processes.stopped_among([UUID, "nobody"]) == set()
    process(tmp_path, 7, "T", "qemu", "-uuid", UUID)
    assert processes.stopped_among([UUID, "nobody"]) == {UUID}
    process(tmp_path, 7, "T", "vim", started=6)
    assert processes.stopped_among([UUID]) == set(), "another process has its number"
    (tmp_path / "7/stat").unlink()
    assert processes.stopped_among([UUID]) == set()


QEMU = ("qemu-system-x86_64", "-name", "guest=web", "-uuid", UUID)


def test_the_oldest_process_with_a_uuid_is_the_guest(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    process(tmp_path, 70, "S", *QEMU)
    assert processes.stopped_guests() == set()
    process(tmp_path, 8, "T", "qemu", "-uuid", UUID, started=6)
    assert processes.stopped_guests() == set(), "another process with its UUID is stopped"
    process(tmp_path, 70, "T", *QEMU)
    assert processes.stopped_guests() == {UUID}
    shutil.rmtree(tmp_path / "8")
    assert processes.stopped_guests() == {UUID}, "the guest is still there"
    process(tmp_path, 9, "T", "qemu", "-uuid", UUID, started=7)
    assert processes.stopped_guests() == {UUID}
    shutil.rmtree(tmp_path / "70")
    assert processes.stopped_guests() == {UUID}, "the next takes its place"
    process(tmp_path, 9, "T", "vim", started=8)
    assert processes.stopped_among([UUID]) == set()


def numbers(processes: Processes) -> list[int]:
    return [guest.number for guest in processes.look()[0]]


@pytest.mark.parametrize("age", [1, 10_000])
def test_the_child_that_tears_a_guest_down_is_none(tmp_path: Path, age: int) -> None:
    (tmp_path / "uptime").write_text("1000.0 0\n")
    processes = Processes(tmp_path)
    process(tmp_path, 70, "T", *QEMU, started=100_000 - age)
    process(tmp_path, 8, "S", *QEMU, started=100_000 - age + 1, name="cleanup/70", parent=70)
    for _ in range(70):
        assert numbers(processes) == [70]
    assert processes.stopped_guests() == {UUID}
    process(tmp_path, 9, "S", *QEMU, "-daemonize", started=100_001, parent=70)
    assert numbers(processes) == [70, 9], "another command line"


def test_a_guest_that_goes_into_the_background(tmp_path: Path) -> None:
    (tmp_path / "uptime").write_text("1000.0 0\n")
    processes = Processes(tmp_path)
    process(tmp_path, 7, "S", *QEMU, started=99_990)
    process(tmp_path, 8, "S", *QEMU, started=99_991, parent=7)
    assert numbers(processes) == [7]
    process(tmp_path, 8, "S", *QEMU, started=99_991, parent=1)
    shutil.rmtree(tmp_path / "7")
    assert numbers(processes) == [8]


def test_a_process_of_any_age_may_become_a_guest(tmp_path: Path) -> None:
    (tmp_path / "uptime").write_text("1000.0 0\n")
    processes = Processes(tmp_path)
    for number in range(1, 200):
        process(tmp_path, number, "S", "bash", "-c", "start", name="bash")
    assert numbers(processes) == []
    process(tmp_path, 77, "S", *QEMU)
    process(tmp_path, 78, "S", "kvm", "-name", "other", name="bash", started=6)
    for _ in range(64):
        processes.look()
    assert sorted(numbers(processes)) == [77, 78]


@pytest.mark.parametrize(("step", "looks"), [(300.0, 1), (60.0, 1), (20.0, 3), (2.0, 30)])
def test_a_number_that_was_another_s_is_seen_within_a_minute(tmp_path: Path, step: float, looks: int) -> None:
    (tmp_path / "uptime").write_text("1000.0 0\n")
    now = 0.0
    processes = Processes(tmp_path, lambda: now)
    for number in range(1, 100):
        process(tmp_path, number, "S", "sleep", "1", name="sleep")
    for _ in range(3):
        assert numbers(processes) == []
    for number in (20, 50, 80):
        process(tmp_path, number, "S", "kvm", "-name", f"g{number}", name="kvm", started=6)
    for _ in range(looks):
        now += step
        found = numbers(processes)
    assert sorted(found) == [20, 50, 80]
