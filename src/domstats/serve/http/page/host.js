// The host's own line, and the one below it that says which guests are stuck.

import { clock, count, duration, tenths, visible } from "./format.js";

const STATUSES = ["fresh", "partial", "stale", "blocked"];
const REASON_MAX = 300; // characters of why the host cannot be asked
const NAMED = 3; // so many stuck guests are named
const WORDS = { live: "live", connecting: "connecting…", reconnecting: "reconnecting…" };

export class HostLine {
  // `on`: only(status or null) and open(guest).
  constructor(on) {
    this.on = on;
    this.state = document.getElementById("connection");
    this.facts = document.getElementById("facts");
    this.name = document.getElementById("host");
    this.chips = document.getElementById("chips");
    this.trouble = document.getElementById("trouble");
    this.stuck = document.getElementById("stuck");
    this.buttons = new Map(STATUSES.map((status) => [status, this.#chip(status)]));
    this.names = "";
  }

  connection(state) {
    this.state.className = state;
    document.body.classList.toggle("lost", state === "reconnecting");
    write(this.state.lastElementChild, WORDS[state]);
  }

  // Show the state of what is known; `only`: the set of statuses that the table shows, or null.
  show(guests, only) {
    const host = guests.host;
    const name = visible(host.hostname || location.host);
    write(this.name, name);
    this.name.title = visible(host.uri || "");
    document.title = `${name} · ${guests.all.size} guests`;
    write(document.getElementById("count"), `${guests.all.size.toLocaleString("en")} guests`);
    for (const [status, button] of this.buttons) {
      const number = Number(host[status] ?? 0);
      button.hidden = !number && !only?.has(status);
      button.ariaPressed = String(Boolean(only?.has(status)));
      write(button, `${number.toLocaleString("en")} ${status}`);
    }
    write(this.facts, facts(host).join(" · "));
    this.trouble.hidden = !host.trouble;
    write(this.trouble, host.trouble ? `The host cannot be asked: ${visible(host.trouble, REASON_MAX)}` : "");
    this.#stuck(guests);
  }

  #chip(status) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = `chip ${status}`;
    button.hidden = true;
    button.title = `show only guests that are ${status}`;
    button.addEventListener("click", () => this.on.only(button.ariaPressed === "true" ? null : status));
    this.chips.append(button);
    return button;
  }

  #stuck(guests) {
    const stuck = guests.stuck();
    const blocked = stuck.filter((guest) => guest.status === "blocked").length;
    const named = stuck.slice(0, NAMED);
    const now = guests.now();
    const names = named.map((guest) => `${guest.uuid} ${guest.shown} ${guest.status} ${clock(guest.since, now)}`);
    // Made anew, it is read out again, and loses the focus.
    const key = `${stuck.length} ${blocked} ${names.join()}`;
    if (key === this.names) return;
    this.names = key;
    this.stuck.hidden = !stuck.length;
    const parts = [["span", "sign", "▲"], ["strong", "", stuckWords(blocked, stuck.length - blocked)]];
    const boxes = parts.map(([tag, look, text]) => element(tag, look, text));
    for (const guest of named) boxes.push(this.#named(guest, now));
    if (stuck.length > NAMED) boxes.push(element("span", "", `and ${stuck.length - NAMED} more`));
    this.stuck.replaceChildren(...boxes);
  }

  #named(guest, now) {
    const button = element("button", "", "");
    button.type = "button";
    button.append(element("bdi", "", guest.shown), element("span", "", ` since ${clock(guest.since, now)}`));
    button.addEventListener("click", () => this.on.open(guest));
    return button;
  }
}

function facts(host) {
  const said = [];
  if (host.cpu_seconds_per_second != null) {
    said.push(`collector ${tenths((100 * host.cpu_seconds_per_second).toFixed(3))} % of a CPU`);
  }
  if (host.sweep_seconds != null) said.push(`sweep ${Number(host.sweep_seconds).toFixed(2)} s`);
  if (host.period != null) said.push(`every ${duration(Number(host.period))}`);
  return said;
}

function stuckWords(blocked, stale) {
  const guests = (number) => `${count(String(number))} ${number === 1 ? "guest" : "guests"}`;
  const said = [];
  if (blocked) said.push(`${guests(blocked)} ${blocked === 1 ? "does" : "do"} not answer`);
  if (stale) said.push(`nothing new of ${guests(stale)}`);
  return said.join(", ");
}

function element(tag, look, text) {
  const made = document.createElement(tag);
  if (look) made.className = look;
  made.textContent = text;
  return made;
}

function write(box, text) {
  if (box.textContent !== text) box.textContent = text;
}
