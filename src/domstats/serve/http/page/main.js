// Puts the page together: the stream changes what is known of the guests, and what is known is shown.

import { ASKED, SUMS } from "./columns.js";
import { Guests } from "./guests.js";
import { HostLine } from "./host.js";
import { listen } from "./keys.js";
import { Panel } from "./panel.js";
import { Stream } from "./stream.js";
import { Table } from "./table.js";
import { View } from "./view.js";

const SLEPT = 5000; // milliseconds of sleep after which the stream may be dead without a word, and ages are wrong
const THEMES = ["auto", "light", "dark"];
const THEME_SIGNS = { auto: "◐", light: "☀", dark: "☾" };

const box = (id) => document.getElementById(id);
const guests = new Guests();
const view = new View();
const panel = new Panel(box("panel"));
const table = new Table(box("grid"), { sort, open: (guest) => open(guest.uuid) });
const host = new HostLine({ only, open: (guest) => open(guest.uuid) });

// The guest whose panel is open stands in the address, so that the browser's "back" closes it.
function open(uuid) {
  location.hash = uuid;
}

function follow() {
  const guest = guests.all.get(location.hash.slice(1));
  table.opened = guest?.uuid ?? null;
  document.body.classList.toggle("open", Boolean(guest));
  if (guest) panel.open(guest, guests);
  else panel.close();
  table.draw();
}

function close() {
  if (!panel.guest) return false;
  location.hash = "";
  return true;
}

function sort(column) {
  view.sort(column);
  ordered([column.id]);
}

function top(id) {
  view.top(id);
  ordered(SUMS[id]?.marks ?? [id]);
}

function ordered(ids) {
  table.sorted(ids, view.descending);
  for (const button of document.querySelectorAll("[data-top]")) {
    button.ariaPressed = String(view.descending && button.dataset.top === view.column.id);
  }
  box("grid").scrollTop = 0;
  show();
}

function only(status) {
  view.only(status ? new Set([status]) : null);
  show();
}

function show() {
  const order = view.arrange(guests, performance.now());
  table.show(order, guests.now());
  host.show(guests, view.statuses);
  const part = view.words.length > 0 || view.statuses !== null;
  box("found").textContent = part ? `${order.length.toLocaleString("en")} shown` : "";
  box("empty").hidden = order.length > 0;
  box("empty").textContent = nothingShown();
}

// Why the table is empty.
function nothingShown() {
  if (Number.isNaN(guests.time)) return "Waiting for the first values…";
  if (guests.all.size) return "No guest is like that.";
  return guests.host.trouble ? "No guest is known." : "This host has no guests.";
}

function happened(event, take) {
  const first = Number.isNaN(guests.time);
  take.call(guests, event);
  show();
  panel.show(guests, event.domains.find((record) => record.uuid === panel.guest?.uuid)?.values);
  if (first) follow();
}

function theme(next) {
  if (next === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  told(next);
  panel.recolour();
  localStorage.setItem("domstats.theme", next);
}

function told(theme) {
  const [sign, word] = box("theme").children;
  sign.textContent = THEME_SIGNS[theme];
  word.textContent = theme;
}

told(document.documentElement.dataset.theme ?? "auto");
box("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? "auto";
  theme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => panel.recolour());
box("search").addEventListener("input", () => {
  view.search(box("search").value);
  box("grid").scrollTop = 0;
  show();
});
for (const button of document.querySelectorAll("[data-top]")) {
  button.addEventListener("click", () => top(button.dataset.top));
}
box("close").addEventListener("click", () => {
  close();
  box("grid").focus();
});
table.body.addEventListener("pointermove", (event) => {
  if (event.pointerType === "mouse") view.hold(performance.now());
});
addEventListener("hashchange", follow);
listen({ search: box("search"), table, open: () => table.selected && open(table.selected), close });

top("cpu");
const stream = new Stream(`v1/stream?columns=${ASKED.join(",")}&rate=1`, {
  full: (event) => happened(event, guests.replace),
  change: (event) => happened(event, guests.change),
  state: (state) => host.connection(state),
});
stream.open();
addEventListener("online", () => stream.anew());

// Milliseconds that the page's clock is behind the time of day; it may stand still while the machine sleeps.
const lag = () => Date.now() - performance.now();
let lagged = lag();

setInterval(() => {
  const slept = Math.abs(lag() - lagged) > SLEPT;
  lagged = lag();
  if (slept) stream.anew();
  // Ages grow between two events.
  if (!Number.isNaN(guests.time)) table.show(table.guests, guests.now());
}, 1000);
