"""The live page in a headless Chromium, served by a server in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, expect

import domstats
from domstats.catalog.groups import GROUPS
from domstats.collector.collector import Collector
from domstats.serve.history.following import Following, history_of
from domstats.serve.http import http_server
from domstats.serve.http.options import Address, HttpOptions

SCREENSHOTS = Path(__file__).parent.parent / "build" / "screenshots"
"""Where pictures of the page are left, to be looked at."""
PATIENCE = 20_000.0
"""Milliseconds after which something that does not appear fails its test."""
DESKTOP: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True,
}  # fmt: skip

expect.set_options(timeout=PATIENCE)


@dataclass(frozen=True, slots=True)
class Served:
    """A server, and what is behind it."""

    collector: Collector
    url: str


@asynccontextmanager
async def served(uri: str, period: float = 1.0, token: str | None = None) -> AsyncIterator[Served]:
    """A server over that host, whose groups are all asked for so often, for as long as the block lasts; `token`: what
    its clients have to know."""
    async with domstats.collect(uri, plan={group.name: period for group in GROUPS}, share=1.0) as collector:
        following = Following(history_of(collector), collector)
        options = HttpOptions((Address("127.0.0.1", 0),), token=token)
        server = http_server(collector, options, history=following.history)
        await following.start()
        await server.start()
        try:
            yield Served(collector, server.urls[0])
        finally:
            await server.stop()
            await following.stop()


@dataclass(eq=False)
class LivePage:
    """The page in a browser."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """What the browser has complained of: errors, and what the content security policy forbids."""

    def __post_init__(self) -> None:
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"a dialog: {dialog.message}"))

    @property
    def rows(self) -> Locator:
        """The rows of guests that can be seen, in the order of the document."""
        return self.page.locator(".row:visible")

    def row(self, name: str) -> Locator:
        """A guest's row."""
        return self.rows.filter(has=self.page.locator(".name bdi", has_text=name))

    def head(self, column: str) -> Locator:
        """The head of a column."""
        return self.page.locator(f"[role=columnheader].{column}")

    async def open(self, url: str) -> None:
        """Go there, and wait for the first guest."""
        await self.page.goto(url)
        await expect(self.rows.first).to_be_visible()

    async def column(self, column: str) -> list[str]:
        """The texts of a column, from the top of the table."""
        found = await self.page.evaluate(_COLUMN, column)
        return [text for _, text in sorted(found)]

    async def picture(self, name: str) -> None:
        """Leave a picture of it as it is."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)


async def until(page: Page, condition: str, arg: object = None) -> None:
    """Wait until the expression is true, which may use `arg`. (Playwright's own waiting needs what the page's policy
    forbids.)"""
    async with asyncio.timeout(PATIENCE / 1000):
        await page.evaluate(
            f"async (arg) => {{ while (!({condition})) await new Promise(requestAnimationFrame); }}", arg
        )


_COLUMN = """async (column) => {
    await new Promise(requestAnimationFrame);  // in which the table draws what it was told to before
    return [...document.querySelectorAll(".row")].filter((row) => !row.hidden)
    .map((row) => [Number(row.ariaRowIndex), row.querySelector("." + column).textContent]);
}"""


@asynccontextmanager
async def opened(browser: Browser, url: str, **context: Any) -> AsyncIterator[LivePage]:
    """The page at that address, for as long as the block lasts; then the browser must not have complained."""
    made = await browser.new_context(**DESKTOP | context)
    try:
        live = LivePage(await made.new_page())
        await live.open(url)
        yield live
        assert live.complaints == []
    finally:
        await made.close()
