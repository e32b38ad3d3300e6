// What is known of the host and its guests: the last full event of the stream, with the changes since.

import { visible } from "./format.js";

const NAMES = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

export class Guests {
  constructor() {
    this.all = new Map(); // by UUID
    this.host = {};
    this.time = NaN; // the server's, at the last event: seconds since the epoch
    this.received = 0; // this page's clock at that moment, in milliseconds
    this.inOrder = null; // by name, until one comes, goes or gets another
  }

  // Seconds since the epoch now, by the server's clock.
  now() {
    return this.time + (performance.now() - this.received) / 1000;
  }

  // All guests in the order of their names, each of which knows its place there.
  get named() {
    if (!this.inOrder) {
      this.inOrder = [...this.all.values()].sort((a, b) => NAMES.compare(a.name, b.name) || (a.uuid < b.uuid ? -1 : 1));
      this.inOrder.forEach((guest, place) => (guest.place = place));
    }
    return this.inOrder;
  }

  // Take over a `full` event.
  replace(event) {
    const before = this.all;
    this.all = new Map();
    this.inOrder = null;
    for (const record of event.domains) {
      const guest = before.get(record.uuid) ?? new Guest(record.uuid);
      guest.values.clear();
      guest.take(record, event.time);
      this.all.set(record.uuid, guest);
    }
    this.#happened(event);
  }

  // Take over a `change` event.
  change(event) {
    for (const uuid of event.gone ?? []) this.all.delete(uuid);
    if (event.gone?.length) this.inOrder = null;
    for (const record of event.domains) {
      let guest = this.all.get(record.uuid);
      if (!guest || record.name !== undefined) this.inOrder = null;
      if (!guest) this.all.set(record.uuid, (guest = new Guest(record.uuid)));
      guest.take(record, event.time);
    }
    this.#happened(event);
  }

  // Those that do not answer, or of which nothing new has come; those longest so first.
  stuck() {
    return [...this.all.values()].filter((guest) => guest.stuck).sort((a, b) => (a.since || 0) - (b.since || 0));
  }

  #happened(event) {
    if (event.host) this.host = event.host;
    this.time = event.time;
    this.received = performance.now();
  }
}

export class Guest {
  constructor(uuid) {
    this.uuid = uuid;
    this.id = null;
    this.name = uuid;
    this.place = NaN; // among all, by name
    this.shown = uuid; // the name, fit to be seen
    this.state = "";
    this.status = "";
    this.since = NaN; // when the oldest of its groups was sampled, NaN if not known: seconds since the epoch
    this.values = new Map(); // decimal strings and words, by column
    this.text = uuid; // what is searched
  }

  get stuck() {
    return this.status === "blocked" || this.status === "stale";
  }

  // Take over what a record of an event says; what it does not mention stays.
  take(record, time) {
    if (record.name !== undefined && record.name !== this.name) {
      this.name = record.name;
      this.shown = visible(record.name);
    }
    const wasStuck = this.stuck;
    for (const key of ["id", "state", "status"]) if (record[key] !== undefined) this[key] = record[key] ?? "";
    if (record.age !== undefined) {
      const since = record.age === null ? NaN : time - record.age;
      // Of a guest that has never answered only what nobody has to ask it for is there, and that comes anew every time.
      if (!(wasStuck && this.stuck && this.since < since)) this.since = since;
    }
    for (const [key, value] of Object.entries(record.values ?? {})) {
      if (value === null) this.values.delete(key);
      else this.values.set(key, value);
    }
    this.text = `${this.name.toLowerCase()} ${this.shown.toLowerCase()} ${this.uuid} ${this.state} ${this.status}`;
  }
}
