// The server's stream of events: one full event, then what has changed since the event before; who reads slowly gets
// several changes as one. After an error, a silence, or an event that cannot follow the one before, it is opened anew, and
// the server begins with a full event again. The browser's own reconnecting is not used, as it gives up for good when
// it meets an answer that is an error.

const RETRY = [500, 1000, 2000, 5000]; // milliseconds
const SILENCE = 15; // seconds; at least so many periods of the host:
const PERIODS = 5;

export class Stream {
  // `on`: full(event), change(event) and state("live" | "connecting" | "reconnecting").
  constructor(url, on) {
    this.url = url;
    this.on = on;
    this.source = null;
    this.timer = 0;
    this.sequence = null; // of the last event
    this.begun = false; // whether there was a full event since it was opened
    this.failures = 0;
    this.patience = SILENCE;
  }

  open() {
    this.on.state(this.sequence === null && !this.failures ? "connecting" : "reconnecting");
    this.begun = false;
    this.source = new EventSource(this.url);
    this.source.addEventListener("full", (message) => this.#full(JSON.parse(message.data)));
    this.source.addEventListener("change", (message) => this.#change(JSON.parse(message.data)));
    this.source.addEventListener("error", () => this.#again());
    this.#listen();
  }

  // Open it anew at once, whatever the one there is seems to be.
  anew() {
    this.source.close();
    this.open();
  }

  #full(event) {
    this.failures = 0;
    this.begun = true;
    this.#arrived(event);
    this.on.full(event);
  }

  #change(event) {
    if (this.begun && event.sequence > this.sequence) {
      this.#arrived(event);
      this.on.change(event);
    } else this.#again();
  }

  #arrived(event) {
    this.sequence = event.sequence;
    this.patience = Math.max(SILENCE, PERIODS * (event.host?.period ?? 0));
    this.on.state("live");
    this.#listen();
  }

  #listen() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#again(), this.patience * 1000);
  }

  #again() {
    this.source.close();
    this.on.state("reconnecting");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), RETRY[Math.min(this.failures, RETRY.length - 1)]);
    this.failures += 1;
  }
}
