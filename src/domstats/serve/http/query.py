"""Reading the parameters of a request. What is not known is an error: who mistypes a filter would get everything."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import TypeVar

from aiohttp import web

from domstats.catalog.groups import group_bits
from domstats.errors import UsageError

T = TypeVar("T", int, float)

PARAMETERS_MAX = 256
"""Parameters of one request."""
TEXT_MAX = 1024
"""Characters of one."""
DIGITS_MAX = 18
"""Of a number."""
_FILTERS = ("domain", "state", "group", "field", "key")
"""The parameters that leave something out: an empty one would leave out nothing."""
_TRUE, _FALSE = ("1", "true", "yes", ""), ("0", "false", "no")


class Query:
    """The parameters of a request. Its methods raise UsageError for what makes no sense."""

    def __init__(self, request: web.Request, known: Collection[str]) -> None:
        """Raises UsageError for a parameter that is not known, or too long, for an empty filter, and for too many."""
        given = request.query
        if len(given) > PARAMETERS_MAX:
            raise UsageError(f"a request has at most {PARAMETERS_MAX} parameters")
        for name, value in given.items():
            if name not in known:
                raise UsageError(f"no parameter {name[:TEXT_MAX]!r}; there are {', '.join(known)}")
            if len(value) > TEXT_MAX:
                raise UsageError(f"the value of {name} is longer than {TEXT_MAX} characters")
            if name in _FILTERS and not value.strip(", "):
                raise UsageError(f"{name} is empty")
        self._given = given

    def has(self, name: str) -> bool:
        """Whether a parameter is there."""
        return name in self._given

    def texts(self, name: str) -> tuple[str, ...]:
        """All values of a parameter that may be given several times."""
        return tuple(self._given.getall(name, ()))

    def words(self, name: str) -> tuple[str, ...]:
        """The words of such a parameter, separated by commas."""
        return tuple(word.strip() for text in self.texts(name) for word in text.split(",") if word.strip())

    def text(self, name: str, default: str = "") -> str:
        """The value of a parameter that may be given once."""
        values = self.texts(name)
        if len(values) > 1:
            raise UsageError(f"{name} is given {len(values)} times")
        return values[0] if values else default

    def choice(self, name: str, choices: Collection[str], default: str) -> str:
        """One of these words."""
        word = self.text(name, default)
        if word != default and word not in choices:
            raise UsageError(f"no {name} {word!r}; there are {', '.join(choices)}")
        return word

    def flag(self, name: str) -> bool:
        """Whether a parameter is there, or says so."""
        if name not in self._given:
            return False
        word = self.text(name).lower()
        if word not in _TRUE + _FALSE:
            raise UsageError(f"{name} is 1 or 0, not {word!r}")
        return word in _TRUE

    def seconds(self, name: str, least: float) -> float | None:
        """A number of seconds; None where it is not given."""
        return self._number(name, float, least)

    def count(self, name: str, least: int) -> int | None:
        """A whole number; None where it is not given."""
        return self._number(name, int, least)

    def groups(self) -> int:
        """StatsGroup bits of the parameter `group`; 0 for all. Raises UnknownGroup."""
        bits = 0
        for word in self.words("group"):
            bits |= group_bits(word)
        return bits

    def _number(self, name: str, kind: Callable[[str], T], least: T) -> T | None:
        text = self.text(name)
        if name not in self._given:
            return None
        try:
            number = kind(text[:DIGITS_MAX])
        except ValueError:
            number = kind("-1")
        if len(text) > DIGITS_MAX or not (math.isfinite(number) and number >= least):
            raise UsageError(f"{name} is a number from {least} on, not {text!r}")
        return number
