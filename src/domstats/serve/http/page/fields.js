// Which fields of the history are drawn in which chart.

import { bytes, tenths, visible } from "./format.js";

const whole = (value) => String(Math.round(value));
const PERCENT = { write: (value) => `${tenths(value.toFixed(2))} %`, top: 10 };
const BYTES = { write: (value) => bytes(whole(value)), binary: true, top: 1024 };
const RATE = { write: (value) => `${bytes(whole(value))}/s`, binary: true, top: 1024 };
const REQUESTS = { write: (value) => `${value < 10 ? tenths(value.toFixed(2)) : whole(value)} /s`, top: 10 };
const SECONDS = { write: (value) => `${tenths((1000 * value).toFixed(3))} ms`, top: 0.001 };

// Title, unit, and the fields: a name, or a pattern whose first group tells one line from another.
const CHARTS = [
  ["CPU", PERCENT, [["cpu", "of one CPU"]]],
  ["vCPUs", PERCENT, [[/^vcpu[.[](.+?)\]?\.(?:cpu|time)$/, "vCPU "]]],
  ["Contention", PERCENT, [["steal", "steal"], ["wait", "wait"], [/^vcpu[.[](.+?)\]?\.(?:steal|delay)$/, "vCPU "]]],
  ["Memory", BYTES, [["mem", "used"], ["total", "total"]]],
  ["Disks", RATE, [["read", "read"], ["write", "write"]]],
  ["Disk requests", REQUESTS, [["reads", "reads"], ["writes", "writes"]]],
  ["Network", RATE, [["rx", "received"], ["tx", "sent"]]],
];

// The charts for a guest of which these fields are kept: { title, unit, lines: [{ field, label }] }.
export function chartsOf(fields) {
  const known = new Set(fields);
  const made = CHARTS.map(([title, unit, wanted]) => ({ title, unit, lines: wanted.flatMap((one) => found(one, known)) }));
  return [...made.filter((chart) => chart.lines.length), ...deviceCharts(fields)];
}

function found([what, label], known) {
  if (typeof what === "string") return known.has(what) ? [{ field: what, label }] : [];
  const lines = [];
  for (const field of known) {
    const match = what.exec(field);
    if (match) lines.push({ field, label: label + visible(match[1], 40) });
  }
  return lines;
}

// A chart for each disk and each interface.
function deviceCharts(fields) {
  const made = new Map();
  for (const field of fields) {
    const match = /^(block|net)[.[](.+?)\]?\.(rd|wr|read|write|rx|tx)(?:\.bytes)?$/.exec(field);
    if (!match) continue;
    const title = `${match[1] === "block" ? "Disk" : "Interface"} ${visible(match[2], 40)}`;
    if (!made.has(title)) made.set(title, { title, unit: RATE, lines: [] });
    made.get(title).lines.push({ field, label: LABELS[match[3]] });
  }
  return [...made.values()];
}

const LABELS = { rd: "read", read: "read", wr: "write", write: "write", rx: "received", tx: "sent" };
export const UNITS = { PERCENT, BYTES, RATE, REQUESTS, SECONDS };
