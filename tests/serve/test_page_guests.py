"""What the live page makes of the stream's events, by its modules: the panel, the line of the host, and their times."""

from __future__ import annotations

import json
from typing import Any

from playwright.async_api import Browser, expect

from live_page import opened, served

HOST = "sim:///?domains=1&time=1800000000"
# What the cases begin with. `box` is the page's own; what the modules are told replaces what stands there.
_SETTING = """
    const { Guests } = await import("/page/guests.js");
    const { HostLine } = await import("/page/host.js");
    const { Panel } = await import("/page/panel.js");
    const { Table } = await import("/page/table.js");
    const { History } = await import("/page/history.js");
    const box = (id) => document.getElementById(id);
    const guests = new Guests();
    const said = (uuid, more) => ({ uuid, name: uuid, id: 1, state: "running", status: "fresh", age: 1, ...more });
    const full = (time, ...domains) => guests.replace({ time, domains, host: {} });
    const change = (time, domains, gone = []) => guests.change({ time, domains, gone, host: {} });
"""


async def _ran(browser: Browser, code: str, arg: object = None) -> Any:
    """What the code returns that is run in the page, with the modules at hand."""
    async with served(HOST) as server, opened(browser, server.url) as live:
        return await live.page.evaluate(f"async (arg) => {{ {_SETTING} {code} }}", arg)


async def test_a_panel_goes_on_when_its_guest_has_gone_and_come_again(browser: Browser) -> None:
    code = """
        const panel = new Panel(box("panel"));
        const seen = () => [box("panel-status").textContent, box("figures").lastElementChild.lastChild.textContent];
        const found = [];
        full(100, said("a", { values: { tx: "1" } }));
        panel.open(guests.all.get("a"), guests);
        found.push(seen());
        change(101, [], ["a"]);
        panel.show(guests);
        found.push(seen());
        change(102, [said("a", { status: "partial", values: { tx: "3" } })]);
        panel.show(guests);
        found.push(seen());
        full(103);
        full(104, said("a", { values: { tx: "4" } }));
        panel.show(guests);
        found.push(seen());
        panel.close();
        return found;
    """
    assert await _ran(browser, code) == [
        ["fresh 1s", "1 B"], ["gone from this host", "1 B"], ["◐ partial 1s", "3 B"], ["fresh 1s", "4 B"],
    ]  # fmt: skip


async def test_who_never_answered_is_stuck_since_the_beginning(browser: Browser) -> None:
    code = """
        full(100, said("a", { status: "blocked", age: 2 }), said("b", { status: "blocked", age: 1 }));
        const line = new HostLine({});
        line.show(guests, null);
        const button = box("stuck").querySelector("button");
        const since = () => guests.stuck().map((guest) => [guest.uuid, guest.since]);
        const found = [since()];
        change(110, [{ uuid: "a", age: 0.5 }, { uuid: "b", age: 11 }]);
        line.show(guests, null);
        found.push(since(), box("stuck").contains(button));
        change(120, [{ uuid: "a", status: "stale", age: 0 }]);
        found.push(since());
        change(130, [{ uuid: "a", status: "fresh", age: 1 }]);
        change(140, [{ uuid: "a", status: "blocked", age: 2 }]);
        found.push(since());
        return found;
    """
    assert await _ran(browser, code) == [
        [["a", 98], ["b", 99]], [["a", 98], ["b", 99]], True, [["a", 98], ["b", 99]], [["b", 99], ["a", 138]],
    ]  # fmt: skip


async def test_who_is_stuck_without_values_comes_first(browser: Browser) -> None:
    code = """
        const { COLUMNS, sorted } = await import("/page/columns.js");
        const stuck = { status: "blocked" };
        full(100, said("a", { ...stuck, age: 9 }), said("b", { ...stuck, age: null }), said("c", { ...stuck, age: 50 }),
            said("d", {}), said("e", { age: null }));
        const status = COLUMNS.find((column) => column.id === "status");
        const order = sorted(guests.named, status, true);
        const text = (guest) => status.text(guest, 100);
        return [guests.stuck().map((guest) => guest.uuid), order.map((guest) => guest.uuid), text(order[0])];
    """
    assert await _ran(browser, code) == [["b", "c", "a"], ["b", "c", "a", "e", "d"], "▲ blocked –"]


async def test_by_name_after_one_came_went_or_got_another(browser: Browser) -> None:
    code = """
        const { View } = await import("/page/view.js");
        const { COLUMNS } = await import("/page/columns.js");
        const view = new View();
        const shown = (id) => {
            view.sort(COLUMNS.find((column) => column.id === id));
            return view.arrange(guests, 0).map((guest) => guest.name).join(" ");
        };
        full(100, said("b10"), said("b9", { values: { rx: "9" } }), said("a", { values: { rx: "10" } }), said("c"));
        const found = [shown("rx"), shown("rx"), shown("name"), shown("name"), shown("state")];
        change(101, [said("B2")], ["a"]);
        found.push(shown("name"));
        change(102, [{ uuid: "c", name: "A" }]);
        found.push(shown("name"), shown("rx"));
        full(103, said("z"), said("y"));
        found.push(shown("rx"));
        return found;
    """
    assert await _ran(browser, code) == [
        "a b9 b10 c", "b9 a b10 c", "a b9 b10 c", "c b10 b9 a", "a b9 b10 c",
        "B2 b9 b10 c", "b10 b9 B2 A", "b9 A B2 b10", "y z",
    ]  # fmt: skip


async def test_no_figure_is_wider_than_its_cell(browser: Browser) -> None:
    largest = str(2**64 - 1)
    values = dict.fromkeys(("mem", "total", "read", "write", "rx", "tx", "vcpus"), largest)
    values |= {"cpu": "1844674407370955.1", "steal": "99999.9"}
    domain = {"uuid": "u", "name": "n" * 300, "id": 1, "state": "running", "status": "fresh", "age": 1}
    data = json.dumps({"sequence": 1, "time": 1.0, "host": {}, "domains": [domain | {"values": values}]})
    async with served(HOST) as server, opened(browser, server.url) as live:
        answer = {"body": f"event: full\nid: 1\ndata: {data}\n\n", "content_type": "text/event-stream"}
        await live.page.route("**/v1/stream*", lambda route: route.fulfill(**answer))
        await live.page.reload()
        await expect(live.rows.first.locator(".cpu")).to_have_text("1.8 P")
        texts = await live.rows.first.locator(".cell").all_inner_texts()
        assert texts[2:-1] == ["18 E", "1.8 P", "99999.9", *6 * ["16 EiB"]]
        wide = await live.page.evaluate(
            "[...document.querySelectorAll('.row:not([hidden]) .cell:not(.name)')]"
            ".filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.textContent)"
        )
        assert wide == []
        title = "1 844 674 407 370 955.1 % of one CPU".replace(" ", "\u202f", 5)
        await live.rows.first.locator(".cpu").hover()
        await expect(live.rows.first.locator(".cpu")).to_have_attribute("title", title)


async def test_since_when_has_its_date_after_midnight(browser: Browser) -> None:
    code = """
        const night = new Date(2026, 0, 31).getTime() / 1000;
        const line = new HostLine({});
        const shown = () => (line.show(guests, null), box("stuck").querySelector("button").textContent);
        full(night - 60, said("a", { status: "blocked", age: 540 }));
        const found = [shown()];
        change(night + 60, []);
        return [...found, shown()];
    """
    assert await _ran(browser, code) == ["a since 23:50:00", "a since 2026-01-30 23:50:00"]


async def test_the_host_has_its_name_and_says_why_it_cannot_be_asked(browser: Browser) -> None:
    async with served(HOST) as server, opened(browser, server.url) as live:
        trouble, empty = live.page.locator("#trouble"), live.page.locator("#empty")
        await expect(trouble).to_be_hidden()
        await expect(live.page.locator("#host")).to_have_text(server.url.removeprefix("http://"))

        async def told(**host: str) -> None:
            data = json.dumps({"sequence": 1, "time": 1.0, "host": host, "domains": []})
            body = f"event: full\nid: 1\ndata: {data}\n\n"
            await live.page.unroute_all()
            answer = {"body": body, "content_type": "text/event-stream"}
            await live.page.route("**/v1/stream*", lambda route: route.fulfill(**answer))
            await live.page.reload()

        await told(hostname="kvm-7", trouble="no\nsocket")
        await expect(trouble).to_have_text(r"The host cannot be asked: no\nsocket")
        await expect(live.page.locator("#host")).to_have_text("kvm-7")
        await expect(live.page).to_have_title("kvm-7 · 0 guests")
        await expect(empty).to_have_text("No guest is known.")
        await told(hostname="kvm-7")
        await expect(empty).to_have_text("This host has no guests.")
        await expect(trouble).to_be_hidden()


async def test_an_hour_of_what_is_streamed_is_kept(browser: Browser) -> None:
    code = """
        const history = new History("a");
        for (let time = 1; time <= 4000; time += 1) history.add(time, { cpu: String(time) });
        const { times, values } = history.series.get("cpu");
        const found = [times[0], times.length, values[0], values.length];
        const replies = [{ gone: 1, rx: 2 }, { rx: 3 }];
        const real = window.fetch;
        window.fetch = async () => {
            const fields = {};
            for (const [field, value] of Object.entries(replies.shift())) {
                fields[field] = { times: [5], values: [value] };
            }
            return { ok: true, json: async () => ({ fields }) };
        };
        await history.load(900);
        found.push([...history.series.keys()]);
        await history.load(900);
        found.push([...history.series.keys()]);
        window.fetch = real;
        return found;
    """
    assert await _ran(browser, code) == [400, 3601, 400, 3601, ["cpu", "gone", "rx"], ["cpu", "rx"]]


async def test_a_history_that_does_not_come_is_given_up(browser: Browser) -> None:
    code = """
        const real = AbortSignal.timeout;
        const asked = [];
        AbortSignal.timeout = (wait) => (asked.push(wait), AbortSignal.abort(new Error("too late")));
        const history = new History("a");
        await history.load(900);
        AbortSignal.timeout = real;
        return [asked, history.complaint];
    """
    assert await _ran(browser, code) == [[30000], "No history: too late"]


async def test_a_page_whose_machine_slept_begins_anew(browser: Browser) -> None:
    sleep = "const real = Date.now; Date.now = () => real() + 3600000;"
    async with served(HOST) as server, opened(browser, server.url) as live:
        await expect(live.page.locator("#connection")).to_have_text("live")
        for code in (sleep, "dispatchEvent(new Event('online'))"):
            async with live.page.expect_request("**/v1/stream*", timeout=5000):
                await live.page.evaluate(f"() => {{ {code} }}")
            await expect(live.page.locator("#connection")).to_have_text("live")
