// The table's columns: what each shows of a guest, and what it is sorted by.

import { MISSING, approximate, bytes, count, duration, exact, tenths } from "./format.js";

// What the stream is asked for: words of the table's columns in docs/reference/columns.md.
export const ASKED = ["cpu", "cpu-guest", "steal", "mem", "total", "from", "vcpus", "read", "write", "rx", "tx"];

const ROOM = 8; // characters: figures are never cut off, which would make others of them

// A figure as it is written, or, where there is no room for it, scaled: it stands exactly in the cell's title.
function short(text, write) {
  const written = write(text);
  return written.length <= ROOM ? written : count(text);
}

function number(id, heading, unit, write, more) {
  return {
    id,
    heading,
    unit,
    descending: true,
    text: (guest) => short(guest.values.get(id), write),
    key: (guest) => approximate(guest.values.get(id)),
    title: (guest) => (guest.values.has(id) ? `${exact(guest.values.get(id))} ${unit}` : "not known"),
    ...more,
  };
}

// id, heading and title; text(guest, now) is shown; key(guest) is a number, NaN where there is none, or a string;
// bar(guest), from 0 to 1, is drawn below; `descending`: how it is sorted at first; `unit`: of figures only.
export const COLUMNS = [
  { id: "name", heading: "name", text: (guest) => guest.shown, key: (guest) => guest.place },
  { id: "state", heading: "state", text: (guest) => guest.state || MISSING, key: (guest) => guest.state },
  number("vcpus", "vcpus", "vCPUs online", (text) => text ?? MISSING),
  number("cpu", "cpu %", "% of one CPU", tenths, {
    bar: (guest) => approximate(guest.values.get("cpu-guest")) / 100,
  }),
  number("steal", "steal %", "% of time waiting for a processor", tenths),
  number("mem", "mem used", "bytes", bytes, {
    bar: (guest) => approximate(guest.values.get("mem")) / approximate(guest.values.get("total")),
    title: memoryTitle,
  }),
  number("total", "mem total", "bytes", bytes),
  number("read", "read/s", "bytes/s", bytes),
  number("write", "write/s", "bytes/s", bytes),
  number("rx", "rx/s", "bytes/s", bytes),
  number("tx", "tx/s", "bytes/s", bytes),
  {
    id: "status",
    heading: "status",
    descending: true,
    text: (guest, now) => statusText(guest, now),
    key: (guest) => RANK.indexOf(guest.status) * 1e12 - (guest.since || 0),
  },
];

// What "top by" sorts by beside the columns.
export const SUMS = {
  disk: { id: "disk", descending: true, key: (guest) => sum(guest, "read", "write"), marks: ["read", "write"] },
  network: { id: "network", descending: true, key: (guest) => sum(guest, "rx", "tx"), marks: ["rx", "tx"] },
};

const RANK = ["", "fresh", "partial", "stale", "blocked"];
const SIGNS = { blocked: "▲ ", stale: "△ ", partial: "◐ " };

// A status is told by a sign and a word, and only then by a colour.
export function statusText(guest, now) {
  return `${SIGNS[guest.status] ?? ""}${guest.status || MISSING} ${duration(now - guest.since)}`;
}

// The guests in the order of a column. They come in the order of their names, and so stay those that are equal; those
// without a value come last either way. Each key is made once: of 1,000 guests some 10,000 pairs are compared.
export function sorted(guests, column, descending) {
  const sign = descending ? -1 : 1;
  const keyed = guests.map((guest) => ({ guest, key: column.key(guest) }));
  keyed.sort((a, b) => {
    const [noLeft, noRight] = [Number.isNaN(a.key), Number.isNaN(b.key)];
    if (noLeft || noRight) return noLeft - noRight;
    return a.key === b.key ? 0 : a.key < b.key ? -sign : sign;
  });
  return keyed.map(({ guest }) => guest);
}

function sum(guest, ...ids) {
  const known = ids.map((id) => approximate(guest.values.get(id))).filter((value) => !Number.isNaN(value));
  return known.length ? known.reduce((total, value) => total + value, 0) : NaN;
}

function memoryTitle(guest) {
  const [used, total] = [guest.values.get("mem"), guest.values.get("total")];
  return `${exact(used)} of ${exact(total)} bytes (${guest.values.get("from") ?? "source not known"})`;
}
