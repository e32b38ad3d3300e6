"""The text of `virsh domstats`, byte for byte as in the C locale.

    Domain: 'web-3'
      state.state=1
      balloon.usable=100

A blank line ends each domain. Nothing in it is escaped, unless it goes to a terminal. A text that holds a NUL ends
before it, as C's texts do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from domstats.formats.options import NO_OPTIONS, Options
from domstats.formats.stencil import Place, Style, render
from domstats.formats.text import escape, to_bytes
from domstats.model.layout import Shape
from domstats.model.snapshot import Snapshot

_DOUBLE_WIDTH = 320
"""Most bytes of C's %f: the largest double has 309 digits before the point."""


def encode(snapshot: Snapshot, options: Options = NO_OPTIONS) -> bytes:
    r"""A line a value, duplicate keys included. On a terminal, control characters and broken UTF-8 appear as `\xNN`."""
    style = _FILE if options.width is None else _TERMINAL
    between = [b"Domain: '%b'\n" % style.string(record.domain.name) for record in snapshot.layout.records]
    return render(snapshot, style, [*between, b""])


def _pieces(string: Callable[[str], bytes], shape: Shape) -> list[bytes | Place]:
    pieces: list[bytes | Place] = []
    for slot, key in enumerate(shape.keys):
        pieces += [b"  %b=" % string(key), Place(slot), b"\n"]
    return [*pieces, b"\n"]


def _double(value: float) -> bytes:
    """As C's %f, which unlike Python's shows the sign of a NaN."""
    return b"-nan" if math.isnan(value) and math.copysign(1.0, value) < 0 else b"%f" % value


def _as_it_is(text: str) -> bytes:
    return to_bytes(text.partition("\0")[0])


def _escaped(text: str) -> bytes:
    return to_bytes(escape(text))


def _style(name: str, string: Callable[[str], bytes]) -> Style:
    return Style(name, partial(_pieces, string), string, _double, (b"no", b"yes"), _DOUBLE_WIDTH)


_FILE, _TERMINAL = _style("raw", _as_it_is), _style("raw on a terminal", _escaped)
