"""Names that a guest's owner might choose to harm whoever shows them."""

from __future__ import annotations

NAMES: tuple[str, ...] = (
    "quote\"s'`and\\backslash\\",
    "new\nline\r\nDomain: 'another'\ttab",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J",
    "</td><script>alert(1)</script>&amp;<!--]]>",
    "long-" + "x" * 4000,
    "ünï-日本-🐧-\u202eright-to-left\u202c-\u200b",
    '{le="0"} 1\n# EOF',
    "=cmd|' /C calc'!A0,;",
    "%s%n{0}$(reboot)`id`",
    "../../../etc/passwd",
    " ",
    "-",
    "\udcff\udcfe not UTF-8",
)
"""What breaks quoting, lines, terminals, markup, columns, metrics, spreadsheets, templates, paths, options, decoders.

The last holds bytes that are no UTF-8, as Python's surrogateescape shows them.
"""
