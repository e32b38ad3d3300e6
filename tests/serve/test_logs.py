"""The log: a line for each thing, whatever it quotes, and none too often."""

from __future__ import annotations

import json
import logging

from domstats.serve.logs import BURST, WINDOW, Json, Plain, Repeats

HOSTILE = "web\n\x1b[31m\u202e"


def record(text: str, *args: object, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("domstats.serve", level, "file", 1, text, args, None)


def failed() -> logging.LogRecord:
    try:
        int(HOSTILE)
    except ValueError as error:
        info = (ValueError, error, error.__traceback__)
    return logging.LogRecord("domstats", logging.ERROR, "file", 1, "a defect", (), info)


def test_plain() -> None:
    assert Plain().format(record("%s is there", HOSTILE)) == "domstats: web\\x0a\\x1b[31m\\xe2\\x80\\xae is there"
    line = Plain().format(failed())
    assert line.startswith("domstats: a defect: Traceback")
    assert line.isprintable()


def test_json() -> None:
    made = record("%s is there", HOSTILE)
    made.created = 1_800_000_000.25
    assert json.loads(Json().format(made)) == {
        "time": "2027-01-15T08:00:00.250+00:00",
        "level": "info",
        "logger": "domstats.serve",
        "message": "web\\x0a\\x1b[31m\\xe2\\x80\\xae is there",
    }
    line = Json().format(failed())
    assert line.isascii()
    assert line.isprintable()
    assert "ValueError" in json.loads(line)["trace"]


def test_what_repeats_itself() -> None:
    now = 5.0
    repeats = Repeats(lambda: now)
    said = [repeats.filter(record("%d is lost", number)) for number in range(BURST + 7)]
    assert said == [True] * BURST + [False] * 7
    assert repeats.filter(record("another"))
    assert repeats.filter(record("%d is lost", 1, level=logging.ERROR))
    now += WINDOW
    again = record("%d is lost", 99)
    assert repeats.filter(again)
    assert again.getMessage() == "99 is lost (7 more like it were not said)"
    once_more = record("%d is lost", 100)
    assert repeats.filter(once_more)
    assert once_more.getMessage() == "100 is lost"


def test_what_is_said_of_every_client_is_said_every_time() -> None:
    repeats = Repeats(lambda: 5.0)
    for name in ("domstats.access", "domstats.serve.libvirt.client"):
        asked = [logging.LogRecord(name, logging.INFO, "file", 1, "%d asks", (number,), None) for number in range(100)]
        assert all(map(repeats.filter, asked))
        failed = [logging.LogRecord(name, logging.WARNING, "file", 1, "no", (), None) for _ in range(100)]
        assert sum(map(repeats.filter, failed)) == BURST
