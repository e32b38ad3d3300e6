// The table. However many guests there are, only the rows that can be seen exist; they are used again for other guests
// when the table is scrolled or sorted, and of a row only the cells whose text has changed are written.

import { COLUMNS } from "./columns.js";

const SPARE = 4; // rows made above and below those that can be seen

export class Table {
  // `grid`: the element that scrolls; `on`: sort(column) and open(guest).
  constructor(grid, on) {
    this.grid = grid;
    this.on = on;
    this.guests = []; // in the order of the rows
    this.selected = null; // a UUID
    this.opened = null;
    this.now = NaN;
    this.rows = []; // row i of the table is rows[i % rows.length]
    this.drawing = 0;
    this.body = grid.querySelector("[role=rowgroup]");
    this.heads = COLUMNS.map((column) => this.#head(column));
    grid.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.#measure()).observe(grid);
    this.#follow();
  }

  // Show these guests, at that time by the server's clock. What is written between two frames does not make a frame longer
  // as well; nothing is written while nobody can see it.
  show(guests, now) {
    this.guests = guests;
    this.now = now;
    if (document.hidden) this.draw();
    else this.#draw();
  }

  // Mark the columns that rows are sorted by.
  sorted(ids, descending) {
    COLUMNS.forEach((column, place) => {
      const on = ids.includes(column.id);
      this.heads[place].ariaSort = on ? (descending ? "descending" : "ascending") : "none";
      for (const line of [...this.rows.map((row) => row.cells[place].box), this.heads[place]]) {
        line.classList.toggle("sorted", on);
      }
    });
    this.sortedIds = ids;
  }

  // Draw before the browser next paints.
  draw() {
    this.drawing ||= requestAnimationFrame(() => {
      this.drawing = 0;
      this.#draw();
    });
  }

  // Select the guest so many rows further down, or up, and scroll to it.
  move(rows) {
    if (!this.guests.length) return;
    const place = this.guests.findIndex((guest) => guest.uuid === this.selected);
    const first = Math.ceil(this.grid.scrollTop / this.height);
    const wanted = place < 0 ? first : place + rows;
    const next = Math.min(Math.max(wanted, 0), this.guests.length - 1);
    this.selected = this.guests[next].uuid;
    const top = next * this.height;
    const room = this.page * this.height;
    if (top < this.grid.scrollTop) this.grid.scrollTop = top;
    else if (top + this.height > this.grid.scrollTop + room) this.grid.scrollTop = top + this.height - room;
    this.draw();
  }

  // Whole rows that can be seen at a time.
  get page() {
    return Math.max(1, Math.floor((this.grid.clientHeight - this.heads[0].offsetHeight) / this.height));
  }

  #head(column) {
    const head = document.createElement("div");
    head.className = `cell ${column.id}`;
    head.setAttribute("role", "columnheader");
    head.ariaSort = "none";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = column.heading;
    button.addEventListener("click", () => this.on.sort(column));
    head.append(button);
    this.grid.querySelector(".heads").append(head);
    return head;
  }

  // How high a row is follows from the style sheet, which makes them higher for fingers.
  #measure() {
    this.height = parseFloat(getComputedStyle(this.grid).getPropertyValue("--row")) || 28;
    const count = Math.ceil(this.grid.clientHeight / this.height) + 2 * SPARE;
    while (this.rows.length < count) this.rows.push(this.#row());
    for (const row of this.rows.splice(count)) row.box.remove();
    for (const row of this.rows) row.place = -1;
    this.sorted(this.sortedIds ?? [], this.heads.some((head) => head.ariaSort === "descending"));
    this.draw();
  }

  #row() {
    const box = document.createElement("div");
    box.className = "row";
    box.id = `row-${this.rows.length}`;
    box.setAttribute("role", "row");
    const cells = COLUMNS.map((column) => {
      const cell = document.createElement("div");
      cell.className = `cell ${column.id}`;
      cell.setAttribute("role", "gridcell");
      const text = document.createTextNode("");
      // A figure cannot turn the direction of writing.
      const holder = column.unit ? cell : cell.appendChild(document.createElement("bdi"));
      holder.append(text);
      const bar = column.bar ? cell.appendChild(document.createElement("i")) : null;
      box.append(cell);
      return { box: cell, text, bar, length: NaN };
    });
    this.body.append(box);
    return { box, cells, place: -1, guest: null, look: "" };
  }

  #draw() {
    if (!this.height || !this.rows.length) return;
    this.grid.ariaRowCount = String(this.guests.length + 1);
    this.body.style.height = `${this.guests.length * this.height}px`;
    const seen = Math.floor(this.grid.scrollTop / this.height) - SPARE;
    const first = Math.max(0, Math.min(seen, this.guests.length - this.rows.length));
    let active = null;
    for (let place = first; place < first + this.rows.length; place += 1) {
      const row = this.rows[place % this.rows.length];
      this.#fill(row, place, this.guests[place] ?? null);
      if (row.guest && row.guest.uuid === this.selected) active = row.box.id;
    }
    if (active) this.grid.setAttribute("aria-activedescendant", active);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  #fill(row, place, guest) {
    row.guest = guest;
    row.box.hidden = !guest;
    if (!guest) return;
    if (row.place !== place) {
      row.place = place;
      row.box.style.transform = `translateY(${place * this.height}px)`;
      row.box.ariaRowIndex = String(place + 2); // the heads are row 1
    }
    const marks = [guest.uuid === this.selected && "selected", guest.uuid === this.opened && "opened"];
    const look = ["row", guest.status, guest.state === "running" ? "" : "off", ...marks].filter(Boolean).join(" ");
    if (row.look !== look) {
      row.look = row.box.className = look;
      row.box.ariaSelected = String(guest.uuid === this.selected);
    }
    COLUMNS.forEach((column, number) => {
      const cell = row.cells[number];
      const text = column.text(guest, this.now);
      if (cell.text.data !== text) cell.text.data = text;
      if (cell.bar) drawBar(cell, column.bar(guest));
    });
  }

  #follow() {
    const rowOf = (event) => this.rows.find((row) => row.box === event.target.closest(".row"));
    let pressed = null; // rows may move between pressing and letting go
    this.body.addEventListener("pointerdown", (event) => (pressed = rowOf(event)?.guest ?? null));
    const letGo = (event) => {
      if (event.type === "pointercancel" || !this.body.contains(event.target)) pressed = null; // no click will follow
    };
    for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, letGo);
    this.body.addEventListener("click", (event) => {
      const guest = pressed ?? rowOf(event)?.guest; // assistive technology clicks without pressing
      pressed = null;
      if (!guest) return;
      this.selected = guest.uuid;
      this.on.open(guest);
    });
    this.body.addEventListener("pointerover", (event) => {
      const row = rowOf(event);
      const number = row ? row.cells.findIndex((cell) => cell.box.contains(event.target)) : -1;
      if (number < 0 || !row.guest) return;
      const column = COLUMNS[number];
      row.cells[number].box.title = column.title ? column.title(row.guest) : column.text(row.guest, this.now);
    });
  }
}

function drawBar(cell, part) {
  const length = Number.isFinite(part) ? Math.round(Math.min(Math.max(part, 0), 1) * 100) / 100 : 0;
  if (cell.length === length) return;
  cell.length = length;
  cell.bar.style.transform = `scaleX(${length})`;
}
