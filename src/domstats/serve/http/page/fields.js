// Which fields of the history are drawn in which chart. A device's field is named vcpu.0.steal, block[vda].read or, of
// a device without a name, block.0.read; the name ends at the last bracket.

import { bytes, tenths, visible } from "./format.js";

const LINES_MAX = 64; // of one chart; its title says when there are more

const whole = (value) => String(Math.round(value));
const small = (value) => (value < 100 ? tenths(value.toFixed(3)) : whole(value));
// How a value is written, whether it is scaled by 1024, and how high the axis is at least.
const PERCENT = { write: (value) => `${small(value)} %`, top: 10 };
const BYTES = { write: (value) => bytes(whole(value)), binary: true, top: 1024 };
const RATE = { write: (value) => `${bytes(whole(value))}/s`, binary: true, top: 1024 };
const REQUESTS = { write: (value) => `${small(value)} /s`, top: 10 };
const TIME = { write: (nanoseconds) => `${small(nanoseconds / 1e6)} ms`, top: 1e6 };

// Title, unit, and for each kind of line: what its label begins with, the field, and for devices the kind of device. A
// chart that only tells apart what an earlier one adds up is left out where there is but one device.
const CHARTS = [
  ["CPU", PERCENT, [["of one CPU", "cpu"]]],
  ["vCPUs", PERCENT, [["all", "cpu-guest"], ["vCPU", "cpu", "vcpu"]]],
  ["Contention", PERCENT, [["steal", "steal"]]],
  ["Steal by vCPU", PERCENT, [["vCPU", "steal", "vcpu"]], "apart"],
  ["Wait by vCPU", PERCENT, [["vCPU", "wait", "vcpu"]]],
  ["Memory", BYTES, [["used", "mem"], ["total", "total"]]],
  ["Disks", RATE, [["read", "read"], ["written", "write"]]],
  ["Read by disk", RATE, [["", "read", "block"]], "apart"],
  ["Written by disk", RATE, [["", "write", "block"]], "apart"],
  ["Disk requests", REQUESTS, [["reads", "reads"], ["writes", "writes"]]],
  ["Time of a request", TIME, [["read", "rd-time", "block"], ["write", "wr-time", "block"]]],
  ["Network", RATE, [["received", "rx"], ["sent", "tx"]]],
  ["Received by interface", RATE, [["", "rx", "net"]], "apart"],
  ["Sent by interface", RATE, [["", "tx", "net"]], "apart"],
];

// The charts for a guest of which these fields are kept: { title, unit, lines: [{ field, label }] }.
export function chartsOf(fields) {
  const devices = fields.map(deviceField).filter(Boolean);
  const made = [];
  for (const [title, unit, kinds, apart] of CHARTS) {
    const lines = kinds.flatMap((kind) => linesOf(kind, fields, devices));
    if (lines.length <= (apart ? 1 : 0)) continue;
    const told = lines.length > LINES_MAX ? `${title} (${LINES_MAX} of ${lines.length})` : title;
    made.push({ title: told, unit, lines: lines.slice(0, LINES_MAX) });
  }
  return made;
}

function linesOf([label, tail, kind], fields, devices) {
  if (!kind) return fields.includes(tail) ? [{ field: tail, label }] : [];
  const found = devices.filter((device) => device.kind === kind && device.tail === tail);
  return found.map(({ field, name }) => ({ field, label: `${label} ${visible(name, 40)}`.trim() }));
}

function deviceField(field) {
  const match = /^(vcpu|block|net)(?:\[(.*)\]|\.(\d+))\.([a-z-]+)$/s.exec(field);
  return match && { field, kind: match[1], name: match[2] ?? match[3], tail: match[4] };
}
