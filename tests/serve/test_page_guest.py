"""The live page's panel of a guest, guests that get stuck and come back, and a server that goes away."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from command import end, start
from live_page import LivePage, opened, served, until

HOST = "sim:///?domains=12&vcpus=2&disks=2&nics=1"
STUCK = """
[[event]]
at = 5
domains = "test-1"
do = "hang"

[[event]]
at = 25
domains = "test-1"
do = "answer"
"""
# Whether a pixel has that colour. A line a pixel and a half wide that lies between two rows covers three quarters of
# each: what is not covered is transparent, and the colour, which is kept multiplied with that, loses a little.
_DRAWN = """((canvas) => {
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    for (let i = 0; i < data.length; i += 4) {
        if (data[i + 3] > 128 && arg.every((part, which) => Math.abs(data[i + which] - part) < 4)) return true;
    }
})(document.querySelector("canvas"))"""


async def _panel(live: LivePage, name: str) -> None:
    await live.page.fill("#search", name)
    await live.page.keyboard.press("Enter")
    await live.page.keyboard.press("Enter")
    await expect(live.page.locator("#panel-name")).to_have_text(name)


@pytest.mark.usefixtures("charts")
async def test_enter_opens_charts_and_escape_closes_them(browser: Browser) -> None:
    async with served(HOST) as server, opened(browser, server.url) as live:
        await _panel(live, "test-1")
        titles = live.page.locator("figure h3")
        await expect(titles.nth(11)).to_be_attached()
        assert await titles.all_inner_texts() == [
            "CPU", "vCPUs", "Contention", "Steal by vCPU", "Wait by vCPU", "Memory", "Disks", "Read by disk",
            "Written by disk", "Disk requests", "Time of a request", "Network",
        ]  # fmt: skip
        record = server.collector.latest["test-1"]
        await expect(live.page.locator("#panel-uuid")).to_have_text(record.domain.uuid)
        vcpus = live.page.locator("figure", has=live.page.get_by_text("vCPUs", exact=True))
        labels = await vcpus.locator(".entry bdi").all_inner_texts()
        assert labels == ["all", "vCPU 0", "vCPU 1"]
        await expect(vcpus.locator(".entry b").nth(1)).to_have_text(re.compile(r"^\d+(\.\d)? %$"))
        await live.page.keyboard.press("Escape")
        await expect(live.page.locator("#panel")).to_be_hidden()
        await expect(titles).to_have_count(0)


@pytest.mark.usefixtures("charts")
async def test_a_chart_draws_what_the_history_has(browser: Browser) -> None:
    async with served(HOST) as server, opened(browser, server.url) as live:
        await _panel(live, "test-1")
        chart = live.page.locator("figure").first
        await expect(chart.locator(".entry b")).to_have_text(re.compile(r"^\d+(\.\d)? %$"))
        await live.page.click("[data-seconds='300']")
        colour = await chart.locator(".swatch").evaluate("(swatch) => getComputedStyle(swatch).color")
        wanted = list(map(int, re.findall(r"\d+", colour)))
        await until(live.page, _DRAWN, wanted)
        await live.picture("charts")
        await live.page.emulate_media(color_scheme="dark")
        await expect(chart).to_be_visible()
        dark = await live.page.locator(".swatch").first.evaluate("(swatch) => getComputedStyle(swatch).color")
        assert dark != colour
        wanted = list(map(int, re.findall(r"\d+", dark)))
        await until(live.page, _DRAWN, wanted)
        await live.picture("charts-dark")


@pytest.mark.usefixtures("charts")
async def test_colours_that_change_while_charts_are_made_make_none_twice(browser: Browser) -> None:
    async with served(HOST) as server, opened(browser, server.url) as live:
        await _panel(live, "test-1")
        titles = live.page.locator("figure h3")
        await live.page.click("#theme")
        await until(live.page, "document.querySelectorAll('figure').length >= 2")
        for _ in range(2):
            await live.page.evaluate("document.getElementById('theme').click()")
            await until(live.page, "document.querySelectorAll('figure').length >= 2")
        await expect(titles.nth(11)).to_be_attached()
        found = await titles.all_inner_texts()
        assert len(found) == len(set(found)) == 12
        assert found[0] == "CPU"


async def test_without_uplot_the_page_says_what_it_lacks(browser: Browser) -> None:
    async with served(HOST) as server, opened(browser, server.url) as live:
        await live.page.route("**/uPlot.esm.js*", lambda route: route.fulfill(status=404))
        await _panel(live, "test-1")
        await expect(live.page.locator("#panel-note")).to_contain_text("make page")
        await expect(live.page.locator("#figures dd").first).to_have_text("2")
        assert [text for text in live.complaints if "404" not in text] == []
        live.complaints.clear()


@pytest.mark.usefixtures("charts")
async def test_charts_that_could_not_be_loaded_are_loaded_later(browser: Browser) -> None:
    async with served(HOST) as server, opened(browser, server.url) as live:
        await live.page.route("**/uPlot.esm.js*", lambda route: route.abort())
        await _panel(live, "test-1")
        await expect(live.page.locator("#panel-note")).to_contain_text("No charts: ")
        await live.page.unroute_all()
        await live.page.click("[data-seconds='300']")
        await expect(live.page.locator("figure h3").first).to_have_text("CPU")
        await expect(live.page.locator("#panel-note")).to_have_text("")
        assert [text for text in live.complaints if "ERR_FAILED" not in text] == []
        live.complaints.clear()


async def test_a_guest_gets_stuck_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    script = tmp_path / "stuck.toml"
    script.write_text(STUCK, encoding="utf-8")
    async with served(f"{HOST}&script={script}") as server, opened(browser, server.url) as live:
        row, notice = live.row("test-1"), live.page.locator("#stuck")
        await expect(row.locator(".status")).to_contain_text("fresh")
        await expect(notice).to_be_hidden()
        await expect(row.locator(".status")).to_contain_text("▲ blocked")
        await expect(row).to_have_class(re.compile("blocked"))
        await expect(notice).to_have_text(re.compile(r"^▲1 guest does not answertest-1 since \d\d:\d\d:\d\d$"))
        chip = live.page.locator(".chip.blocked")
        await expect(chip).to_have_text("1 blocked")
        await live.picture("stuck")
        await chip.click()
        assert await live.column("name") == ["test-1"]
        await notice.locator("button").click()
        await expect(live.page.locator("#panel-status")).to_contain_text("since")
        await chip.click()
        await expect(row.locator(".status")).to_contain_text("fresh")
        await expect(notice).to_be_hidden()
        await expect(chip).to_be_hidden()


async def test_the_page_comes_back_with_its_server(browser: Browser) -> None:
    first = await start("serve", "-c", f"{HOST}&time=1800000000", "--listen", "127.0.0.1:0")
    assert first.stderr is not None
    url = (await first.stderr.readline()).decode().split()[-1]
    async with opened(browser, url) as live:
        connection = live.page.locator("#connection")
        await expect(connection).to_have_text("live")
        first.terminate()
        assert (await end(first)).code == 0
        await expect(connection).to_have_text("reconnecting…")
        await live.picture("reconnecting")
        second = await start(
            "serve", "-c", "sim:///?domains=15&time=1800000000", "--listen", url.removeprefix("http://")
        )
        await expect(connection).to_have_text("live")
        await expect(live.page.locator("#count")).to_have_text("15 guests")
        second.terminate()
        assert (await end(second)).code == 0
        assert [text for text in live.complaints if "ERR_" not in text] == []
        live.complaints.clear()
