"""The text of `virsh domstats`, byte for byte as in the C locale.

    Domain: 'web-3'
      state.state=1
      balloon.usable=100

A blank line ends each domain. Nothing in it is escaped, unless it goes to a terminal.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from domstats.formats.options import NO_OPTIONS, Options
from domstats.formats.text import escape, to_bytes
from domstats.formats.values import Writers, rows
from domstats.model.layout import Shape
from domstats.model.params import ParamType
from domstats.model.snapshot import Snapshot


def encode(snapshot: Snapshot, options: Options = NO_OPTIONS) -> bytes:
    r"""A line a value, duplicate keys included. On a terminal, control characters and broken UTF-8 appear as `\xNN`."""
    clean: Callable[[str], str] = escape if options.width is not None else str
    templates: dict[Shape, str] = {}
    text: list[str] = []
    for record, values in rows(snapshot, Writers(_double, ("no", "yes").__getitem__, clean)):
        shape = record.layout.shape
        template = templates.get(shape)
        if template is None:
            template = templates[shape] = _template(shape, clean)
        text.append(f"Domain: '{clean(record.domain.name)}'\n")
        text.append(template % tuple(values))
    return to_bytes("".join(text))


def _template(shape: Shape, clean: Callable[[str], str]) -> str:
    """A format string for a record's values."""
    integers = (ParamType.INT, ParamType.UINT, ParamType.LLONG, ParamType.ULLONG)
    slots = zip((clean(key).replace("%", "%%") for key in shape.keys), shape.types, strict=True)
    return "".join(f"  {key}={'%d' if kind in integers else '%s'}\n" for key, kind in slots) + "\n"


def _double(value: float) -> str:
    """As C's %f, which unlike Python's shows the sign of a NaN."""
    return "-nan" if math.isnan(value) and math.copysign(1.0, value) < 0 else f"{value:f}"
