"""Text on a terminal: what is escaped, and how wide it is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given

from domstats.formats.text import cut, escape, to_bytes, utf8, width
from strategies import texts

DIRECTION = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
OBEYED = [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *DIRECTION]


@pytest.mark.parametrize("code", OBEYED, ids="{:04X}".format)
def test_every_hostile_character_is_escaped(code: int) -> None:
    escaped = "".join(f"\\x{byte:02x}" for byte in chr(code).encode())
    assert escape(f"a{chr(code)}b") == f"a{escaped}b"


def test_the_characters_are_those_unicode_calls_controls_separators_and_marks_of_direction() -> None:
    classes = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    marks = {"LEFT-TO-RIGHT MARK", "RIGHT-TO-LEFT MARK", "ARABIC LETTER MARK"}
    found = [
        code
        for code in range(0x110000)
        if unicodedata.category(chr(code)) in ("Cc", "Zl", "Zp")
        or unicodedata.bidirectional(chr(code)) in classes
        or unicodedata.name(chr(code), "") in marks
    ]
    assert sorted(OBEYED) == found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("web-ü 가 😀", "web-ü 가 😀"),
        ("a\x1b[31mb\n", r"a\x1b[31mb\x0a"),
        ("\x9b2J", r"\xc2\x9b2J"),
        ("\u202egnp.exe", r"\xe2\x80\xaegnp.exe"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), r"caf\xe9"),
        (b"\xff\xfe".decode("utf-8", "surrogateescape"), r"\xff\xfe"),
    ],
)
def test_escape(text: str, shown: str) -> None:
    assert escape(text) == shown


@given(texts)
def test_what_is_escaped_is_harmless(text: str) -> None:
    shown = escape(text)
    assert not set(shown) & set(map(chr, OBEYED))
    assert shown.encode().decode() == shown


@given(texts)
def test_bytes_that_are_not_utf8(text: str) -> None:
    raw = to_bytes(text)
    try:
        said = raw.decode()
    except UnicodeDecodeError:
        assert utf8(text) is None
    else:
        assert utf8(text) == said


def test_escaped_bytes_that_are_utf8_after_all() -> None:
    assert utf8("\udcc3\udca9") == "é"


@pytest.mark.parametrize(
    ("text", "columns"),
    [("", 0), ("abc", 3), ("üé", 2), ("가나", 4), ("ｱ", 1), ("e\u0301", 1), ("a\u200bb", 2), ("😀", 2), ("，", 2)],
)
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("가나다", 6, "가나다"),
        ("가나다라", 6, "가나…"),
        ("a가나다", 6, "a가나…"),
        ("e\u0301" * 3, 3, "e\u0301" * 3),
        ("e\u0301" * 4, 3, "e\u0301" * 2 + "…"),
        ("abc", 1, "…"),
    ],
)
def test_cut(text: str, columns: int, expected: str) -> None:
    assert cut(text, columns) == expected
    assert width(expected) <= columns
