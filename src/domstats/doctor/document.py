"""The report for programs: one JSON document."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from domstats.doctor.findings import Report
from domstats.formats.text import escape, utf8


def to_json(report: Report) -> bytes:
    """The report with the names of its attributes; `complete` beside them.

    A name whose bytes are not UTF-8 has `\\xNN` for those that a terminal could not show, as in the text.
    """
    findings = [
        replace(each, text=_written(each.text), domains=tuple(map(_written, each.domains))) for each in report.findings
    ]
    document: dict[str, Any] = {
        "uri": _written(report.uri),
        "complete": report.complete,
        "daemon": report.daemon,
        "guests": report.guests,
        "sources": report.sources,
        "findings": findings,
        "figures": report.figures,
    }
    return msgspec.json.encode(document)


def _written(text: str) -> str:
    plain = utf8(text)
    return escape(text) if plain is None else plain
