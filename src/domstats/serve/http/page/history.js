// What has been of one guest: from the server's memory, with what the stream brings after it.

import { approximate } from "./format.js";

const PATIENCE = 30000; // milliseconds
const KEPT = 3600; // seconds; no more is ever shown

export class History {
  constructor(uuid) {
    this.uuid = uuid;
    this.all = []; // the fields the server has of this guest
    this.series = new Map(); // field -> { times: seconds since the epoch, values: number or null }
    this.streamed = new Set(); // the fields the stream has said something of
    this.complaint = ""; // why there is nothing from the server's memory
  }

  // The first time of which anything is known; Infinity when there is nothing.
  get begin() {
    return Math.min(...[...this.series.values()].map((points) => points.times[0] ?? Infinity));
  }

  // Ask for all fields of the last `seconds`.
  async load(seconds) {
    const query = new URLSearchParams({ domain: this.uuid, seconds: String(seconds) });
    try {
      const reply = await fetch(`v1/history?${query}`, { signal: AbortSignal.timeout(PATIENCE) });
      const said = await reply.json();
      if (!reply.ok) throw new Error(said.error ?? reply.statusText);
      this.all = said.all ?? Object.keys(said.fields);
      for (const [field, points] of Object.entries(said.fields)) this.#put(field, points);
      for (const field of this.series.keys()) {
        if (!(field in said.fields) && !this.streamed.has(field)) this.series.delete(field);
      }
      this.complaint = "";
    } catch (error) {
      this.complaint = `No history: ${error.message}`;
    }
  }

  // Add what an event of the stream says that is new.
  add(time, values) {
    for (const [field, text] of Object.entries(values)) {
      const value = approximate(text);
      if (Number.isNaN(value)) continue;
      this.streamed.add(field);
      if (!this.series.has(field)) this.series.set(field, { times: [], values: [] });
      const { times, values: known } = this.series.get(field);
      if (times.length && time <= times.at(-1)) continue;
      times.push(time);
      known.push(value);
      const old = times.findIndex((each) => each >= time - KEPT);
      times.splice(0, old);
      known.splice(0, old);
    }
  }

  #put(field, points) {
    const values = points.values.map((value) => (typeof value === "string" ? approximate(value) : value));
    this.series.set(field, { times: points.times, values });
  }
}
