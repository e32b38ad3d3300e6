// The panel of one guest: who it is, its figures, and charts of the last minutes.

import { Chart, charting } from "./chart.js";
import { COLUMNS, statusText } from "./columns.js";
import { chartsOf } from "./fields.js";
import { clock, visible } from "./format.js";
import { History } from "./history.js";

const REFRESH = 10000; // milliseconds from one reading of the history to the next
const SPAN_LEAST = 60; // seconds that are shown although nothing is known of so long ago
const NAME_MAX = 5000; // characters; libvirt's own limit is below

export class Panel {
  constructor(box) {
    this.box = box;
    this.guest = null;
    this.history = null;
    this.charts = [];
    this.drawn = null; // { key }: which fields the charts are of; another object each time they are made
    this.seconds = 900;
    this.timer = 0;
    this.figures = new Map();
    for (const column of COLUMNS.slice(2, -1)) this.#figure(column);
    for (const button of this.#ranges()) button.addEventListener("click", () => this.#range(button));
  }

  open(guest, guests) {
    if (this.guest?.uuid === guest.uuid) return;
    this.close();
    this.guest = guest;
    this.history = new History(guest.uuid);
    this.box.hidden = false;
    this.box.scrollTop = 0;
    this.show(guests);
    this.#load();
  }

  close() {
    clearTimeout(this.timer);
    this.#clear();
    this.guest = this.history = null;
    this.box.hidden = true;
  }

  // Show the guest as it is now; `values`: what an event says that is new.
  show(guests, values) {
    if (!this.guest) return;
    const now = guests.now();
    this.now = () => guests.now();
    const here = guests.all.get(this.guest.uuid);
    this.guest = here ?? this.guest; // one that has gone and come again is another object
    this.#write("panel-name", visible(this.guest.name, NAME_MAX));
    this.#write("panel-uuid", this.guest.uuid);
    this.#write("panel-state", this.guest.state);
    const status = this.box.querySelector("#panel-status");
    status.className = here ? this.guest.status : "gone";
    const since = this.guest.stuck ? `, since ${clock(this.guest.since, now)}` : "";
    this.#write("panel-status", here ? statusText(this.guest, now) + since : "gone from this host");
    for (const [column, cell] of this.figures) {
      const text = column.text(this.guest, now);
      if (cell.textContent !== text) cell.textContent = text;
      cell.parentElement.title = column.title?.(this.guest) ?? "";
    }
    if (values) this.history.add(guests.time, values);
    this.#draw();
  }

  // Draw everything anew, in the colours there are now.
  recolour() {
    this.#clear();
    this.#charts();
  }

  // Ask for the history, and again after a while.
  async #load() {
    const history = this.history;
    clearTimeout(this.timer);
    await history.load(this.seconds);
    if (history !== this.history) return; // another guest was opened meanwhile
    await this.#charts();
    if (history !== this.history) return;
    this.timer = setTimeout(() => this.#load(), REFRESH);
  }

  // Make the charts that the fields call for, one between two frames, and draw them.
  async #charts() {
    const history = this.history;
    const { uPlot, complaint } = await charting();
    if (!history || history !== this.history) return;
    this.#write("panel-note", uPlot ? history.complaint : complaint);
    if (!uPlot) return;
    const wanted = chartsOf([...new Set([...history.all, ...history.series.keys()])]);
    const key = JSON.stringify(wanted.map((chart) => [chart.title, chart.lines]));
    if (key === this.drawn?.key) return this.#draw();
    this.#clear();
    const drawn = { key };
    this.drawn = drawn;
    for (const { title, unit, lines } of wanted) {
      await afterFrame();
      if (this.drawn !== drawn) return; // closed, or begun anew
      this.charts.push(new Chart(uPlot, title, lines, unit, this.box.querySelector("#charts")));
      this.#draw(this.charts.slice(-1));
    }
  }

  #draw(charts = this.charts) {
    const now = this.now();
    const from = Math.max(now - this.seconds, Math.min(this.history.begin, now - SPAN_LEAST));
    for (const chart of charts) chart.show(this.history.series, from, now);
  }

  #clear() {
    for (const chart of this.charts.splice(0)) chart.remove();
    this.drawn = null;
  }

  #ranges() {
    return this.box.querySelectorAll("[data-seconds]");
  }

  #range(chosen) {
    this.seconds = Number(chosen.dataset.seconds);
    for (const button of this.#ranges()) button.ariaPressed = String(button === chosen);
    if (this.history) this.#load();
  }

  #figure(column) {
    const pair = this.box.querySelector("#figures").appendChild(document.createElement("div"));
    pair.appendChild(document.createElement("dt")).textContent = column.heading;
    this.figures.set(column, pair.appendChild(document.createElement("dd")));
  }

  #write(id, text) {
    const box = this.box.querySelector(`#${id}`);
    if (box.textContent !== text) box.textContent = text;
  }
}

// Until a frame has been drawn: what is made in it, the browser would lay out and paint before it does anything else.
function afterFrame() {
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
}
