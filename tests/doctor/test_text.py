"""The report as text and as JSON: aligned, short, and nothing that a guest could make of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from domstats.doctor.document import to_json
from domstats.doctor.findings import Availability, Finding, Part, Report, Verdict
from domstats.doctor.text import report_lines

EVIL = ("a\x1b[2J", "b\nok  all is well", "c\udcff", "d\u202e", "e", "f", "g")
SHOWN = r"a\x1b[2J, b\x0aok  all is well, c\xff, d\xe2\x80\xae, e"
REPORT = Report(
    "qemu:///system",
    (
        Finding(Part.LIBVIRT, "socket", Verdict.OK, "/run/sock opens"),
        Finding(Part.GUESTS, "balloon", Verdict.MISSING, "7 guests without", "set it", EVIL),
        Finding(Part.RIGHTS, "trace", Verdict.WARN, "no right", "run as root"),
    ),
    1234,
    ("libvirt", "kernel"),
    (
        Availability("state", Verdict.OK, {"libvirt": 1234, "kernel": 0}, 0),
        Availability("balloon.usable", Verdict.WARN, {"libvirt": 4, "kernel": 0}, 1230, "no period"),
    ),
)


def test_the_lines() -> None:
    assert report_lines(REPORT, None, color=False) == [
        "host qemu:///system",
        "ok       libvirt  socket   /run/sock opens",
        rf"missing  guests   balloon  7 guests without ({SHOWN} and 2 more) -> set it",
        "warn     rights   trace    no right -> run as root",
        "",
        "         figures         libvirt  kernel  neither  of 1,234 on: what is missing",
        "ok       state             1,234       -        -",
        "warn     balloon.usable        4       -    1,230  no period",
        "",
        "Not every figure can be had.",
    ]


def test_without_guests_there_is_no_table() -> None:
    lines = report_lines(Report("sim:///", REPORT.findings[:1], 0, ("sim",), ()), None, color=False)
    assert lines == ["host sim:///", "ok       libvirt  socket  /run/sock opens", "", "Every figure can be had."]


def test_a_narrow_terminal_wraps_below_the_text() -> None:
    lines = report_lines(REPORT, 60, color=False)
    start = lines[1].index("/run/sock")
    wrapped = lines[2 : lines.index("warn     rights   trace    no right -> run as root")]
    assert len(wrapped) > 2
    assert all(line[:start].isspace() for line in wrapped[1:])
    assert max(map(len, lines[: lines.index("")])) <= 60


def test_a_terminal_narrower_than_the_table_and_a_text_wraps_below_the_verdicts() -> None:
    why = "no balloon driver in the guest, or none that tells anything of its memory"
    report = replace(REPORT, figures=(replace(REPORT.figures[1], why=why),))
    lines = report_lines(report, 60, color=False)
    table = lines[lines.index("") + 1 : -2]
    assert table == [
        "         figures         libvirt  kernel  neither",
        "         of 1,234 on: what is missing",
        "warn     balloon.usable        4       -    1,230",
        "         no balloon driver in the guest, or none that tells",
        "         anything of its memory",
    ]


def test_a_terminal_too_narrow_wraps_by_itself() -> None:
    assert report_lines(REPORT, 20, color=False) == report_lines(REPORT, None, color=False)


def test_colors_are_on_the_verdicts_alone() -> None:
    plain, colored = (report_lines(REPORT, None, color=color) for color in (False, True))
    assert colored[1] == plain[1].replace("ok", "\x1b[32mok\x1b[m", 1)
    assert colored[2].startswith("\x1b[31mmissing\x1b[m  guests")
    assert colored[3].startswith("\x1b[33mwarn\x1b[m     rights")
    assert [line.count("\x1b") for line in colored] == [0, 2, 2, 2, 0, 0, 2, 2, 0, 0]


def test_the_document() -> None:
    document = json.loads(to_json(REPORT))
    assert document.keys() == {"uri", "complete", "daemon", "guests", "sources", "findings", "figures"}
    assert (document["complete"], document["guests"]) == (False, 1234)
    assert document["findings"][0] == {
        "part": "libvirt",
        "check": "socket",
        "verdict": "ok",
        "text": "/run/sock opens",
        "advice": "",
        "domains": [],
    }
    assert document["findings"][1]["domains"] == [r"c\xff" if name == "c\udcff" else name for name in EVIL]
    assert document["figures"][0]["counts"] == {"libvirt": 1234, "kernel": 0}


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_report_is_complete_when_nothing_is_missing(verdict: Verdict) -> None:
    finding = Finding(Part.KERNEL, "kvm", verdict, "so")
    row = Availability("cpu", verdict, {}, 0)
    for report in (Report("", (finding,), 0, (), ()), Report("", (), 0, (), (row,))):
        assert report.complete == (verdict is not Verdict.MISSING)
