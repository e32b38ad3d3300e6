"""The live page's modules by themselves, in a browser: numbers as text against Python's, names, and the stream."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from playwright.async_api import Browser

from live_page import LivePage, opened, served

HOST = "sim:///?domains=1&time=1800000000"
BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
METRIC = ("", "k", "M", "G", "T", "P", "E")


async def _called(live: LivePage, name: str, cases: Sequence[Any]) -> list[Any]:
    """What a function of format.js gives for each list of arguments."""
    code = f"async (cases) => {{ const m = await import('/page/format.js'); return cases.map((c) => m.{name}(...c)); }}"
    found: list[Any] = await live.page.evaluate(code, cases)
    return found


def _half_up(value: Fraction) -> int:
    return int(value + Fraction(1, 2))


def _scaled(number: int, base: int, units: Sequence[str]) -> str:
    """As it should be, worked out with fractions."""
    unit = 0
    while unit < len(units) - 1 and _half_up(Fraction(number * 10, base**unit)) >= base * 10 - 5:
        unit += 1
    ten = _half_up(Fraction(number * 10, base**unit))
    figure = str(number) if not unit else f"{ten // 10}.{ten % 10}" if ten < 100 else str((ten + 5) // 10)
    return f"{figure} {units[unit]}".strip()


async def test_numbers_up_to_64_bits(browser: Browser) -> None:
    dice = random.Random(7)
    numbers = [0, 1, 9, 10, 999, 1000, 1023, 1024, 10239, 10240, 1048575, 1048576, 2**53 + 1, 2**64 - 1]
    numbers += [dice.getrandbits(dice.randint(1, 64)) for _ in range(2000)]
    numbers += [base**power + step for base in (1000, 1024) for power in range(1, 6) for step in range(-60, 60, 7)]
    async with served(HOST) as server, opened(browser, server.url) as live:
        cases = [[str(number)] for number in numbers]
        assert await _called(live, "bytes", cases) == [_scaled(number, 1024, BINARY) for number in numbers]
        assert await _called(live, "count", cases) == [_scaled(number, 1000, METRIC) for number in numbers]
        assert await _called(live, "exact", cases) == [f"{number:,}".replace(",", "\u202f") for number in numbers]
        pairs = [(dice.choice(numbers), dice.choice(numbers)) for _ in range(1000)]
        signs = await _called(live, "compareDecimals", [[str(left), str(right)] for left, right in pairs])
        assert signs == [(left > right) - (left < right) for left, right in pairs]


async def test_known_texts(browser: Browser) -> None:
    cases: dict[str, dict[tuple[Any, ...], Any]] = {
        "bytes": {("1536",): "1.5 KiB", ("1048575",): "1.0 MiB", ("12.75",): "12 B", ("-2048",): "-2.0 KiB"},
        "tenths": {("12.34",): "12.3", ("12.35",): "12.4", ("100",): "100.0", ("-0.01",): "0.0", ("1e5",): "–"},
        "exact": {("-1234.50",): "-1\u202f234.50", ("",): "–", ("x",): "–"},
        "duration": {(7,): "7s", (192,): "3m 12s", (3600,): "1h 00m", (93784,): "1d 2h", (-3,): "0s"},
        "visible": {
            ("plain",): "plain", (" ",): "␣", ("",): "", ("a\u202eb",): r"a\u202eb", ("\x9b",): r"\x9b",
            ("\U000e0041",): r"\U000e0041", ("سلام",): "سلام", ("abc", 2): "ab…", ("🐧🐧", 2): "🐧🐧",
        },
    }  # fmt: skip
    async with served(HOST) as server, opened(browser, server.url) as live:
        for name, texts in cases.items():
            found = await _called(live, name, [list(arguments) for arguments in texts])
            assert dict(zip(texts, found, strict=True)) == texts


_STREAM = """async (told) => {
    const real = window.EventSource;
    const made = [];
    window.EventSource = class extends EventTarget {
        constructor() { super(); made.push(this); }
        close() { this.closed = true; }
    };
    const { Stream } = await import("/page/stream.js");
    const seen = [];
    const stream = new Stream("x", {
        full: (event) => seen.push("full " + event.sequence),
        change: (event) => seen.push("change " + event.sequence),
        state: () => {},
    });
    stream.open();
    for (const [kind, sequence] of told) {
        const count = made.length;
        const message = new MessageEvent(kind, { data: JSON.stringify({ sequence }) });
        made.at(-1).dispatchEvent(kind === "error" ? new Event("error") : message);
        if (made.at(-1).closed) {
            seen.push("again");
            while (made.length === count) await new Promise(requestAnimationFrame);
        }
    }
    window.EventSource = real;
    clearTimeout(stream.timer);
    return seen;
}"""


@pytest.mark.parametrize(
    ("told", "seen"),
    [
        ([("full", 5), ("change", 6), ("change", 9)], ["full 5", "change 6", "change 9"]),
        ([("full", 5), ("change", 5), ("full", 7), ("change", 8)], ["full 5", "again", "full 7", "change 8"]),
        ([("change", 5), ("full", 6)], ["again", "full 6"]),
        ([("full", 5), ("error", 0), ("change", 6), ("full", 2)], ["full 5", "again", "again", "full 2"]),
    ],
)
async def test_an_event_that_cannot_follow_begins_anew(
    browser: Browser, told: list[tuple[str, int]], seen: list[str]
) -> None:
    async with served(HOST) as server, opened(browser, server.url) as live:
        assert await live.page.evaluate(_STREAM, told) == seen
