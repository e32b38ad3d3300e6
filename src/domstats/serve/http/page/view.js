// Which guests the table shows, and in which order.

import { COLUMNS, SUMS, sorted } from "./columns.js";

const STILL = 3000; // milliseconds that the order is kept after the pointer last moved over the rows

export class View {
  constructor() {
    this.words = []; // all of them are looked for
    this.statuses = null; // a set of those that are shown; null for all
    this.column = COLUMNS.find((column) => column.id === "cpu");
    this.descending = true;
    this.stillUntil = 0;
    this.order = [];
  }

  search(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.stillUntil = 0;
  }

  only(statuses) {
    this.statuses = statuses;
    this.stillUntil = 0;
  }

  // Sort by a column; by one that is sorted by already, the other way round.
  sort(column) {
    this.descending = this.column === column ? !this.descending : (column.descending ?? false);
    this.column = column;
    this.stillUntil = 0;
  }

  // Greatest first by a column's, or a sum's, name.
  top(id) {
    this.column = SUMS[id] ?? COLUMNS.find((column) => column.id === id);
    this.descending = true;
    this.stillUntil = 0;
  }

  // The pointer is over the rows: they do not change places under it.
  hold(now) {
    this.stillUntil = now + STILL;
  }

  // Those of the Guests that are shown, in their order. `now`: milliseconds.
  arrange(guests, now) {
    const { all } = guests;
    if (now < this.stillUntil && this.order.every((guest) => all.get(guest.uuid) === guest)) return this.order;
    const found = guests.named.filter((guest) => this.#shows(guest));
    this.order = sorted(found, this.column, this.descending);
    return this.order;
  }

  #shows(guest) {
    if (this.statuses && !this.statuses.has(guest.status)) return false;
    return this.words.every((word) => guest.text.includes(word));
  }
}
