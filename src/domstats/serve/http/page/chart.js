// One chart: a heading, a legend that shows the values under the pointer, or else the latest, and uPlot's drawing.
// uPlot is put beside this file when the package is built; without it there are no charts.

const HEIGHT = 132;
const COLOURS = 8; // classes c0 to c7 of the style sheet
const POWERS_OF_TWO = Array.from({ length: 60 }, (_, power) => 2 ** power);

const NOT_BUILT =
  "Charts need uPlot, which was not put in when this was built: in a checkout `make page` does it, where npm is there.";

let library = null; // a promise of what charting() gives
let failures = 0;

// { uPlot, complaint }: uPlot, loaded when it is first wanted, or null and why there is none.
export function charting() {
  library ??= load();
  return library;
}

async function load() {
  const url = new URL("uPlot.esm.js", import.meta.url);
  if (failures) url.search = `again=${failures}`; // browsers remember of an address that it could not be imported
  try {
    return { uPlot: await withStyles(await import(url.href)), complaint: "" };
  } catch (error) {
    if (await isMissing(url)) return { uPlot: null, complaint: NOT_BUILT };
    failures += 1;
    library = null;
    return { uPlot: null, complaint: `No charts: ${error.message}` };
  }
}

function isMissing(url) {
  return fetch(url, { method: "HEAD" }).then((reply) => reply.status === 404, () => false);
}

function withStyles(module) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL("uPlot.min.css", import.meta.url).href;
  return new Promise((resolve) => {
    link.addEventListener("load", () => resolve(module.default));
    link.addEventListener("error", () => resolve(module.default));
    document.head.append(link);
  });
}

export class Chart {
  // `lines`: { field, label } each; `unit`: { write(number) -> text, binary, top }; `room`: the element it goes into.
  constructor(uPlot, title, lines, unit, room) {
    this.uPlot = uPlot;
    this.lines = lines;
    this.unit = unit;
    this.span = [0, 1];
    this.box = document.createElement("figure");
    const caption = this.box.appendChild(document.createElement("figcaption"));
    caption.appendChild(document.createElement("h3")).textContent = title;
    this.legend = lines.map((line, number) => legendEntry(caption, line.label, number));
    room.append(this.box);
    this.plot = new uPlot(this.#options(), this.#empty(), this.box);
    this.seen = false;
    this.draw = () => {};
    this.sizes = new ResizeObserver(() => this.#size());
    this.sizes.observe(this.box);
    this.sights = new IntersectionObserver((changes) => this.#sight(changes.at(-1).isIntersecting));
    this.sights.observe(this.box);
  }

  // Show these series, as History has them, from and to these times; drawn when the chart can be seen.
  show(series, from, to) {
    this.draw = () => this.#draw(series, from, to);
    if (this.seen) this.draw();
  }

  remove() {
    this.sizes.disconnect();
    this.sights.disconnect();
    this.plot.destroy();
    this.box.remove();
  }

  #sight(seen) {
    if (seen && !this.seen) this.draw();
    this.seen = seen;
  }

  #draw(series, from, to) {
    this.span = [from, to];
    const tables = this.lines.map((line) => {
      const points = series.get(line.field);
      return points ? [points.times, points.values] : [[], []];
    });
    this.plot.setData(tables.some(([times]) => times.length) ? this.uPlot.join(tables) : this.#empty());
    this.#say();
  }

  #empty() {
    return [[], ...this.lines.map(() => [])];
  }

  #size() {
    const width = this.box.clientWidth;
    if (width && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  #options() {
    const faint = colour(this.box, "--line");
    const text = colour(this.box, "--faint");
    const axis = { stroke: text, grid: { stroke: faint, width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    const write = (plot, values) => values.map((value) => this.unit.write(value).replace(/\.0(?= |$)/, ""));
    return {
      width: this.box.clientWidth || 320,
      height: HEIGHT,
      legend: { show: false },
      cursor: { sync: { key: "domstats" }, y: false, drag: { x: false, y: false }, points: { size: 5 } },
      scales: { x: { range: () => this.span }, y: { range: (plot, low, high) => [0, this.#top(high)] } },
      axes: [
        { ...axis, size: 24, space: 70, values: clockTicks },
        { ...axis, size: 64, space: 24, values: write, ...(this.unit.binary ? { incrs: POWERS_OF_TWO } : {}) },
      ],
      series: [{}, ...this.lines.map((_, number) => this.#line(number))],
      hooks: { setCursor: [() => this.#say()] },
    };
  }

  #line(number) {
    const stroke = getComputedStyle(this.legend[number].swatch).color;
    return { stroke, width: this.lines.length > 4 ? 1 : 1.5, points: { show: false }, fill: this.lines.length === 1 ? faded(stroke) : undefined };
  }

  #top(high) {
    return Math.max((high ?? 0) * 1.08, this.unit.top);
  }

  #say() {
    if (!this.plot) return;
    const place = this.plot.cursor.idx;
    this.legend.forEach((entry, number) => {
      const values = this.plot.data[number + 1] ?? [];
      const value = place == null ? values.findLast((each) => each != null) : values[place];
      const text = value == null ? "–" : this.unit.write(value);
      if (entry.value.textContent !== text) entry.value.textContent = text;
    });
  }
}

function legendEntry(caption, label, number) {
  const entry = caption.appendChild(document.createElement("span"));
  entry.className = "entry";
  const swatch = entry.appendChild(document.createElement("i"));
  swatch.className = `swatch c${number % COLOURS}`;
  entry.appendChild(document.createElement("bdi")).textContent = label;
  const value = entry.appendChild(document.createElement("b"));
  return { swatch, value };
}

function clockTicks(plot, times, axis, space, step) {
  return times.map((time) => new Date(time * 1000).toTimeString().slice(0, step < 60 ? 8 : 5));
}

// A colour of the style sheet as the canvas takes it: what light-dark() gives is known only of a drawn element.
function colour(box, name) {
  const probe = box.appendChild(document.createElement("i"));
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function faded(stroke) {
  return stroke.replace(/^rgb\((.*)\)$/, "rgba($1, 0.12)");
}
