"""The log: one line for each thing that is said, plain or JSON, and what repeats itself only now and then."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

from domstats.formats.text import escape

CLIENTS = ("domstats.access", "domstats.serve.libvirt")
"""The loggers that tell of every client."""
BURST, WINDOW = 10, 60.0
"""So many times in so many seconds the same is said."""
KNOWN_MAX = 1000
"""Messages whose times are remembered."""


class Plain(logging.Formatter):
    """`domstats: ` and the message; a traceback becomes a part of the line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        trace = "" if not record.exc_info else f": {self.formatException(record.exc_info)}"
        return f"domstats: {escape(record.getMessage() + trace)}"


class Json(logging.Formatter):
    """An object with time (UTC), level, logger and message, and the traceback of an error."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": escape(record.getMessage()),
        }
        if record.exc_info:
            said["trace"] = self.formatException(record.exc_info)
        return json.dumps(said)


@dataclass(slots=True)
class _Said:
    """How often something was said."""

    since: float
    times: int = 0
    left_out: int = 0


class Repeats(logging.Filter):
    """Leaves out what has been said too often; the first that is said again says how much was left out.

    What is said of every client is left in: who asked for that wants to see every one.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: seconds, from any beginning."""
        super().__init__()
        self._clock = clock
        self._said: OrderedDict[tuple[str, int, str], _Said] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is said. The same is what has the same text but for what is filled in."""
        if record.levelno <= logging.INFO and record.name.startswith(CLIENTS):
            return True
        key = record.name, record.levelno, str(record.msg)
        now = self._clock()
        said = self._said.setdefault(key, _Said(now))
        self._said.move_to_end(key)
        if len(self._said) > KNOWN_MAX:
            self._said.popitem(last=False)
        left_out = said.left_out
        if now - said.since >= WINDOW:
            said.since, said.times, said.left_out = now, 0, 0
        said.times += 1
        if said.times > BURST:
            said.left_out += 1
            return False
        if left_out and said.times == 1:
            record.msg, record.args = f"{record.getMessage()} ({left_out} more like it were not said)", ()
        return True


def start_log(stream: TextIO, clock: Callable[[], float]) -> logging.Handler:
    """Have everything said on that stream, plain at first; `clock`: as of Repeats."""
    handler = logging.StreamHandler(stream)
    handler.addFilter(Repeats(clock))
    handler.setFormatter(Plain())
    logging.getLogger().addHandler(handler)
    return handler


def set_log(handler: logging.Handler, level: str, *, as_json: bool, clients: bool) -> None:
    """How the log is from now on; see config.LogSection."""
    handler.setFormatter(Json() if as_json else Plain())
    logging.getLogger().setLevel(level.upper())
    for name in CLIENTS:
        logging.getLogger(name).setLevel(logging.INFO if clients else logging.WARNING)
