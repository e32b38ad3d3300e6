"""The live page's table in a browser: rows, order, search, keys, names that would do harm, themes, a phone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, expect

from domstats.sources.sim.hostile import NAMES
from live_page import PHONE, opened, served

HOST = "sim:///?domains=60"
FROZEN = f"{HOST}&time=1800000000"


async def test_every_guest_has_a_row(browser: Browser) -> None:
    async with served(FROZEN) as server, opened(browser, server.url) as live:
        await expect(live.page.locator("#count")).to_have_text("60 guests")
        await expect(live.page.locator("#connection")).to_have_text("live")
        await live.head("name").locator("button").click()
        names = [record.domain.name for record in server.collector.latest]
        seen: set[str] = set()
        await live.page.locator("#grid").focus()
        for _ in range(10):
            seen.update(await live.column("name"))
            await live.page.keyboard.press("PageDown")
        seen.update(await live.column("name"))
        assert seen == set(names)
        assert await live.page.locator("#grid").get_attribute("aria-rowcount") == "61"


async def test_the_figures_are_those_of_the_host(browser: Browser) -> None:
    async with served(FROZEN) as server, opened(browser, server.url) as live:
        await live.page.fill("#search", "web-1 ")
        await expect(live.row("web-1").first).to_be_visible()
        (total,) = {
            text for name, text in zip(await live.column("name"), await live.column("total"), strict=True)
            if name == "web-1"
        }  # fmt: skip
        kib = server.collector.latest["web-1"]["balloon.current"]
        assert isinstance(kib, int)
        assert total == f"{kib / (1 << 20):.1f} GiB"


async def test_heads_sort_and_say_so(browser: Browser) -> None:
    async with served(HOST) as server, opened(browser, server.url) as live:
        cpu, name = live.head("cpu"), live.head("name")
        await expect(cpu).to_have_attribute("aria-sort", "descending")
        await expect(live.rows.first.locator(".cpu")).not_to_have_text("–")
        await name.locator("button").click()
        await expect(name).to_have_attribute("aria-sort", "ascending")
        await expect(cpu).to_have_attribute("aria-sort", "none")
        await expect(live.page.locator("[aria-rowindex='2'] .name")).to_have_text("app-1")
        rows = await live.page.evaluate("[...document.querySelectorAll('.row')].map((row) => (row.mark = 1))")
        await name.locator("button").click()
        await expect(name).to_have_attribute("aria-sort", "descending")
        await expect(live.page.locator("[aria-rowindex='2'] .name")).to_have_text(re.compile("^web-"))
        kept = await live.page.evaluate("[...document.querySelectorAll('.row')].filter((row) => row.mark).length")
        assert kept == len(rows)


@pytest.mark.parametrize(
    ("top", "columns"),
    [("cpu", ["cpu"]), ("steal", ["steal"]), ("disk", ["read", "write"]), ("network", ["rx", "tx"]), ("mem", ["mem"])],
)
async def test_top_by(browser: Browser, top: str, columns: list[str]) -> None:
    async with served(HOST) as server, opened(browser, server.url) as live:
        await live.page.click(f"[data-top={top}]")
        await expect(live.page.locator(f"[aria-rowindex='2'] .{columns[0]}")).not_to_have_text("–")
        await expect(live.page.locator(f"[data-top={top}]")).to_have_attribute("aria-pressed", "true")
        marked = await live.page.locator("[role=columnheader][aria-sort=descending]").all()
        assert [await head.get_attribute("class") for head in marked] == [f"cell {column} sorted" for column in columns]
        values = await live.page.evaluate(_SUMS, columns)
        assert values == sorted(values, reverse=True)
        assert values[0] > 0


_SUMS = """(columns) => {
    const units = {B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30};
    const rows = [...document.querySelectorAll(".row")].filter((row) => !row.hidden);
    rows.sort((a, b) => a.ariaRowIndex - b.ariaRowIndex);
    const number = (text) => { const [n, unit] = text.split(" "); return Number(n) * (units[unit] ?? 1); };
    const sums = rows.map((row) => columns.map((c) => number(row.querySelector("." + c).textContent)));
    return sums.filter((row) => !row.some(Number.isNaN)).map((row) => {
        const sum = row.reduce((a, b) => a + b);
        return sum && columns.length > 1 ? Math.floor(Math.log2(sum)) : sum;  // as exact as the texts are
    });
}"""


async def test_search_finds_by_name_uuid_and_state(browser: Browser) -> None:
    async with served(FROZEN) as server, opened(browser, server.url) as live:
        record = server.collector.latest["db-2"]
        off = sum(each.get("state") == "shutoff" for each in server.collector.latest)
        assert off
        for text, number in ((record.domain.uuid, 1), ("DB-2", None), ("shutoff", off), ("no such", 0)):
            await live.page.fill("#search", text)
            shown = live.page.locator("#found")
            await expect(shown).to_have_text(re.compile(r"^\d+ shown$" if number is None else f"^{number} shown$"))
            if number != 0:
                await expect(live.rows.first).to_be_visible()
        await expect(live.page.locator("#empty")).to_be_visible()
        await live.page.keyboard.press("Escape")
        await expect(live.page.locator("#search")).to_have_value("")
        await expect(live.page.locator("#grid")).to_be_focused()


async def test_keys(browser: Browser) -> None:
    async with served(FROZEN) as server, opened(browser, server.url) as live:
        await live.head("name").locator("button").click()
        keys, grid = live.page.keyboard, live.page.locator("#grid")
        await grid.focus()
        await keys.press("/")
        await expect(live.page.locator("#search")).to_be_focused()
        await keys.type("web")
        await keys.press("Enter")
        await expect(grid).to_be_focused()
        selected = live.page.locator(".row.selected .name")
        await expect(selected).to_have_text("web-1")
        await keys.press("ArrowDown")
        await expect(selected).to_have_text("web-2")
        await keys.press("End")
        await expect(selected).not_to_have_text("web-2")
        await keys.press("Home")
        await expect(selected).to_have_text("web-1")
        active = await grid.get_attribute("aria-activedescendant")
        assert await live.page.locator(f"#{active} .name").inner_text() == "web-1"
        await keys.press("Tab")
        await expect(live.head("name").locator("button")).to_be_focused()
        await keys.press("Enter")
        await expect(live.head("name")).to_have_attribute("aria-sort", "descending")


async def test_a_click_without_pressing_opens_the_guest_it_is_on(browser: Browser) -> None:
    async with served(FROZEN) as server, opened(browser, server.url) as live:

        async def only(name: str) -> Locator:
            await live.page.fill("#search", server.collector.latest[name].domain.uuid)
            await expect(live.rows).to_have_count(1)
            return live.row(name)

        name = live.page.locator("#panel-name")
        await (await only("db-1")).click()
        await expect(name).to_have_text("db-1")
        await (await only("db-2")).evaluate("(row) => row.click()")
        await expect(name).to_have_text("db-2")
        await (await only("db-1")).hover()
        await live.page.mouse.down()
        await live.page.locator("#count").hover()
        await live.page.mouse.up()
        await (await only("web-1")).evaluate("(row) => row.click()")
        await expect(name).to_have_text("web-1")


async def test_hostile_names_are_text(browser: Browser, tmp_path: Path) -> None:
    script = tmp_path / "hostile.toml"
    script.write_text('[[event]]\nat = 0\ndomains = "*"\ndo = "hostile"\n', encoding="utf-8")
    uri, wide = f"sim:///?domains={len(NAMES)}&script={script}", {"width": 1800, "height": 900}
    async with served(uri) as server, opened(browser, server.url, viewport=wide) as live:
        await live.head("name").locator("button").click()
        await expect(live.page.locator("#count")).to_have_text(f"{len(NAMES)} guests")
        shown = await live.column("name")
        assert "</td><script>alert(1)</script>&amp;<!--]]>" in shown
        assert r"new\nline\r\nDomain: 'another'\ttab" in shown
        assert r"\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J" in shown
        assert r"ünï-日本-🐧-\u202eright-to-left\u202c-\u200b" in shown
        assert f"long-{'x' * 251}…" in shown
        assert "␣" in shown
        inside = await live.page.evaluate("[...document.querySelectorAll('.row .name')].map((e) => e.innerHTML)")
        assert all(re.fullmatch("<bdi>[^<>]*</bdi>", html) for html in inside)
        await live.picture("hostile")
        await live.row("</td>").click()
        await expect(live.page.locator("#panel-name")).to_have_text("</td><script>alert(1)</script>&amp;<!--]]>")
        await live.row("long-").click()
        await expect(live.page.locator("#panel-name")).to_have_text(f"long-{'x' * 4000}")


async def test_the_policy_is_strict_and_breaches_of_it_are_seen(browser: Browser) -> None:
    async with served(FROZEN) as server, opened(browser, server.url) as live:
        reply = await live.page.request.get(server.url)
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        await live.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">')")
        assert any("Content Security Policy" in complaint for complaint in live.complaints)
        live.complaints.clear()


async def test_a_browser_asks_for_the_token(browser: Browser) -> None:
    token = "0123456789abcdef-secret"
    known = {"username": "anybody", "password": token}
    async with (
        served(FROZEN, token=token) as server,
        opened(browser, server.url, http_credentials=known) as live,
    ):
        await expect(live.page.locator("#connection")).to_have_text("live")
        stranger = await browser.new_context()
        reply = await stranger.request.get(server.url)
        assert reply.status == 401
        await stranger.close()


async def test_light_and_dark(browser: Browser) -> None:
    brightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    async with served(HOST) as server, opened(browser, server.url, color_scheme="dark") as live:
        assert await live.page.evaluate(brightness) < 64
        await expect(live.page.locator("[aria-rowindex='2'] .cpu")).not_to_have_text("–")
        await live.picture("dark")
        await live.page.click("#theme")
        await expect(live.page.locator("#theme")).to_have_text("☀ light")
        assert await live.page.evaluate(brightness) > 192
        await live.page.reload()
        await expect(live.page.locator("#theme")).to_have_text("☀ light")
        assert await live.page.evaluate(brightness) > 192
        await expect(live.page.locator("[aria-rowindex='2'] .cpu")).not_to_have_text("–")
        await live.picture("light")


@pytest.mark.usefixtures("charts")
async def test_on_a_phone(browser: Browser) -> None:
    async with served(HOST) as server, opened(browser, server.url, **PHONE) as live:
        visible = live.page.locator("[role=columnheader]:visible")
        assert await visible.all_inner_texts() == ["name", "cpu %", "mem used", "status"]
        await live.page.click("[data-top=network]")
        assert await visible.all_inner_texts() == ["name", "cpu %", "mem used", "rx/s", "tx/s", "status"]
        await live.page.click("[data-top=cpu]")
        assert await live.page.evaluate("document.documentElement.scrollWidth") == 390
        row = await live.rows.first.bounding_box()
        assert row is not None
        assert row["height"] >= 40
        await expect(live.page.locator("[aria-rowindex='2'] .cpu")).not_to_have_text("–")
        await live.picture("phone")
        await live.rows.first.tap()
        panel = await live.page.locator("#panel").bounding_box()
        assert panel == {"x": 0, "y": 0, "width": 390, "height": 844}
        await expect(live.page.locator("figure h3").last).to_have_text("Network")
        await live.picture("phone-charts")
        await live.page.go_back()
        await expect(live.page.locator("#panel")).to_be_hidden()
